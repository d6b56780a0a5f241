# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the arguments of a run to the files that are wanted.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .._policy.mail import MailPolicy
from .._policy.policy_tests import read_policy_tests
from .._sessions.dnsbl import unusable_dnsbls
from .._transaction.command import StepError
from ._checks.context import Context, Host, PolicyContext
from ._config.lines import FileError
from ._config.live import Live
from ._config.settings import SKIP, Settings
from ._plan.compose import NO_PLAN, Composed, compose
from ._plan.plan import Plan, compile_plan, read_wanted


def want_removal(live: Live, host: Host) -> Context:
    """Compose the files without managed objects. Raises StepError."""
    return Context(live, _compose(live, NO_PLAN), host, changed=True)


def want_policy(arguments: Mapping[str, Any], live: Live, host: Host) -> PolicyContext:
    """Compose the files that the policy asks for. Raises PolicyError, StepError."""
    names = arguments.get("names") or {}
    policy, settings = read_wanted(arguments["policy"], arguments["settings"], names)
    tests = read_policy_tests(arguments["policy_tests"], names.get("policy_tests", "mailhost_policy_tests"))
    skipped, warnings = _unusable_lists(policy, settings, live, names)
    policy = policy.without_dnsbls(skipped)
    plan = compile_plan(policy, settings, live.facts, names)
    composed = _compose(live, plan)
    return PolicyContext(live, composed, host, True, policy, settings, tests, plan, names, tuple(warnings))


def _compose(live: Live, plan: Plan) -> Composed:
    try:
        return compose(live.main, live.master, plan, live.record)
    except FileError as error:
        raise StepError("read", str(error)) from None


def _unusable_lists(
    policy: MailPolicy, settings: Settings, live: Live, names: Mapping[str, str]
) -> tuple[set[str], list[str]]:
    """Test the DNSBLs that are not in use yet."""
    used = " ".join(owned.managed or "" for owned in live.record.main.values())
    # Whole names: a zone may be the end of another, after a key.
    zones = set(re.findall(r"(?<![\w.-])[\w.-]+(?==)", used))
    new = {one.zone: one.place for one in policy.dnsbls if one.zone not in zones}
    return unusable_dnsbls(new, names, "postfix", settings.unusable_dnsbls == SKIP)
