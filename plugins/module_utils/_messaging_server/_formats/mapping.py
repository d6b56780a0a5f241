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

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.text import (
    BLANKS,
    COMMENT,
    INCLUDE,
    Fault,
    Includes,
    LogicalLine,
    MtaTextError,
    is_blank,
    logical_lines,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIELD = re.compile(r"(?:[^$ \t]+|\$.?)*", re.DOTALL)


class Entry(NamedTuple):
    """One pattern and its template, as written; ``rest`` is what stands behind the template and is not part of it.

    ``pattern_at`` and ``template_at`` are offsets in ``line.text``.
    """

    line: LogicalLine
    pattern: str
    template: str
    rest: str
    pattern_at: int
    template_at: int


class Table(NamedTuple):
    """A mapping table: its name as written, the line of the name, its entries in order."""

    name: str
    line: LogicalLine
    entries: tuple[Entry, ...]


class Node(NamedTuple):
    """A logical line and its role: comment, blank, include, name, entry or stray.

    ``table`` is the index of the table it belongs to, -1 for none. ``own`` is false for lines of included files.
    """

    line: LogicalLine
    kind: str
    table: int
    entry: Entry | None
    own: bool


class MappingFile(NamedTuple):
    """A mapping file that was read. ``missing`` names the includes whose text was not given."""

    nodes: tuple[Node, ...]
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

    ``includes`` gives the texts of included files by the name that stands behind ``<``; their lines count where the
    include stands. Without a text the include is kept, named in ``missing`` and not followed. The last few texts are
    remembered, as editors and lints read the same one again and again.
    """
    return _parse(text, file, tuple(sorted((includes or {}).items())))


@lru_cache(maxsize=4)
def _parse(text: str, file: str, includes: tuple[tuple[str, str], ...]) -> MappingFile:
    reader = _Reader(dict(includes))
    reader.read(text, file, ())
    tables = tuple(Table(name, line, tuple(entries)) for (name, line), entries in zip(reader.names, reader.entries))
    return MappingFile(tuple(reader.nodes), tables, tuple(reader.faults), tuple(reader.includes.missing))


def print_mappings(parsed: MappingFile) -> str:
    """The text the file was read from, byte for byte."""
    return "".join(piece for node in parsed.nodes if node.own for piece in node.line.raw)


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


class _Reader:
    """The state of reading: which table is open and how far it has come."""

    def __init__(self, includes: Mapping[str, str]) -> None:
        self.includes = Includes(includes)
        self.nodes: list[Node] = []
        self.names: list[tuple[str, LogicalLine]] = []
        self.entries: list[list[Entry]] = []
        self.faults: list[Fault] = []
        self.seen: dict[str, LogicalLine] = {}
        # outside: no table yet; named: right behind a name; open: entries may come; closed: a second blank line came,
        # which ends a table, also behind a comment or in front of its first entry:
        # docs/reference/messaging-server-facts.md#mapping-tables.
        self.state = "outside"
        self.column_one = ""

    def read(self, text: str, file: str, chain: tuple[str, ...]) -> None:
        own = not chain
        for line in logical_lines(text, file):
            first = line.text[:1]
            if is_blank(line.text):
                self._blank(line, own)
            elif first == COMMENT:
                self._add(line, "comment", own)
            elif first == INCLUDE:
                self._include(line, own, (*chain, file))
            elif first in BLANKS:
                self._entry(line, own)
            else:
                self._name(line, own)

    def _add(self, line: LogicalLine, kind: str, own: bool, entry: Entry | None = None) -> None:
        table = len(self.names) - 1 if self.state in {"named", "open"} else -1
        self.nodes.append(Node(line, kind, table, entry, own))

    def _fault(self, code: str, error: MtaTextError) -> None:
        self.faults.append(Fault(code, error))

    def _blank(self, line: LogicalLine, own: bool) -> None:
        if self.state == "named":
            self.state = "open"
            self._add(line, "blank", own)
            return
        if self.state == "open":
            self.state = "closed"
        self._add(line, "blank", own)

    def _include(self, line: LogicalLine, own: bool, chain: tuple[str, ...]) -> None:
        self._add(line, "include", own)
        found = self.includes.open(line, chain)
        if isinstance(found, Fault):
            self.faults.append(found)
        elif found is not None:
            self.read(found[1], found[0], chain)

    def _entry(self, line: LogicalLine, own: bool) -> None:
        entry = read_entry(line)
        if self.state in {"outside", "closed"}:
            self._add(line, "stray", own, entry)
            if self.state == "closed":
                found = f"a blank line ends table {self.names[-1][0]}, so this entry belongs to no table"
                expected = "no blank line between the entries of a table"
            elif self.column_one:
                found, expected = f'no table is open behind "{self.column_one}"', "a table name in column 1 before it"
            else:
                found, expected = "an entry before any table", "a table name in column 1 before it"
            self._fault("orphaned-entry", line.error(entry.pattern_at, found, expected))
            return
        if self.state == "named":
            self._fault(
                "no-blank-after-name",
                line.error(
                    entry.pattern_at,
                    f"an entry right behind the name of table {self.names[-1][0]}",
                    "a blank line after the table name",
                ),
            )
            self.state = "open"
        self._add(line, "entry", own, entry)
        if not entry.template:
            self._fault(
                "no-template",
                line.error(
                    len(line.text.rstrip(BLANKS)),
                    f'the pattern "{entry.pattern}" stands alone',
                    "a blank and a template",
                ),
            )
            return
        self.entries[-1].append(entry)

    def _name(self, line: LogicalLine, own: bool) -> None:
        name = line.text.rstrip(BLANKS)
        if not (name[0].isascii() and name[0].isalpha()):
            self._stray_name(
                line, own, f'"{name[:40]}" in column 1', "a table name (a letter first), or blanks before an entry"
            )
            return
        gap = next((offset for offset, char in enumerate(name) if char in BLANKS), -1)
        if gap >= 0:
            self._stray_name(
                line, own, f'"{name[:40]}" in column 1 is taken as a table name', "no blank in it; entries are indented"
            )
            return
        if self.state == "open" and self.entries[-1]:
            self._fault(
                "no-blank-before-name",
                line.error(0, f'the table name "{name}" right behind an entry', "a blank line before a table name"),
            )
        elif self.state == "named":
            self._fault(
                "no-blank-after-name",
                line.error(0, f'"{name}" right behind the table name', "a blank line after the table name"),
            )
        key = name.upper()
        if key in self.seen:
            self._fault(
                "duplicate-table",
                line.error(0, f'table "{name}" was already defined in line {self.seen[key].number}', "each name once"),
            )
        self.seen.setdefault(key, line)
        self.names.append((name, line))
        self.entries.append([])
        self.state = "named"
        self._add(line, "name", own)

    def _stray_name(self, line: LogicalLine, own: bool, found: str, expected: str) -> None:
        """Something in column 1 that cannot be a name ends the table before it, as a name would."""
        self.state = "outside"
        self.column_one = line.text.rstrip(BLANKS)[:40]
        self._add(line, "stray", own)
        self._fault("entry-in-column-one", line.error(0, found, expected))
