# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a proof depends on, and what becomes of the findings of checks."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.context import (
    Conflict,
    Finding,
    Problem,
    Warn,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.live import Live, site_settings
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.main_cf import MainCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.master_cf import MasterCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.record import NOTHING
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix.proof import digest, run_checks
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix.wanted import want_policy, want_removal
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.command import StepError
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._checks.contexts import (
    StubHost,
    context,
)
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._plan.test_compose import (
    MAIN,
    MASTER,
    POLICY,
    facts,
)

FILES = MainCf(MAIN), MasterCf(MASTER)
LIVE = Live(*FILES, NOTHING, facts(site_settings(FILES[0], NOTHING)))


def digest_with(**settings: Any) -> str:
    arguments = {"policy": {**POLICY, "dnsbls": []}, "settings": settings, "policy_tests": []}
    return digest(want_policy(arguments, LIVE, StubHost()))


@pytest.mark.parametrize("settings", [{"unknown_entries": "replace"}, {"unusable_dnsbls": "skip"}])
def test_digest_is_without_what_lets_a_run_go_on(settings: dict[str, Any]) -> None:
    assert digest_with(**settings) == digest_with()


@pytest.mark.parametrize("settings", [{"login_form": "local part"}, {"helo_check": "syntax"}])
def test_digest_has_all_other_settings(settings: dict[str, Any]) -> None:
    assert digest_with(**settings) != digest_with()


def test_removal_has_nothing_to_prove() -> None:
    removal = want_removal(LIVE, StubHost())
    assert digest(removal) == ""
    assert (removal.composed.main, removal.composed.master) == FILES


def test_file_that_cannot_be_composed_fails_the_step_that_reads() -> None:
    live = LIVE._replace(master=MasterCf("198.51.100.12:smtp inet n - y - - smtpd\n"))
    arguments = {"policy": {**POLICY, "dnsbls": []}, "settings": {}, "policy_tests": []}
    with pytest.raises(StepError, match=r"^read: master.cf: 198\.51\.100\.12:smtp inet listens at one address"):
        want_policy(arguments, live, StubHost())


def checks(*found: list[Finding]) -> list[str]:
    return run_checks(context(), [lambda _context, one=one: one for one in found])  # type: ignore[misc]


def test_warnings_of_all_checks_are_returned() -> None:
    assert checks([Warn("a"), Warn("b")], [], [Warn("c")]) == ["a", "b", "c"]


def test_all_problems_of_a_check_are_raised_at_once() -> None:
    with pytest.raises(PolicyError) as caught:
        checks([Warn("a")], [Problem("b"), Warn("c"), Problem("d")], [Conflict("trust", "e")])
    assert caught.value.problems == ["b", "d"]


def test_conflict_fails_its_step() -> None:
    with pytest.raises(StepError) as caught:
        checks([Warn("a")], [Conflict("trust", "b")], [Problem("c")])
    assert (caught.value.step, caught.value.output) == ("trust", "b")
