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

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import ReportedError

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMENT = "!"
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


class Finding(NamedTuple):
    """One remark of a lint: where, which rule, what is wrong and what to do."""

    line: int
    code: str
    message: str
    hint: str


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
        if not joined or not line.endswith("\\") or (line.startswith(COMMENT) and not COMMENT_LINES_CONTINUE):
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
            # The file ends behind a backslash: an empty piece keeps positions right.
            result.append(LogicalLine(file, first + 1, (*lines[first:index], ""), "".join(pieces)))
            continue
        result.append(LogicalLine(file, first + 1, tuple(lines[first:index]), "".join(pieces)))
    return result


def ends_in_continuation(line: LogicalLine) -> bool:
    """Whether the file ends behind the backslash of this line, which then joins nothing."""
    return len(line.raw) > 1 and line.raw[-1] == ""


class Includes:
    """Texts of included files by the name behind ``<``, and the bounds of following them.

    ``missing`` collects the names whose text was not given.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self._size = 0
        self.missing: list[str] = []

    def open(self, line: LogicalLine, chain: tuple[str, ...]) -> tuple[str, str] | Fault | None:
        """Name and text of the file an include line names, None without its text, or what is wrong with the line.

        ``chain`` are the files that are being read, the outermost first.
        """
        name = line.text[1:].strip(BLANKS)
        if not name:
            return Fault("include-name", line.error(1, "an include without a file", "the full path of a file"))
        if name in chain or len(chain) > MAX_INCLUDE_DEPTH:
            expected = f"at most {MAX_INCLUDE_DEPTH} includes inside each other"
            return Fault("include-loop", line.error(1, f'"{name}" is included again', expected))
        if name not in self._texts:
            self.missing.append(name)
            return None
        self._size += len(self._texts[name]) + INCLUDE_COST
        if self._size > MAX_INCLUDED:
            expected = f"at most {MAX_INCLUDED} characters through includes"
            return Fault("include-size", line.error(1, f'"{name}" makes it too much', expected))
        return name, self._texts[name]


def is_blank(text: str) -> bool:
    """A line without anything but blanks and tabs counts as blank."""
    return not text.strip(BLANKS)


def line_ending(text: str) -> str:
    """The ending the text uses in its first line, LF when it has none; what we write uses the same."""
    end = text.find("\n")
    return "\r\n" if end > 0 and text[end - 1] == "\r" else "\n"


def decode(data: bytes) -> str:
    """Bytes of a file as text, one character for one byte (Latin-1), so that nothing is lost on the way back."""
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
