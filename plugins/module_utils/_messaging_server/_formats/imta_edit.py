# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of imta.cnf that touch only what they name: a keyword of a channel, a rewrite rule.

All take and give the whole text.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta import (
    Channel,
    ImtaFile,
    Rule,
    parse_imta,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta_keywords import (
    group_of,
    words_of,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.text import (
    content,
    ends_in_continuation,
    fold,
    line_ending,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import ReportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.text import LogicalLine


class ImtaEditError(ReportedError):
    """An edit that cannot be made."""


def set_keyword(text: str, channel: str, keyword: str, arguments: Sequence[str] = ()) -> str:
    """Give a channel a keyword with its arguments.

    It takes the place of the keyword of the same group that counts (for example noswitchchannel for switchchannel),
    else it is put behind the last word of the line. Raises ImtaEditError for a channel that is not there and for
    words that would not stay words.
    """
    found = _channel(parse_imta(text), channel)
    written = " ".join([word(keyword, quotable=False), *(word(argument, quotable=True) for argument in arguments)])
    group = group_of(fold(keyword))
    present = [one for one in found.keywords if one.name in group]
    if present and (present[-1].name, present[-1].arguments) == (fold(keyword), tuple(arguments)):
        return text
    if present:
        return replaced(text, found.line, present[-1].start, present[-1].end, written)
    end = words_of(found.line)[-1].end
    return replaced(text, found.line, end, end, f" {written}")


def clear_keyword(text: str, channel: str, keyword: str) -> str:
    """Take a keyword and its arguments away from a channel; unchanged when it is not there."""
    while True:
        found = _channel(parse_imta(text), channel)
        present = [one for one in found.keywords if one.name == fold(keyword)]
        if not present:
            return text
        start = present[-1].start
        # The blank before it goes too; the word before it is on the same line or the name of the channel.
        text = replaced(text, found.line, start - 1, present[-1].end, "")


def ensure_rule(text: str, pattern: str, template: str) -> str:
    """Make this rule the first one of its pattern; new patterns go behind the last rule."""
    for what in (pattern, template):
        if not what or any(ord(char) <= 32 or ord(char) == 127 for char in what) or what.endswith("\\"):
            raise ImtaEditError(f"{what!r} cannot stand in a rewrite rule; expected text without blanks")
    if pattern[0] in "!<":
        raise ImtaEditError(f"{pattern!r} cannot begin a line of imta.cnf")
    parsed = parse_imta(text)
    same = [rule for rule in parsed.rules if fold(rule.pattern) == fold(pattern)]
    if same and same[0].template == template:
        return text
    if any(ends_in_continuation(node.line) for node in parsed.nodes):
        raise ImtaEditError("the file ends behind a backslash, which would join what is added; remove it first")
    result = _with_rule(parsed, same, f"{pattern}\t{template}", template, line_ending(text))
    rules = [one for one in parse_imta(result).rules if fold(one.pattern) == fold(pattern)]
    if not rules or rules[0].template != template:
        raise ImtaEditError(f"rule {pattern!r} cannot be placed; correct the faults of the file first")
    return result


def _with_rule(parsed: ImtaFile, same: list[Rule], rule: str, template: str, ending: str) -> str:
    """The text with a rule in front of the others of its pattern, or behind all rules."""
    raws = ["".join(node.line.raw) for node in parsed.nodes]
    lines = [node.line for node in parsed.nodes]
    for double in same:
        if double.template == template:
            raws[lines.index(double.line)] = ""
    if same:
        at = lines.index(same[0].line)
        raws[at] = rule + ending + raws[at]
    elif parsed.rules:
        at = lines.index(parsed.rules[-1].line)
        raws[at] = (raws[at] if content(raws[at]) != raws[at] else raws[at] + ending) + rule + ending
    else:
        kinds = [node.kind for node in parsed.nodes]
        first = next((n for n, kind in enumerate(kinds) if kind in {"blank", "channel", "defaults"}), len(kinds))
        if first == len(kinds):
            return "".join([*[raw if content(raw) != raw else raw + ending for raw in raws], rule, ending])
        raws[first] = rule + ending + ("" if kinds[first] == "blank" else ending) + raws[first]
    return "".join(raws)


def _channel(parsed: ImtaFile, name: str) -> Channel:
    found = parsed.channel(name)
    if found is None or not any(node.own and node.line is found.line for node in parsed.nodes):
        raise ImtaEditError(f"there is no channel {name!r} in this file")
    return found


def word(text: str, *, quotable: bool) -> str:
    """A word as it is written in a channel block. Raises ImtaEditError for what would not stay one."""
    blank = " " in text
    broken = any(ord(char) < 32 or ord(char) in (34, 92, 127) or ord(char) > 255 for char in text)
    if not text or broken or (blank and not quotable) or (not quotable and text[0] in "!<"):
        raise ImtaEditError(f"{text!r} cannot stand in a channel block")
    return f'"{text}"' if blank else text


def replaced(text: str, line: LogicalLine, start: int, end: int, new: str) -> str:
    """The text with a part of a logical line replaced, which may span physical lines."""
    first = _raw_offset(line, start)
    last = _raw_offset(line, end - 1) + 1 if end > start else first
    if end == start and start:
        first = last = _raw_offset(line, start - 1) + 1
    offset = _line_offset(text, line.number)
    return text[: offset + first] + new + text[offset + last :]


def _raw_offset(line: LogicalLine, offset: int) -> int:
    number, column = line.position(offset)
    return sum(len(raw) for raw in line.raw[: number - line.number]) + column - 1


def _line_offset(text: str, number: int) -> int:
    offset = 0
    for _line in range(number - 1):
        offset = text.index("\n", offset) + 1
    return offset
