# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Matching of a text against a compiled pattern, in time linear in both.

Source: docs/reference/messaging-server-facts.md#pattern-matching: anchored at both ends, case-blind, wildcards are
maximal (minimal after ``$_``) from left to right.

How it stays linear: for each item, from the last to the first, one integer holds as bits all positions from which the
rest of the pattern can match. The bit of position p is ``len(text) - p``, so going left is a shift to the left. Then
one walk from left to right picks, for each wildcard, the longest (or shortest) length that keeps the rest matchable:
the same choice a backtracking matcher ends at. Back matches are the exception; they are searched for, pruned by the
same integers, within a fixed number of steps.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from ..._policy.errors import ReportedError
from .._formats.mapping_pattern import Address, BackMatch, CharClass, Item, Literal, Pattern, Wildcard
from .._formats.text import fold

if TYPE_CHECKING:
    from collections.abc import Iterator


MAX_TEXT = 16384
"""Longest text that is matched, in characters."""

MAX_SEARCH_STEPS = 50_000
"""Steps that the search for back matches may take before the pattern counts as too costly."""

MAX_TEXT_STEPS = 400_000
"""The same for all patterns of a table that meet one text."""

_PLAIN_LENGTH = 2048
"""Up to this length a chain of plain stars is matched by searching its literals; beyond it the worst case of that
search (text length times literal length) would show."""

_RUNS = {
    4: re.compile(r"(?<![0-9.])[0-9.]{7,15}(?![0-9.])"),
    # The tag of an IPv6 domain literal may stand before the address; nothing else that looks like one may.
    6: re.compile(r"(?:(?<![0-9a-f:.])(?!(?<=ipv)6:)|(?<=ipv6:))[0-9a-f:.]{2,45}(?![0-9a-f:.])"),
}


class TooCostlyError(ReportedError):
    """A match that would need more steps, or a text longer, than we allow."""


class Subject:
    """A text to match, with what is computed from it once: its folded form and sets of positions."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_TEXT:
            raise TooCostlyError(f"a text of {len(text)} characters; at most {MAX_TEXT} can be matched")
        self.text = text
        self.folded = fold(text)
        self.steps = 0
        self._where: dict[str, list[int]] = {}
        self._places: dict[object, int] = {}
        self._addresses: dict[int, list[tuple[int, int, int]]] = {}

    def places(self, what: str | CharClass) -> int:
        """Positions of a character, or of the members of a class, as bits."""
        key: object = what if isinstance(what, str) else what.ranges
        found = self._places.get(key)
        if found is None:
            if not self.folded:
                found = 0
            elif isinstance(what, str):
                digits = bytearray(b"0") * len(self.folded)
                for position in self._positions().get(what, ()):
                    digits[position] = 49
                found = int(digits, 2) << 1
            else:
                found = int(self.folded.translate(what), 2) << 1
            self._places[key] = found
        return found

    def _positions(self) -> dict[str, list[int]]:
        """Where each character of the text stands."""
        if not self._where:
            for position, char in enumerate(self.folded):
                self._where.setdefault(char, []).append(position)
        return self._where

    def addresses(self, version: int) -> list[tuple[int, int, int]]:
        """Start, end and number of each address in the text.

        An address is the whole run of characters that addresses are made of. The manuals only show addresses that
        fill a field, where this makes no difference.
        """
        found = self._addresses.get(version)
        if found is None:
            found = self._addresses[version] = []
            kind = ipaddress.IPv6Address if version == 6 else ipaddress.IPv4Address
            for run in _RUNS[version].finditer(self.folded):
                try:
                    found.append((run.start(), run.end(), int(kind(run.group()))))
                except ValueError:
                    continue
        return found


def match(pattern: Pattern, subject: Subject) -> list[str] | None:
    """The texts of the saved wildcards in order, or None when the pattern does not match.

    Raises TooCostlyError when back matches need more than ``MAX_SEARCH_STEPS`` steps, or more than ``MAX_TEXT_STEPS``
    together with those of other patterns on this text.
    """
    if pattern.plain is not None and len(subject.text) <= _PLAIN_LENGTH:
        return _match_plain(pattern, pattern.plain, subject)
    reach = _reach(pattern.items, subject)
    if reach is None:
        return None
    ends = _search(pattern.items, reach, subject) if pattern.back else _walk(pattern.items, reach, subject)
    if ends is None:
        return None
    text = subject.text
    return [text[(ends[item - 1] if item else 0) : ends[item]] for item in pattern.saved]


def _match_plain(pattern: Pattern, segments: tuple[str, ...], subject: Subject) -> list[str] | None:
    """Literals between maximal stars: each literal sits as far right as the ones after it leave room."""
    folded = subject.folded
    if len(segments) == 1:
        return [] if folded == segments[0] else None
    start = len(segments[0])
    end = len(folded) - len(segments[-1])
    if end < start or not folded.startswith(segments[0]) or not folded.endswith(segments[-1]):
        return None
    spans: list[str] = []
    text = subject.text
    for segment in segments[-2:0:-1]:
        place = folded.rfind(segment, start, end)
        if place < 0:
            return None
        spans.append(text[place + len(segment) : end])
        end = place
    spans.append(text[start:end])
    spans.reverse()
    if len(pattern.saved) == len(spans):
        return spans
    stars = [item for item in pattern.items if isinstance(item, Wildcard)]
    return [span for span, star in zip(spans, stars) if star.saved]


def _reach(items: tuple[Item, ...], subject: Subject) -> list[int] | None:
    """For each item the positions it can start at so that the rest matches; None when the text cannot match."""
    length = len(subject.text)
    everywhere = (1 << (length + 1)) - 1
    reach = [0] * len(items) + [1]
    current = 1
    for index in range(len(items) - 1, -1, -1):
        item = items[index]
        if isinstance(item, Literal):
            for char in reversed(item.text):
                current = (current << 1) & subject.places(char)
                if not current:
                    break
        elif isinstance(item, Address):
            current = _reach_address(item, current, subject)
        elif isinstance(item, Wildcard) and not item.many:
            current = (current << 1) & (everywhere if item.allowed is None else subject.places(item.allowed))
        elif isinstance(item, Wildcard) and item.allowed is not None:
            # Within a run of allowed characters a carry travels from the lowest start to the upper end of the run.
            allowed = subject.places(item.allowed)
            starts = (current << 1) & allowed
            current |= (((starts + allowed) ^ allowed) & allowed) | starts
        else:
            current = everywhere ^ ((current & -current) - 1)
        if not current:
            return None
        reach[index] = current
    return reach if reach[0] >> length & 1 else None


def _reach_address(item: Address, after: int, subject: Subject) -> int:
    length = len(subject.text)
    shift = (128 if item.version == 6 else 32) - item.bits
    found = 0
    for start, end, value in subject.addresses(item.version):
        if after >> (length - end) & 1 and value >> shift == item.network >> shift:
            found |= 1 << (length - start)
    return found


def _walk(items: tuple[Item, ...], reach: list[int], subject: Subject) -> list[int]:
    """The end of each item, taking the longest or shortest choice that the rest allows."""
    ends: list[int] = []
    position = 0
    for index in range(len(items)):
        position = next(_choices(items, reach, subject, index, position))
        ends.append(position)
    return ends


def _choices(items: tuple[Item, ...], reach: list[int], subject: Subject, index: int, position: int) -> Iterator[int]:
    """All ends the item can have from this position, in the order of preference, that the rest may allow."""
    item = items[index]
    length = len(subject.text)
    if isinstance(item, Literal):
        yield position + len(item.text)
        return
    if isinstance(item, Address):
        yield from [end for start, end, _value in subject.addresses(item.version) if start == position][:1]
        return
    if isinstance(item, BackMatch) or not item.many:
        yield position + 1
        return
    limit = length
    if item.allowed is not None:
        # The first position from here on that is not allowed; position ``length`` (bit 0) never is.
        others = ~subject.places(item.allowed) & ((1 << (length - position + 1)) - 1)
        limit = length - (others.bit_length() - 1)
    ends = reach[index + 1] & ((1 << (length - position + 1)) - 1)
    ends = ends >> (length - limit) << (length - limit)
    while ends:
        bit = ends.bit_length() - 1 if item.minimal else (ends & -ends).bit_length() - 1
        yield length - bit
        ends ^= 1 << bit


def _search(items: tuple[Item, ...], reach: list[int], subject: Subject) -> list[int] | None:
    """Like a walk, but able to go back, for patterns in which a back match decides."""
    folded = subject.folded
    ends: list[int] = []
    stack: list[Iterator[int]] = []
    steps = 0

    def open_item(index: int, position: int) -> Iterator[int]:
        item = items[index]
        if not isinstance(item, BackMatch):
            return _choices(items, reach, subject, index, position)
        wanted = folded[(ends[item.item - 1] if item.item else 0) : ends[item.item]]
        end = position + len(wanted)
        fits = folded.startswith(wanted, position) and reach[index + 1] >> max(len(folded) - end, 0) & 1
        return iter((end,) if fits else ())

    stack.append(open_item(0, 0))
    while stack:
        steps += 1
        subject.steps += 1
        if steps > MAX_SEARCH_STEPS:
            raise TooCostlyError(f"back matches that need more than {MAX_SEARCH_STEPS} steps on this text")
        if subject.steps > MAX_TEXT_STEPS:
            raise TooCostlyError(f"back matches of several patterns that need more than {MAX_TEXT_STEPS} steps")
        end = next(stack[-1], None)
        del ends[len(stack) - 1 :]
        if end is None:
            stack.pop()
            continue
        ends.append(end)
        if len(ends) == len(items):
            return ends  # only the end of the text is reachable after the last item
        stack.append(open_item(len(ends), end))
    return None
