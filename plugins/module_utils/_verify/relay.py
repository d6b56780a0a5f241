# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries all relay forms with a live server, up to RCPT and never further, and sorts the answers.

Private to the collection: other collections must not import it.

A server that rejects everything from here (a DNSBL, a wrong EHLO) rejects relaying as well; so mail that it should
accept, to its postmaster (RFC 5321 section 4.5.1), is tried first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from .._sessions.relay_forms import EXTERNAL_SENDER, RelayForm, relay_forms
from .._sessions.smtp import Connection, LateError, NoAnswerError, Reply
from .surface import NO_MAILBOX

ACCEPTED, REJECTED, DEFERRED, UNANSWERED = "accepted", "rejected", "deferred", "unanswered"
LOCAL = "local"
"""Accepted as mail for any invented name there: whether it would be relayed shows after DATA alone."""

REJECTIONS = 9
"""Rejections on one connection. Postfix slows down after ten errors and closes after twenty (postconf(5),
smtpd_soft_error_limit)."""

LOST = 3
"""Forms that may find the connection lost twice, before nothing more is tried."""

CHANNEL_HOSTS = ("tcp_intranet-daemon",)
"""Official host name of the channel for inner hosts in every imta.cnf that an installer of Messaging Server leaves."""

SUBMISSION_FORMS = ("plain", "null sender", "spoofed local sender")
"""What is tried on the ports for submission, where nothing is accepted without authentication."""

_LIMIT = re.compile(r"\brates?\b|too (many|much)|limit|throttl|slow down", re.IGNORECASE)


class Control(NamedTuple):
    """Whether mail for the server's own postmaster is accepted, from which sender, and the reply."""

    accepted: bool
    sender: str
    rcpt_to: str
    detail: str


class Tried(NamedTuple):
    """A form, what came of it, and the reply."""

    form: RelayForm
    outcome: str
    detail: str


class Envelopes:
    """Tries one envelope after the other, over few connections; ``dial`` opens one that has said EHLO."""

    def __init__(self, dial: Callable[[], Connection]) -> None:
        self.dial = dial
        self.talk: Connection | None = None
        self.rejections = 0
        self.lost = 0
        self.given_up = ""

    def send(self, mail_from: str, rcpt_to: str) -> Reply:
        """Return the reply to RCPT, or to MAIL where that was rejected. Raises NoAnswerError.

        A lost connection is renewed once, as servers close it after some errors.
        """
        if self.given_up:
            raise NoAnswerError(self.given_up)
        try:
            try:
                return self._send(mail_from, rcpt_to)
            except LateError:
                raise
            except NoAnswerError:
                self.close()
                return self._send(mail_from, rcpt_to)
        except NoAnswerError as error:
            unreachable = self.talk is None
            self.close()
            self.lost += 1
            if unreachable or self.lost >= LOST:
                self.given_up = str(error)
            raise

    def _send(self, mail_from: str, rcpt_to: str) -> Reply:
        if self.rejections >= REJECTIONS:
            self.close()
        if self.talk is None:
            self.talk = self.dial()
        else:
            self.talk.say("RSET")
        reply = self.talk.say(f"MAIL FROM:<{mail_from}>")
        if reply.good:
            reply = self.talk.say(f"RCPT TO:<{rcpt_to}>")
        self.rejections += not reply.good
        return reply

    def close(self) -> None:
        """End the connection, if there is one."""
        if self.talk is not None:
            self.talk.close()
        self.talk = None
        self.rejections = 0


def try_control(envelopes: Envelopes, domain: str) -> Control:
    """Try what the server should accept. Raises NoAnswerError.

    From a sender whose domain does not exist, and from none; to the postmaster of the domain, and of the server. A
    reply of 4xx is as good as none: it is tried again, as postscreen wants of a client that it never saw, and
    greylisting may accept it later.
    """
    detail = ""
    later: list[Control] = []
    for mail_from in (EXTERNAL_SENDER, ""):
        for rcpt_to in (f"postmaster@{domain}", "postmaster"):
            reply = envelopes.send(mail_from, rcpt_to)
            if reply.temporary:
                envelopes.close()
                reply = envelopes.send(mail_from, rcpt_to)
            detail = detail or reply.line
            if reply.good:
                return Control(True, mail_from, rcpt_to, reply.line)
            if reply.temporary:
                later.append(Control(True, mail_from, rcpt_to, reply.line))
    return later[0] if later else Control(False, EXTERNAL_SENDER, f"postmaster@{domain}", detail)


def try_forms(envelopes: Envelopes, forms: list[RelayForm], own: tuple[str, ...], sender: str) -> list[Tried]:
    """Try all forms; ``own`` are domains of the server itself, ``sender`` is the address of an external sender."""
    any_name: dict[str, bool] = {}
    found = []
    for form in [form._replace(mail_from=sender) if form.mail_from == EXTERNAL_SENDER else form for form in forms]:
        outcome, detail = outcome_of(envelopes, form.mail_from, form.rcpt_to)
        domain = domain_of(form.rcpt_to)
        if outcome == ACCEPTED and domain in own:
            if domain not in any_name:
                invented = f"{NO_MAILBOX}@{domain}" if domain else NO_MAILBOX
                any_name[domain] = outcome_of(envelopes, form.mail_from, invented)[0] == ACCEPTED
            outcome = LOCAL if any_name[domain] else ACCEPTED
        found.append(Tried(form, outcome, detail))
    envelopes.close()
    return found


def outcome_of(envelopes: Envelopes, mail_from: str, rcpt_to: str) -> tuple[str, str]:
    """Return what comes of an envelope, and the reply."""
    try:
        reply = envelopes.send(mail_from, rcpt_to)
    except NoAnswerError as error:
        return UNANSWERED, str(error)
    if reply.good:
        return ACCEPTED, f"'{reply.line}'"
    if not reply.temporary:
        return REJECTED, f"'{reply.line}'"
    return UNANSWERED if _LIMIT.search(" ".join(reply.lines)) else DEFERRED, f"'{reply.line}'"


def domain_of(path: str) -> str:
    """The domain of a forward path in lower case, without its route and its quoted part; empty if it has none."""
    path = path.rpartition(":")[2] if path.startswith("@") else path
    return re.sub('"[^"]*"', "", path).rpartition("@")[2].lower() if "@" in re.sub('"[^"]*"', "", path) else ""


def forms_for(domain: str, address: str) -> tuple[list[RelayForm], tuple[str, ...]]:
    """All forms for a server, and the domains of recipients that are the server itself."""
    literal = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
    return relay_forms(domain, address, CHANNEL_HOSTS), (domain.lower(), literal.lower(), "localhost", "")
