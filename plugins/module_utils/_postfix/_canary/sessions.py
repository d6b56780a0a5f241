# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds sessions with the canary.

The envelopes of a client follow each other on one connection; clients come side by side.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from ..._sessions.cases import Case
from ..._sessions.smtp import LATE, Connection, LateError, NoAnswerError, Patience, Place, Reply
from .files import Entrance

CLIENTS = 12
"""Clients at the same time."""

CONNECT, HELLO, TLS, LOGIN, MAIL, RCPT = "connect", "EHLO", "STARTTLS", "XCLIENT", "MAIL FROM", "RCPT TO"
DATA, END = "DATA", "the end of DATA"


NO_AUTH = Reply(503, ("5.5.1 Error: authentication not enabled",))
"""What Postfix says to AUTH where it is not offered."""


class Heard(NamedTuple):
    """How a session ended: the stage of the first reject, empty for none; code 0 for a broken connection.

    ``text``: the reply, or why there is none. ``keyword``: for a question about one, whether it is offered.
    """

    stage: str
    code: int
    text: str
    steps: tuple[str, ...]
    offered: bool = False


class Way(NamedTuple):
    """What the sessions on one connection have in common."""

    service: str
    client: str
    tls: bool
    login: str
    helo: str


class _RejectedError(Exception):
    """The connection got no further than this."""

    def __init__(self, stage: str, reply: Reply) -> None:
        self.stage, self.reply = stage, reply
        super().__init__(stage)


def hold(
    cases: Iterable[Case], entrances: Mapping[str, Entrance], address: str, deadline: float
) -> list[tuple[Case, Heard]]:
    """Hold all sessions, side by side. ``deadline``: by time.monotonic(); what is not held until then is broken."""
    left = deadline - time.monotonic()
    patience = Patience(left, left)
    groups: dict[Way, list[Case]] = {}
    for case in cases:
        session = case.session
        way = Way(session["service"], session["client"], session["tls"], session["authenticated"], session["helo"])
        groups.setdefault(way, []).append(case)

    def talk(way: Way) -> list[Heard]:
        return _talk(way, groups[way], (address, entrances[way.service]), patience)

    # Long talks first, so that none of them is waited for at the end.
    ways = sorted(groups, key=lambda way: -len(groups[way]))
    with ThreadPoolExecutor(CLIENTS) as pool:
        found = zip(ways, pool.map(talk, ways))
        return [pair for way, heard in found for pair in zip(groups[way], heard)]


def _talk(way: Way, cases: list[Case], where: tuple[str, Entrance], patience: Patience) -> list[Heard]:
    heard: list[Heard] = []
    while len(heard) < len(cases):
        rest = cases[len(heard) :]
        before = len(heard)
        connection = None
        try:
            port = (way.login and where[1].login_port) or where[1].port
            connection = Connection(Place(where[0], port), patience)
            _enter(connection, way, where[1])
            begun = len(connection.steps)
            for case in rest:
                start = len(connection.steps)
                found = _envelope(connection, case)
                heard.append(found._replace(steps=(*connection.steps[:begun], *connection.steps[start:])))
        except _RejectedError as rejected:
            steps = tuple(connection.steps) if connection else ()
            heard += [Heard(rejected.stage, rejected.reply.code, rejected.reply.text, steps)] * len(rest)
        except NoAnswerError as error:
            # A server may close a connection after a while; one that does so at the first question says nothing.
            if len(heard) == before:
                text = LATE if isinstance(error, LateError) else str(error)
                heard.append(Heard(CONNECT, 0, text, tuple(connection.steps) if connection else ()))
        finally:
            if connection is not None:
                connection.close()
    return heard


def _enter(connection: Connection, way: Way, entrance: Entrance) -> None:
    name = way.helo
    connection.proxy(way.client, 25)
    if entrance.wrapped:
        connection.secure()
    _need(CONNECT, connection.reply(), 220)
    _need(HELLO, connection.hello(name), 250)
    if way.tls and not entrance.wrapped:
        _need(TLS, connection.command("STARTTLS"), 220)
        connection.secure()
        _need(HELLO, connection.hello(name), 250)
    if way.login:
        if "AUTH" not in connection.keywords:
            raise _RejectedError(LOGIN, NO_AUTH)
        _need(LOGIN, connection.log_in(way.login), 220)
        _need(HELLO, connection.hello(name), 250)


def _need(stage: str, reply: Reply, code: int) -> None:
    if reply.code != code:
        raise _RejectedError(stage, reply)


def _envelope(connection: Connection, case: Case) -> Heard:
    session = case.session
    if session.get("keyword"):
        return Heard("", 250, "", (), session["keyword"] in connection.keywords)
    commands = [(MAIL, f"{MAIL}:<{session['mail_from']}>"), (RCPT, f"{RCPT}:<{session['rcpt_to'][0]}>")]
    if session.get("message"):
        commands += [(DATA, "DATA"), (END, ".")]
    for stage, command in commands:
        reply = connection.command(command)
        if not 200 <= reply.code < 300 and (stage, reply.code) != (DATA, 354):
            break
    else:
        stage = ""
    connection.command("RSET")
    return Heard(stage, reply.code, reply.text, ())
