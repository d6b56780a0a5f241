# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of logical lines, as main.cf and master.cf are: entries of them change, and every other byte stays.

Sources: postconf(5), master(5). A line that begins with a blank continues the one before; empty lines and comments may
lie between the two.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from ..._policy.errors import ReportedError

BLANKS = " \t\n\v\f\r"
"""What Postfix separates words by. Any bytes are read as Latin-1, where Python knows more blanks than these."""

_WORD = re.compile(f"[^{BLANKS}]+")

Key = TypeVar("Key")


class Entry(NamedTuple):
    """A logical line: the numbers of its physical lines from 0, and its text with single blanks."""

    numbers: tuple[int, ...]
    text: str


class Lines(str):
    """Lines that are put into a file as they are, with their ends.

    Notes, comments and empty lines, may lie between them. Those stay in the file while its value is another one, and
    get their places back with the value where they still follow in one piece.
    """

    __slots__ = ()


class FileError(ReportedError):
    """A file that cannot be changed safely."""


def split_words(text: str) -> list[str]:
    """The words of a text, as Postfix finds them."""
    return _WORD.findall(text)


def folded(text: str) -> str:
    """A text with single blanks."""
    return " ".join(split_words(text))


def words_of(lines: str | None) -> list[str] | None:
    """The words of lines, without notes."""
    return None if lines is None else [word for entry in _entries(lines) for word in split_words(entry.text)]


class ConfigFile:
    """A file in logical lines. Raises FileError for a first line that continues nothing."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.entries = tuple(_entries(text))
        self._physical = _lines(text if text.endswith("\n") or not text else f"{text}\n")

    def __eq__(self, other: object) -> bool:
        """Whether both have the same text."""
        return isinstance(other, ConfigFile) and self.text == other.text

    __hash__ = None  # type: ignore[assignment]

    def _lines_by(self, keys: Iterable[Key]) -> dict[Key, Lines]:
        """The lines of all entries with a key as they stand in the file, with the notes between them."""
        found: dict[Key, Lines] = {}
        for key, entry in zip(keys, self.entries):
            whole = "".join(self._physical[entry.numbers[0] : entry.numbers[-1] + 1])
            found[key] = Lines(found.get(key, "") + whole)
        return found

    def _edited(
        self, keys: Iterable[Key], wanted: Mapping[Key, str | None], stands: Callable[[Key, Entry], bool]
    ) -> str:
        """The text with the lines that are wanted for each key, or without it.

        An entry keeps its place, a new one comes last. ``stands``: whether an entry is already what is wanted.
        """
        instead: dict[int, str] = {}
        placed: set[Key] = set()
        for key, entry in zip(keys, self.entries):
            if key not in wanted:
                continue
            first = key not in placed
            placed.add(key)
            if not first or not stands(key, entry):
                self._replace(instead, entry, wanted[key] if first else None)
        kept = [instead.get(number, line) for number, line in enumerate(self._physical)]
        new = [_bare(lines) for key, lines in wanted.items() if lines is not None and key not in placed]
        return "".join([*kept, *new])

    def _replace(self, instead: dict[int, str], entry: Entry, lines: str | None) -> None:
        """Put other lines in the place of an entry, or nothing. Notes between its lines stay."""
        instead.update(dict.fromkeys(entry.numbers, ""))
        if lines is None:
            return
        behind = entry.numbers[-1] + 1
        notes = [line for line in _lines(lines) if _is_note(line)]
        if notes and self._physical[behind : behind + len(notes)] == notes:
            instead.update(dict.fromkeys(range(behind, behind + len(notes)), ""))
        else:
            lines = _bare(lines)
        instead[entry.numbers[0]] = lines


def _entries(text: str) -> Iterator[Entry]:
    numbers: list[int] = []
    words: list[str] = []
    for number, line in enumerate(_lines(text)):
        if _is_note(line):
            continue
        if line[0] not in BLANKS and numbers:
            yield Entry(tuple(numbers), " ".join(words))
            numbers, words = [], []
        elif line[0] in BLANKS and not numbers:
            raise FileError(f"line {number + 1} continues a line, and there is none before it")
        numbers.append(number)
        words += split_words(line)
    if numbers:
        yield Entry(tuple(numbers), " ".join(words))


def _lines(text: str) -> list[str]:
    """The physical lines with their ends; nothing but a newline ends one."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _is_note(line: str) -> bool:
    return line.lstrip(BLANKS)[:1] in ("", "#")


def _bare(lines: str) -> str:
    """Lines without notes, which are in the file already."""
    return "".join(line for line in _lines(lines) if not _is_note(line))
