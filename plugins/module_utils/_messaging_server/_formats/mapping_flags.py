# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Output flags of the access tables: which take an argument, in which order, and what a result decides.

Sources: docs/reference/messaging-server-facts.md#flag-arguments and
docs/reference/messaging-server-facts.md#access-flags.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .tables import PORT_ACCESS

if TYPE_CHECKING:
    from collections.abc import Iterable

READING_ORDER = "UJKI<>DTAGSX,NF"
"""Flags with an argument, in the order their arguments are read:
docs/reference/messaging-server-facts.md#access-flags."""

PORT_READING_ORDER = "<>NFT"
"""The same for PORT_ACCESS; the order is uncertain: docs/reference/messaging-server-facts.md#access-flags."""

ADDRESS_TABLES = frozenset({"REVERSE", "FORWARD"})
ADDRESS_READING_ORDER = READING_ORDER.replace("D", "")
"""The same for the tables that change addresses, where D has no argument."""

LAST_ARGUMENT_TAKES_THE_REST = True
"""What the last flag in the reading order gets when there are more pieces than flags. The manuals do not say; taking
the rest keeps a text with a bar in one piece."""

REJECTION_WINS = True
"""The entry that rejects wins over the one that allows when both flags are set. Of medium confidence; never write
it."""

EFFECTS = {
    "B": "the message goes to the bit bucket",
    "H": "the message is held",
    "V": "the message is thrown away for all recipients",
    "Z": "the message is thrown away",
    "I": "a group id is asked for, which is not looked at here",
}
"""What flags do to a message that is accepted, for the trace: docs/reference/messaging-server-facts.md#access-flags.
None of them rejects it at once."""

REJECTING = "NF"


class Decision(NamedTuple):
    """What an access table decided: ``rejected``, the text and code given with it, and remarks for the trace."""

    rejected: bool
    text: str
    code: str
    notes: tuple[str, ...]


def reading_order(table: str) -> str:
    """The flags with arguments of a table, first argument first."""
    if table.upper() in ADDRESS_TABLES:
        return ADDRESS_READING_ORDER
    return PORT_READING_ORDER if table.upper() == PORT_ACCESS else READING_ORDER


def split_arguments(table: str, flags: Iterable[str], output: str) -> dict[str, str]:
    """The argument of each set flag: the output cut at bars, one piece for each flag in the reading order."""
    set_flags = set(flags)
    takers = [flag for flag in reading_order(table) if flag in set_flags]
    if not takers or not output:
        return {}
    if LAST_ARGUMENT_TAKES_THE_REST:
        return dict(zip(takers, output.split("|", len(takers) - 1)))
    return dict(zip(takers, output.split("|")))


def decide(table: str, flags: Iterable[str], output: str) -> Decision:
    """What the flags of a result mean: N or F reject, everything else (also no flag at all) lets pass."""
    set_flags = set(flags)
    arguments = split_arguments(table, set_flags, output)
    rejecting = [flag for flag in REJECTING if flag in set_flags]
    notes: list[str] = []
    if rejecting and "Y" in set_flags:
        notes.append("both Y and N are set; the manuals leave open which counts, taken as rejected")
    takers = sum(1 for flag in reading_order(table) if flag in set_flags)
    if takers and output.count("|") >= takers:
        notes.append("more arguments than flags; the manuals leave open which flag gets the rest, taken by the last")
    if not rejecting or ("Y" in set_flags and not REJECTION_WINS):
        return Decision(False, "", "", tuple(notes))
    return Decision(True, arguments.get(rejecting[0], ""), arguments.get("X", ""), tuple(notes))
