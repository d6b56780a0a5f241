# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of imta.cnf that touch only what they name: keywords, rewrite rules, channel blocks and lines of defaults.

All take and give the whole text.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._policy.errors import ReportedError
from .imta import Channel, ImtaFile, Rule, parse_imta
from .imta_keywords import FIXED_ARGUMENTS, group_of, keywords_of, words_of
from .text import LogicalLine, content, ended, ends_in_continuation, fold, is_blank, line_ending, written

if TYPE_CHECKING:
    from collections.abc import Sequence


class ImtaEditError(ReportedError):
    """An edit that cannot be made."""


def set_keyword(text: str, channel: str, keyword: str, arguments: Sequence[str] = ()) -> str:
    """Give a channel a keyword with its arguments.

    It takes the place of the keyword of the same group that counts (for example noswitchchannel for switchchannel),
    else it is put after the last word of the line. Raises ImtaEditError for a channel that is not there and for
    words that would not stay words.
    """
    found = _channel(parse_imta(text), channel)
    words = " ".join([word(keyword, quotable=False), *(word(argument, quotable=True) for argument in arguments)])
    group = group_of(fold(keyword))
    present = [one for one in found.keywords if one.name in group]
    if present and (present[-1].name, present[-1].arguments) == (fold(keyword), tuple(arguments)):
        return text
    if present:
        return replaced(text, found.line, present[-1].start, present[-1].end, words)
    last = found.keywords[-1] if found.keywords else None
    if last is not None and len(last.arguments) < FIXED_ARGUMENTS.get(last.name, 0):
        raise ImtaEditError(
            f"channel {channel}: keyword {last.name} at the end of the line lacks its argument, so that nothing can be "
            "put after it; complete or remove it"
        )
    end = words_of(found.line)[-1].end
    return replaced(text, found.line, end, end, f" {words}")


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
    """Make this rule the first one of its pattern; new patterns go after the last rule."""
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
        raise ImtaEditError("the file ends in a backslash, which would join what is added; remove it first")
    result = _with_rule(parsed, same, f"{pattern}\t{template}", template, line_ending(text))
    rules = [one for one in parse_imta(result).rules if fold(one.pattern) == fold(pattern)]
    if not rules or rules[0].template != template:
        raise ImtaEditError(f"rule {pattern!r} cannot be placed; correct the faults of the file first")
    return result


def _with_rule(parsed: ImtaFile, same: list[Rule], rule: str, template: str, ending: str) -> str:
    """The text with a rule before the others of its pattern, or after all rules."""
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
        raws[at] = ended(raws[at], ending) + rule + ending
    else:
        kinds = [node.kind for node in parsed.nodes]
        first = next((n for n, kind in enumerate(kinds) if kind in {"blank", "channel", "defaults"}), len(kinds))
        if first == len(kinds):
            return "".join([*[ended(raw, ending) for raw in raws], rule, ending])
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


def set_default(text: str, keyword: str) -> str:
    """Give every line of defaults a keyword, in the place of the one of its group; a line is made when there is none.

    Each line counts for the channels after it and replaces the one before, so all of them need it.
    """
    name = word(keyword, quotable=False)
    for number in range(len(parse_imta(text).defaults)):
        line = parse_imta(text).defaults[number]
        words = words_of(line)
        if fold(words[0].text) != "defaults":
            continue
        present = [one for one in keywords_of(words[1:]) if one.name in group_of(fold(name))]
        if not present:
            text = replaced(text, line, words[-1].end, words[-1].end, f" {name}")
        elif present[-1].name != fold(name):
            text = replaced(text, line, present[-1].start, present[-1].end, name)
    if any(fold(words_of(line)[0].text) == "defaults" for line in parse_imta(text).defaults):
        return text
    return _with_block(text, [f"defaults {name}"], first=True)


def default_words(text: str, keyword: str) -> tuple[str, ...]:
    """What each line of defaults has in the place of a keyword; empty where it has nothing of its group."""
    found = []
    for line in parse_imta(text).defaults:
        words = words_of(line)
        if fold(words[0].text) == "defaults":
            present = [one for one in keywords_of(words[1:]) if one.name in group_of(fold(keyword))]
            found.append(present[-1].name if present else "")
    return tuple(found)


def restore_defaults(text: str, keyword: str, before: Sequence[str]) -> str:
    """Undo `set_default`: ``before`` is what `default_words` said then. Lines that have changed since are left."""
    if not before:
        block = f"defaults {keyword}"
        parsed = parse_imta(text)
        own = next((node for node in parsed.nodes if node.kind == "defaults" and node.line.text == block), None)
        return text if own is None else _without_block(text, parsed.nodes.index(own))
    number = 0
    for index in range(len(parse_imta(text).defaults)):
        line = parse_imta(text).defaults[index]
        words = words_of(line)
        if fold(words[0].text) != "defaults":
            continue
        old = before[number] if number < len(before) else fold(keyword)
        number += 1
        managed = [one for one in keywords_of(words[1:]) if one.name == fold(keyword)]
        if managed and old != fold(keyword):
            start = managed[-1].start if old else managed[-1].start - 1
            text = replaced(text, line, start, managed[-1].end, old)
    return text


def add_channel(text: str, name: str, keywords: Sequence[str], host: str) -> str:
    """Add a channel block at the end; unchanged when there is a channel of this name.

    Raises ImtaEditError when another channel has the host name.
    """
    parsed = parse_imta(text)
    if parsed.channel(name) is not None:
        return text
    other = parsed.channel_of_host(host)
    if other is not None:
        raise ImtaEditError(f"{host!r} is already the host name of channel {other.name}")
    head = " ".join(word(one, quotable=False) for one in (name, *keywords))
    result = _with_block(text, [head, word(host, quotable=False)], first=False)
    made = parse_imta(result).channel(name)
    if made is None or made.hosts != (host,) or len(parse_imta(result).channels) != len(parsed.channels) + 1:
        raise ImtaEditError(f"channel {name!r} cannot be added; correct the faults of the file first")
    return result


def remove_channel(text: str, name: str) -> str:
    """Take a channel block away, with the blank line before it; unchanged when it is not there."""
    parsed = parse_imta(text)
    index = next((n for n, one in enumerate(parsed.channels) if fold(one.name) == fold(name)), None)
    if index is None:
        return text
    own = [n for n, node in enumerate(parsed.nodes) if node.own and node.line is parsed.channels[index].line]
    if not own:
        raise ImtaEditError(f"there is no channel {name!r} in this file")
    first = own[0]
    last = first
    while last + 1 < len(parsed.nodes) and parsed.nodes[last + 1].kind == "host":
        last += 1
    if first and parsed.nodes[first - 1].kind == "blank":
        first -= 1
    return written(node.line for number, node in enumerate(parsed.nodes) if not first <= number <= last)


def remove_rule(text: str, pattern: str, template: str) -> str:
    """Take the first rewrite rule with this pattern and template away; unchanged when there is none."""
    parsed = parse_imta(text)
    wanted = (fold(pattern), template)
    line = next((rule.line for rule in parsed.rules if (fold(rule.pattern), rule.template) == wanted), None)
    return written(node.line for node in parsed.nodes if node.line is not line)


def _without_block(text: str, index: int) -> str:
    """The text without a block of one line and the blank line after it."""
    nodes = parse_imta(text).nodes
    after = index + 1 < len(nodes) and nodes[index + 1].kind == "blank"
    gone = {index, index + 1} if after else {index, index - 1 if index and nodes[index - 1].kind == "blank" else index}
    return written(node.line for number, node in enumerate(nodes) if number not in gone)


def _with_block(text: str, lines: Sequence[str], *, first: bool) -> str:
    """The text with a block before the first one of the file, or at its end."""
    parsed = parse_imta(text)
    if any(ends_in_continuation(node.line) for node in parsed.nodes):
        raise ImtaEditError("the file ends in a backslash, which would join what is added; remove it first")
    ending = line_ending(text)
    block = "".join(line + ending for line in lines)
    raws = ["".join(node.line.raw) for node in parsed.nodes]
    heads = [n for n, node in enumerate(parsed.nodes) if node.kind in {"channel", "defaults"}]
    if first and heads:
        raws[heads[0]] = block + ending + raws[heads[0]]
        return "".join(raws)
    if raws:
        raws[-1] = ended(raws[-1], ending)
    gap = "" if not raws or (is_blank(content(raws[-1])) and heads) else ending
    return "".join([*raws, gap, block])
