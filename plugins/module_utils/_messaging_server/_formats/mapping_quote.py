# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quoting of values that go into mapping entries, and entries from finished fields.

Sources: docs/reference/messaging-server-facts.md#quoting, docs/reference/messaging-server-facts.md#lengths and
docs/reference/messaging-server-facts.md#flag-arguments (bars). A value either stays in its field or is an error.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import NamedTuple

from ..._policy.errors import ReportedError
from .mapping import read_entry
from .mapping_pattern import PatternError, compile_pattern
from .mapping_template import TemplateError, compile_template
from .text import LogicalLine


class Limits(NamedTuple):
    """Longest pattern, template and logical line of a release, in characters."""

    pattern: int
    template: int
    line: int


LIMITS = {"6-2005q4": Limits(252, 252, 4096), "6.3": Limits(256, 1024, 4096)}
"""By release. For 5.x and 6 2005Q4 no limit of the line is stated; pattern, template and the blanks fit anyway."""

_QUOTED = {"pattern": "$*% \t", "text": "$ \t", "callout": "$ \t"}
"""What is quoted by a dollar sign, and what is not accepted, by where a value goes."""

_FORBIDDEN = {"pattern": "|\\", "text": "|\\", "callout": "|\\]"}


class QuoteError(ReportedError):
    """A value that cannot stand where it should."""


def quote(value: str, where: str) -> str:
    r"""A value as literal text of a ``pattern``, of the ``text`` of a template, or of a ``callout`` argument.

    Not accepted are control characters (a line end would begin a new entry), characters that no byte stands for, the
    backslash (at the end of a line it joins the next one) and the bar (it separates fields and arguments); in a
    callout also its closing bracket. Raises QuoteError with the value.
    """
    forbidden = _FORBIDDEN[where]
    for char in value:
        if char in forbidden or (ord(char) < 32 and char != "\t") or ord(char) == 127 or ord(char) > 255:
            raise QuoteError(f"{value!r}: {char!r} cannot stand in the {where} of a mapping entry")
    return "".join(f"${char}" if char in _QUOTED[where] else char for char in value)


def format_entry(pattern: str, template: str, release: str = "6-2005q4", ending: str = "\n") -> str:
    """An entry line from a finished pattern and template.

    Raises QuoteError when one of them cannot be read back as it is, or is longer than the release takes.
    """
    limits = LIMITS[release]
    for what, text, limit in (("pattern", pattern, limits.pattern), ("template", template, limits.template)):
        if len(text) > limit:
            raise QuoteError(f"{what} {text!r} has {len(text)} characters; release {release} takes {limit}")
    line = f"  {pattern}  {template}"
    if len(line) > limits.line:
        raise QuoteError(f"entry {line!r} has {len(line)} characters; release {release} takes {limits.line}")
    entry = read_entry(LogicalLine("entry", 1, (line,), line))
    broken = any(ord(char) < 32 and char != "\t" for char in line) or line.endswith("\\")
    if broken or (entry.pattern, entry.template, entry.rest) != (pattern, template, "") or not (pattern and template):
        raise QuoteError(f"pattern {pattern!r} with template {template!r} is not one entry; expected quoted blanks")
    try:
        compile_pattern(pattern)
        compile_template(template)
    except (PatternError, TemplateError) as e:
        raise QuoteError(f"pattern {pattern!r} with template {template!r}: {e}") from e
    return line + ending
