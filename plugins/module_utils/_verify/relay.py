# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a live server for relay in all forms, up to RCPT and never further, and sorts the answers.

Private to this collection. A server that refuses everything from here (a block list, a wrong EHLO) refuses relay as
well; so mail that it should take, to its postmaster (RFC 5321 section 4.5.1), is asked for first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.relay_forms import (
    EXTERNAL_SENDER,
    RelayForm,
    relay_forms,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.smtp import (
    Connection,
    LateError,
    NoAnswerError,
    Reply,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._verify.surface import NOBODY

ACCEPTED, REFUSED, TEMPORARY, UNANSWERED = "accepted", "refused", "temporary", "unanswered"
#: Taken just as mail for any made-up name there: whether it would be passed on shows after DATA alone.
LOCAL = "local"

#: Refusals on one connection. Postfix slows down after ten errors and closes after twenty (postconf(5),
#: smtpd_soft_error_limit).
REFUSALS = 9

#: Forms that may find the connection lost twice, before nothing more is asked.
LOST = 3

#: Official host name of the channel for inner hosts in every imta.cnf that an installer of Messaging Server leaves.
CHANNEL_HOSTS = ("tcp_intranet-daemon",)

#: What is asked on the ports for submission, where nothing is taken without login.
SUBMISSION_FORMS = ("plain", "null sender", "spoofed local sender")

_LIMIT = re.compile(r"\brates?\b|too (many|much)|limit|throttl|slow down", re.IGNORECASE)


class Control(NamedTuple):
    """Whether mail for the server's own postmaster is taken, from which sender, and what was said."""

    taken: bool
    sender: str
    rcpt_to: str
    told: str


class Asked(NamedTuple):
    """A form, what came of it, and the server's words."""

    form: RelayForm
    outcome: str
    told: str


class Envelopes:
    """Asks for one envelope after the other, over few connections; ``dial`` opens one that has said EHLO."""

    def __init__(self, dial: Callable[[], Connection]) -> None:
        self.dial = dial
        self.talk: Connection | None = None
        self.refusals = 0
        self.lost = 0
        self.given_up = ""

    def ask(self, mail_from: str, rcpt_to: str) -> Reply:
        """Return the reply to RCPT, or to MAIL where that was refused. Raises NoAnswerError.

        A lost connection is renewed once, as servers close it after some errors.
        """
        if self.given_up:
            raise NoAnswerError(self.given_up)
        try:
            try:
                return self._ask(mail_from, rcpt_to)
            except LateError:
                raise
            except NoAnswerError:
                self.close()
                return self._ask(mail_from, rcpt_to)
        except NoAnswerError as error:
            unreachable = self.talk is None
            self.close()
            self.lost += 1
            if unreachable or self.lost >= LOST:
                self.given_up = str(error)
            raise

    def _ask(self, mail_from: str, rcpt_to: str) -> Reply:
        if self.refusals >= REFUSALS:
            self.close()
        if self.talk is None:
            self.talk = self.dial()
        else:
            self.talk.say("RSET")
        reply = self.talk.say(f"MAIL FROM:<{mail_from}>")
        if reply.good:
            reply = self.talk.say(f"RCPT TO:<{rcpt_to}>")
        self.refusals += not reply.good
        return reply

    def close(self) -> None:
        """End the connection, if there is one."""
        if self.talk is not None:
            self.talk.close()
        self.talk = None
        self.refusals = 0


def ask_control(envelopes: Envelopes, domain: str) -> Control:
    """Ask for what the server should take. Raises NoAnswerError.

    From a sender whose domain does not exist, and from none; to the postmaster of the domain, and of the server. An
    answer of 4xx is as good as none: it is asked for again, as postscreen wants of a client that it never saw, and
    greylisting says so to whom it may take later.
    """
    told = ""
    later: list[Control] = []
    for mail_from in (EXTERNAL_SENDER, ""):
        for rcpt_to in (f"postmaster@{domain}", "postmaster"):
            reply = envelopes.ask(mail_from, rcpt_to)
            if reply.temporary:
                envelopes.close()
                reply = envelopes.ask(mail_from, rcpt_to)
            told = told or reply.line
            if reply.good:
                return Control(True, mail_from, rcpt_to, reply.line)
            if reply.temporary:
                later.append(Control(True, mail_from, rcpt_to, reply.line))
    return later[0] if later else Control(False, EXTERNAL_SENDER, f"postmaster@{domain}", told)


def ask_forms(envelopes: Envelopes, forms: list[RelayForm], own: tuple[str, ...], sender: str) -> list[Asked]:
    """Ask for all forms; ``own`` are the domains that are the server's, ``sender`` is who stands for a stranger."""
    anybody: dict[str, bool] = {}
    found = []
    for form in [form._replace(mail_from=sender) if form.mail_from == EXTERNAL_SENDER else form for form in forms]:
        outcome, told = outcome_of(envelopes, form.mail_from, form.rcpt_to)
        domain = domain_of(form.rcpt_to)
        if outcome == ACCEPTED and domain in own:
            if domain not in anybody:
                nobody = f"{NOBODY}@{domain}" if domain else NOBODY
                anybody[domain] = outcome_of(envelopes, form.mail_from, nobody)[0] == ACCEPTED
            outcome = LOCAL if anybody[domain] else ACCEPTED
        found.append(Asked(form, outcome, told))
    envelopes.close()
    return found


def outcome_of(envelopes: Envelopes, mail_from: str, rcpt_to: str) -> tuple[str, str]:
    """What comes of an envelope, and the words of the server."""
    try:
        reply = envelopes.ask(mail_from, rcpt_to)
    except NoAnswerError as error:
        return UNANSWERED, str(error)
    if reply.good:
        return ACCEPTED, f"'{reply.line}'"
    if not reply.temporary:
        return REFUSED, f"'{reply.line}'"
    return UNANSWERED if _LIMIT.search(" ".join(reply.lines)) else TEMPORARY, f"'{reply.line}'"


def domain_of(path: str) -> str:
    """The domain of a forward path in lower case, without its route and its quoted part; empty if it has none."""
    path = path.rpartition(":")[2] if path.startswith("@") else path
    return re.sub('"[^"]*"', "", path).rpartition("@")[2].lower() if "@" in re.sub('"[^"]*"', "", path) else ""


def forms_for(domain: str, address: str) -> tuple[list[RelayForm], tuple[str, ...]]:
    """All forms for a server, and the domains of recipients that are the server itself."""
    literal = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
    return relay_forms(domain, address, CHANNEL_HOSTS), (domain.lower(), literal.lower(), "localhost", "")
