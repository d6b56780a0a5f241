# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that enter by another channel because an unmanaged rewrite rule looks up an unmanaged table.

A rule as ``[] $E$R${PARTNERS,$L}$U%[$L]@tcp_intranet-daemon`` makes every client in the table internal, and the
policy knows nothing of it.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, NamedTuple

from ._evaluator.channels import SWITCHABLE, switching
from ._evaluator.mapping_match import Subject, TooCostlyError, match
from ._formats.mapping_pattern import PatternError, compile_pattern
from ._formats.tables import INTERNAL_IP
from ._formats.text import fold
from .surface import WILDCARD, written

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._formats.imta import ImtaFile, Rule
    from ._formats.mapping import Entry, MappingFile

_LOOKS_UP = re.compile(r"\$\{([^,{}]+),")
_NESTED = re.compile(r"\$\|([^;|]+);")
_NETWORK = re.compile(r"\$\(([^()]*)\)|\$\{([^{}]*)\}")

_ANY_CLIENTS = ("8.8.4.77", "100.200.50.77", "151.3.44.77", "216.9.9.77", "2400:77::77", "2607:77::77")
"""For an entry that takes every client that no entry before it takes."""

_FILLS = ("77", "7", "1", "0", "3", "9")
"""What an open part of an address is filled with, until the entry takes the address."""


class Entering(NamedTuple):
    """Clients of such tables, and a warning for each entry whose clients cannot be evaluated."""

    clients: tuple[str, ...]
    unclear: tuple[str, ...]


def entering(imta: ImtaFile, mappings: MappingFile, external: str) -> Entering:
    """Both ends of each network in a table that lets clients enter by another channel than the external one."""
    tables = {fold(table.name): table.entries for table in reversed(mappings.tables)}
    clients: dict[str, None] = {}
    unclear: dict[str, None] = {}
    for rule in imta.rules:
        if not (rule.pattern.startswith("[") and rule.pattern.endswith("]")) or not _switches(rule, imta, external):
            continue
        for table in _LOOKS_UP.findall(rule.template):
            for name, entry in _entries(table, tables, set()):
                inner = rule.pattern[1:-1]
                found = _clients(entry, inner if inner.endswith(".") else "")
                clients.update(dict.fromkeys(found or ()))
                if found is None:
                    unclear[
                        f'the rewrite rule "{rule.pattern} {rule.template}" makes clients enter by another channel, '
                        f'and the clients of entry "{entry.pattern} {entry.template}" of table {name} cannot be '
                        "evaluated; see that they are internal by policy"
                    ] = None
    return Entering(tuple(clients), tuple(unclear))


def _switches(rule: Rule, imta: ImtaFile, external: str) -> bool:
    """Whether a session may switch to the channel of a rule; also where the channel cannot be said."""
    channel = imta.channel_of_host(rule.template.rpartition("@")[2])
    return channel is None or (fold(channel.name) != fold(external) and switching(channel) in SWITCHABLE)


def _entries(table: str, tables: dict[str, tuple[Entry, ...]], seen: set[str]) -> Iterator[tuple[str, Entry]]:
    """The entries that may accept, of a table and those that it looks up; not of INTERNAL_IP, which is the policy's."""
    name = fold(table)
    if name in seen or name == fold(INTERNAL_IP):
        return
    seen.add(name)
    for entry in tables.get(name, ()):
        inner_tables = _NESTED.findall(entry.template)
        for inner in inner_tables:
            yield from _entries(inner, tables, seen)
        if not inner_tables and re.search(r"\$[Yy\[{\]]", entry.template):
            yield table, entry


def _clients(entry: Entry, prefix: str) -> tuple[str, ...] | None:
    """Clients that an entry takes; None where that cannot be evaluated."""
    if re.search(r"\$[\[{\]]", entry.template):
        return None
    if not WILDCARD.sub("", entry.pattern):
        return _ANY_CLIENTS
    networks = [four or six for four, six in _NETWORK.findall(entry.pattern)]
    try:
        found = [ipaddress.ip_network(text, strict=False) for text in networks]
    except ValueError:
        return None
    if found:
        return tuple(written(address) for network in found for address in (network[0], network[-1]))
    client = _taken(entry.pattern, prefix)
    return (client,) if client else None


def _taken(pattern: str, prefix: str) -> str:
    """An address that an entry's pattern really takes after the rule's part of it; empty where none is found."""
    try:
        compiled = compile_pattern(pattern)
        for fill in _FILLS:
            text = prefix + WILDCARD.sub(fill, pattern)
            if ":" not in text:
                text = ".".join([*(part for part in text.split(".") if part), fill, fill, fill][:4])
            if _is_address(text) and match(compiled, Subject(text[len(prefix) :])) is not None:
                return written(ipaddress.ip_address(text))
    except (PatternError, TooCostlyError):
        pass
    return ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
