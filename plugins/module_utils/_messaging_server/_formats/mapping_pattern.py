# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns of mapping entries: from their text to a list of items.

Syntax: docs/reference/messaging-server-facts.md#patterns. Matching is in ``_mapping_match``.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect_right
from functools import lru_cache
from typing import NamedTuple, Union

from ..._policy.errors import ReportedError
from .text import fold

MAX_PATTERN = 4096
"""Longest pattern that is compiled, in characters: the longest logical line any release takes:
docs/reference/messaging-server-facts.md#lengths."""

ADDRESSES_ARE_NUMBERED = False
"""Whether $(..), $<..> and ${..} take a wildcard number. Not stated by the manuals; thought unlikely:
docs/reference/messaging-server-facts.md#pattern-addresses."""

UNKNOWN_SEQUENCE_IS_LITERAL = True
"""Whether a dollar sign before a character that has no meaning in a pattern makes that character literal. Stated for
blanks, dollar, star and percent only."""

_QUOTABLE = "$*% \t"
_MODIFIERS = "_@^"
_RANGES: dict[str, tuple[tuple[str, str], ...]] = {
    "A": (("a", "z"),),
    "B": (("0", "1"),),
    "D": (("0", "9"),),
    "H": (("0", "9"), ("a", "f")),
    "X": (("0", "9"), ("a", "f")),
    "O": (("0", "7"),),
    "S": (("0", "9"), ("a", "z"), ("_", "_"), ("$", "$")),
    "T": (("\t", "\t"), ("\v", "\v"), (" ", " ")),
}
_CLOSERS = {"(": ")", "<": ">", "{": "}"}


class PatternError(ReportedError):
    """A pattern that cannot be read: ``offset`` in its text, what was found, what was expected."""

    def __init__(self, offset: int, found: str, expected: str) -> None:
        super().__init__(f"{found}; expected {expected}")
        self.offset = offset
        self.found = found
        self.expected = expected


class CharClass:
    """A set of characters as ranges, case-blind for A to Z. Works as a translation table to ``0`` and ``1``.

    ``ranges`` are first and last codes of folded characters, in order and apart from each other.
    """

    def __init__(self, ranges: tuple[tuple[str, str], ...]) -> None:
        codes = [(ord(low), ord(high)) for low, high in ranges]
        # The part of a range that lies among the capitals stands for the small letters too.
        codes += [(max(low, 65) + 32, min(high, 90) + 32) for low, high in codes if low <= 90 and high >= 65]
        merged: list[tuple[int, int]] = []
        for low, high in sorted(codes):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        self.ranges = tuple(merged)
        self._lows = [low for low, _high in merged]
        self._bits: dict[int, str] = {}

    def __contains__(self, char: str) -> bool:
        """Whether the class has the character in either case."""
        code = ord(fold(char))
        place = bisect_right(self._lows, code) - 1
        return place >= 0 and code <= self.ranges[place][1]

    def __getitem__(self, code: int) -> str:
        """``1`` for the code of a member, else ``0``; ``str.translate`` calls it."""
        bit = self._bits.get(code)
        if bit is None:
            bit = self._bits[code] = "1" if chr(code) in self else "0"
        return bit


class Literal(NamedTuple):
    """Text that stands for itself, folded."""

    text: str


class Wildcard(NamedTuple):
    """One (``many`` false) or any number of characters, all of them in ``allowed`` (any character for None)."""

    allowed: CharClass | None
    many: bool
    minimal: bool
    saved: bool


class BackMatch(NamedTuple):
    """The same text as a wildcard before it: ``item`` is that wildcard's index among the items."""

    item: int
    saved: bool


class Address(NamedTuple):
    """An address (IPv4 or IPv6) whose upper ``bits`` bits are those of ``network`` (a number without host bits)."""

    version: int
    network: int
    bits: int


Item = Union[Literal, Wildcard, BackMatch, Address]


class Pattern(NamedTuple):
    """A compiled pattern.

    ``plain`` is the sequence of literals between stars when there is nothing else than literals and maximal stars
    for any characters, else None. ``notes`` says what the manuals leave open and how it was read.
    """

    text: str
    items: tuple[Item, ...]
    saved: tuple[int, ...]
    plain: tuple[str, ...] | None
    back: bool
    notes: tuple[str, ...]


@lru_cache(maxsize=65536)
def compile_pattern(text: str) -> Pattern:
    """Read a pattern. Raises PatternError with the offset of what cannot be read."""
    if len(text) > MAX_PATTERN:
        raise PatternError(MAX_PATTERN, f"a pattern of {len(text)} characters", f"at most {MAX_PATTERN}")
    reader = _PatternReader(text)
    reader.read()
    items = tuple(reader.items)
    return Pattern(
        text,
        items,
        tuple(reader.saved),
        _plain(items),
        any(isinstance(item, BackMatch) for item in items),
        tuple(reader.notes),
    )


def _plain(items: tuple[Item, ...]) -> tuple[str, ...] | None:
    segments = [""]
    for item in items:
        if isinstance(item, Literal):
            segments[-1] = item.text
        elif isinstance(item, Wildcard) and item.many and not item.minimal and item.allowed is None:
            segments.append("")
        else:
            return None
    return tuple(segments)


class _PatternReader:
    """Reads a pattern from left to right; ``pending`` are modifiers that wait for their wildcard."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.items: list[Item] = []
        self.saved: list[int] = []
        self.notes: list[str] = []
        self.literal: list[str] = []
        self.minimal = False
        self.save = True
        self.pending = False

    def read(self) -> None:
        text = self.text
        while self.at < len(text):
            char = text[self.at]
            if char in "*%":
                self.at += 1
                self._wildcard(None, char == "*")
            elif char == "$":
                self._dollar()
            else:
                self._literal(char)
                self.at += 1
        if self.pending:
            raise PatternError(self.at, "the pattern ends after a modifier", "a wildcard (% or *)")
        self._flush()

    def _flush(self) -> None:
        if self.literal:
            self.items.append(Literal(fold("".join(self.literal))))
            self.literal = []

    def _literal(self, char: str) -> None:
        if self.pending:
            raise PatternError(self.at, f'"{char}" after a modifier', "a wildcard (% or *)")
        self.literal.append(char)

    def _wildcard(self, allowed: CharClass | None, many: bool) -> None:
        self._flush()
        if self.save:
            self.saved.append(len(self.items))
        self.items.append(Wildcard(allowed, many, self.minimal and many, self.save))
        self._reset()

    def _reset(self) -> None:
        self.minimal, self.save, self.pending = False, True, False

    def _dollar(self) -> None:
        start = self.at
        self.at += 1
        if self.at >= len(self.text):
            raise PatternError(start, "the pattern ends in a dollar sign", "a character after it")
        char = self.text[self.at]
        if char in _QUOTABLE:
            self._literal(char)
            self.at += 1
        elif char in _CLOSERS:
            self._address(start, char)
        elif char in _MODIFIERS or char.upper() in _RANGES or char in "0123456789[":
            self._modified(start)
        elif UNKNOWN_SEQUENCE_IS_LITERAL:
            self.notes.append(f'the manuals do not define "${char}" in a pattern; taken as the character itself')
            self._literal(char)
            self.at += 1

    def _modified(self, start: int) -> None:
        """Modifiers that share one dollar sign, at most one class or back match, and the wildcard."""
        text = self.text
        while self.at < len(text) and text[self.at] in _MODIFIERS:
            self.minimal = self.minimal or text[self.at] == "_"
            self.save = {"@": False, "^": True}.get(text[self.at], self.save)
            self.at += 1
            self.pending = True
        char = text[self.at : self.at + 1]
        if char == "$" and self.pending:
            return  # the next dollar sign brings the class
        allowed: CharClass | None = None
        if char in "0123456789" and char:
            self._back_match(start, int(char))
            return
        if char == "[":
            allowed = self._set(start)
        elif char and char.upper() in _RANGES:
            allowed = CharClass(_RANGES[char.upper()])
            self.at += 1
        wildcard = text[self.at : self.at + 1]
        if not wildcard or wildcard not in "*%":
            raise PatternError(start, f'"{text[start : self.at + 1]}" in a pattern', "a wildcard (% or *) at its end")
        self.at += 1
        self._wildcard(allowed, wildcard == "*")

    def _back_match(self, start: int, number: int) -> None:
        if self.text[self.at + 1 : self.at + 2] != "*":
            raise PatternError(
                start, f'"{self.text[start : self.at + 2]}" in a pattern', f"${number}* for a back match"
            )
        if number >= len(self.saved):
            raise PatternError(
                start, f"back match ${number}* but {len(self.saved)} wildcards are saved before it", "a saved wildcard"
            )
        self.at += 2
        self._flush()
        item = BackMatch(self.saved[number], self.save)
        if self.save:
            self.saved.append(len(self.items))
        self.items.append(item)
        self._reset()

    def _set(self, start: int) -> CharClass:
        r"""Characters and ranges up to the closing bracket; a backslash quotes ], - and itself."""
        members: list[tuple[str, bool]] = []
        at = self.at + 1
        while at < len(self.text) and self.text[at] != "]":
            quoted = self.text[at] == "\\" and at + 1 < len(self.text)
            at += 1 if quoted else 0
            members.append((self.text[at], quoted))
            at += 1
        if at >= len(self.text):
            raise PatternError(start, '"$[" is not closed', '"]" before the pattern ends')
        if not members:
            raise PatternError(start, '"$[]" has no characters', "at least one")
        self.at = at + 1
        ranges: list[tuple[str, str]] = []
        index = 0
        while index < len(members):
            low = members[index][0]
            high = low
            if index + 2 < len(members) and members[index + 1] == ("-", False):
                high = members[index + 2][0]
                index += 2
            if high < low:
                raise PatternError(start, f'the range "{low}-{high}" is empty', "the lower character first")
            ranges.append((low, high))
            index += 1
        return CharClass(tuple(ranges))

    def _address(self, start: int, opener: str) -> None:
        if self.pending:
            raise PatternError(start, "an address after a modifier", "a wildcard (% or *)")
        end = self.text.find(_CLOSERS[opener], self.at + 1)
        if end < 0:
            raise PatternError(start, f'"${opener}" is not closed', f'"{_CLOSERS[opener]}" before the pattern ends')
        inner = self.text[self.at + 1 : end]
        address, slash, bits_text = inner.partition("/")
        version = 6 if opener == "{" else 4
        width = 128 if version == 6 else 32
        try:
            value = int(ipaddress.IPv6Address(address) if version == 6 else ipaddress.IPv4Address(address))
        except ValueError:
            example = "2001:db8::/32" if version == 6 else "192.0.2.0/24"
            raise PatternError(start + 2, f'"{address}"', f"an IPv{version} address such as {example}") from None
        bits = 0 if opener == "<" else width
        if slash:
            if not (bits_text.isascii() and bits_text.isdigit() and len(bits_text) <= 3 and int(bits_text) <= width):
                raise PatternError(start + 3 + len(address), f'"/{bits_text}"', f"a number of bits from 0 to {width}")
            bits = int(bits_text)
        if opener == "<":
            bits = width - bits
        self._flush()
        self.items.append(Address(version, value >> (width - bits) << (width - bits), bits))
        self.at = end + 1
