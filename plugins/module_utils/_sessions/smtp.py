# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SMTP client: one connection, line by line, with a limit for each reply and for all of them together.

Private to the collection: other collections must not import it.

Sources: RFC 5321, RFC 3207 (STARTTLS), the PROXY protocol's version 1, XCLIENT_README, RFC 3461 section 4 (xtext).
smtplib waits anew after every byte, so that a server which sends one now and then would hold it for ever, and it does
not send some of what an external client may try; hence not smtplib.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

try:
    import ssl
except ImportError:  # a Python built without it
    ssl = None  # type: ignore[assignment]

LONGEST = 65536
"""Bytes of one reply; RFC 5321 section 4.5.3.1.5 allows lines of 512, and EHLO has some twenty."""
CONNECT_SECONDS = 5.0
"""For a connection to be accepted; a lost packet costs one and three (RFC 6298)."""
BANNER_SECONDS = 5.0
SHOWN = 100
"""Characters of a reply that a report shows."""
LATE = "the time for all sessions together was over"

_LINE = re.compile(rb"([2-5][0-9][0-9])(?:([ -])(.*))?")
_SOURCE_PORT = 40000
"""Port on the other side of a PROXY line, which decides nothing."""


class NoAnswerError(Exception):
    """There was no answer that counts: the connection ended, 421, or no SMTP; the text says which."""


class LateError(NoAnswerError):
    """The answer did not come in time."""


class ClosedError(NoAnswerError):
    """No connection is accepted there."""


class NoRouteError(ClosedError):
    """This host has no route to the address, so that nothing is known about it."""


class Place(NamedTuple):
    """Where a server listens; the address is numeric, of either family."""

    address: str
    port: int


class Patience:
    """How long one answer may take, and all of them together; in seconds of ``clock``."""

    def __init__(self, answer: float, total: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.answer, self.clock = answer, clock
        self.end = clock() + total

    def deadline(self) -> float:
        """Return when an answer to a command that is sent now has to be there."""
        return min(self.clock() + self.answer, self.end)

    def left(self, deadline: float) -> float:
        """Return the seconds until a deadline; LateError where it has passed."""
        left = deadline - self.clock()
        if left <= 0:
            raise self.late()
        return left

    def late(self) -> LateError:
        """Return the error for an answer that is late."""
        return LateError(LATE if self.clock() >= self.end else f"no answer within {self.answer:g} s")


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
        """Whether the server may answer otherwise later (4xx)."""
        return 400 <= self.code < 500

    @property
    def text(self) -> str:
        """The last line with its code."""
        return f"{self.code} {self.lines[-1]}".rstrip()

    @property
    def line(self) -> str:
        """The first line as it was on the wire, for a report: printable and short."""
        text = f"{self.code} {self.lines[0]}".rstrip()
        text = "".join(c if c.isprintable() else "?" for c in text[: SHOWN + 1])
        return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def source_address(place: Place) -> str:
    """Return the address that packets to a place leave from; nothing is sent. Raises NoRouteError."""
    family = socket.AF_INET6 if ":" in place.address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((place.address, place.port))
            return str(probe.getsockname()[0])
    except OSError as error:
        raise NoRouteError(f"no route to {place.address} from here ({error.strerror or error})") from None


def connect(place: Place, limit: float) -> socket.socket:
    """Connect within so many seconds; raises OSError."""
    return socket.create_connection((place.address, place.port), limit)


class Connection:
    """A connection to a mail server. Everything but ``close`` and ``quit`` raises NoAnswerError.

    ``steps``: the lines of both sides. ``keywords``: those of the last EHLO, in upper case, each with its parameters.
    """

    def __init__(self, place: Place, patience: Patience) -> None:
        self.steps: list[str] = []
        self.keywords: dict[str, str] = {}
        self._patience = patience
        self._rest = b""
        limit = min(CONNECT_SECONDS, patience.answer, patience.left(patience.deadline()))
        try:
            self._socket = connect(place, limit)
        except socket.timeout:
            raise ClosedError(f"no connection within {limit:g} s") from None
        except OSError as error:
            raise ClosedError(error.strerror or str(error)) from None

    def proxy(self, client: str, port: int) -> None:
        """Say which client this connection stands for, before anything else."""
        family, server = ("TCP6", "::1") if ":" in client else ("TCP4", "127.0.0.1")
        self._send_line(f"PROXY {family} {client} {server} {_SOURCE_PORT} {port}")

    def protect(self, context: ssl.SSLContext) -> None:
        """Begin TLS; ssl.SSLError passes through, as its reason is the answer to some questions."""
        self._rest = b""
        self._socket.settimeout(self._patience.left(self._patience.deadline()))
        try:
            self._socket = context.wrap_socket(self._socket)
        except socket.timeout:
            raise LateError(f"no end of the TLS handshake within {self._patience.answer:g} s") from None
        except ConnectionError as error:
            raise NoAnswerError(f"connection cut off in the TLS handshake ({error.strerror or error})") from None
        self.steps.append(f"({self._socket.version()})")

    def secure(self) -> None:
        """Begin TLS with whatever certificate the server has."""
        if ssl is None:
            raise NoAnswerError("this Python has no TLS")
        try:
            self.protect(any_certificate())
        except LateError:
            raise
        except (ssl.SSLError, NoAnswerError) as error:
            raise NoAnswerError(f"no TLS: {error}") from error

    def hello(self, name: str) -> Reply:
        """Send EHLO, and keep what is offered; also the old form ``AUTH=LOGIN``."""
        reply = self.command(f"EHLO {name}")
        words = [re.sub("[ =]", " ", line.strip(), count=1).partition(" ") for line in reply.lines[1:] if reply.good]
        self.keywords = {word.upper(): rest for word, _blank, rest in words}
        return reply

    def log_in(self, user: str) -> Reply:
        """Become an authenticated client, by XCLIENT; afterwards the server sends its banner again."""
        return self.command(f"XCLIENT LOGIN={xtext(user)}")

    def command(self, line: str) -> Reply:
        """Send a line and return the reply."""
        self._send_line(line)
        return self.reply()

    def say(self, line: str) -> Reply:
        """Send a line and return the answer, as `answer` does."""
        self._send_line(line)
        return self.answer()

    def answer(self) -> Reply:
        """Return a reply that counts. 421 is none: the server says that it closes, whatever it was asked for."""
        reply = self.reply()
        if reply.code == 421:
            raise NoAnswerError(f"'{reply.line}'")
        return reply

    def reply(self) -> Reply:
        """Read one reply."""
        deadline = self._patience.deadline()
        lines: list[str] = []
        size = 0
        while True:
            raw = self._line(deadline)
            found = _LINE.fullmatch(raw)
            size += len(raw)
            if found is None or size > LONGEST:
                raise NoAnswerError("the reply is not SMTP" if found is None else "the reply does not end")
            lines.append((found[3] or b"").decode("utf-8", "replace"))
            if found[2] != b"-":
                self.steps.append(f"< {found[1].decode()} {', '.join(lines)}".rstrip())
                return Reply(int(found[1]), tuple(lines))

    def starts_with(self, code: bytes) -> bool:
        """Whether the next reply has this code, by its first line: further lines of a banner may take their time."""
        return self._line(self._patience.deadline())[:3] == code

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        left = self._patience.left(self._patience.deadline())
        try:
            self._socket.settimeout(left)
            self._socket.sendall(data)
        except OSError as error:
            raise self._lost(error) from None

    def quit(self) -> None:
        """Send QUIT, wait for an answer, and close: else some servers log a lost connection."""
        with contextlib.suppress(NoAnswerError):
            self.command("QUIT")
        with contextlib.suppress(OSError):
            self._socket.close()

    def close(self) -> None:
        """Send QUIT and close without waiting."""
        with contextlib.suppress(NoAnswerError):
            self.send(b"QUIT\r\n")
        with contextlib.suppress(OSError):
            self._socket.close()

    def _send_line(self, line: str) -> None:
        self.steps.append(f"> {line}")
        self.send(line.encode("utf-8", "surrogateescape") + b"\r\n")

    def _line(self, deadline: float) -> bytes:
        while b"\n" not in self._rest:
            if len(self._rest) > LONGEST:
                raise NoAnswerError("the reply does not end")
            left = self._patience.left(deadline)
            try:
                self._socket.settimeout(left)
                data = self._socket.recv(4096)
            except OSError as error:
                raise self._lost(error) from None
            if not data:
                raise NoAnswerError("the server closed the connection")
            self._rest += data
        line, _newline, self._rest = self._rest.partition(b"\n")
        return line.rstrip(b"\r")

    def _lost(self, error: OSError) -> NoAnswerError:
        if isinstance(error, socket.timeout):
            return self._patience.late()
        return NoAnswerError(f"connection lost ({error.strerror or error})")


def sends_banner(address: str, port: int) -> bool:
    """Whether a server sends a banner that begins with 220 within some seconds (421: RFC 5321, section 4.3.1)."""
    try:
        connection = Connection(Place(address, port), Patience(BANNER_SECONDS, 2 * BANNER_SECONDS))
        try:
            return connection.starts_with(b"220")
        finally:
            connection.quit()
    except NoAnswerError:
        return False


def any_certificate() -> ssl.SSLContext:
    """Return a TLS client that believes any certificate: whose it is decides nothing in these sessions."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def has_tls() -> bool:
    """Whether this Python can speak TLS."""
    return ssl is not None


def xtext(value: str) -> str:
    """Return a value as ESMTP parameters have it."""
    return "".join(char if "!" <= char <= "~" and char not in "+=" else f"+{ord(char):02X}" for char in value)
