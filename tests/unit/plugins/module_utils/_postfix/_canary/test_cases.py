# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sessions that are held with a canary for a policy, and the service of each."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.policy_tests import read_policy_tests
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.cases import (
    NO_MISTAKE,
    NOT_OFFERED,
    OFFERED,
    Server,
    canary_cases,
    cases_of_user,
    is_managed,
    login_of,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.files import find_entrances
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.main_cf import MainCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.master_cf import MasterCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.settings import Settings
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import read_wanted
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.cases import ACCEPT, NO_RELAY, REJECT, Case

POLICY: dict[str, Any] = {
    "domains": ["example.org"],
    "internal_networks": ["192.0.2.80/28"],
    "blocked_networks": ["203.0.113.0/25"],
    "relay_exceptions": [{"networks": ["198.51.100.5"], "sender_domains": ["partner.example"]}],
}
MASTER = """\
smtp inet n - y - 1 postscreen
submission inet n - y - - smtpd
submissions inet n - y - - smtpd
  -o smtpd_tls_wrappermode=yes
2525 inet n - y - - smtpd
"""


def cases_of(policy: dict[str, Any] | None = None, master: str = MASTER, **settings: Any) -> dict[str, Case]:
    found, read = read_wanted(POLICY if policy is None else policy, settings)
    cases = list(canary_cases(found, read, server(master)))
    named = {case.name: case for case in cases}
    assert len(named) == len(cases), "two sessions have the same name"
    return named


def server(master: str = MASTER, *, delivers: bool = True) -> Server:
    return Server(
        "example.org", frozenset({"example.org"}), "127.0.0.1", find_entrances(MainCf(""), MasterCf(master)), delivers
    )


def settings_of(**more: Any) -> Settings:
    return read_wanted(POLICY, more)[1]


def test_every_class_of_the_policy_has_sessions() -> None:
    found = cases_of()
    expected = {
        "external client 198.51.100.77: plain": (REJECT, 25),
        "external client 2001:db8:5757::77: source route": (REJECT, 25),
        "external client ::ffff:198.51.100.77: null sender": (REJECT, 25),
        "external client 198.51.100.77 with TLS: spoofed sender": (REJECT, 25),
        "external client 198.51.100.77 to own domain": (ACCEPT, 25),
        "external client 198.51.100.77, to another domain below org": (REJECT, 25),
        "message of external client 198.51.100.77": (NO_MISTAKE, 25),
        "AUTH on port 25 for 198.51.100.77": (NOT_OFFERED, 25),
        "internal client 192.0.2.80 of 192.0.2.80/28": (ACCEPT, 25),
        "192.0.2.96 next to internal network 192.0.2.80/28": (NO_RELAY, 25),
        "relay exception 198.51.100.5": (ACCEPT, 25),
        "relay exception 198.51.100.5, other sender": (NO_RELAY, 25),
        "blocked client 203.0.113.127": (REJECT, 25),
        "submission: AUTH for 198.51.100.77 before TLS": (NOT_OFFERED, 587),
        "submission: AUTH for 198.51.100.77 with TLS": (OFFERED, 587),
        "submission: external client 198.51.100.77 with TLS: plain": (REJECT, 587),
        "submission: logged in from 198.51.100.77, sender user@example.org": (ACCEPT, 587),
        "submissions: internal client 192.0.2.80, not logged in": (REJECT, 465),
        "master.cf line 5, 2525: external client 198.51.100.77: plain": (REJECT, "2525"),
    }
    for name, (expect, port) in expected.items():
        assert (found[name].expect, found[name].session["port"]) == (expect, port), name


def test_each_session_has_a_service() -> None:
    for case in cases_of().values():
        assert case.session["service"] in ("smtp", "submission", "submissions", "2525")
        assert not (case.session["service"] == "submissions" and not case.session["tls"])


def test_route_to_a_managed_domain_is_no_relay() -> None:
    assert cases_of()["external client 198.51.100.77: source route through the target"].expect == NO_RELAY


def test_unmanaged_submission_is_tried_like_any_other_service() -> None:
    found = cases_of(submission=False)
    assert not any(name.startswith("submission") for name in found)
    assert found["master.cf line 2, submission: external client 198.51.100.77: percent"].expect == REJECT
    assert found["master.cf line 3, submissions with TLS: external client 198.51.100.77: plain"].session["tls"]


def test_nothing_is_delivered_without_a_known_domain() -> None:
    policy, settings = read_wanted({}, {})
    cases = list(canary_cases(policy, settings, server(delivers=False)))
    assert not any(case.local and case.expect == ACCEPT for case in cases)
    assert cases


def test_login_that_owns_an_address_follows_the_form_of_logins() -> None:
    assert login_of("user@example.org", settings_of()) == "user@example.org"
    assert login_of("user+box@example.org", settings_of(login_form="local part")) == "user"
    assert login_of("info@example.org", settings_of(sender_logins={"info@example.org": ["ann"]})) == "ann"
    name = "submission: info@example.org not of no.such.login, sender info@example.org"
    assert cases_of(sender_logins={"info@example.org": ["ann"]})[name].expect == REJECT


@pytest.mark.parametrize(
    ("recipient", "managed"),
    [
        ("postbox@example.org", True),
        ("postbox+box@EXAMPLE.org", True),
        ("@relay-target.example:victim@example.org", True),
        ("victim%relay-target.example@example.org", False),
        ("relay-target.example!victim@example.org", False),
        ('"victim@relay-target.example"@example.org', False),
        ("victim@relay-target.example@example.org", False),
        ("@example.org:victim@relay-target.example", False),
        ("victim", False),
        ("", False),
    ],
)
def test_managed_recipient_is_a_plain_mailbox_of_a_managed_domain(recipient: str, managed: bool) -> None:
    assert is_managed(recipient, frozenset({"example.org"})) is managed


def of_user(master: str = MASTER, **test: Any) -> tuple[list[Case], list[str]]:
    whole = {
        "client": "151.3.44.7",
        "mail_from": "a@example.org",
        "rcpt_to": "b@far.example",
        "expect": "accept",
        **test,
    }
    policy, settings = read_wanted(POLICY, {})
    return cases_of_user(read_policy_tests([whole]), policy, settings, server(master))


def test_policy_tests_become_sessions() -> None:
    (case,), notes = of_user(port=465, authenticated=True)
    assert case.session["service"] == "submissions"
    assert case.session["authenticated"] == "a@example.org"
    assert case.session["tls"]
    assert (case.expect, notes) == (ACCEPT, [])


def test_authenticated_policy_test_is_held_at_submission() -> None:
    (case,), _notes = of_user(authenticated=True)
    assert case.session["port"] == 587


def test_policy_test_at_a_port_without_a_service_is_a_note() -> None:
    cases, (note,) = of_user(master="smtp inet n - y - - smtpd\n", port=587)
    assert cases == []
    assert note.endswith("there is no service at port 587, so it was not held")
