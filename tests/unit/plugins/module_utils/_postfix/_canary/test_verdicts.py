# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is made of the answers of the canary."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.cases import (
    NO_MISTAKE,
    NOT_OFFERED,
    OFFERED,
    Server,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.sessions import (
    CONNECT,
    DATA,
    END,
    MAIL,
    RCPT,
    TLS,
    Heard,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.verdicts import (
    Proof,
    as_expected,
    is_mistake,
    judge,
    rejected_by_site,
    verdict,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import read_wanted
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.cases import (
    ACCEPT,
    NO_RELAY,
    REJECT,
    Case,
    make_case,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.smtp import LATE, xtext
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.command import StepError

MANAGED = frozenset({"example.org"})
FAR, NEAR = "victim@relay-target.example", "postbox@example.org"


def case(expect: str = REJECT, recipient: str = FAR, **session: Any) -> Case:
    made = make_case("a case", expect, "198.51.100.77", "a@b.example", recipient)
    standard = {"service": "smtp", "port": 25, "tls": False, "authenticated": ""}
    return made._replace(session={**made.session, **standard, **session})


def heard(text: str, stage: str = RCPT) -> Heard:
    return Heard(stage, int(text[:3]), text, ())


UNKNOWN = heard("550 5.1.1 <postbox@example.org>: Recipient address rejected: User unknown")
DENIED = heard("550 5.7.1 <victim@relay-target.example>: Relaying not permitted")
PUT_OFF = heard("454 4.7.1 <victim@relay-target.example>: Relay access denied")
GREYLIST = heard("451 4.7.1 <postbox@example.org>: Recipient address rejected: greylisted")
PASSED = heard("250 2.1.5 Ok", "")


@pytest.mark.parametrize(
    ("expect", "recipient", "answer", "port", "well"),
    [
        (REJECT, FAR, DENIED, 25, True),
        (REJECT, FAR, PASSED, 25, False),
        (REJECT, FAR, PUT_OFF, 25, False),
        (REJECT, FAR, PUT_OFF, "2525", True),
        (REJECT, FAR, GREYLIST, "2525", False),
        (REJECT, FAR, heard("521 5.7.1 blocked", CONNECT), 25, True),
        (REJECT, FAR, Heard(CONNECT, 0, "connection closed", ()), 25, False),
        # That an address is unknown says that its sender was let through.
        (REJECT, NEAR, UNKNOWN, 25, False),
        (REJECT, FAR, UNKNOWN, 25, True),
        (ACCEPT, NEAR, UNKNOWN, 25, True),
        (ACCEPT, NEAR, heard("450 4.1.1 <postbox@example.org>: unknown"), 25, True),
        (ACCEPT, NEAR, heard("550 5.1.0 <postbox@example.org>: unknown"), 25, True),
        (ACCEPT, NEAR, DENIED, 25, False),
        (ACCEPT, FAR, UNKNOWN, 25, False),
        (ACCEPT, FAR, heard("250 2.1.0 Ok", ""), 25, True),
        (ACCEPT, NEAR, GREYLIST, 25, False),
        (NO_RELAY, FAR, PASSED, 25, False),
        (NO_RELAY, NEAR, PASSED, 25, True),
        (NO_RELAY, FAR, DENIED, 25, True),
    ],
)
def test_session_ends_as_expected_or_not(expect: str, recipient: str, answer: Heard, port: object, well: bool) -> None:
    assert as_expected(case(expect, recipient, port=port), answer, MANAGED) is well


def test_extra_restrictions_may_defer_mail_to_managed_domains() -> None:
    to_us = case(ACCEPT, NEAR)
    assert as_expected(to_us, GREYLIST, MANAGED, strict=False)
    assert not as_expected(case(ACCEPT, FAR), GREYLIST, MANAGED, strict=False)
    assert not as_expected(to_us, heard("451 4.3.5 Server configuration error"), MANAGED, strict=False)
    bogon = heard("554 5.7.1 <unknown[203.0.113.77]>: Client host rejected: bogon")
    assert rejected_by_site(to_us, bogon, MANAGED, "Relaying not permitted")
    assert not rejected_by_site(to_us, DENIED, MANAGED, "Relaying not permitted")
    assert not rejected_by_site(case(ACCEPT, FAR), bogon, MANAGED, "Relaying not permitted")


def test_rejection_of_relaying_has_the_words_of_the_policy() -> None:
    worded = case(text="Relaying not permitted")
    assert as_expected(worded, DENIED, MANAGED)
    assert not as_expected(worded, heard("554 5.7.1 <victim@relay-target.example>: Relay access denied"), MANAGED)
    assert as_expected(worded, heard("554 5.7.1 Client host rejected: bogon"), MANAGED, strict=False)


def test_keyword_is_offered_or_not() -> None:
    offered, missing = (Heard("", 250, "", (), offered) for offered in (True, False))
    for expect, well, wrong in ((OFFERED, offered, missing), (NOT_OFFERED, missing, offered)):
        assert as_expected(case(expect, "", keyword="AUTH"), well, MANAGED)
        assert not as_expected(case(expect, "", keyword="AUTH"), wrong, MANAGED)
    assert verdict(case(NOT_OFFERED, "", keyword="AUTH"), offered, MANAGED) == "AUTH is offered"


@pytest.mark.parametrize(
    ("recipient", "answer", "shown"),
    [
        (FAR, PASSED, "accepted"),
        (FAR, heard("550 5.7.1 no"), "rejected at RCPT TO with '550 5.7.1 no'"),
        (FAR, heard("451 4.3.0 later", MAIL), "deferred at MAIL FROM with '451 4.3.0 later'"),
        (FAR, Heard(CONNECT, 0, "connection closed", ()), "no answer: connection closed"),
        (
            NEAR,
            heard("550 5.1.1 no"),
            "accepted by the policy and rejected as unknown at RCPT TO with '550 5.1.1 no'",
        ),
    ],
)
def test_verdict_names_stage_and_reply(recipient: str, answer: Heard, shown: str) -> None:
    assert verdict(case(recipient=recipient), answer, MANAGED) == shown


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("451 4.3.5 Server configuration error", True),
        ("451 4.3.0 Temporary lookup failure", True),
        ("421 4.3.2 All server ports are busy", True),
        ("450 4.7.1 greylisted", False),
        ("550 5.7.1 no", False),
    ],
)
def test_reply_of_a_broken_configuration_is_a_mistake(text: str, mistake: bool) -> None:
    assert is_mistake(heard(text)) is mistake


SERVER = Server("example.org", MANAGED, "127.0.0.1", ())


def judged(*found: tuple[Case, Heard], **settings: Any) -> Proof:
    policy, read = read_wanted({"domains": ["example.org"]}, settings)
    return judge(list(found), (policy, read, SERVER), ["a note"], ["smtpd: warning: no such table"])


def test_proof_counts_sessions_and_deviations() -> None:
    proof = judged((case(), DENIED), (case(NO_RELAY), PASSED._replace(steps=("> RCPT", "< 250"))))
    assert (proof.count, proof.notes) == (2, ["a note"])
    (deviation,) = proof.deviations
    assert (deviation.got, deviation.trace) == ("accepted", ("> RCPT", "< 250"))


def test_sessions_with_tls_are_left_out_where_there_is_none() -> None:
    missing = heard("454 4.7.0 TLS not available", TLS)
    proof = judged((case(), DENIED), (case(tls=True), missing), (case(ACCEPT, tls=True), missing))
    assert (proof.count, proof.deviations) == (1, [])
    assert len(proof.notes) == 2
    assert "TLS not available" in proof.notes[1]


def test_mistake_of_the_configuration_is_an_error_with_the_log() -> None:
    with pytest.raises(StepError, match="no such table") as caught:
        judged((case(), heard("451 4.3.5 Server configuration error")), (case(), DENIED))
    assert "Server configuration error" in caught.value.output


def test_message_may_be_rejected_but_not_for_a_mistake() -> None:
    message = case(NO_MISTAKE, "postmaster", message=True)
    for answer in (heard("554 5.7.1 no", END), heard("450 4.7.1 later", DATA), heard("550 5.7.1 no"), PASSED):
        assert as_expected(message, answer, MANAGED)
    with pytest.raises(StepError) as caught:
        judged((message, heard("451 4.3.5 Server configuration error", DATA)), (case(), DENIED))
    assert caught.value.output == (
        "a case: deferred at DATA with '451 4.3.5 Server configuration error'\nsmtpd: warning: no such table"
    )


def test_late_sessions_are_an_error() -> None:
    with pytest.raises(StepError, match="1 of 2 sessions did not end"):
        judged((case(), Heard(CONNECT, 0, LATE, ())), (case(), DENIED))


def test_late_sessions_are_an_error_with_what_makes_clients_of_their_services_wait() -> None:
    policy, read = read_wanted({"domains": ["example.org"]}, {})
    found = [(case(service="2525"), Heard(CONNECT, 0, LATE, ())), (case(), DENIED)]
    with pytest.raises(StepError) as caught:
        judge(found, (policy, read, SERVER), [], ["smtpd: slow"], lambda services: f"{sorted(services)} wait")
    assert caught.value.output == "1 of 2 sessions did not end within 45 seconds\n['2525'] wait\nsmtpd: slow"


def test_open_relay_is_reported_before_mistakes() -> None:
    proof = judged((case(), heard("451 4.3.5 Server configuration error")), (case(), PASSED))
    assert [deviation.got for deviation in proof.deviations] == [
        "accepted",
        "deferred at RCPT TO with '451 4.3.5 Server configuration error'",
    ]
    assert proof.deviations[1].trace == ("smtpd: warning: no such table",)


def test_rejects_by_extra_restrictions_are_notes() -> None:
    bogon = heard("554 5.7.1 <unknown[203.0.113.77]>: Client host rejected: bogon")
    extra = {"client": ["check_client_access cidr:/etc/postfix/bogons"]}
    proof = judged((case(ACCEPT, NEAR), bogon), extra_restrictions=extra)
    assert proof.deviations == []
    assert "bogon" in proof.notes[1]
    assert len(judged((case(ACCEPT, NEAR), bogon)).deviations) == 1


def test_xtext() -> None:
    assert xtext("ann+box=a b@example.org") == "ann+2Bbox+3Da+20b@example.org"


NO_TLS = heard("454 4.7.0 TLS not available due to local problem", TLS)


@pytest.mark.parametrize(
    ("port", "settings"),
    [(587, {}), (465, {}), (25, {"tls_certificate": "/c.pem", "tls_key": "/k.pem", "submission": False})],
)
def test_unusable_certificate_is_an_error(port: int, settings: dict[str, Any]) -> None:
    """Else SMTP AUTH would fail after the change, and mail would come without TLS."""
    with pytest.raises(StepError, match=r"TLS not available"):
        judged((case(port=port, tls=True), NO_TLS), (case(), DENIED), **settings)


def test_unmanaged_tls_that_fails_is_a_note() -> None:
    for port in (25, "2525"):
        proof = judged((case(port=port, tls=True), NO_TLS), (case(), DENIED))
        assert proof.count == 1
        assert any("has no TLS" in note for note in proof.notes)
