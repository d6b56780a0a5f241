# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mapping file as data: tables, entries, comments, includes, without loss.

Grammar: docs/reference/messaging-server-facts.md#mapping-file.

The reader takes every text. What the grammar forbids becomes a located fault: a lint shows them all, an evaluation
stops at the first, and printing gives the text back in both cases.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from .text import BLANKS, Fault, LineReader, LogicalLine, written

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELD = re.compile(r"(?:[^$ \t]+|\$.?)*", re.DOTALL)


class Pair(NamedTuple):
    """Pattern and template of an entry, or of a rewrite rule, as they are written."""

    pattern: str
    template: str


class Entry(NamedTuple):
    """One pattern and its template, as written; ``rest`` is what stands after the template and is not part of it.

    ``pattern_at`` and ``template_at`` are offsets in ``line.text``.
    """

    line: LogicalLine
    pattern: str
    template: str
    rest: str
    pattern_at: int
    template_at: int

    @property
    def pair(self) -> Pair:
        """What the entry says."""
        return Pair(self.pattern, self.template)


class Table(NamedTuple):
    """A mapping table: its name as written, the line of the name, its entries in order."""

    name: str
    line: LogicalLine
    entries: tuple[Entry, ...]

    def pairs(self) -> list[Pair]:
        """What the entries say, in order."""
        return [entry.pair for entry in self.entries]


class MappingNode(NamedTuple):
    """A logical line and its role: comment, blank, include, name, entry or stray.

    ``table`` is the index of the table it belongs to, -1 for none. ``own`` is false for lines of included files.
    """

    line: LogicalLine
    kind: str
    table: int
    own: bool


class MappingFile(NamedTuple):
    """A mapping file that was read. ``missing`` names the includes whose text was not given."""

    nodes: tuple[MappingNode, ...]
    tables: tuple[Table, ...]
    faults: tuple[Fault, ...]
    missing: tuple[str, ...]

    def require_sound(self) -> MappingFile:
        """This file, or the error of its first fault."""
        if self.faults:
            raise self.faults[0].error
        return self


def parse_mappings(text: str, file: str = "mappings", includes: Mapping[str, str] | None = None) -> MappingFile:
    """Read a mapping file.

    ``includes`` gives the texts of included files by the name that stands after ``<``; their lines count where the
    include stands. Without a text the include is kept, named in ``missing`` and not followed. The last few texts are
    remembered, as editors and lints read the same one again and again.
    """
    return _parse(text, file, tuple(sorted((includes or {}).items())))


@lru_cache(maxsize=4)
def _parse(text: str, file: str, includes: tuple[tuple[str, str], ...]) -> MappingFile:
    reader = _MappingReader(dict(includes))
    reader.read(text, file)
    tables = tuple(Table(name, line, tuple(entries)) for (name, line), entries in zip(reader.names, reader.entries))
    return MappingFile(tuple(reader.nodes), tables, tuple(reader.faults), tuple(reader.missing))


def print_mappings(parsed: MappingFile) -> str:
    """The text the file was read from, byte for byte."""
    return written(node.line for node in parsed.nodes if node.own)


def read_entry(line: LogicalLine) -> Entry:
    """Cut an indented line into pattern, template and rest; a dollar sign takes the next character with it."""
    text = line.text
    start = len(text) - len(text.lstrip(BLANKS))
    end = _field_end(text, start)
    template_at = end + len(text[end:]) - len(text[end:].lstrip(BLANKS))
    template_end = _field_end(text, template_at)
    rest = text[template_end:].strip(BLANKS)
    return Entry(line, text[start:end], text[template_at:template_end], rest, start, template_at)


def _field_end(text: str, start: int) -> int:
    found = _FIELD.match(text, start)
    return found.end() if found else start


class _MappingReader(LineReader):
    """The state of reading: which table is open and how far it has come."""

    def __init__(self, includes: Mapping[str, str]) -> None:
        super().__init__(includes)
        self.nodes: list[MappingNode] = []
        self.names: list[tuple[str, LogicalLine]] = []
        self.entries: list[list[Entry]] = []
        self.seen: dict[str, LogicalLine] = {}
        # outside: no table yet; named: right after a name; open: entries may come; closed: a second blank line came,
        # which ends a table, also after a comment or before its first entry:
        # docs/reference/messaging-server-facts.md#mapping-tables.
        self.state = "outside"
        self.column_one = ""

    def add(self, line: LogicalLine, kind: str) -> None:
        table = len(self.names) - 1 if self.state in {"named", "open"} else -1
        self.nodes.append(MappingNode(line, kind, table, self.own))

    def blank(self, line: LogicalLine) -> None:
        if self.state == "named":
            self.state = "open"
        elif self.state == "open":
            self.state = "closed"
        self.add(line, "blank")

    def line(self, line: LogicalLine) -> None:
        if line.text[0] in BLANKS:
            self._entry(line)
        else:
            self._name(line)

    def _entry(self, line: LogicalLine) -> None:
        entry = read_entry(line)
        if self.state in {"outside", "closed"}:
            self.add(line, "stray")
            if self.state == "closed":
                found = f"a blank line ends table {self.names[-1][0]}, so this entry belongs to no table"
                expected = "no blank line between the entries of a table"
            elif self.column_one:
                found, expected = f'no table is open after "{self.column_one}"', "a table name in column 1 before it"
            else:
                found, expected = "an entry before any table", "a table name in column 1 before it"
            self.fault("orphaned-entry", line, entry.pattern_at, found, expected)
            return
        if self.state == "named":
            found = f"an entry right after the name of table {self.names[-1][0]}"
            self.fault("no-blank-after-name", line, entry.pattern_at, found, "a blank line after the table name")
            self.state = "open"
        self.add(line, "entry")
        if not entry.template:
            end, found = len(line.text.rstrip(BLANKS)), f'the pattern "{entry.pattern}" stands alone'
            self.fault("no-template", line, end, found, "a blank and a template")
            return
        self.entries[-1].append(entry)

    def _name(self, line: LogicalLine) -> None:
        name = line.text.rstrip(BLANKS)
        if not (name[0].isascii() and name[0].isalpha()):
            expected = "a table name (a letter first), or blanks before an entry"
            self._stray_name(line, f'"{name[:40]}" in column 1', expected)
            return
        if any(char in BLANKS for char in name):
            found = f'"{name[:40]}" in column 1 is taken as a table name'
            self._stray_name(line, found, "no blank in it; entries are indented")
            return
        if self.state == "open" and self.entries[-1]:
            found = f'the table name "{name}" right after an entry'
            self.fault("no-blank-before-name", line, 0, found, "a blank line before a table name")
        elif self.state == "named":
            found = f'"{name}" right after the table name'
            self.fault("no-blank-after-name", line, 0, found, "a blank line after the table name")
        first = self.seen.setdefault(name.upper(), line)
        if first is not line:
            found = f'table "{name}" was already defined in line {first.number}'
            self.fault("duplicate-table", line, 0, found, "each name once")
        self.names.append((name, line))
        self.entries.append([])
        self.state = "named"
        self.add(line, "name")

    def _stray_name(self, line: LogicalLine, found: str, expected: str) -> None:
        """Something in column 1 that cannot be a name ends the table before it, as a name would."""
        self.state = "outside"
        self.column_one = line.text.rstrip(BLANKS)[:40]
        self.add(line, "stray")
        self.fault("entry-in-column-one", line, 0, found, expected)
