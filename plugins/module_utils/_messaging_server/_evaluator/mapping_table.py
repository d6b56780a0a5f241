# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mapping table made ready for probes: which entries are worth trying for a text, without looking at all.

The vendor scans a table from top to bottom (docs/reference/messaging-server-facts.md#mapping-tables); the result here
is the same. An entry is filed under one thing that a text must have for the entry to match: the whole text, a word
between delimiters, or an address in a network. The rest is looked at by its longest literal.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from .._formats.mapping_pattern import Address, Literal, Pattern, PatternError, compile_pattern
from .mapping_match import Subject, TooCostlyError, match

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .._formats.mapping import Table

_DELIMITERS = re.compile(r"[|@.]")

_Key = tuple[Any, ...]
"""A key: the kind ("=" whole text, "w" word, 4 or 6 address) and what is looked for."""


class Hit(NamedTuple):
    """An entry that matches: its index, and the texts of its saved wildcards."""

    number: int
    saved: list[str]


class CompiledTable:
    """The patterns of one table. Raises MtaTextError for the first pattern that cannot be read."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.patterns: list[Pattern] = []
        for entry in table.entries:
            try:
                self.patterns.append(compile_pattern(entry.pattern))
            except PatternError as e:
                raise entry.line.error(entry.pattern_at + e.offset, e.found, e.expected) from e
        self._exact: dict[str, list[int]] = {}
        self._words: dict[str, list[int]] = {}
        self._networks: dict[tuple[int, int], dict[int, list[int]]] = {}
        self._others: list[tuple[int, str]] = []
        self._file()

    def _file(self) -> None:
        keys = [_keys(pattern) for pattern in self.patterns]
        frequency = Counter(key for options in keys for key in options)
        for number, (pattern, options) in enumerate(zip(self.patterns, keys)):
            if not options:
                literals = [item.text for item in pattern.items if isinstance(item, Literal)]
                self._others.append((number, max(literals, key=len, default="")))
                continue
            kind, *what = min(options, key=lambda key: frequency[key])
            if kind == "=":
                self._exact.setdefault(what[0], []).append(number)
            elif kind == "w":
                self._words.setdefault(what[0], []).append(number)
            else:
                bits, network = what
                self._networks.setdefault((kind, bits), {}).setdefault(network, []).append(number)

    def candidates(self, subject: Subject) -> list[int]:
        """Indices of the entries that may match, in the order of the file."""
        folded = subject.folded
        found = [number for number, needle in self._others if needle in folded]
        found += self._exact.get(folded, ())
        if self._words:
            for word in set(_DELIMITERS.split(folded)):
                found += self._words.get(word, ())
        for (version, bits), networks in self._networks.items():
            shift = (128 if version == 6 else 32) - bits
            for value in {value >> shift << shift for _start, _end, value in subject.addresses(version)}:
                found += networks.get(value, ())
        found.sort()
        return found

    def find(self, subject: Subject, candidates: Sequence[int], start: int) -> Hit | None:
        """The first of the candidates from entry ``start`` on that matches, and its saved texts.

        Raises MtaTextError when a pattern takes too many steps on this text.
        """
        number = start
        try:
            for position in range(bisect_left(candidates, start), len(candidates)):
                number = candidates[position]
                saved = match(self.patterns[number], subject)
                if saved is not None:
                    return Hit(number, saved)
        except TooCostlyError as e:
            entry = self.table.entries[number]
            raise entry.line.error(entry.pattern_at, str(e), "a pattern with fewer wildcards before them") from e
        return None


def _keys(pattern: Pattern) -> list[_Key]:
    """What a text must have to match: any one of these would do to file the entry under."""
    items = pattern.items
    if all(isinstance(item, Literal) for item in items):
        return [("=", "".join(item.text for item in items if isinstance(item, Literal)))]
    keys: list[_Key] = []
    for index, item in enumerate(items):
        if isinstance(item, Address) and item.bits:
            keys.append((item.version, item.bits, item.network))
        elif isinstance(item, Literal):
            words = _DELIMITERS.split(item.text)
            # A word counts only when both its ends are fixed, by a delimiter or by an end of the text.
            first = 0 if index == 0 else 1
            last = len(words) if index == len(items) - 1 else len(words) - 1
            keys.extend(("w", word) for word in words[first:last] if word)
    return keys
