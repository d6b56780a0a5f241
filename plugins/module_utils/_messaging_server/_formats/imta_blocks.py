# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of imta.cnf beyond one keyword: the defaults, whole channel blocks, and taking a rule away.

All take and give the whole text and touch only what they name.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta import parse_imta
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta_edit import (
    ImtaEditError,
    replaced,
    word,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta_keywords import (
    group_of,
    keywords_of,
    words_of,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.text import (
    content,
    ends_in_continuation,
    fold,
    is_blank,
    line_ending,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def set_default(text: str, keyword: str) -> str:
    """Give every line of defaults a keyword, in the place of the one of its group; a line is made when there is none.

    Each line counts for the channels behind it and replaces the one before, so all of them need it.
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
    return "".join(
        piece for number, node in enumerate(parsed.nodes) if not first <= number <= last for piece in node.line.raw
    )


def remove_rule(text: str, pattern: str, template: str) -> str:
    """Take the first rewrite rule with this pattern and template away; unchanged when there is none."""
    parsed = parse_imta(text)
    wanted = (fold(pattern), template)
    line = next((rule.line for rule in parsed.rules if (fold(rule.pattern), rule.template) == wanted), None)
    return "".join(piece for node in parsed.nodes if node.line is not line for piece in node.line.raw)


def _without_block(text: str, index: int) -> str:
    """The text without a block of one line and the blank line behind it."""
    nodes = parse_imta(text).nodes
    behind = index + 1 < len(nodes) and nodes[index + 1].kind == "blank"
    gone = {index, index + 1} if behind else {index, index - 1 if index and nodes[index - 1].kind == "blank" else index}
    return "".join(piece for number, node in enumerate(nodes) if number not in gone for piece in node.line.raw)


def _with_block(text: str, lines: Sequence[str], *, first: bool) -> str:
    """The text with a block before the first one of the file, or at its end."""
    parsed = parse_imta(text)
    if any(ends_in_continuation(node.line) for node in parsed.nodes):
        raise ImtaEditError("the file ends behind a backslash, which would join what is added; remove it first")
    ending = line_ending(text)
    block = "".join(line + ending for line in lines)
    raws = ["".join(node.line.raw) for node in parsed.nodes]
    heads = [n for n, node in enumerate(parsed.nodes) if node.kind in {"channel", "defaults"}]
    if first and heads:
        raws[heads[0]] = block + ending + raws[heads[0]]
        return "".join(raws)
    if raws and content(raws[-1]) == raws[-1]:
        raws[-1] += ending
    gap = "" if not raws or (is_blank(content(raws[-1])) and heads) else ending
    return "".join([*raws, gap, block])
