# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SMTP client with servers that are slow, silent, endless or gone. Time is counted in looks at an injected clock."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._sessions import smtp
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.smtp import (
    LATE,
    ClosedError,
    Connection,
    LateError,
    NoAnswerError,
    Patience,
    Place,
    Reply,
    sends_banner,
)

WAIT = 60
Serve = Callable[[socket.socket], None]


class Clock:
    """A second passes with every look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@contextlib.contextmanager
def serving(serve: Serve) -> Iterator[Place]:
    """Accept one connection in the background; the end of the test waits for the end of its session."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with contextlib.suppress(OSError), server.accept()[0] as connection:
                connection.settimeout(WAIT)
                serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield Place("127.0.0.1", server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
        thread.join(WAIT)
        assert not thread.is_alive()


def says(*parts: bytes) -> Serve:
    """Send this, and then nothing until the client has gone."""

    def serve(connection: socket.socket) -> None:
        for part in parts:
            connection.sendall(part)
        while connection.recv(4096):
            pass

    return serve


def first(serve: Serve) -> Reply:
    """Read the first reply with a client that does not wait for long."""
    with serving(serve) as place:
        connection = Connection(place, Patience(WAIT, WAIT))
        try:
            return connection.reply()
        finally:
            connection.close()


def test_reply_has_all_lines_and_shows_one() -> None:
    reply = first(says(b"220-mail.example\r\n22", b"0-two\r\n220 three \x1b[31m" + b"x" * 200 + b"\r\n"))
    assert reply.code == 220
    assert reply.lines[:2] == ("mail.example", "two")
    assert reply.line == "220 mail.example"
    assert reply.text.startswith("220 three \x1b")
    assert Reply(220, (reply.lines[2],)).line == "220 three ?[31m" + "x" * 85 + "..."


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        (b"hello\r\n", "the reply is not SMTP"),
        (b"220-" + b"x" * 70000, "the reply does not end"),
        (b"220-x\r\n" * 20000, "the reply does not end"),
    ],
)
def test_reply_that_is_not_smtp_or_does_not_end_is_no_answer(sent: bytes, text: str) -> None:
    with pytest.raises(NoAnswerError, match=text):
        first(says(sent))


def test_closed_connection_is_no_answer() -> None:
    with pytest.raises(NoAnswerError, match="closed the connection"):
        first(lambda _connection: None)


@pytest.mark.parametrize(("answer", "total", "text"), [(20, 1000, "no answer within 20 s"), (1000, 20, LATE)])
def test_server_that_sends_a_byte_now_and_then_is_left_at_the_deadline(answer: float, total: float, text: str) -> None:
    """Every byte makes the client look at the clock; it may not read a thousand of them."""
    reads = 0
    with serving(says(b"2" * 1000)) as place:
        connection = Connection(place, Patience(answer, total, Clock()))
        original = connection._socket

        class OneByte:
            """A socket on which the bytes come one by one."""

            def recv(self, _size: int) -> bytes:
                nonlocal reads
                reads += 1
                return original.recv(1)

            def settimeout(self, _seconds: float) -> None:
                original.settimeout(WAIT)

        connection._socket = OneByte()  # type: ignore[assignment]
        with pytest.raises(LateError, match=text):
            connection.reply()
        original.close()
    assert 0 < reads < 30


def test_silent_server_is_late() -> None:
    with serving(says()) as place:
        connection = Connection(place, Patience(0.05, WAIT))
        with pytest.raises(LateError, match=r"no answer within 0\.05 s"):
            connection.reply()
        connection.close()


def test_421_is_a_reply_and_no_answer() -> None:
    assert first(says(b"421 too busy\r\n")).code == 421
    with serving(says(b"421 too busy\r\n")) as place:
        connection = Connection(place, Patience(WAIT, WAIT))
        with pytest.raises(NoAnswerError, match="'421 too busy'"):
            connection.answer()
        connection.close()


def test_port_without_listener_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ClosedError, match="refused"):
        Connection(Place("127.0.0.1", port), Patience(WAIT, WAIT))
    assert not sends_banner("127.0.0.1", port)


def test_address_without_route_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(_place: Place, _limit: float) -> socket.socket:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(smtp, "connect", connect)
    with pytest.raises(ClosedError, match=r"^Network is unreachable$"):
        Connection(Place("2001:db8::1", 25), Patience(WAIT, WAIT))


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        (b"220 mail.example ESMTP\r\n", True),
        (b"220-mail.example waits with the rest of its banner\r\n", True),
        (b"421 too busy\r\n", False),
        (b"554 no\r\n", False),
        (b"", False),
    ],
)
def test_banner_begins_with_220(monkeypatch: pytest.MonkeyPatch, sent: bytes, found: bool) -> None:
    monkeypatch.setattr(smtp, "BANNER_SECONDS", 0.2 if not sent or b"-" in sent else WAIT)

    def serve(connection: socket.socket) -> None:
        connection.sendall(sent)
        if connection.recv(4096) == b"QUIT\r\n" and b"-" not in sent:
            connection.sendall(b"221 bye\r\n")

    with serving(serve) as place:
        assert sends_banner(*place) is found


def test_hello_keeps_keywords_in_either_form() -> None:
    def serve(connection: socket.socket) -> None:
        assert connection.recv(4096) == b"EHLO me.example\r\n"
        connection.sendall(b"250-mail.example\r\n250-starttls\r\n250-AUTH=LOGIN PLAIN\r\n250 SIZE 10\r\n")
        connection.recv(4096)

    with serving(serve) as place:
        connection = Connection(place, Patience(WAIT, WAIT))
        assert connection.hello("me.example").good
        assert connection.keywords == {"STARTTLS": "", "AUTH": "LOGIN PLAIN", "SIZE": "10"}
        assert connection.steps == [
            "> EHLO me.example",
            "< 250 mail.example, starttls, AUTH=LOGIN PLAIN, SIZE 10",
        ]
        connection.close()


def test_proxy_and_xclient_lines() -> None:
    received: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        received.extend((stream.readline(), stream.readline()))
        connection.sendall(b"220 mail.example\r\n")
        stream.readline()

    with serving(serve) as place:
        connection = Connection(place, Patience(WAIT, WAIT))
        connection.proxy("2001:db8::7", 25)
        assert connection.log_in("a b+c").good
        connection.close()
    assert received == [b"PROXY TCP6 2001:db8::7 ::1 40000 25\r\n", b"XCLIENT LOGIN=a+20b+2Bc\r\n"]
