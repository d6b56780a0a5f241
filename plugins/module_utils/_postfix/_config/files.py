# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""main.cf and master.cf as texts: reading them, and changing what is ours without touching anything else.

Private to this collection. Sources: postconf(5), master(5). A line that begins with a blank continues the one before;
empty lines and comments may lie between the two.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import ReportedError

#: What Postfix separates words by. We read any bytes as Latin-1, where Python knows more blanks than these.
BLANKS = " \t\n\v\f\r"

_WORD = re.compile(f"[^{BLANKS}]+")
_PARAMETER = re.compile(r"([^\s=]+)\s*=\s*(.*)", re.DOTALL | re.ASCII)


class Entry(NamedTuple):
    """A logical line: the numbers of its physical lines from 0, and its text with single blanks."""

    numbers: tuple[int, ...]
    text: str


class LiveService(NamedTuple):
    """A service of master.cf as it stands there: eight columns, and the arguments of its command."""

    name: str
    type: str
    columns: tuple[str, ...]
    arguments: tuple[str, ...]

    @property
    def command(self) -> str:
        """The name of the program, which may stand there with a path."""
        return os.path.basename(self.columns[7])


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


def entries(text: str) -> Iterator[Entry]:
    """The logical lines of either file. Raises FileError for a first line that continues nothing."""
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


def read_main(text: str) -> dict[str, str]:
    """What main.cf sets; of a parameter that is set twice the last one counts."""
    found = {}
    for entry in entries(text):
        match = _PARAMETER.fullmatch(entry.text)
        if match is None:
            raise FileError(f"line {entry.numbers[0] + 1} is no setting: {entry.text[:80]!r}")
        found[match.group(1)] = match.group(2)
    return found


def parameter_lines(text: str) -> dict[str, Lines]:
    """The lines of main.cf that set each parameter, as they stand there."""
    lines = _ended(text)
    found: dict[str, Lines] = {}
    for entry in entries(text):
        name = entry.text.partition("=")[0].strip(BLANKS)
        found[name] = Lines(found.get(name, "") + _whole(lines, entry))
    return found


def service_lines(text: str) -> dict[tuple[str, str], Lines]:
    """The lines of master.cf of each service by name and type, as they stand there."""
    lines = _ended(text)
    found: dict[tuple[str, str], Lines] = {}
    for entry in entries(text):
        name, kind = (*split_words(entry.text), "", "")[:2]
        found[name, kind] = Lines(found.get((name, kind), "") + _whole(lines, entry))
    return found


def words_of(lines: str | None) -> list[str] | None:
    """The words of lines, without notes."""
    return None if lines is None else [word for entry in entries(lines) for word in split_words(entry.text)]


def set_parameters(text: str, wanted: Mapping[str, str | None]) -> str:
    """main.cf with the parameters as wanted, a value, Lines, or None for not set.

    A parameter keeps its place, a new one comes last. One that has its value already keeps its line, byte for byte.
    """
    found = read_main(text)
    edit = _Edit(text)
    placed = set()
    for entry in entries(text):
        name = entry.text.partition("=")[0].strip(BLANKS)
        if name not in wanted:
            continue
        value = wanted[name]
        again = name in placed
        placed.add(name)
        if not again and value is not None and found[name] == folded(value) == _value(entry):
            continue
        edit.replace(entry, None if again or value is None else _setting(name, value))
    new = [_setting(name, value) for name, value in wanted.items() if value is not None and name not in placed]
    return edit.done(new)


def read_master(text: str) -> tuple[LiveService, ...]:
    """The services of master.cf, in order."""
    found = []
    for entry in entries(text):
        words = split_words(entry.text)
        if len(words) < 8:
            raise FileError(f"line {entry.numbers[0] + 1} is no service: {entry.text[:80]!r}")
        found.append(LiveService(words[0], words[1], tuple(words[:8]), tuple(words[8:])))
    return tuple(found)


def set_services(text: str, wanted: Mapping[tuple[str, str], str | None]) -> str:
    """master.cf with services by name and type, as the lines that are wanted or None for none."""
    read_master(text)
    edit = _Edit(text)
    placed = set()
    for entry in entries(text):
        name, kind = split_words(entry.text)[:2]
        if (name, kind) not in wanted:
            continue
        lines = wanted[name, kind]
        again = (name, kind) in placed
        placed.add((name, kind))
        if not again and words_of(lines) == split_words(entry.text):
            continue
        edit.replace(entry, None if again else lines)
    new = [lines for key, lines in wanted.items() if lines is not None and key not in placed]
    return edit.done(new)


def _lines(text: str) -> list[str]:
    """The physical lines with their ends; nothing but a newline ends one."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _value(entry: Entry) -> str:
    return entry.text.partition("=")[2].strip(BLANKS)


def _ended(text: str) -> list[str]:
    return _lines(text if text.endswith("\n") or not text else f"{text}\n")


def _is_note(line: str) -> bool:
    return line.lstrip(BLANKS)[:1] in ("", "#")


def _whole(lines: list[str], entry: Entry) -> str:
    """The physical lines of an entry, with the notes between them."""
    return "".join(lines[entry.numbers[0] : entry.numbers[-1] + 1])


def _setting(name: str, value: str) -> str:
    if isinstance(value, Lines):
        return value
    if "\n" in value or value != value.strip(BLANKS):
        raise FileError(f"{name}: {value!r} cannot stand in one line")
    return f"{name} = {value}\n" if value else f"{name} =\n"


class _Edit:
    """A text of which some entries get other lines."""

    def __init__(self, text: str) -> None:
        self.lines = _ended(text)
        self.instead: dict[int, str] = {}
        """What stands in the place of a physical line."""

    def replace(self, entry: Entry, value: str | None) -> None:
        """Put other lines in the place of an entry, or nothing. Notes between its lines stay."""
        self.instead.update(dict.fromkeys(entry.numbers, ""))
        if value is not None:
            behind = entry.numbers[-1] + 1
            notes = [line for line in _lines(value) if _is_note(line)]
            if notes and self.lines[behind : behind + len(notes)] == notes:
                self.instead.update(dict.fromkeys(range(behind, behind + len(notes)), ""))
            else:
                value = _bare(value)
            self.instead[entry.numbers[0]] = value

    def done(self, new: Iterable[str]) -> str:
        """The new text, with further lines at its end."""
        kept = [self.instead.get(number, line) for number, line in enumerate(self.lines)]
        return "".join([*kept, *(_bare(lines) for lines in new)])


def _bare(lines: str) -> str:
    """Lines without notes, which are in the file already."""
    return "".join(line for line in _lines(lines) if not _is_note(line))
