# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The general text database (general.txt): keys and template text, without loss.

Private to this collection. Source: messaging-server.md sections 3.4 and 11.
"""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.mailhost.hardening.plugins.module_utils._mta_text import (
    BLANKS,
    COMMENT,
    INCLUDE,
    LogicalLine,
    is_blank,
    logical_lines,
)


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
        if is_blank(line.text) or line.text[0] in (COMMENT, INCLUDE):
            continue
        if line.text[0] in BLANKS:
            raise line.error(0, "an indented line", "a key in column 1")
        key = line.text.split(" ", 1)[0].split("\t", 1)[0]
        value = line.text[len(key) :].strip(BLANKS)
        if not value:
            raise line.error(len(line.text), f'the key "{key}" without a value', "blanks and a template behind it")
        values.setdefault(key, value)
    return GeneralText(tuple(lines), values)


def print_general(parsed: GeneralText) -> str:
    """The text it was read from, byte for byte."""
    return "".join(piece for line in parsed.lines for piece in line.raw)
