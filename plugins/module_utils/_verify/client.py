# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client that looks at a mail server from outside: one connection, line by line, and never for longer than agreed.

Private to this collection. Source: RFC 5321 section 4.2 (replies). smtplib waits anew after every byte, so that a
server which sends one now and then would hold it for ever; hence not smtplib.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import ssl

#: Bytes of one reply; RFC 5321 section 4.5.3.1.5 allows lines of 512, and EHLO has some twenty.
LONGEST = 65536

#: Seconds for a connection to be taken; a lost packet costs one and three (RFC 6298).
CONNECT = 5.0

#: Characters of a reply that a report shows.
SHOWN = 100

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?")


class NoAnswerError(Exception):
    """There was no answer that counts: time is over, the connection ended, 421, or no SMTP; the text says which."""


class LateError(NoAnswerError):
    """The answer did not come in time."""


class ClosedError(NoAnswerError):
    """Nobody takes connections there."""


class NoRouteError(ClosedError):
    """The asking host has no way to the address, so that nothing is known about it."""


class Place(NamedTuple):
    """Where a server listens; the address is numeric, of either family."""

    address: str
    port: int


class Patience:
    """How long one answer may take, and all of them together; in seconds."""

    def __init__(self, answer: float, total: float) -> None:
        self.answer = answer
        self.end = time.monotonic() + total

    def deadline(self) -> float:
        """When an answer that is asked for now has to be there, by the monotonic clock."""
        return min(time.monotonic() + self.answer, self.end)


class Reply(NamedTuple):
    """A server's reply: its code, and its lines without it."""

    code: int
    lines: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether the server does what it was asked for."""
        return 200 <= self.code < 400

    @property
    def temporary(self) -> bool:
        """Whether the server may say something else later (4xx)."""
        return 400 <= self.code < 500

    @property
    def line(self) -> str:
        """The first line as it was on the wire, for a report: printable and short."""
        text = f"{self.code} {self.lines[0]}".rstrip()
        text = "".join(c if c.isprintable() else "?" for c in text[: SHOWN + 1])
        return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def features(ehlo: Reply) -> dict[str, str]:
    """The keywords of a reply to EHLO, in upper case, each with its parameters; also the old form ``AUTH=LOGIN``."""
    found = {}
    for line in ehlo.lines[1:]:
        word, _separator, rest = re.sub("[ =]", " ", line.strip(), count=1).partition(" ")
        found[word.upper()] = rest
    return found


def source_address(place: Place) -> str:
    """The address that packets to a place leave from; asks the kernel alone and sends nothing.

    Raises NoRouteError.
    """
    family = socket.AF_INET6 if ":" in place.address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asker:
            asker.connect((place.address, place.port))
            return str(asker.getsockname()[0])
    except OSError as error:
        raise NoRouteError(f"no way to {place.address} from here ({error.strerror or error})") from None


def connect(place: Place, limit: float) -> socket.socket:
    """Connect within so many seconds; raises OSError."""
    return socket.create_connection((place.address, place.port), limit)


class Conversation:
    """A connection to a mail server. Everything but ``close`` raises NoAnswerError."""

    def __init__(self, place: Place, patience: Patience, tls: ssl.SSLContext | None = None) -> None:
        self.patience = patience
        self.rest = b""
        limit = min(CONNECT, patience.answer, max(0.01, patience.deadline() - time.monotonic()))
        try:
            self.socket = connect(place, limit)
        except socket.timeout:
            raise ClosedError(f"no connection within {limit:g} s") from None
        except OSError as error:
            raise ClosedError(error.strerror or str(error)) from None
        if tls is not None:
            self.protect(tls)

    def protect(self, context: ssl.SSLContext) -> None:
        """Begin TLS; ssl.SSLError passes through, as its reason is the answer to some questions."""
        self.rest = b""
        self.socket.settimeout(self._left(self.patience.deadline()))
        try:
            self.socket = context.wrap_socket(self.socket)
        except socket.timeout:
            raise LateError(f"no end of the TLS handshake within {self.patience.answer:g} s") from None
        except ConnectionError as error:
            raise NoAnswerError(f"connection cut off in the TLS handshake ({error.strerror or error})") from None

    def say(self, line: str) -> Reply:
        """Send one command and return its reply."""
        self.send(line.encode("ascii") + b"\r\n")
        return self.reply()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.settimeout(self._left(self.patience.deadline()))
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise self._lost(error) from None

    def reply(self) -> Reply:
        """Read one reply. 421 is no answer: the server says that it closes, whatever it was asked for."""
        deadline = self.patience.deadline()
        lines: list[str] = []
        size = 0
        while True:
            line = self._line(deadline)
            found = _LINE.fullmatch(line)
            size += len(line)
            if found is None or size > LONGEST:
                raise NoAnswerError("what it said is no SMTP reply" if found is None else "its reply has no end")
            lines.append((found[3] or b"").decode("ascii", "replace"))
            if found[2] != b"-":
                reply = Reply(int(found[1]), tuple(lines))
                if reply.code == 421:
                    raise NoAnswerError(f"'{reply.line}'")
                return reply

    def close(self) -> None:
        """Take leave, without waiting for the answer."""
        with contextlib.suppress(OSError, NoAnswerError):
            self.send(b"QUIT\r\n")
        with contextlib.suppress(OSError):
            self.socket.close()

    def _line(self, deadline: float) -> bytes:
        while b"\n" not in self.rest:
            if len(self.rest) > LONGEST:
                raise NoAnswerError("its reply has no end")
            self.socket.settimeout(self._left(deadline))
            try:
                data = self.socket.recv(4096)
            except OSError as error:
                raise self._lost(error) from None
            if not data:
                raise NoAnswerError("the server closed the connection")
            self.rest += data
        line, _newline, self.rest = self.rest.partition(b"\n")
        return line.rstrip(b"\r")

    def _left(self, deadline: float) -> float:
        left = deadline - time.monotonic()
        if left <= 0:
            raise self._late()
        return left

    def _late(self) -> LateError:
        if time.monotonic() >= self.patience.end:
            return LateError("the time for all questions together was over")
        return LateError(f"no answer within {self.patience.answer:g} s")

    def _lost(self, error: OSError) -> NoAnswerError:
        if isinstance(error, socket.timeout):
            return self._late()
        return NoAnswerError(f"connection lost ({error.strerror or error})")
