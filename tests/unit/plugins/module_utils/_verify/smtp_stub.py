# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mail server on a loopback address that does what a test wants, one thread for each connection."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

#: Nobody's own address, so that the asking side, 127.0.0.1, is another host.
ADDRESS = "127.0.0.2"

HANG, CLOSE = "hang", "close"

WAIT = 60
"""Seconds after which a client has waited for a server that hangs."""


def anonymous(lowest: ssl.TLSVersion, highest: ssl.TLSVersion) -> ssl.SSLContext:
    """A server that needs no certificate, with these versions of TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = lowest, highest
    context.set_ciphers("AECDH:@SECLEVEL=0")
    return context


MODERN = anonymous(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
ANCIENT = anonymous(ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_2)


def takes_own(_session: Session, _mail_from: str, rcpt_to: str) -> str:
    """A server that takes mail for postmaster alone."""
    own = rcpt_to in {"postmaster", "postmaster@example.org"}
    return "250 2.1.5 Ok" if own else f"554 5.7.1 <{rcpt_to}>: Relay access denied"


@dataclass
class Stub:
    """What a server does. ``rcpt`` answers RCPT; ``other`` any command before the usual answer, if it gives one.

    An answer is sent as it is, HANG is silence, CLOSE the end of the connection.
    """

    greeting: str = "220 mx.example.org ESMTP"
    clear: tuple[str, ...] = ("STARTTLS",)
    protected: tuple[str, ...] = ()
    tls: ssl.SSLContext = MODERN
    implicit: bool = False
    injectable: bool = False
    rcpt: Callable[[Session, str, str], str] = takes_own
    other: Callable[[Session, str], str] = lambda _session, _line: ""
    sessions: list[Session] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        """All commands of all connections."""
        return [line for session in self.sessions for line in session.lines]


class Session:
    """One connection."""

    def __init__(self, stub: Stub, connection: socket.socket) -> None:
        self.stub, self.connection = stub, connection
        self.lines: list[str] = []
        self.protected = False
        self.errors = 0
        self.waited = False
        self.mail_from = ""
        self.rest = b""

    def run(self) -> None:
        """Serve until either side has enough."""
        with contextlib.suppress(OSError, EOFError), contextlib.ExitStack() as stack:
            stack.callback(self.end)
            if self.stub.implicit:
                self.protect()
            self.answer(self.stub.greeting)
            while True:
                line = self.read()
                self.lines.append(line)
                self.answer(self.stub.other(self, line) or self.obey(line))

    def end(self) -> None:
        """Close the connection, which may be a protected one by now."""
        self.connection.close()

    def read(self) -> str:
        """One command."""
        while b"\n" not in self.rest:
            data = self.connection.recv(4096)
            if not data:
                raise EOFError
            self.rest += data
        line, _newline, self.rest = self.rest.partition(b"\n")
        return line.decode("ascii", "replace").strip()

    def answer(self, text: str) -> None:
        """Send an answer and do what it stands for."""
        if text == HANG:
            self.connection.settimeout(WAIT)
            try:
                while self.connection.recv(4096):
                    pass
            except socket.timeout:
                self.waited = True
        if text in {HANG, CLOSE}:
            raise EOFError
        self.errors += text.startswith(("4", "5"))
        self.connection.sendall(f"{text}\r\n".encode())
        if text.startswith("220 2.0.0"):
            self.protect()

    def protect(self) -> None:
        """Begin TLS."""
        self.connection = self.stub.tls.wrap_socket(self.connection, server_side=True)
        self.protected = True
        if not self.stub.injectable:
            self.rest = b""

    def obey(self, line: str) -> str:
        """The usual answers."""
        word = line.split(" ", maxsplit=1)[0].upper()
        if word == "EHLO":
            keywords = self.stub.protected if self.protected else self.stub.clear
            words = ["mx.example.org", "PIPELINING", *keywords]
            return "\r\n".join(f"250{'-' if i < len(words) - 1 else ' '}{text}" for i, text in enumerate(words))
        if word == "STARTTLS":
            return "220 2.0.0 Go ahead"
        if word == "MAIL":
            self.mail_from = line[len("MAIL FROM:<") : -1]
            return "250 2.1.0 Ok"
        if word == "RCPT":
            return self.stub.rcpt(self, self.mail_from, line[len("RCPT TO:<") : -1])
        if word in {"VRFY", "EXPN"}:
            return "502 5.5.1 not here"
        return {"RSET": "250 2.0.0 Ok", "NOOP": "250 2.0.0 Ok", "QUIT": CLOSE}.get(word, "500 5.5.2 what?")


@contextlib.contextmanager
def listening(stub: Stub) -> Iterator[int]:
    """Serve in the background; gives the port."""
    with socket.create_server((ADDRESS, 0)) as server:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    session = Session(stub, server.accept()[0])
                    stub.sessions.append(session)
                    threading.Thread(target=session.run, daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        thread.join(60)
        for session in stub.sessions:
            with contextlib.suppress(OSError):
                session.connection.shutdown(socket.SHUT_RDWR)


def redirect(ports: dict[int, int]) -> Callable[[Any, float], socket.socket]:
    """What stands in for ``connect``: leads to the stubs' ports; other ports are closed."""

    def connect(place: Any, limit: float) -> socket.socket:
        if place.port not in ports:
            raise ConnectionRefusedError(111, "Connection refused")
        return socket.create_connection((place.address, ports[place.port]), limit)

    return connect
