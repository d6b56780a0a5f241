# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof of wanted files: Postfix reads them, the checks find nothing against them, and a canary holds sessions.

A digest says whether an earlier run has proven exactly these.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from .._policy.errors import PolicyError
from .._sessions.report import describe_deviations
from .._transaction.command import StepError
from .._transaction.run import Proof
from ._canary.run import Wanted, prove
from ._canary.verdicts import Proof as CanaryProof
from ._checks.checks import CHECKS, POLICY_CHECKS, PROOF_CHECKS
from ._checks.context import Conflict, Context, Finding, PolicyContext, Problem
from ._host.staging import Staged, check_staged

ContextT = TypeVar("ContextT", bound=Context)


def prove_files(context: Context, *, changed: bool, proven: bool) -> Proof:
    """Hold the wanted files against the policy. Raises PolicyError, StepError.

    ``changed``: whether any file changes. ``proven``: whether an earlier run has held the sessions with these.
    """
    context = replace(context, changed=changed)
    composed, host = context.composed, context.host
    staged = Staged(composed.main, composed.master, composed.maps, host.folder, host.queue)
    warnings = [*context.warnings, *run_checks(context, POLICY_CHECKS)] if isinstance(context, PolicyContext) else []
    warnings += run_checks(context, CHECKS)
    if changed:
        warnings += [*check_staged(staged), *composed.warnings]
    if not isinstance(context, PolicyContext):
        return Proof(0, warnings, {"notes": []})
    if proven and not changed:
        return Proof(0, warnings, {"notes": [*context.plan.notes]})
    proof = _hold_sessions(staged, context)
    if proof.notes and not proof.count:  # the host lacks what the canary needs
        warnings += proof.notes
    return Proof(proof.count, warnings, {"notes": [*context.plan.notes, *proof.notes]}, proof.effects)


def run_checks(context: ContextT, checks: Iterable[Callable[[ContextT], Iterable[Finding]]]) -> list[str]:
    """Return the warnings of all checks; the first check that finds more than that raises all of it."""
    warnings = []
    for check in checks:
        found = list(check(context))
        problems = [one.text for one in found if isinstance(one, Problem)]
        if problems:
            raise PolicyError(problems)
        for one in found:
            if isinstance(one, Conflict):
                raise StepError(one.step, one.text)
            warnings.append(one.text)
    return warnings


def digest(context: Context) -> str:
    """Return a digest of what the canary is tried with, nothing where there is no policy."""
    if not isinstance(context, PolicyContext):
        return ""
    composed = context.composed
    # What decides whether the run goes on is no part of what was proven.
    settings = context.settings._replace(unknown_entries="", unusable_dnsbls="")
    version = context.live.facts.parameters.get("mail_version", "")
    files = [composed.main.text, composed.master.text, composed.maps]
    whole = json.dumps([*files, context.policy, settings, context.tests, version], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()


def _hold_sessions(staged: Staged, context: PolicyContext) -> CanaryProof:
    """Hold the sessions with a canary of the wanted files, and of the live ones where anything changes."""
    run_checks(context, PROOF_CHECKS)
    live = staged._replace(main=context.live.main, master=context.live.master, maps={}) if context.changed else None
    proof = prove(staged, Wanted(context.policy, context.settings, context.tests), live)
    if proof.deviations:
        raise StepError("canary", describe_deviations(proof.deviations))
    return proof
