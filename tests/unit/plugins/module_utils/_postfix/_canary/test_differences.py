# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What differs between the ends of the same sessions with the live and with the wanted files."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.effects import (
    CLOSED,
    DEFERRED,
    LIMITED,
    OPENED,
    REJECTED,
    Effect,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.networks import parse_networks
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.cases import Server
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.deciders import Files, setting_of
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.differences import (
    Pair,
    find_effects,
    find_limits,
    unclear,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.files import all_entrances
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.questions import (
    Question,
    Site,
    all_questions,
    at_service,
    senders_of,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.sessions import (
    CONNECT,
    HELLO,
    LOGIN,
    NO_AUTH,
    RCPT,
    TLS,
    Heard,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.main_cf import MainCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.master_cf import MasterCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.settings import Settings
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import read_wanted
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.smtp import LATE

POLICY: dict[str, Any] = {
    "domains": ["example.org"],
    "internal_networks": ["192.0.2.80/28"],
    "blocked_networks": ["203.0.113.0/25"],
    "relay_exceptions": [{"networks": ["198.51.100.5"], "sender_domains": ["partner.example"]}],
}
MASTER = """\
smtp inet n - y - - smtpd
submission inet n - y - - smtpd
588 inet n - y - - smtpd
  -o smtpd_sasl_auth_enable=yes
  -o smtpd_helo_restrictions=
127.0.0.1:10025 inet n - n - - smtpd
"""
MAIN = """\
smtpd_client_restrictions = permit_mynetworks, reject
smtpd_sender_restrictions = reject_sender_login_mismatch
mailhost_recipients = check_recipient_access regexp:/etc/postfix/mailhost/relay-rejection.regexp
smtpd_relay_restrictions = permit_mynetworks, $mailhost_recipients
"""
FILES = Files(MainCf(MAIN), MasterCf(MASTER), "Relaying not permitted")
MANAGED = frozenset({"example.org"})
ACCEPTED = Heard("", 250, "250 2.1.5 Ok", ())
EXTERNAL = "external client, to managed domains"


def questions(site: Site = Site(), master: str = MASTER, **settings: Any) -> dict[str, Question]:  # noqa: B008
    policy, read = read_wanted(POLICY, settings)
    entrances = all_entrances(MainCf(""), MasterCf(master))
    server = Server("example.org", MANAGED, "127.0.0.1", entrances, True, "mail.example.org")
    return {f"{one.key[1]} {one.who}": one for one in all_questions(policy, read, server, site)}


def heard(text: str, stage: str = RCPT) -> Heard:
    return Heard(stage, int(text[:3]), text, ())


def effects(name: str, before: Heard | None, after: Heard | None, **settings: Any) -> list[Effect]:
    return find_effects([Pair(questions(**settings)[name], before, after)], FILES, FILES, MANAGED)


def effect(name: str, before: Heard | None, after: Heard | None, **settings: Any) -> tuple[str, str, str]:
    (found,) = effects(name, before, after, **settings)
    return found.kind, found.before, found.reason


KEPT_OUT = heard("554 5.7.1 <unknown[198.51.100.77]>: Client host rejected: Access denied")
NO_OWNER = heard("553 5.7.1 <another-user@example.org>: Sender address rejected: not owned by user user")
NOT_IN = heard("553 5.7.1 <user@example.org>: Sender address rejected: not logged in")
DENIED = heard("454 4.7.1 <victim@relay-target.example>: Relay access denied")
RELAY = heard("550 5.7.1 <victim@relay-target.example>: Recipient address rejected: Relaying not permitted")
BARE = heard("504 5.5.2 <pc>: Helo command rejected: need fully-qualified hostname")
UNKNOWN = heard("550 5.1.1 <postbox@example.org>: Recipient address rejected: User unknown in local recipient table")


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (f"25 {EXTERNAL}", ACCEPTED, ACCEPTED),
        (f"25 {EXTERNAL}", UNKNOWN, ACCEPTED),
        ("25 external client, to other domains", DENIED, RELAY),
        ("588 authenticated client", NO_OWNER, NO_OWNER),
        # Nothing is known of a session that the live files cannot hold.
        (f"25 {EXTERNAL}", heard("451 4.3.0 Temporary lookup failure"), ACCEPTED),
        (f"25 {EXTERNAL}", Heard(CONNECT, 0, LATE, ()), ACCEPTED),
    ],
)
def test_same_end_is_no_effect(name: str, before: Heard, after: Heard) -> None:
    assert effects(name, before, after) == []


MAIN_CF = "was 554 by smtpd_client_restrictions (main.cf)"


@pytest.mark.parametrize(
    ("name", "before", "after", "expected"),
    [
        (f"25 {EXTERNAL}", KEPT_OUT, ACCEPTED, (OPENED, MAIN_CF, "")),
        (f"25 {EXTERNAL}", DENIED, ACCEPTED, (OPENED, "was 454 by smtpd_relay_restrictions (main.cf)", "mailhost_domains")),
        (f"25 {EXTERNAL}, sender of a managed domain", NOT_IN, ACCEPTED,
         (OPENED, "was 553 by smtpd_sender_restrictions (main.cf)", "")),
        (f"25 {EXTERNAL}, bare HELO", ACCEPTED, BARE, (REJECTED, "was accepted", "postfix_helo_check")),
        ("25 external client, to other domains", ACCEPTED, RELAY, (REJECTED, "was accepted", "relay block")),
        ("25 internal client, to other domains", ACCEPTED, RELAY,
         (REJECTED, "was accepted, is 550 by smtpd_relay_restrictions (main.cf)", "")),
        ("25 internal client, to other domains", DENIED, ACCEPTED,
         (OPENED, "was 454 by smtpd_relay_restrictions (main.cf)", "mailhost_internal_networks")),
        ("588 authenticated client, sender of somebody else", NO_OWNER, ACCEPTED,
         (OPENED, "was 553 by smtpd_sender_restrictions (main.cf)", "")),
        ("588 authenticated client, bare HELO", ACCEPTED, BARE,
         (REJECTED, "was accepted, is 504 by smtpd_helo_restrictions (-o, master.cf line 3)", "")),
        ("588 authenticated client", ACCEPTED, NO_OWNER,
         (REJECTED, "was accepted, is 553 by smtpd_sender_restrictions (main.cf)", "")),
        ("588 authenticated client", ACCEPTED, heard("451 4.3.5 Server configuration error"),
         (DEFERRED, "was accepted, is '451 4.3.5 Server configuration error'", "")),
        ("588 authenticated client", ACCEPTED, Heard(CONNECT, 0, "connection lost", ()),
         (CLOSED, "was accepted, is without an answer (connection lost)", "")),
        ("588 authenticated client", ACCEPTED, None, (CLOSED, "was accepted, is without a service", "")),
        ("588 authenticated client", None, ACCEPTED, (OPENED, "was without a service", "")),
        ("587 authenticated client", None, ACCEPTED, (OPENED, "was without a service", "postfix_submission")),
        ("587 authenticated client", heard(NO_AUTH.text, LOGIN), ACCEPTED,
         (OPENED, "was 503 by smtpd_sasl_auth_enable (default)", "postfix_submission")),
        ("587 authenticated client", KEPT_OUT, ACCEPTED, (OPENED, MAIN_CF, "")),
        ("587 authenticated client", NO_OWNER, ACCEPTED,
         (OPENED, "was 553 by smtpd_sender_restrictions (main.cf)", "postfix_sender_logins")),
        ("587 authenticated client, sender of somebody else", ACCEPTED, NO_OWNER,
         (REJECTED, "was accepted", "postfix_submission, own senders only")),
        ("587 internal client, to other domains", ACCEPTED, heard("530 5.7.0 Authentication required"),
         (REJECTED, "was accepted", "postfix_submission")),
        ("10025 loopback client, to other domains", ACCEPTED, RELAY,
         (REJECTED, "was accepted, is 550 by smtpd_relay_restrictions (main.cf)", "")),
    ],
)  # fmt: skip
def test_effect_has_its_kind_cause_and_reason(
    name: str, before: Heard | None, after: Heard | None, expected: tuple[str, str, str]
) -> None:
    assert effect(name, before, after) == expected


def test_login_at_port_25_is_lost_for_a_reason_only_where_there_is_submission() -> None:
    name, end = "25 authenticated client", heard(NO_AUTH.text, LOGIN)
    assert effect(name, ACCEPTED, end)[2] == "postfix_submission"
    assert effect(name, ACCEPTED, end, submission=False)[2] == ""


def test_login_without_tls_is_lost_for_a_reason_unless_there_was_no_tls() -> None:
    asked, end = questions(), heard(NO_AUTH.text, LOGIN)
    plain = Pair(asked["588 authenticated client, without TLS"], ACCEPTED, end)
    (found,) = find_effects([plain], FILES, FILES, MANAGED)
    assert found.reason == "no SMTP AUTH without TLS"
    no_tls = heard("502 5.5.1 Error: command not implemented", TLS)
    (found,) = find_effects([plain, Pair(asked["588 authenticated client"], no_tls, no_tls)], FILES, FILES, MANAGED)
    assert found.reason == ""


def test_effect_of_unmanaged_service_names_the_option_that_keeps_it() -> None:
    (found,) = effects("588 authenticated client", ACCEPTED, RELAY)
    assert found.remedy == "to keep it, give 588 in master.cf (line 3) its own value: -o smtpd_relay_restrictions=..."


def test_effects_of_one_decision_are_named_once() -> None:
    asked = questions()
    names = ("", ", bounce", ", sender of a managed domain")
    pairs = [Pair(asked[f"25 {EXTERNAL}{name}"], KEPT_OUT, ACCEPTED) for name in names]
    assert [one.who for one in find_effects(pairs, FILES, FILES, MANAGED)] == [EXTERNAL]
    other = Pair(asked[f"25 {EXTERNAL}, sender of a managed domain"], NOT_IN, ACCEPTED)
    assert len(find_effects([*pairs[:2], other], FILES, FILES, MANAGED)) == 2


def test_sessions_of_which_nothing_is_known_are_counted() -> None:
    asked = questions()[f"25 {EXTERNAL}"]
    ends = (ACCEPTED, KEPT_OUT, None, heard("451 4.3.0 Error"), Heard(CONNECT, 0, LATE, ()))
    assert unclear([Pair(asked, end, ACCEPTED) for end in ends]) == 2


# Questions


def test_inner_service_is_asked_by_loopback_clients_alone() -> None:
    found = [name for name in questions() if name.startswith("10025")]
    assert found
    assert all(name.startswith("10025 loopback client") for name in found)


def test_clients_that_live_files_trust_are_no_external_clients() -> None:
    site = Site(tuple(parse_networks("198.51.100.0/24")), alias_domains=("old.example.org",))
    found = questions(site)
    assert not found[f"25 {EXTERNAL}"].case.session["client"].startswith("198.51.100.")
    assert found["25 client of 198.51.100.0/24 (mynetworks), to other domains"].closing == "relay block"
    assert "588 authenticated client, sender of the alias domain old.example.org" in found
    assert "588 authenticated client, sender login@myhostname" in found


def test_session_is_held_where_the_service_of_its_port_is() -> None:
    asked = questions(master="smtps inet n - y - - smtpd\n  -o smtpd_tls_wrappermode=yes\n")["465 authenticated client"]
    there = all_entrances(MainCf(""), MasterCf("465 inet n - y - - smtpd\n"))
    case = at_service(asked, there)
    assert case is not None
    assert case.session["service"] == "465"
    assert at_service(asked, ()) is None


@pytest.mark.parametrize(("form", "login"), [("address", "user@example.org"), ("local part", "user")])
def test_senders_of_sessions_have_owners(form: str, login: str) -> None:
    read: Settings = read_wanted(POLICY, {"login_form": form})[1]
    server = Server("example.org", MANAGED, "127.0.0.1", ())
    found = senders_of(server, read, ["postbox@example.org"])
    # The sessions log in as user, also where the sender has a detail.
    assert (found["user@example.org"], found["user+box@example.org"]) == (login, login)
    assert "postbox@example.org" in found


# Limits


def limits(before: dict[str, str], after: dict[str, str], **settings: Any) -> list[Effect]:
    read: Settings = read_wanted(POLICY, settings)[1]
    entrances = all_entrances(FILES.main, FILES.master)[:1]
    return find_limits(entrances, (before, after), (FILES, FILES), read)


@pytest.mark.parametrize(
    ("name", "before", "after", "settings", "expected"),
    [
        ("message_size_limit", "0", "51200000", {},
         ("any client, bytes of a message", "was no limit by message_size_limit (default), is 51200000", "",
          "to keep it, set postfix_message_size_limit: 2147483647")),
        ("message_size_limit", "104857600", "20480000", {"message_size_limit": 20480000},
         ("any client, bytes of a message", "was 104857600 by message_size_limit (default), is 20480000",
          "postfix_message_size_limit", "")),
        ("smtpd_recipient_limit", "5000", "1000", {},
         ("any client, recipients of a message", "was 5000 by smtpd_recipient_limit (default), is 1000", "",
          "to keep it, set postfix_recipient_limit: 5000")),
        ("smtpd_client_auth_rate_limit", "0", "60", {},
         ("external client, logins a minute", "was no limit by smtpd_client_auth_rate_limit (default), is 60",
          "postfix_logins_per_minute", "")),
    ],
)  # fmt: skip
def test_lowered_limit_is_an_effect(
    name: str, before: str, after: str, settings: dict[str, Any], expected: tuple[str, ...]
) -> None:
    (found,) = limits({name: before}, {name: after}, **settings)
    assert (found.kind, found.who, found.before, found.reason, found.remedy) == (LIMITED, *expected)


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("message_size_limit", "10240000", "51200000"),
        ("message_size_limit", "10240000", "0"),
        ("smtpd_recipient_limit", "1000", "1000"),
        ("smtpd_client_message_rate_limit", "100", "120"),
        ("smtpd_recipient_limit", "$x", "100"),
    ],
)
def test_limit_that_is_not_lowered_is_no_effect(name: str, before: str, after: str) -> None:
    assert limits({name: before}, {name: after}) == []


def test_options_of_a_service_are_its_limits() -> None:
    services = MasterCf("smtp inet n - y - - smtpd\n  -o message_size_limit=0\n")
    old = Files(MainCf(""), services)
    read: Settings = read_wanted(POLICY, {})[1]
    values = {"message_size_limit": "51200000"}
    (found,) = find_limits(all_entrances(*old[:2]), (values, values), (old, FILES), read)
    assert found.before == "was no limit by message_size_limit (-o, master.cf line 1), is 51200000"


# Deciders


@pytest.mark.parametrize(
    ("end", "key", "expected"),
    [
        (heard("504 5.5.2 <x>: Sender address rejected: need fully-qualified address"), "25",
         "smtpd_sender_restrictions (main.cf)"),
        (heard("450 4.1.8 <x@y>: Sender address rejected: Domain not found"), "25", "smtpd_sender_restrictions (main.cf)"),
        (heard("530 5.7.0 Must issue a STARTTLS command first", "MAIL FROM"), "25", "smtpd_tls_security_level (default)"),
        (heard("502 5.5.1 Error: command not implemented", TLS), "25", "smtpd_tls_security_level (default)"),
        (heard("503 5.5.1 Error: authentication not enabled", LOGIN), "588", "smtpd_tls_auth_only (default)"),
        (heard("554 5.7.1 no", CONNECT), "25", "smtpd_client_restrictions (main.cf)"),
        (heard("501 5.5.4 no", HELLO), "588", "smtpd_helo_restrictions (-o, master.cf line 3)"),
        (heard("550 what"), "25", ""),
    ],
)  # fmt: skip
def test_setting_that_decided_is_derived_from_the_reply(end: Heard, key: str, expected: str) -> None:
    assert setting_of(end, ("", key), FILES) == expected


def test_list_with_the_restriction_decided() -> None:
    files = Files(
        MainCf("smtpd_recipient_restrictions = reject_sender_login_mismatch, reject_unauth_destination\n"),
        MasterCf("smtp inet n - y - - smtpd\n"),
    )
    assert setting_of(NO_OWNER, ("", "25"), files) == "smtpd_recipient_restrictions (main.cf)"
    assert setting_of(DENIED, ("", "25"), files) == "smtpd_recipient_restrictions (main.cf)"


@pytest.mark.parametrize("sender", ["", ", sender of a managed domain", ", sender that does not exist"])
def test_new_domain_of_the_policy_is_the_reason_whatever_the_sender_is(sender: str) -> None:
    managed = FILES._replace(relay_rejection="the old words")
    end = heard("550 5.7.1 <postbox@example.org>: Recipient address rejected: the old words")
    pair = Pair(questions()[f"25 {EXTERNAL}{sender}"], end, ACCEPTED)
    (found,) = find_effects([pair], managed, FILES, MANAGED)
    assert found.reason == "mailhost_domains"


def test_new_service_of_submission_is_the_reason_whatever_the_sender_is() -> None:
    name = "587 authenticated client, sender login@myhostname"
    assert effect(name, None, ACCEPTED) == (OPENED, "was without a service", "postfix_submission")


def test_domains_and_blocked_networks_that_the_policy_dropped_are_asked() -> None:
    site = Site(blocked=tuple(parse_networks("203.0.113.200")), domains=("old.example.org",))
    found = questions(site)
    assert found["25 external client, to the domain old.example.org"].closing == "mailhost_domains"
    assert found["25 client of 203.0.113.200/32, to managed domains"].opening == "mailhost_blocked_networks"
