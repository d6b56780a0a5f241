# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sessions with a server that answers from a script."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.files import SMTP, Entrance
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.sessions import (
    CONNECT,
    DATA,
    END,
    RCPT,
    Heard,
    hold,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.verdicts import (
    is_late,
    is_mistake,
    no_tls,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.cases import (
    REJECT,
    make_case,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.cases import Case as PolicyCase

FAR, NEAR = "victim@relay-target.example", "postbox@example.org"


class Scripted:
    """Answers by the first words of a line; closes where it has no answer. Keeps what it received."""

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


def case(expect: str = REJECT, recipient: str = FAR, **session: Any) -> PolicyCase:
    made = make_case("a case", expect, "198.51.100.77", "a@b.example", recipient)
    standard = {"service": "smtp", "port": 25, "tls": False, "authenticated": ""}
    return made._replace(session={**made.session, **standard, **session})


def held(server: Scripted, *cases: PolicyCase, seconds: float = 60) -> list[Heard]:
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


@pytest.mark.parametrize(
    ("data", "end", "stage", "code"),
    [
        ("354 go on", "554 5.7.1 no", END, 554),
        ("354 go on", "250 ok", "", 250),
        ("354 go on", "451 4.3.5 Server configuration error", END, 451),
        ("451 4.3.5 Server configuration error", "", DATA, 451),
    ],
)
def test_message_is_sent_up_to_its_end(scripted: Any, data: str, end: str, stage: str, code: int) -> None:
    server = scripted({"RCPT": "250 ok", "DATA": data, ".": end})
    (found,) = held(server, case(recipient="postmaster", message=True))
    assert (found.stage, found.code) == (stage, code)
    assert is_mistake(found) is (code == 451)


def test_reject_of_the_connection_counts_for_all_envelopes(scripted: Any) -> None:
    found = held(scripted({}, greeting="521 5.7.1 go away"), case(), case(recipient=NEAR))
    assert [(heard.stage, heard.code) for heard in found] == [(CONNECT, 521)] * 2


def test_closed_connection_is_opened_again(scripted: Any) -> None:
    server = scripted({f"RCPT TO:<{NEAR}>": "250 ok"})
    found = held(server, case(recipient=NEAR), case(), case(recipient=NEAR))
    assert [heard.code for heard in found] == [250, 0, 250]
    assert is_mistake(found[1])


def test_silent_server_ends_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        entrances = {"smtp": Entrance(SMTP, "smtp", 1, "smtpd", wrapped=False, port=listener.getsockname()[1])}
        found = hold([case(), case()], entrances, "127.0.0.1", time.monotonic() + 0.2)
    assert all(is_late(heard) for _case, heard in found)
    assert len(found) == 2


def test_keywords_and_missing_tls_are_reported(scripted: Any) -> None:
    server = scripted({"STARTTLS": "454 4.7.0 TLS not available"})
    found = held(server, case(keyword="AUTH"), case(keyword="XCLIENT"), case(tls=True))
    assert [heard.offered for heard in found[:2]] == [True, False]
    assert no_tls(found[2])
