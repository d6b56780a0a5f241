# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluates staged files of Messaging Server before they are swapped: no open relay, and every class of the policy.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .._sessions.cases import ACCEPT, NO_RELAY, Case
from .._sessions.report import Deviation
from ._evaluator.decision import LoadedConfig, Outcome, decide_session
from ._evaluator.session import read_session
from ._formats.text import fold

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .settings import Channels


class Verdict(NamedTuple):
    """How a session ended: the stage that rejected it, empty where none did, the end in words, and the trace."""

    stage: str
    text: str
    trace: tuple[str, ...]

    @property
    def rejected(self) -> bool:
        """Whether the message was not accepted."""
        return bool(self.stage)


def find_deviations(cases: Iterable[Case], config: LoadedConfig, channels: Channels) -> tuple[int, list[Deviation]]:
    """Evaluate all sessions; returns how many there were, and those that deviate. Raises MtaTextError."""
    count = 0
    found: list[Deviation] = []
    for case in cases:
        count += 1
        got = verdict_of(case, config, channels)
        if not _as_expected(case, got):
            found.append(Deviation(case, got.text, got.trace))
    return count, found


def verdict_of(case: Case, config: LoadedConfig, channels: Channels) -> Verdict:
    """Evaluate a session. The text is ``rejected at ...``, ``accepted for channel ...`` or ``relayed to channel ...``.

    Raises MtaTextError.
    """
    outcome = _decide(case, config, channels)
    recipient = outcome.recipients[0]
    for name, stage in (("connect", outcome.connect), ("MAIL FROM", outcome.mail), ("RCPT TO", recipient)):
        if not stage.accepted:
            return Verdict(name, f"rejected at {name} with {stage.reply!r}", outcome.trace)
    channel = config.imta.channel(recipient.channel)
    leaves = channel is None or channel.leaves()
    return Verdict("", f"{'relayed to' if leaves else 'accepted for'} channel {recipient.channel}", outcome.trace)


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


def _as_expected(case: Case, got: Verdict) -> bool:
    if case.expect == NO_RELAY:
        return not got.text.startswith("relayed")
    return got.rejected != (case.expect == ACCEPT)
