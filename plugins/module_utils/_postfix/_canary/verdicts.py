# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the sessions with the canary ended as they have to.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..._policy.effects import Effect
from ..._sessions.cases import ACCEPT, NO_RELAY, Case
from ..._sessions.report import Deviation
from ..._sessions.smtp import LATE
from ..._transaction.command import StepError
from .cases import NO_MISTAKE, NOT_OFFERED, OFFERED, Server, is_managed
from .instance import CANARY
from .sessions import RCPT, TLS, Heard

if TYPE_CHECKING:
    from ..._policy.mail import MailPolicy
    from .._config.settings import Settings

SECONDS = 45
"""Seconds for all sessions together."""

_UNKNOWN = re.compile(r"[45]50 [45]\.1\.[01] ")
"""An unknown address of a managed domain: the policy accepted the message (RFC 3463, X.1.1; X.1.0 of older tables)."""

_DEFERRED_RELAY = re.compile(r"45\d 4\.7\.1 .*Relay access denied")
"""How Postfix defers clients that may not relay, where a site prefers that."""

_MISTAKE = re.compile(r"4\d\d 4\.3\.")
"""Postfix cannot do what its configuration says (RFC 3463, X.3: the system)."""


@dataclass(frozen=True)
class Proof:
    """The number of sessions held, those that ended otherwise than they have to, and what was not tried and why.

    ``effects``: what sessions get that they did not get with the live files.
    """

    count: int
    deviations: list[Deviation]
    notes: list[str]
    effects: tuple[Effect, ...] = ()


def judge(
    found: list[tuple[Case, Heard]],
    wanted: tuple[MailPolicy, Settings, Server],
    notes: list[str],
    log: list[str],
    waits: Callable[[Collection[str]], str] = lambda _services: "",
) -> Proof:
    """The proof, or StepError where the configuration cannot work.

    ``waits``: what may make clients wait at services of these names.
    """
    policy, settings, server = wanted
    strict = not (settings.submission_restrictions or any(settings.extra_restrictions.values()))
    deviations, mistakes, late = [], [], []
    skipped: dict[str, None] = {}
    count = 0
    for case, heard in found:
        got = verdict(case, heard, server.managed)
        if case.session["tls"] and no_tls(heard) and _promised(case, settings):
            mistakes.append(Deviation(case, got, (*heard.steps, *log)))
            continue
        if case.session["tls"] and no_tls(heard):
            skipped[f"{case.session['service']} has no TLS ({heard.text}); its sessions with TLS were not held"] = None
            continue
        count += 1
        if is_late(heard):
            late.append(case.session["service"])
        elif as_expected(case, heard, server.managed, strict=strict):
            continue
        elif not strict and rejected_by_site(case, heard, server.managed, policy.relay_rejection):
            skipped[f"{case.name}: {got}; if extra_restrictions mean that, all is well"] = None
        elif is_mistake(heard):
            mistakes.append(Deviation(case, got, (*heard.steps, *log)))
        else:
            deviations.append(Deviation(case, got, heard.steps))
    if not deviations and (mistakes or late):
        over = [f"{len(late)} of {count} sessions did not end within {SECONDS} seconds"] if late else []
        first = [f"{one.case.name}: {one.got}" for one in mistakes[:1]]
        causes = [waits(set(late))] if late else []
        raise StepError(CANARY, "\n".join(line for line in (*over, *first, *causes, *log) if line))
    return Proof(count, [*deviations, *mistakes], [*notes, *skipped])


def verdict(case: Case, heard: Heard, managed: frozenset[str]) -> str:
    """How a session ended, for a report."""
    keyword = case.session.get("keyword")
    if heard.code == 0:
        return f"no answer: {heard.text}"
    if keyword and not heard.stage:
        return f"{keyword} is {OFFERED if heard.offered else NOT_OFFERED}"
    if not heard.stage:
        return "accepted"
    kind = "rejected" if heard.code >= 500 else "deferred"
    if passed(case, heard, managed):
        kind = "accepted by the policy and rejected as unknown"
    return f"{kind} at {heard.stage} with {heard.text!r}"


def no_tls(heard: Heard) -> bool:
    """Whether a session could not be held as TLS is missing."""
    return heard.stage == TLS or (heard.code == 0 and heard.text.startswith("no TLS"))


def _promised(case: Case, settings: Settings) -> bool:
    """Whether TLS has to be offered: SMTP AUTH needs it, and a certificate of the inventory has to work."""
    return settings.submission if case.session["port"] in (465, 587) else bool(settings.tls_certificate)


def is_late(heard: Heard) -> bool:
    """Whether a session did not end in time."""
    return heard.code == 0 and heard.text == LATE


def is_mistake(heard: Heard) -> bool:
    """Whether a session ended as Postfix cannot do what its configuration says."""
    return heard.code == 0 or bool(_MISTAKE.match(heard.text)) or heard.code == 421


def rejected_by_site(case: Case, heard: Heard, managed: frozenset[str], relay_rejection: str) -> bool:
    """Whether a client that may send to managed domains is rejected for another reason than relaying."""
    relay = relay_rejection in heard.text or "Relay access denied" in heard.text
    return case.expect == ACCEPT and is_managed(case.session["rcpt_to"][0], managed) and heard.code >= 500 and not relay


def as_expected(case: Case, heard: Heard, managed: frozenset[str], *, strict: bool = True) -> bool:
    """Whether a session ended as it has to.

    A deferral is no reject, but where an unmanaged service defers clients that may not relay. ``strict``: no
    restrictions of the user's own follow those of the policy, so mail to managed domains may not be deferred, and the
    rejection of relaying has the policy's words.
    """
    if case.expect in (OFFERED, NOT_OFFERED):
        return heard.stage == "" and heard.offered == (case.expect == OFFERED)
    if case.expect == NO_MISTAKE:
        return not is_mistake(heard)
    to_us = is_managed(case.session["rcpt_to"][0], managed)
    let_through = passed(case, heard, managed)
    if case.expect == ACCEPT:
        greylisted = to_us and heard.stage == RCPT and 400 <= heard.code < 500 and not heard.text[4:].startswith("4.3.")
        return let_through or (greylisted and not strict)
    if case.expect == NO_RELAY and let_through:
        return to_us
    if strict and case.session.get("text", "") not in heard.text:
        return False
    own = case.session["port"] in (25, 465, 587)
    return not let_through and (heard.code >= 500 or (not own and bool(_DEFERRED_RELAY.match(heard.text))))


def passed(case: Case, heard: Heard, managed: frozenset[str]) -> bool:
    """Whether the policy let a message through, be there such a mailbox or not."""
    unknown = heard.stage == RCPT and bool(_UNKNOWN.match(heard.text))
    return heard.stage == "" or (unknown and is_managed(case.session["rcpt_to"][0], managed))
