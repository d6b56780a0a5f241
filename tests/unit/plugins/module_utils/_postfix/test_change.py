# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts of a run on the host that need no Postfix; the scenarios show the rest."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix import change
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.record import NOTHING
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host.live import Live
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host.product import Postfix
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix.change import _digest, _present
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._plan.test_compose import (
    MAIN,
    MASTER,
    POLICY,
    facts,
    site_settings,
)

SILENT = (
    "Postfix runs, but port 25 does not greet at 192.0.2.1, 2001:db8::1: after the change the live Postfix is not asked "
    "whether it works by the policy, only whether it runs on"
)


def digest(**settings: Any) -> str:
    live = Live(MAIN, MASTER, NOTHING, facts(dict(site_settings(MAIN, NOTHING))))
    policy = {**POLICY, "dnsbls": []}
    return _digest(_present({"policy": policy, "settings": settings, "policy_tests": []}, live), live)


@pytest.mark.parametrize("settings", [{"unknown_entries": "replace"}, {"unusable_dnsbls": "skip"}])
def test_what_lets_a_run_go_on_is_no_reason_to_ask_again(settings: dict[str, Any]) -> None:
    assert digest(**settings) == digest()


@pytest.mark.parametrize("settings", [{"login_form": "local part"}, {"helo_check": "syntax"}])
def test_other_settings_are(settings: dict[str, Any]) -> None:
    assert digest(**settings) != digest()


def test_what_is_about_milters() -> None:
    main = "smtpd_milters = inet:127.0.0.1:8891\nmilter_default_action = accept\nnon_smtpd_milters =\nbiff = no\n"
    assert change._milters(main) == {"smtpd_milters": "inet:127.0.0.1:8891", "milter_default_action": "accept"}


@pytest.mark.parametrize(
    ("runs", "greets", "told"),
    [(True, True, []), (True, False, [SILENT]), (False, False, []), (None, False, [])],
)
def test_a_postfix_that_runs_and_does_not_greet_is_told(
    monkeypatch: pytest.MonkeyPatch, runs: bool | None, greets: bool, told: list[str]
) -> None:
    product: Any = Postfix("/x", "/y", "192.0.2.1, 2001:db8::1")
    monkeypatch.setattr(product, "runs", lambda: runs)
    monkeypatch.setattr(product, "alive", lambda: greets)
    assert change._silence(product) == told
