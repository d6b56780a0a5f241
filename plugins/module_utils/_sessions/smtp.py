# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small SMTP client that says which client it stands for and keeps what was said.

Private to this collection. Sources: RFC 5321, RFC 3207 (STARTTLS), the PROXY protocol's version 1, XCLIENT_README,
RFC 3461 section 4 (xtext). Python's own client refuses to send some of what a stranger may try.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from typing import NamedTuple

try:
    import ssl
except ImportError:  # a Python built without it
    ssl = None  # type: ignore[assignment]

#: Why a connection is broken when the deadline is over.
LATE = "no time is left"

#: Lines of a reply; a server that sends more is none.
_LINES = 100
_LINE_BYTES = 4096

#: Port and address on the other side of a PROXY line, which decide nothing.
_SOURCE_PORT = 40000


class BrokenError(Exception):
    """The connection ended or went silent where a reply was due."""


class Reply(NamedTuple):
    """A code, and all lines behind it."""

    code: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The last line with its code, as it is shown."""
        return f"{self.code} {self.lines[-1]}".rstrip()


class Dialogue:
    """One connection; ``steps`` are the lines of both sides. Every method raises BrokenError."""

    def __init__(self, address: tuple[str, int], deadline: float) -> None:
        """``deadline``: by time.monotonic(), for everything that happens here."""
        self.steps: list[str] = []
        self.keywords: dict[str, str] = {}
        self._deadline = deadline
        self._rest = b""
        try:
            self._socket = socket.create_connection(address, timeout=self._left())
        except OSError as error:
            raise BrokenError(f"no connection to port {address[1]}: {error}") from error

    def proxy(self, client: str, port: int) -> None:
        """Say for whom this connection stands, before anything else."""
        family, server = ("TCP6", "::1") if ":" in client else ("TCP4", "127.0.0.1")
        self._send(f"PROXY {family} {client} {server} {_SOURCE_PORT} {port}")

    def secure(self) -> None:
        """Begin with TLS. Whose certificate it is decides nothing here."""
        if ssl is None:
            raise BrokenError("this Python has no TLS")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._rest = b""
        try:
            self._socket.settimeout(self._left())
            self._socket = context.wrap_socket(self._socket)
        except OSError as error:
            raise BrokenError(f"no TLS: {error}") from error
        self.steps.append(f"({self._socket.version()})")

    def greeting(self) -> Reply:
        """What the server says first."""
        return self._reply()

    def hello(self, name: str) -> Reply:
        """EHLO; what is offered is kept."""
        reply = self.command(f"EHLO {name}")
        self.keywords = {}
        for line in reply.lines[1:] if reply.code == 250 else ():
            keyword, _blank, rest = line.partition(" ")
            self.keywords[keyword.upper()] = rest
        return reply

    def log_in(self, user: str) -> Reply:
        """Be somebody who has logged in, by XCLIENT; afterwards the server greets again."""
        return self.command(f"XCLIENT LOGIN={xtext(user)}")

    def command(self, line: str) -> Reply:
        """Send a line and return the reply."""
        self._send(line)
        return self._reply()

    def close(self) -> None:
        """End the connection without waiting for an answer."""
        with contextlib.suppress(OSError):
            self._socket.settimeout(1)
            self._socket.sendall(b"QUIT\r\n")
        with contextlib.suppress(OSError):
            self._socket.close()

    def _left(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise BrokenError(LATE)
        return left

    def _send(self, line: str) -> None:
        self.steps.append(f"> {line}")
        try:
            self._socket.settimeout(self._left())
            self._socket.sendall(line.encode("utf-8", "surrogateescape") + b"\r\n")
        except OSError as error:
            raise BrokenError(f"connection lost: {error}") from error

    def _reply(self) -> Reply:
        lines: list[str] = []
        while len(lines) < _LINES:
            line = self._line()
            match = re.fullmatch(r"(\d{3})(?:([ -])(.*))?", line)
            if match is None:
                raise BrokenError(f"no reply of SMTP: {line!r}")
            lines.append(match.group(3) or "")
            if match.group(2) != "-":
                self.steps.append(f"< {match.group(1)} {', '.join(lines)}".rstrip())
                return Reply(int(match.group(1)), tuple(lines))
        raise BrokenError("a reply without end")

    def _line(self) -> str:
        while b"\n" not in self._rest and len(self._rest) < _LINE_BYTES:
            try:
                self._socket.settimeout(self._left())
                data = self._socket.recv(_LINE_BYTES)
            except socket.timeout as error:
                raise BrokenError(LATE) from error
            except OSError as error:
                raise BrokenError(f"no reply: {error}") from error
            if not data:
                raise BrokenError("connection closed")
            self._rest += data
        line, _newline, self._rest = self._rest.partition(b"\n")
        return line.rstrip(b"\r").decode("utf-8", "replace")


def xtext(value: str) -> str:
    """A value as ESMTP parameters have it."""
    return "".join(char if "!" <= char <= "~" and char not in "+=" else f"+{ord(char):02X}" for char in value)


def has_tls() -> bool:
    """Whether this Python can speak TLS."""
    return ssl is not None
