# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an SMTP port shows to any client: banner, keywords before and under TLS, versions of TLS, VRFY and EXPN.

Private to the collection: other collections must not import it.

Sources: RFC 5321 (EHLO, VRFY, EXPN), RFC 3207 (STARTTLS), RFC 8314 (TLS from the start),
CVE-2011-0411 (commands sent together with STARTTLS).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from .._sessions.smtp import ClosedError, Connection, LateError, NoAnswerError, Patience, Place, Reply
from .tls import ACCEPTED, FLOOR, OLD, Trial, try_version

if TYPE_CHECKING:
    import ssl

NO_MAILBOX = "no-such-user-of-mailhost-verify"
"""A mailbox that no server has, for comparison."""


class Door(NamedTuple):
    """A port of the mail host: where, whether TLS comes first, the name in EHLO, and the TLS clients by version.

    A version that this host cannot speak has None.
    """

    place: Place
    implicit: bool
    name: str
    contexts: Mapping[str, ssl.SSLContext | None]

    def open(self, patience: Patience) -> Connection:
        """Connect, read the banner, say EHLO and begin TLS where it is to be had. Raises NoAnswerError."""
        talk = Connection(self.place, patience)
        try:
            floor = self.contexts[FLOOR]
            if self.implicit and floor is not None:
                self.protect(talk, floor)
            must(talk.answer())
            must(talk.hello(self.name))
            if not self.implicit and floor is not None and "STARTTLS" in talk.keywords:
                must(talk.say("STARTTLS"))
                self.protect(talk, floor)
                must(talk.hello(self.name))
        except NoAnswerError:
            talk.close()
            raise
        return talk

    @staticmethod
    def protect(talk: Connection, context: ssl.SSLContext) -> None:
        """Begin TLS, or raise NoAnswerError."""
        trial = try_version(partial(talk.protect, context))
        if trial.outcome != ACCEPTED:
            raise NoAnswerError(f"TLS {FLOOR} cannot be begun ({trial.detail})")


@dataclass
class Surface:
    """What was seen of a port; what is None was not seen.

    ``closed`` and ``silent`` say why there was no connection, or nothing further. ``words`` has the replies to VRFY and
    EXPN, for a mailbox that every server has and for one that none has. ``injected`` says whether a command that came
    in the clear together with STARTTLS was executed under TLS.
    """

    port: int
    closed: str = ""
    untried: bool = False
    silent: str = ""
    banner: Reply | None = None
    clear: Mapping[str, str] | None = None
    protected: Mapping[str, str] | None = None
    trials: dict[str, Trial] = field(default_factory=dict)
    words: dict[str, tuple[Reply, Reply]] = field(default_factory=dict)
    injected: bool | None = None

    @property
    def starttls(self) -> bool:
        """Whether TLS is offered."""
        return self.clear is not None and "STARTTLS" in self.clear


def must(reply: Reply) -> Reply:
    """Return a good reply; anything else ends the conversation by NoAnswerError."""
    if not reply.good:
        raise NoAnswerError(f"'{reply.line}'")
    return reply


def look(door: Door, patience: Patience, *, words: bool) -> Surface:
    """Look at a port, by at most four connections one after the other; ``words``: also VRFY and EXPN."""
    surface = Surface(door.place.port)
    try:
        _first(surface, door, patience, words)
    except ClosedError as error:
        surface.closed = str(error)
        return surface
    except NoAnswerError as error:
        surface.silent = str(error)
    if surface.starttls or (door.implicit and FLOOR in surface.trials):
        for version in OLD:
            context = door.contexts[version]
            if context is not None:
                surface.trials[version] = _try_old(door, patience, context)
    if surface.starttls:
        surface.injected = _inject(door, patience)
    return surface


def _first(surface: Surface, door: Door, patience: Patience, words: bool) -> None:
    """The connection that shows most."""
    try:
        talk = Connection(door.place, patience)
    except LateError:
        surface.untried = True
        raise
    floor = door.contexts[FLOOR]
    try:
        if door.implicit and not _protected(surface, talk, floor):
            return
        surface.banner = talk.answer()
        must(surface.banner)
        must(talk.hello(door.name))
        if door.implicit:
            surface.protected = talk.keywords
        else:
            surface.clear = talk.keywords
        if words:
            for word in ("VRFY", "EXPN"):
                surface.words[word] = (talk.say(f"{word} postmaster"), talk.say(f"{word} {NO_MAILBOX}"))
        if surface.starttls and must(talk.say("STARTTLS")) and _protected(surface, talk, floor):
            must(talk.hello(door.name))
            surface.protected = talk.keywords
    finally:
        talk.close()


def _protected(surface: Surface, talk: Connection, floor: ssl.SSLContext | None) -> bool:
    if floor is not None:
        surface.trials[FLOOR] = try_version(partial(talk.protect, floor))
    return floor is not None and surface.trials[FLOOR].outcome == ACCEPTED


def _try_old(door: Door, patience: Patience, context: ssl.SSLContext) -> Trial:
    """Return whether a server accepts an old version, on a connection of its own."""
    try:
        talk = Connection(door.place, patience)
    except NoAnswerError as error:
        return Trial("unknown", str(error))
    try:
        if not door.implicit:
            _begin_tls(door, talk)
    except NoAnswerError as error:
        talk.close()
        return Trial("unknown", str(error))
    trial = try_version(partial(talk.protect, context))
    talk.close()
    return trial


def _begin_tls(door: Door, talk: Connection) -> None:
    must(talk.answer())
    must(talk.hello(door.name))
    must(talk.say("STARTTLS"))


def _inject(door: Door, patience: Patience) -> bool | None:
    """Send a made-up command in one packet with STARTTLS. If it is executed, its error comes before NOOP's 250."""
    context = door.contexts[FLOOR]
    if context is None:
        return None
    try:
        talk = Connection(door.place, patience)
    except NoAnswerError:
        return None
    try:
        must(talk.answer())
        must(talk.hello(door.name))
        talk.send(b"STARTTLS\r\nX-NOT-A-COMMAND\r\n")
        if not talk.answer().good or try_version(partial(talk.protect, context)).outcome != ACCEPTED:
            return False
        return not talk.say("NOOP").good
    except NoAnswerError as error:
        # Servers that notice it close the connection.
        return False if "clos" in str(error) or "lost" in str(error) else None
    finally:
        talk.close()
