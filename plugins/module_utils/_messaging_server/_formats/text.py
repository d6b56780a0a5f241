# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all text files of the message transfer agent have in common: lines, continuation, positions, errors.

Sources: docs/reference/messaging-server-facts.md#comments, docs/reference/messaging-server-facts.md#continuation-lines
and docs/reference/messaging-server-facts.md#includes.

A file is a sequence of logical lines. Each keeps the physical lines it was read from, endings included, so that
printing is concatenation and cannot lose a byte.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, NamedTuple

from ..._policy.errors import ReportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

COMMENTS = ("!", ";")
"""What begins a comment in column one, unless COMMENT_CHARS in option.dat says otherwise."""
INCLUDE = "<"
BLANKS = " \t"

COMMENT_LINES_CONTINUE = False
"""Whether a comment line that ends in a backslash swallows the next line. The manuals do not say; we take the
comment to end with its line, and the lint warns, because a vendor that joins first would lose the next entry."""

MAX_INCLUDE_DEPTH = 8
"""Deepest chain of includes that is followed. The vendor's limit is not known; a chain this long is a loop."""

MAX_INCLUDED = 10_000_000
"""Most text that is read through includes, in characters, and what each include counts at least: files that include
each other in turn would grow without end long before they are too deep."""

INCLUDE_COST = 1_000

_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class EditError(ReportedError):
    """An edit that cannot be made without touching something else."""


class MtaTextError(ReportedError):
    """Something in a text that cannot be read, with its place, as compilers say it.

    ``line`` and ``column`` count from 1; ``column`` counts characters of the physical line.
    """

    def __init__(self, file: str, line: int, column: int, found: str, expected: str) -> None:
        super().__init__(f"{file}:{line}:{column}: {found}; expected {expected}")
        self.file = file
        self.line = line
        self.column = column
        self.found = found
        self.expected = expected


class Fault(NamedTuple):
    """A breach of the grammar: a stable code and the error that says where and what."""

    code: str
    error: MtaTextError


class LogicalLine(NamedTuple):
    """One line as the programs see it.

    ``number`` is the first physical line (from 1), ``raw`` the physical lines with their endings, ``text`` the joined
    line without endings and without the backslashes that join.
    """

    file: str
    number: int
    raw: tuple[str, ...]
    text: str

    def position(self, offset: int) -> tuple[int, int]:
        """Physical line and column (both from 1) of the character at ``offset`` of ``text``."""
        last = len(self.raw) - (2 if ends_in_continuation(self) else 1)
        for index, raw in enumerate(self.raw):
            length = len(content(raw)) - (1 if index < last else 0)
            if offset < length or index == last:
                return self.number + index, offset + 1
            offset -= length
        raise AssertionError("a logical line has at least one physical line")

    def error(self, offset: int, found: str, expected: str) -> MtaTextError:
        """An error that points at the character at ``offset`` of ``text``."""
        line, column = self.position(offset)
        return MtaTextError(self.file, line, column, found, expected)


def content(raw: str) -> str:
    """A physical line without its ending (LF or CR LF)."""
    if raw.endswith("\r\n"):
        return raw[:-2]
    return raw[:-1] if raw.endswith("\n") else raw


def ended(raw: str, ending: str) -> str:
    """A piece of a file with the ending that its last line may lack."""
    return raw if content(raw) != raw else raw + ending


def written(lines: Iterable[LogicalLine]) -> str:
    """The text that lines were read from, byte for byte."""
    return "".join(piece for line in lines for piece in line.raw)


def physical_lines(text: str) -> list[str]:
    """Cut at LF only: other characters that Unicode calls line ends are data in these files."""
    lines = [line + "\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    if not lines[-1]:
        lines.pop()
    return lines


def logical_lines(text: str, file: str, *, joined: bool = True) -> list[LogicalLine]:
    r"""Read lines; with ``joined`` a backslash as very last character joins the next line to this one.

    Joining is pure concatenation: the backslash and the line ending vanish, blanks on both sides stay.
    """
    result: list[LogicalLine] = []
    lines = physical_lines(text)
    index = 0
    while index < len(lines):
        first = index
        line = content(lines[index])
        index += 1
        if not joined or not line.endswith("\\") or (line.startswith(COMMENTS) and not COMMENT_LINES_CONTINUE):
            result.append(LogicalLine(file, first + 1, (lines[first],), line))
            continue
        pieces = [line[:-1]]
        while index < len(lines):
            line = content(lines[index])
            index += 1
            if not line.endswith("\\"):
                pieces.append(line)
                break
            pieces.append(line[:-1])
        else:
            # The file ends in a backslash: an empty piece keeps positions right.
            result.append(LogicalLine(file, first + 1, (*lines[first:index], ""), "".join(pieces)))
            continue
        result.append(LogicalLine(file, first + 1, tuple(lines[first:index]), "".join(pieces)))
    return result


def ends_in_continuation(line: LogicalLine) -> bool:
    """Whether the file ends after the backslash of this line, which then joins nothing."""
    return len(line.raw) > 1 and line.raw[-1] == ""


class LineReader:
    """Reads a file line by line, and the files that it includes in the place of their include lines.

    ``includes``: texts of included files by the name after ``<``; ``missing`` collects the names without a text.
    ``own`` is false while the lines of an included file are read.
    """

    def __init__(self, includes: Mapping[str, str]) -> None:
        self.faults: list[Fault] = []
        self.missing: list[str] = []
        self.own = True
        self._texts = includes
        self._included = 0

    def read(self, text: str, file: str, chain: tuple[str, ...] = ()) -> None:
        """Read a text; ``chain`` are the files that include it, the outermost first."""
        for line in logical_lines(text, file):
            self.own = not chain
            first = line.text[:1]
            if is_blank(line.text):
                self.blank(line)
            elif first in COMMENTS:
                self.add(line, "comment")
            elif first == INCLUDE:
                self.add(line, "include")
                self._include(line, (*chain, file))
            else:
                self.line(line)

    def add(self, line: LogicalLine, kind: str) -> None:
        """Keep a line with its role."""
        raise NotImplementedError

    def blank(self, line: LogicalLine) -> None:
        """Take a blank line."""
        raise NotImplementedError

    def line(self, line: LogicalLine) -> None:
        """Take a line that is neither blank nor a comment nor an include."""
        raise NotImplementedError

    def fault(self, code: str, line: LogicalLine, offset: int, found: str, expected: str) -> None:
        """Note a breach of the grammar at the character at ``offset``."""
        self.faults.append(Fault(code, line.error(offset, found, expected)))

    def _include(self, line: LogicalLine, chain: tuple[str, ...]) -> None:
        name = line.text[1:].strip(BLANKS)
        if not name:
            self.fault("include-name", line, 1, "an include without a file", "the full path of a file")
        elif name in chain or len(chain) > MAX_INCLUDE_DEPTH:
            expected = f"at most {MAX_INCLUDE_DEPTH} includes inside each other"
            self.fault("include-loop", line, 1, f'"{name}" is included again', expected)
        elif name not in self._texts:
            self.missing.append(name)
        else:
            self._included += len(self._texts[name]) + INCLUDE_COST
            if self._included <= MAX_INCLUDED:
                self.read(self._texts[name], name, chain)
            else:
                expected = f"at most {MAX_INCLUDED} characters through includes"
                self.fault("include-size", line, 1, f'"{name}" makes it too much', expected)


def is_blank(text: str) -> bool:
    """A line without anything but blanks and tabs counts as blank."""
    return not text.strip(BLANKS)


def line_ending(text: str) -> str:
    """The ending the text uses in its first line, LF when it has none; what we write uses the same."""
    end = text.find("\n")
    return "\r\n" if end > 0 and text[end - 1] == "\r" else "\n"


def decode(data: bytes) -> str:
    """Bytes of a file as text, one character for one byte (Latin-1), so that `encode` gives them back."""
    return data.decode("latin-1")


def encode(text: str) -> bytes:
    """Inverse of :func:`decode`. Raises UnicodeEncodeError for a character that no byte stands for."""
    return text.encode("latin-1")


def fold(text: str) -> str:
    """Lower case of the letters A to Z only.

    Comparison is case-blind (docs/reference/messaging-server-facts.md#quoting);
    for letters beyond ASCII the manuals are silent, so those compare exactly.
    The length never changes, which ``str.lower`` does not promise.
    """
    return text.lower() if text.isascii() else text.translate(_FOLD)
