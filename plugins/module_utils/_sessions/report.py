# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that ended otherwise than expected, as text.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from .cases import Case

TRACED, NAMED = 1, 12
"""Deviations that are shown with their trace, and by their name."""


class Deviation(NamedTuple):
    """A session that ended otherwise than expected."""

    case: Case
    got: str
    trace: tuple[str, ...]


def describe_deviations(found: list[Deviation]) -> str:
    """Describe what deviates, with the trace of the first."""
    lines = []
    for number, deviation in enumerate(found[:NAMED]):
        session = deviation.case.session
        lines.append(f"{deviation.case.name}: {deviation.got}; the {deviation.case.author}: {deviation.case.expect}")
        if number < TRACED:
            path = f", <{session['mail_from']}> to <{session['rcpt_to'][0]}>" if session["rcpt_to"][0] else ""
            lines.append(f"  client {session['client']}, port {session.get('port', 25)}{path}")
            lines += [f"  {step}" for step in deviation.trace]
    if len(found) > NAMED:
        lines.append(f"... and {len(found) - NAMED} more sessions")
    return "\n".join(lines)
