# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sessions with a server that answers from a script, and what is made of the answers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._policy_cases import (
    ACCEPT,
    NO_RELAY,
    REFUSE,
    make_case,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy_cases import Case as PolicyCase
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix_canary import SMTP, Entrance
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix_cases import NOT_OFFERED, OFFERED
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix_sessions import (
    CONNECT,
    MAIL,
    RCPT,
    Heard,
    as_expected,
    hold,
    is_late,
    is_mistake,
    no_tls,
    refused_by_site,
    verdict,
)

OURS = frozenset({"example.org"})
FAR, NEAR = "victim@relay-target.example", "postbox@example.org"


class Scripted:
    """Answers by the first words of a line; closes where it has no answer. Keeps what it was told."""

    def __init__(self, answers: dict[str, str], greeting: str = "220 mail.example ESMTP") -> None:
        self.answers, self.greeting = answers, greeting
        self.lines: list[str] = []
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self) -> None:
        while True:
            try:
                connection, _peer = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb", buffering=0) as file:
            for raw in file:
                line = raw.decode().rstrip("\r\n")
                self.lines.append(line)
                answer = self.greeting if line.startswith("PROXY") else self.answer(line)
                if not answer:
                    return
                file.write(answer.replace("\n", "\r\n").encode() + b"\r\n")

    def answer(self, line: str) -> str:
        return next((text for start, text in self.answers.items() if line.startswith(start)), "")


ANSWERS = {"EHLO": "250-mail.example\n250-AUTH PLAIN\n250 STARTTLS", "MAIL": "250 ok", "RSET": "250 ok"}


@pytest.fixture
def scripted() -> Iterator[Any]:
    servers: list[Scripted] = []

    def make(answers: dict[str, str], **more: str) -> Scripted:
        servers.append(Scripted({**ANSWERS, **answers}, **more))
        return servers[-1]

    yield make
    for server in servers:
        server.listener.close()


def case(expect: str = REFUSE, recipient: str = FAR, **session: Any) -> PolicyCase:
    made = make_case("a case", expect, "198.51.100.77", "a@b.example", recipient)
    standard = {"service": "smtp", "port": 25, "tls": False, "authenticated": ""}
    return made._replace(session={**made.session, **standard, **session})


def held(server: Scripted, *cases: PolicyCase, seconds: float = 10) -> list[Heard]:
    entrances = {"smtp": Entrance(SMTP, "smtp", 1, "smtpd", wrapped=False, port=server.port)}
    return [heard for _case, heard in hold(cases, entrances, "127.0.0.1", time.monotonic() + seconds)]


def test_envelopes_of_a_client_share_a_connection(scripted: Any) -> None:
    server = scripted({f"RCPT TO:<{NEAR}>": "250 ok", "RCPT": "550 5.7.1 no"})
    first, second = held(server, case(), case(recipient=NEAR))
    assert (first.stage, first.code, first.text) == (RCPT, 550, "550 5.7.1 no")
    assert (second.stage, second.code) == ("", 250)
    assert server.connections == 1
    assert server.lines[0] == "PROXY TCP4 198.51.100.77 127.0.0.1 40000 25"
    assert server.lines.count("RSET") == 2
    assert first.steps[-2:] == ("> RSET", "< 250 ok")
    assert any(FAR in step for step in first.steps)
    assert not any(FAR in step for step in second.steps)


def test_who_is_refused_at_once_is_so_for_all_envelopes(scripted: Any) -> None:
    found = held(scripted({}, greeting="521 5.7.1 go away"), case(), case(recipient=NEAR))
    assert [(heard.stage, heard.code) for heard in found] == [(CONNECT, 521)] * 2


def test_a_closed_connection_is_made_again(scripted: Any) -> None:
    server = scripted({f"RCPT TO:<{NEAR}>": "250 ok"})
    found = held(server, case(recipient=NEAR), case(), case(recipient=NEAR))
    assert [heard.code for heard in found] == [250, 0, 250]
    assert is_mistake(found[1])


def test_silence_ends_with_the_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        entrances = {"smtp": Entrance(SMTP, "smtp", 1, "smtpd", wrapped=False, port=listener.getsockname()[1])}
        found = hold([case(), case()], entrances, "127.0.0.1", time.monotonic() + 0.2)
    assert all(is_late(heard) for _case, heard in found)
    assert len(found) == 2


def test_keywords_and_missing_tls(scripted: Any) -> None:
    server = scripted({"STARTTLS": "454 4.7.0 TLS not available"})
    found = held(server, case(keyword="AUTH"), case(keyword="XCLIENT"), case(tls=True))
    assert [heard.offered for heard in found[:2]] == [True, False]
    assert no_tls(found[2])


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
        (REFUSE, FAR, DENIED, 25, True),
        (REFUSE, FAR, PASSED, 25, False),
        (REFUSE, FAR, PUT_OFF, 25, False),
        (REFUSE, FAR, PUT_OFF, "2525", True),
        (REFUSE, FAR, GREYLIST, "2525", False),
        (REFUSE, FAR, heard("521 5.7.1 blocked", CONNECT), 25, True),
        (REFUSE, FAR, Heard(CONNECT, 0, "connection closed", ()), 25, False),
        # That an address is unknown says that its sender was let through.
        (REFUSE, NEAR, UNKNOWN, 25, False),
        (REFUSE, FAR, UNKNOWN, 25, True),
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
def test_as_expected(expect: str, recipient: str, answer: Heard, port: object, well: bool) -> None:
    assert as_expected(case(expect, recipient, port=port), answer, OURS) is well


def test_restrictions_of_the_users_own() -> None:
    to_us = case(ACCEPT, NEAR)
    assert as_expected(to_us, GREYLIST, OURS, strict=False)
    assert not as_expected(case(ACCEPT, FAR), GREYLIST, OURS, strict=False)
    assert not as_expected(to_us, heard("451 4.3.5 Server configuration error"), OURS, strict=False)
    bogon = heard("554 5.7.1 <unknown[203.0.113.77]>: Client host rejected: bogon")
    assert refused_by_site(to_us, bogon, OURS, "Relaying not permitted")
    assert not refused_by_site(to_us, DENIED, OURS, "Relaying not permitted")
    assert not refused_by_site(case(ACCEPT, FAR), bogon, OURS, "Relaying not permitted")


def test_offers() -> None:
    offered, missing = (Heard("", 250, "", (), offered) for offered in (True, False))
    for expect, well, wrong in ((OFFERED, offered, missing), (NOT_OFFERED, missing, offered)):
        assert as_expected(case(expect, "", keyword="AUTH"), well, OURS)
        assert not as_expected(case(expect, "", keyword="AUTH"), wrong, OURS)
    assert verdict(case(NOT_OFFERED, "", keyword="AUTH"), offered, OURS) == "AUTH is offered"


@pytest.mark.parametrize(
    ("recipient", "answer", "told"),
    [
        (FAR, PASSED, "accepted"),
        (FAR, heard("550 5.7.1 no"), "refused at RCPT TO with '550 5.7.1 no'"),
        (FAR, heard("451 4.3.0 later", MAIL), "put off at MAIL FROM with '451 4.3.0 later'"),
        (FAR, Heard(CONNECT, 0, "connection closed", ()), "no answer: connection closed"),
        (
            NEAR,
            heard("550 5.1.1 no"),
            "let through by the policy and refused as unknown at RCPT TO with '550 5.1.1 no'",
        ),
    ],
)
def test_verdict(recipient: str, answer: Heard, told: str) -> None:
    assert verdict(case(recipient=recipient), answer, OURS) == told


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
def test_mistakes(text: str, mistake: bool) -> None:
    assert is_mistake(heard(text)) is mistake
