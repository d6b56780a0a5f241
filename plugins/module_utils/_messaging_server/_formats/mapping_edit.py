# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of a mapping file that touch only what they name.

All take and give the whole text; entries are (pattern, template) pairs that are quoted already. Every edit is checked
by reading its result: all other tables must be what they were.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import TYPE_CHECKING

from .mapping import MappingFile, MappingNode, Pair, parse_mappings
from .mapping_quote import format_entry
from .text import EditError, content, ended, ends_in_continuation, line_ending, written

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Pairs = Sequence[Pair]

    Notes = Sequence[tuple[int, str]]
    """Comments in a table: how many entries come before each, and its line."""


_Difference = tuple[str, int, int, int, int]
"""What happens to a range of the present entries, and the range of the wanted ones that comes in its place."""


def set_table(
    text: str,
    name: str,
    entries: Pairs,
    release: str = "6-2005q4",
    lines: Mapping[Pair, str] | None = None,
) -> str:
    """Give a table exactly these entries; it is added at the end when it is not there.

    Entries that stay keep their lines as they are, and comments stay where they stand. ``lines`` says how some
    entries are to be written.
    """
    parsed = parse_mappings(text)
    ending = line_ending(text)
    if not entries:
        raise EditError(f"table {name}: no entries; remove the table instead")
    new_lines = [(lines or {}).get(pair) or format_entry(*pair, release, ending) for pair in entries]
    index = _index(parsed, name)
    if index is None:
        return _checked(text, _append(text, [f"{name}{ending}", ending, *new_lines], ending), name, entries)
    if parsed.tables[index].pairs() == list(entries):
        return text
    raws = [["".join(node.line.raw)] for node in parsed.nodes]
    own = [number for number, node in enumerate(parsed.nodes) if node.table == index and node.kind == "entry"]
    if own:
        _exchange(raws, own, _differences(parsed.tables[index].pairs(), list(entries)), new_lines, ending)
    else:
        last = max(number for number, node in enumerate(parsed.nodes) if node.table == index)
        head = "".join(raws[last])
        gap = [] if parsed.nodes[last].kind != "name" else [ending]
        raws[last] = [ended(head, ending), *gap, *new_lines]
    return _checked(text, _joined(raws), name, entries)


def _exchange(
    raws: list[list[str]], own: list[int], differences: list[_Difference], lines: list[str], ending: str
) -> None:
    """Change the lines of a table from the present entries to the wanted ones; what stays is not touched."""
    missing_end = content(raws[own[-1]][0]) == raws[own[-1]][0]
    for kind, first, last, new_first, new_last in differences:
        new = lines[new_first:new_last]
        if kind != "insert":
            for number in own[first:last]:
                raws[number] = []
            raws[own[first]] = new
        elif first < len(own):
            raws[own[first]][:0] = new
        else:
            head = "".join(raws[own[-1]])
            raws[own[-1]] = [ended(head, ending), *new]
    if missing_end and own[-1] == len(raws) - 1:
        tail = next(pieces for pieces in reversed(raws) if pieces)
        tail[-1] = content(tail[-1])


def _differences(present: Pairs, wanted: Pairs) -> list[_Difference]:
    """What differs between two lists, as SequenceMatcher says it; equal ends are cut off first, for speed."""
    head = 0
    while head < min(len(present), len(wanted)) and present[head] == wanted[head]:
        head += 1
    tail = 0
    while tail < min(len(present), len(wanted)) - head and present[-1 - tail] == wanted[-1 - tail]:
        tail += 1
    middle = SequenceMatcher(None, present[head : len(present) - tail], wanted[head : len(wanted) - tail], False)
    return [
        (kind, first + head, last + head, new_first + head, new_last + head)
        for kind, first, last, new_first, new_last in middle.get_opcodes()
        if kind != "equal"
    ]


def remove_table(text: str, name: str) -> str:
    """Take a table away, with one of the blank lines around it; unchanged when it is not there."""
    parsed = parse_mappings(text)
    index = _index(parsed, name)
    if index is None:
        return text
    raws = [["".join(node.line.raw)] for node in parsed.nodes]
    own = [n for n, node in enumerate(parsed.nodes) if node.table == index and node.kind in {"name", "entry"}]
    first, last = own[0], own[-1]
    if last + 1 < len(raws) and parsed.nodes[last + 1].kind == "blank":
        last += 1
    elif last + 1 == len(raws) and first and parsed.nodes[first - 1].kind == "blank":
        first -= 1
    for number in range(first, last + 1):
        raws[number] = []
    return _checked(text, _joined(raws), name, None)


def insert_entries(  # noqa: PLR0913 - the place is said in words
    text: str,
    name: str,
    entries: Pairs,
    *,
    before: str | None = None,
    after: str | None = None,
    release: str = "6-2005q4",
) -> str:
    """Put entries before or after the first entry with a given pattern; without one, at the end of the table.

    Entries the table has already are left where they are. Raises EditError when there is no such table or pattern.
    """
    parsed = parse_mappings(text)
    index = _index(parsed, name)
    if index is None or not parsed.tables[index].entries:
        raise EditError(f"table {name} has no entries to put new ones next to")
    present = parsed.tables[index].pairs()
    known = set(present)
    new = [pair for pair in entries if pair not in known]
    own = [number for number, node in enumerate(parsed.nodes) if node.table == index and node.kind == "entry"]
    place = len(own)
    wanted = before if before is not None else after
    if wanted is not None:
        patterns = [pattern for pattern, _template in present]
        if wanted not in patterns:
            raise EditError(f'table {name} has no entry with pattern "{wanted}"')
        place = patterns.index(wanted) + (0 if before is not None else 1)
    if not new:
        return text
    ending = line_ending(text)
    lines = [format_entry(pattern, template, release, ending) for pattern, template in new]
    raws = [["".join(node.line.raw)] for node in parsed.nodes]
    if place < len(own):
        raws[own[place]][:0] = lines
    else:
        head = raws[own[-1]][0]
        raws[own[-1]] = [ended(head, ending), *lines]
    result = [*present[:place], *new, *present[place:]]
    return _checked(text, _joined(raws), name, result)


def table_notes(text: str, name: str) -> tuple[tuple[int, str], ...]:
    """The comments among the entries of a table, in order."""
    found: list[tuple[int, str]] = []
    count = 0
    for node in _body(parse_mappings(text), name):
        if node.kind == "comment":
            found.append((count, "".join(node.line.raw)))
        count += node.kind == "entry"
    return tuple(found)


def place_notes(text: str, name: str, notes: Notes) -> str:
    """Bring the comments among the entries of a table to these places; unchanged where they are other ones."""
    parsed = parse_mappings(text)
    body = _body(parsed, name)
    if not notes or [note for _count, note in table_notes(text, name)] != [note for _count, note in notes]:
        return text
    pieces = ["".join(node.line.raw) for node in body if node.kind == "entry"]
    for count, note in reversed(notes):
        pieces.insert(count, note)
    first = parsed.nodes.index(body[0])
    before, after = parsed.nodes[:first], parsed.nodes[first + len(body) :]
    pieces = [written(node.line for node in before), *pieces, written(node.line for node in after)]
    return _checked(text, "".join(pieces), name, parsed.tables[body[0].table].pairs())


def _body(parsed: MappingFile, name: str) -> list[MappingNode]:
    """The entries of a table and the comments among them; none where a line that ends the file has no end itself."""
    index = _index(parsed, name)
    own = [node for node in parsed.nodes if index is not None and node.table == index]
    start = max((number for number, node in enumerate(own) if node.kind in {"name", "blank"}), default=-1) + 1
    body = own[start:]
    sound = all(node.kind in {"entry", "comment"} and node.line.raw[-1].endswith("\n") for node in body)
    return body if sound else []


def _index(parsed: MappingFile, name: str) -> int | None:
    return next((n for n, table in enumerate(parsed.tables) if table.name.upper() == name.upper()), None)


def _joined(raws: list[list[str]]) -> str:
    return "".join(piece for pieces in raws for piece in pieces)


def _append(text: str, lines: list[str], ending: str) -> str:
    if not text:
        return "".join(lines)
    # Always a blank line, which is removed with the table again.
    return ended(text, ending) + ending + "".join(lines)


def _checked(before: str, after: str, name: str, entries: Pairs | None) -> str:
    """The new text, if reading it gives the wanted table and all others as they were."""
    old, new = parse_mappings(before), parse_mappings(after)
    if any(ends_in_continuation(node.line) for node in old.nodes):
        raise EditError("the file ends in a backslash, which would join what is added; remove it first")
    key = name.upper()
    others = [(table.name, table.pairs()) for table in old.tables if table.name.upper() != key]
    kept = [(table.name, table.pairs()) for table in new.tables if table.name.upper() != key]
    edited = [table.pairs() for table in new.tables if table.name.upper() == key]
    wanted = [] if entries is None else [list(entries)]
    if others != kept or edited != wanted or len(new.faults) > len(old.faults):
        raise EditError(
            f"table {name} cannot be changed without touching another; correct the faults of the file first"
        )
    return after
