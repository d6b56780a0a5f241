# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""option.dat as data, and what its options change of what this collection writes and reads.

Grammar and options: docs/reference/messaging-server-facts.md#option-file,
docs/reference/messaging-server-facts.md#probe-options.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .text import BLANKS, content, is_blank, physical_lines

COMMENTS = ("!", ";", "#")
"""Fixed for this file, whatever COMMENT_CHARS says."""

_INTEGER = re.compile(r"(?:([0-9]{1,2})%)?([0-9A-Za-z]{1,18})")
"""A whole number, perhaps with its base before it: ``2%101``."""

_FIELD = "are then probed with a further field, for which this role has no entries"


class Changing(NamedTuple):
    """An option that this role does not write for: the values with which nothing changes, and what changes else."""

    name: str
    harmless: frozenset[int]
    effect: str


CHANGING = (
    Changing("ACCESS_ORCPT", frozenset({0}), f"the recipient tables {_FIELD}"),
    Changing("ACCESS_COUNTS", frozenset({0}), f"the recipient tables {_FIELD}"),
    Changing("INCLUDE_CONVERSIONTAG", frozenset({0}), f"the access tables {_FIELD}"),
    Changing(
        "DELIMITER_CHAR",
        frozenset({ord("|")}),
        "another character than the bar then separates the fields of probes, and no entry of this role fits them",
    ),
    Changing(
        "COMMENT_CHARS", frozenset(), "other lines than this role takes for comments are then comments of the files"
    ),
)


def parse_options(text: str) -> dict[str, str]:
    """Return the options by their names in upper case; of several the last counts.

    A backslash at the end of a line continues it, also past comments.
    """
    found: dict[str, str] = {}
    for line in _joined(text):
        name, equals, value = line.partition("=")
        if equals:
            found[name.strip(BLANKS).upper()] = value.strip(BLANKS)
    return found


def as_integer(value: str) -> int | None:
    """Return a value as a whole number, None where it is none."""
    match = _INTEGER.fullmatch(value)
    if match is None:
        return None
    try:
        return int(match[2], int(match[1] or 10))
    except ValueError:  # a base that there is not, or a digit that it has not
        return None


def changing_options(options: dict[str, str]) -> Iterator[str]:
    """Yield a sentence for each option with which entries of this role would not do what they say."""
    for one in CHANGING:
        value = options.get(one.name, "")
        if value and as_integer(value) not in one.harmless:
            yield f"{one.name} is set in option.dat: {one.effect}; remove the option"


def _joined(text: str) -> Iterator[str]:
    waiting = ""
    for raw in physical_lines(text):
        line = content(raw)
        if is_blank(line) or line.startswith(COMMENTS):
            continue
        if line.endswith("\\"):
            waiting += line[:-1]
            continue
        yield waiting + line
        waiting = ""
    if waiting:
        yield waiting
