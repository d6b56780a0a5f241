# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluates staged files of Messaging Server before they are swapped: no open relay, and every class of the policy.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._sessions.cases import ACCEPT, NO_RELAY, Case
from .._sessions.report import Deviation
from ._evaluator.decision import LoadedConfig, Outcome, decide_session
from ._evaluator.session import read_session
from ._formats.text import fold

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .settings import Channels


def find_deviations(cases: Iterable[Case], config: LoadedConfig, channels: Channels) -> tuple[int, list[Deviation]]:
    """Evaluate all sessions; returns how many there were, and those that deviate. Raises MtaTextError."""
    count = 0
    found: list[Deviation] = []
    for case in cases:
        count += 1
        outcome = _decide(case, config, channels)
        got = _verdict(outcome, config)
        if not _as_expected(case, got):
            found.append(Deviation(case, got, outcome.trace))
    return count, found


def _decide(case: Case, config: LoadedConfig, channels: Channels) -> Outcome:
    outcome = decide_session(read_session(case.session), config)
    if not case.local or not outcome.mail.accepted:
        return outcome
    # A directory says which addresses are local; by the rules alone such a domain may look like any other.
    if fold(outcome.recipients[0].channel) not in {"", fold(channels.external)}:
        return outcome
    recipient = case.session["rcpt_to"][0]
    known = dict(case.session, destination_channels={recipient: channels.local})
    return decide_session(read_session(known), config)


def _verdict(outcome: Outcome, config: LoadedConfig) -> str:
    """How the session ended: ``rejected at ...``, ``accepted for channel ...`` or ``relayed to channel ...``."""
    if not outcome.connect.accepted:
        return f"rejected at connect with {outcome.connect.reply!r}"
    if not outcome.mail.accepted:
        return f"rejected at MAIL FROM with {outcome.mail.reply!r}"
    recipient = outcome.recipients[0]
    if not recipient.accepted:
        return f"rejected at RCPT TO with {recipient.reply!r}"
    channel = config.imta.channel(recipient.channel)
    leaves = channel is None or channel.leaves()
    return f"{'relayed to' if leaves else 'accepted for'} channel {recipient.channel}"


def _as_expected(case: Case, got: str) -> bool:
    if case.expect == NO_RELAY:
        return not got.startswith("relayed")
    return got.startswith("rejected") != (case.expect == ACCEPT)
