# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries that succeed by chance (``$?x?``), seen from the side of safety.

Source: docs/reference/messaging-server-facts.md#template-chance. A rejection counts only if no outcome of the chances
accepts: an entry that rejects half of the mail lets the other half relay.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .context import Result

MAX_OUTCOMES = 16
"""Outcomes that are tried for one probe: all of four chances."""


class Chances:
    """Answers to the chances of one probe, in the order they are met; after the given ones each succeeds."""

    def __init__(self, answers: tuple[bool, ...]) -> None:
        self.answers = answers
        self.met = 0

    def __call__(self, percent: int) -> bool:
        """Whether the entry goes on; 0 and 100 percent are no chance."""
        if not 0 < percent < 100:
            return percent > 0
        self.met += 1
        return self.answers[self.met - 1] if self.met <= len(self.answers) else True


def weakest(probe: Callable[[Chances], Result], rejects: Callable[[Result], bool]) -> tuple[Result, bool]:
    """The result of a probe that does not reject if chance can bring one about, and whether all outcomes were seen."""
    chances = Chances(())
    first = result = probe(chances)
    pending: list[tuple[bool, ...]] = []
    for _outcome in range(MAX_OUTCOMES):
        if not rejects(result):
            return result, True
        known = chances.answers
        later = range(len(known), min(chances.met, MAX_OUTCOMES))
        pending.extend((*known, *[True] * (count - len(known)), False) for count in later)
        if not pending:
            return first, True
        chances = Chances(pending.pop(0))
        result = probe(chances)
    return first, False
