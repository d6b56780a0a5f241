# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds sessions with a private Postfix and says whether they ended as they have to.

Private to this collection. The envelopes of a client follow each other on one connection; clients come side by side.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from ansible_collections.mailhost.hardening.plugins.module_utils._policy_cases import ACCEPT, NO_RELAY, Case
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix_canary import Entrance
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix_cases import NOT_OFFERED, OFFERED, is_ours
from ansible_collections.mailhost.hardening.plugins.module_utils._smtp_dialogue import (
    LATE,
    BrokenError,
    Dialogue,
    Reply,
)

#: Clients at the same time.
CLIENTS = 12

CONNECT, HELLO, TLS, LOGIN, MAIL, RCPT = "connect", "EHLO", "STARTTLS", "XCLIENT", "MAIL FROM", "RCPT TO"

#: An address of ours that nobody has: the policy let the message through (RFC 3463, X.1.1; X.1.0 of older tables).
_UNKNOWN = re.compile(r"[45]50 [45]\.1\.[01] ")

#: How Postfix puts off whoever may not relay, where a site prefers that.
_PUT_OFF_RELAY = re.compile(r"45\d 4\.7\.1 .*Relay access denied")

#: Postfix cannot do what its configuration says (RFC 3463, X.3: the system).
_MISTAKE = re.compile(r"4\d\d 4\.3\.")


class Heard(NamedTuple):
    """How a session ended: the stage of the first refusal, empty for none; code 0 for a broken connection.

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


class _RefusedError(Exception):
    """The connection got no further than this."""

    def __init__(self, stage: str, reply: Reply) -> None:
        self.stage, self.reply = stage, reply
        super().__init__(stage)


def hold(
    cases: Iterable[Case], entrances: Mapping[str, Entrance], address: str, deadline: float
) -> list[tuple[Case, Heard]]:
    """Hold all sessions, side by side. ``deadline``: by time.monotonic(); what is not held until then is broken."""
    groups: dict[Way, list[Case]] = {}
    for case in cases:
        session = case.session
        way = Way(session["service"], session["client"], session["tls"], session["authenticated"])
        groups.setdefault(way, []).append(case)

    def talk(way: Way) -> list[Heard]:
        return _talk(way, groups[way], (address, entrances[way.service]), deadline)

    # Long talks first, so that none of them is waited for at the end.
    ways = sorted(groups, key=lambda way: -len(groups[way]))
    with ThreadPoolExecutor(CLIENTS) as pool:
        found = zip(ways, pool.map(talk, ways))
        return [pair for way, heard in found for pair in zip(groups[way], heard)]


def _talk(way: Way, cases: list[Case], where: tuple[str, Entrance], deadline: float) -> list[Heard]:
    heard: list[Heard] = []
    while len(heard) < len(cases):
        rest = cases[len(heard) :]
        before = len(heard)
        dialogue = None
        try:
            dialogue = Dialogue((where[0], where[1].port), deadline)
            _enter(dialogue, way, where[1], rest[0].session["helo"])
            begun = len(dialogue.steps)
            for case in rest:
                start = len(dialogue.steps)
                found = _envelope(dialogue, case)
                heard.append(found._replace(steps=(*dialogue.steps[:begun], *dialogue.steps[start:])))
        except _RefusedError as refused:
            steps = tuple(dialogue.steps) if dialogue else ()
            heard += [Heard(refused.stage, refused.reply.code, refused.reply.text, steps)] * len(rest)
        except BrokenError as error:
            # A server may close a connection after a while; one that does so at the first question says nothing.
            if len(heard) == before:
                heard.append(Heard(CONNECT, 0, str(error), tuple(dialogue.steps) if dialogue else ()))
        finally:
            if dialogue is not None:
                dialogue.close()
    return heard


def _enter(dialogue: Dialogue, way: Way, entrance: Entrance, name: str) -> None:
    dialogue.proxy(way.client, 25)
    if entrance.wrapped:
        dialogue.secure()
    _need(CONNECT, dialogue.greeting(), 220)
    _need(HELLO, dialogue.hello(name), 250)
    if way.tls and not entrance.wrapped:
        _need(TLS, dialogue.command("STARTTLS"), 220)
        dialogue.secure()
        _need(HELLO, dialogue.hello(name), 250)
    if way.login:
        _need(LOGIN, dialogue.log_in(way.login), 220)
        _need(HELLO, dialogue.hello(name), 250)


def _need(stage: str, reply: Reply, code: int) -> None:
    if reply.code != code:
        raise _RefusedError(stage, reply)


def _envelope(dialogue: Dialogue, case: Case) -> Heard:
    session = case.session
    if session.get("keyword"):
        return Heard("", 250, "", (), session["keyword"] in dialogue.keywords)
    for stage, path in ((MAIL, session["mail_from"]), (RCPT, session["rcpt_to"][0])):
        reply = dialogue.command(f"{stage}:<{path}>")
        if not 200 <= reply.code < 300:
            break
    else:
        stage = ""
    dialogue.command("RSET")
    return Heard(stage, reply.code, reply.text, ())


def verdict(case: Case, heard: Heard, ours: frozenset[str]) -> str:
    """How a session ended, for a report."""
    keyword = case.session.get("keyword")
    if heard.code == 0:
        return f"no answer: {heard.text}"
    if keyword and not heard.stage:
        return f"{keyword} is {OFFERED if heard.offered else NOT_OFFERED}"
    if not heard.stage:
        return "accepted"
    kind = "refused" if heard.code >= 500 else "put off"
    if _passed(case, heard, ours):
        kind = "let through by the policy and refused as unknown"
    return f"{kind} at {heard.stage} with {heard.text!r}"


def no_tls(heard: Heard) -> bool:
    """Whether a session could not be held as TLS is missing."""
    return heard.stage == TLS or (heard.code == 0 and heard.text.startswith("no TLS"))


def is_late(heard: Heard) -> bool:
    """Whether a session did not end in time."""
    return heard.code == 0 and heard.text == LATE


def is_mistake(heard: Heard) -> bool:
    """Whether a session ended as Postfix cannot do what its configuration says."""
    return heard.code == 0 or bool(_MISTAKE.match(heard.text)) or heard.code == 421


def refused_by_site(case: Case, heard: Heard, ours: frozenset[str], relay_rejection: str) -> bool:
    """Whether somebody who may send to us is refused for another reason than relaying."""
    relay = relay_rejection in heard.text or "Relay access denied" in heard.text
    return case.expect == ACCEPT and is_ours(case.session["rcpt_to"][0], ours) and heard.code >= 500 and not relay


def as_expected(case: Case, heard: Heard, ours: frozenset[str], *, strict: bool = True) -> bool:
    """Whether a session ended as it has to.

    A refusal for now is none, but where a service of the site's own puts off whoever may not relay. ``strict``: no
    restrictions of the user's own stand behind those of the policy, so nobody may be put off who sends to us.
    """
    if case.expect in (OFFERED, NOT_OFFERED):
        return heard.stage == "" and heard.offered == (case.expect == OFFERED)
    to_us = is_ours(case.session["rcpt_to"][0], ours)
    passed = _passed(case, heard, ours)
    if case.expect == ACCEPT:
        greylisted = to_us and heard.stage == RCPT and 400 <= heard.code < 500 and not heard.text[4:].startswith("4.3.")
        return passed or (greylisted and not strict)
    if case.expect == NO_RELAY and passed:
        return to_us
    own = case.session["port"] in (25, 465, 587)
    return not passed and (heard.code >= 500 or (not own and bool(_PUT_OFF_RELAY.match(heard.text))))


def _passed(case: Case, heard: Heard, ours: frozenset[str]) -> bool:
    """Whether the policy let a message through, be there such a mailbox or not."""
    unknown = heard.stage == RCPT and bool(_UNKNOWN.match(heard.text))
    return heard.stage == "" or (unknown and is_ours(case.session["rcpt_to"][0], ours))
