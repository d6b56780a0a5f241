# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the runs of all mail servers have in common: a killed run is put back first, and told of; the way back.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.mailhost.hardening.plugins.module_utils._transaction import transaction
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.command import StepError

INTERRUPTED = "a run was killed in the middle of its change; the next real run puts the former files back first"

Result = dict[str, Any]


def run_change(state: str, driver: transaction.Driver, check_mode: bool, work: Callable[[], Result]) -> Result:
    """Do the work of a run on a host where no killed run is in the way; returns its result. Raises StepError."""
    if check_mode and transaction.interrupted(state):
        return {"changed": True, "files": [], "evaluated": 0, "warnings": [INTERRUPTED]}
    notice = "" if check_mode else transaction.recover(state, driver)
    try:
        result = work()
    except StepError as error:
        # What was put back of an earlier run is told once only, so not by the next run.
        told = f"{notice}\n{error.output}" if notice else error.output
        raise StepError(error.step, told, error.restored) from error
    result["warnings"] = [*([notice] if notice else []), *result["warnings"]]
    return result


def run_rollback(
    state: str,
    driver: transaction.Driver,
    check_mode: bool,
    *,
    diff: bool,
    put_back: Callable[[transaction.RollbackPlan], Result],
) -> Result:
    """Put back what was live before the last change; returns the result, with what ``put_back`` adds."""
    if check_mode and transaction.interrupted(state):
        return {"changed": True, "files": [], "warnings": [INTERRUPTED]}
    notice = "" if check_mode else transaction.recover(state, driver)
    if notice:
        # What was live before the last change is live again: another step back would go too far.
        return {"changed": True, "files": [], "warnings": [notice]}
    plan = transaction.plan_rollback(state, driver)
    transaction.refuse_edited(state, plan)
    record = f"{state}/record.json"
    changes = [one for one in plan.changes if one.before != one.after and one.path != record]
    result: Result = {"changed": bool(changes), "files": [one.path for one in changes], "warnings": []}
    if diff:
        result["diff"] = [one.diff() for one in changes]
    return result if check_mode else {**result, **put_back(plan)}
