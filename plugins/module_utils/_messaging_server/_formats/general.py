# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The general text database (general.txt): keys and template text, without loss.

Source: docs/reference/messaging-server-facts.md#general-database.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .text import (
    BLANKS,
    COMMENTS,
    INCLUDE,
    EditError,
    LogicalLine,
    ended,
    is_blank,
    line_ending,
    logical_lines,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class GeneralText(NamedTuple):
    """The lines as read, and what they define: the first line of a key counts."""

    lines: tuple[LogicalLine, ...]
    values: dict[str, str]


def parse_general(text: str, file: str = "general.txt") -> GeneralText:
    """Read key, blanks, template. Raises MtaTextError for a key without a template or a line that is indented.

    The manuals show no continuation lines in this file; a backslash at the end is data here.
    """
    lines = logical_lines(text, file, joined=False)
    values: dict[str, str] = {}
    for line in lines:
        if is_blank(line.text) or line.text[0] in (*COMMENTS, INCLUDE):
            continue
        if line.text[0] in BLANKS:
            raise line.error(0, "an indented line", "a key in column 1")
        key = line.text.split(" ", 1)[0].split("\t", 1)[0]
        value = line.text[len(key) :].strip(BLANKS)
        if not value:
            raise line.error(len(line.text), f'the key "{key}" without a value', "blanks and a template after it")
        values.setdefault(key, value)
    return GeneralText(tuple(lines), values)


def print_general(parsed: GeneralText) -> str:
    """The text it was read from, byte for byte."""
    return written(parsed.lines)


def set_keys(text: str, prefix: str, wanted: Mapping[str, str]) -> str:
    """Give the file exactly these keys among those that begin with a prefix; every other line stays byte for byte.

    New keys go to the end. Raises EditError for a key or value that would not stay in its field.
    """
    for key, value in wanted.items():
        broken = any(ord(char) <= 32 or ord(char) > 255 for char in key)
        if broken or not value or value != value.strip(BLANKS) or any(ord(char) < 32 for char in value):
            raise EditError(f"{key!r} with {value!r} cannot stand in general.txt")
        if not key.startswith(prefix):
            raise EditError(f"{key!r} does not begin with {prefix!r}")
    ending = line_ending(text)
    missing = dict(wanted)
    result: list[str] = []
    for line in parse_general(text).lines:
        key, _blank, value = line.text.replace("\t", " ").partition(" ")
        if not key.startswith(prefix):
            result.append("".join(line.raw))
        elif key in missing:
            new = missing.pop(key)
            result.append("".join(line.raw) if value.strip(BLANKS) == new else f"{key}  {new}{ending}")
    if missing and result:
        result[-1] = ended(result[-1], ending)
    return "".join([*result, *(f"{key}  {value}{ending}" for key, value in missing.items())])
