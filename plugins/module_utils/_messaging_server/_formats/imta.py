# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""imta.cnf as data: rewrite rules and channel blocks, without loss.

Grammar: docs/reference/messaging-server-facts.md#imta-file. As with mapping files every text is read; what the grammar
forbids is a located fault.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .imta_keywords import MAX_CHANNEL_NAME, SMTP_KEYWORDS, STORE_KEYWORDS, Keyword, group_of, keywords_of, words_of
from .text import (
    BLANKS,
    COMMENTS,
    INCLUDE,
    Fault,
    LineReader,
    LogicalLine,
    MtaTextError,
    fold,
    is_blank,
    logical_lines,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class Rule(NamedTuple):
    """A rewrite rule; ``template_at`` is the template's offset in the text of its line."""

    line: LogicalLine
    pattern: str
    template: str
    template_at: int


class Channel(NamedTuple):
    """A channel block: its first line, keywords, host names (the official one first), and the defaults before it."""

    line: LogicalLine
    name: str
    keywords: tuple[Keyword, ...]
    hosts: tuple[str, ...]
    defaults: tuple[Keyword, ...]

    def setting(self, name: str) -> Keyword | None:
        """The keyword that counts of the group a keyword belongs to: the last of the channel, else of the defaults."""
        group = group_of(name)
        for keywords in (self.keywords, self.defaults):
            for keyword in reversed(keywords):
                if keyword.name in group:
                    return keyword
        return None

    def has(self, name: str) -> bool:
        """Whether this keyword is the one that counts."""
        found = self.setting(name)
        return found is not None and found.name == name

    def leaves(self) -> bool:
        """Whether mail for this channel leaves the host for a server that may send it on."""
        speaks = any(self.has(keyword) for keyword in SMTP_KEYWORDS) or fold(self.name).startswith("tcp_")
        return speaks and not any(self.has(keyword) for keyword in STORE_KEYWORDS)


class ImtaNode(NamedTuple):
    """A logical line and its role: comment, blank, include, rule, channel, host, defaults or stray.

    ``channel`` is the index of the channel it belongs to, -1 for none. ``own`` is false for lines of included files.
    """

    line: LogicalLine
    kind: str
    channel: int
    own: bool


class ImtaFile(NamedTuple):
    """An imta.cnf that was read. ``missing`` names the includes whose text was not given.

    ``by_name`` and ``by_host`` find channels by folded name and host name; the first one counts.
    """

    nodes: tuple[ImtaNode, ...]
    rules: tuple[Rule, ...]
    channels: tuple[Channel, ...]
    defaults: tuple[LogicalLine, ...]
    faults: tuple[Fault, ...]
    missing: tuple[str, ...]
    by_name: dict[str, Channel]
    by_host: dict[str, Channel]

    def require_sound(self) -> ImtaFile:
        """This file, or the error of its first fault."""
        if self.faults:
            raise self.faults[0].error
        return self

    def channel(self, name: str) -> Channel | None:
        """The channel of this name."""
        return self.by_name.get(fold(name))

    def channel_of_host(self, system: str) -> Channel | None:
        """The channel that has this system among its host names."""
        return self.by_host.get(fold(system))


def parse_imta(text: str, file: str = "imta.cnf", includes: Mapping[str, str] | None = None) -> ImtaFile:
    """Read an imta.cnf.

    A text whose first line cannot be a rewrite rule (neither ``$`` nor ``@`` in its second word) is taken as a
    fragment that has channel blocks only.
    """
    reader = _ImtaReader(includes or {}, in_rules=_begins_with_rules(text))
    reader.read(text, file)
    reader.close_block()
    by_name: dict[str, Channel] = {}
    by_host: dict[str, Channel] = {}
    for channel in reader.channels:
        by_name.setdefault(fold(channel.name), channel)
        for host in channel.hosts:
            by_host.setdefault(fold(host), channel)
    return ImtaFile(
        tuple(reader.nodes),
        tuple(reader.rules),
        tuple(reader.channels),
        tuple(reader.default_lines),
        tuple(reader.faults),
        tuple(reader.missing),
        by_name,
        by_host,
    )


def print_imta(parsed: ImtaFile) -> str:
    """The text the file was read from, byte for byte."""
    return written(node.line for node in parsed.nodes if node.own)


def _begins_with_rules(text: str) -> bool:
    for line in logical_lines(text, ""):
        if is_blank(line.text):
            return True
        if line.text[0] not in (*COMMENTS, INCLUDE):
            words = line.text.split(None, 2)
            return len(words) < 2 or "$" in words[1] or "@" in words[1]
    return True


class _ImtaReader(LineReader):
    """The state of reading: in the rules, or which lines of a block have come."""

    def __init__(self, includes: Mapping[str, str], *, in_rules: bool) -> None:
        super().__init__(includes)
        self.in_rules = in_rules
        self.nodes: list[ImtaNode] = []
        self.rules: list[Rule] = []
        self.channels: list[Channel] = []
        self.default_lines: list[LogicalLine] = []
        self.defaults: tuple[Keyword, ...] = ()
        self.names: dict[str, int] = {}
        self.block = ""  # "", "channel" or "defaults"
        self.head: LogicalLine | None = None
        self.name = ""
        self.keywords: tuple[Keyword, ...] = ()
        self.hosts: list[str] = []

    def add(self, line: LogicalLine, kind: str) -> None:
        self.nodes.append(ImtaNode(line, kind, len(self.channels) if self.block == "channel" else -1, self.own))

    def blank(self, line: LogicalLine) -> None:
        self.in_rules = False
        self.close_block()
        self.add(line, "blank")

    def line(self, line: LogicalLine) -> None:
        if self.in_rules:
            self._rule(line)
        else:
            self._block_line(line)

    def _rule(self, line: LogicalLine) -> None:
        text = line.text
        if text[0] in BLANKS:
            self.add(line, "stray")
            self.fault("indented-rule", line, 0, "an indented line among the rules", "a pattern in column 1")
            return
        pattern = text.split(" ", 1)[0].split("\t", 1)[0]
        rest = text[len(pattern) :]
        template_at = len(pattern) + len(rest) - len(rest.lstrip(BLANKS))
        template = text[template_at:].rstrip(BLANKS)
        self.add(line, "rule")
        if template:
            self.rules.append(Rule(line, pattern, template, template_at))
        else:
            self.fault("no-template", line, len(text), f'the pattern "{pattern}" alone', "a blank and a template")

    def _block_line(self, line: LogicalLine) -> None:
        try:
            words = words_of(line)
        except MtaTextError as e:
            self.add(line, "stray")
            self.faults.append(Fault("open-quote", e))
            return
        first = fold(words[0].text)
        if self.block != "channel" and first in {"defaults", "nodefaults"}:
            self.block = "defaults"
            self.defaults = keywords_of(words[1:]) if first == "defaults" else ()
            self.default_lines.append(line)
            self.add(line, "defaults")
        elif self.block == "defaults":
            self.add(line, "stray")
            self.fault("no-blank-after-defaults", line, 0, "a line right after defaults", "a blank line")
        elif not self.block:
            self.block, self.head, self.name = "channel", line, words[0].text
            self.keywords, self.hosts = keywords_of(words[1:]), []
            self.add(line, "channel")
            self._check_name(line, words[0].text)
        else:
            self.hosts.extend(word.text for word in words)
            self.add(line, "host")

    def _check_name(self, line: LogicalLine, name: str) -> None:
        if "$" in line.text and "@" in line.text and (name[0] in "[." or "." in name):
            found = f'"{name}" begins a channel block'
            self.fault("rule-among-channels", line, 0, found, "rules before any blank line")
        elif len(name) > MAX_CHANNEL_NAME:
            found = f'the channel name "{name[:40]}" has {len(name)} characters'
            self.fault("long-channel-name", line, 0, found, f"at most {MAX_CHANNEL_NAME}")
        elif fold(name) in self.names:
            found = f'channel "{name}" was already defined in line {self.names[fold(name)]}'
            self.fault("duplicate-channel", line, 0, found, "each name once")
        self.names.setdefault(fold(name), line.number)

    def close_block(self) -> None:
        """End a block, at a blank line or the end of the file."""
        if self.block == "channel" and self.head is not None:
            if not self.hosts:
                found = f'channel "{self.name}" without a host name'
                expected = "its official host name in a line of its own"
                self.fault("no-official-host", self.head, len(self.head.text), found, expected)
            self.channels.append(Channel(self.head, self.name, self.keywords, tuple(self.hosts), self.defaults))
        self.block, self.head = "", None
