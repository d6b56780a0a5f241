# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients that unmanaged rules name: members of sets, and addresses. They may get another answer than all others.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Union

from . import loader
from .snapshot import Snapshot

MEMBERS = 3
"""Members of a set that are tried."""
MOST = 60
"""Clients of a family that are tried."""
_NATIVE_ADDRESS = re.compile(r"(?<![\w.:/-])((?:\d{1,3}\.){3}\d{1,3}|[0-9a-f]*:[0-9a-f:.]+)(/\d{1,3})?(?![\w.:-])")
_NATIVE_SET = re.compile(r"^\s*(?:set|map) (\S+) \{", re.MULTILINE)

Networks = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


class Special(NamedTuple):
    """A client, the class that it stands for, as ``from members of set f2b-postfix``, and the network that is named."""

    address: str
    who: str
    network: Networks


def named_clients(snapshot: Snapshot) -> list[Special]:
    """Return everything that a rule or a set names."""
    return [*_of_tables(snapshot), *_of_native(snapshot)]


def choose_clients(named: Iterable[Special]) -> list[Special]:
    """Return the clients to try: MEMBERS of a class, and at most MOST of each family."""
    classes: dict[tuple[str, int], dict[str, Special]] = {}
    for one in named:
        classes.setdefault((one.who, one.network.version), {}).setdefault(one.address, one)
    kept: dict[int, list[Special]] = {4: [], 6: []}
    for (_who, version), members in classes.items():
        kept[version] += _spread(list(members.values()))
    return [one for group in kept.values() for one in group[:MOST]]


def _of_tables(snapshot: Snapshot) -> Iterator[Special]:
    members = _members(snapshot.sets)
    for text in snapshot.tables.values():
        for line in text.splitlines():
            if not line.startswith("-A ") or line.split(" ", 2)[1] in loader.CHAINS:
                continue
            try:
                words = shlex.split(line)
            except ValueError:
                continue
            for at, word in enumerate(words[:-1]):
                if word in ("-s", "--source"):
                    yield from _named(words[at + 1], f"from {words[at + 1]}")
                elif word == "--src-range":
                    yield from _named(words[at + 1].partition("-")[0], f"from {words[at + 1]}")
                elif word == "--match-set" and words[at + 2 : at + 3] and words[at + 2].startswith("src"):
                    name = words[at + 1]
                    if not loader.SET_NAME.fullmatch(name):
                        for member in members.get(name, []):
                            yield from _named(member, f"from members of set {name}")


def _members(sets: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in sets.splitlines():
        words = line.split()
        if words[0] == "add":
            # A set of several dimensions begins with the address: 192.0.2.1,tcp:25.
            found.setdefault(words[1], []).append(words[2].partition(",")[0].partition("-")[0])
    return found


def _of_native(snapshot: Snapshot) -> Iterator[Special]:
    for table, text in snapshot.native.items():
        place = {match.start(): match[1] for match in _NATIVE_SET.finditer(text)}
        for match in _NATIVE_ADDRESS.finditer(text):
            starts = [start for start in place if start < match.start()]
            inside = starts and text.find("\n\t}", max(starts)) > match.start()
            who = (
                f"from members of set {place[max(starts)]} of nftables table {table}" if inside else f"from {match[0]}"
            )
            yield from _named(match[0], who)


def _spread(items: list[Special]) -> list[Special]:
    return [*items[: MEMBERS - 1], *items[MEMBERS - 1 :][-1:]]


def _named(text: str, who: str) -> Iterable[Special]:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return []
    if network.is_loopback or network.is_multicast or network.is_unspecified or network.prefixlen == 0:
        return []
    address = network.network_address + (1 if network.num_addresses > 2 else 0)
    return [Special(str(address), who.replace(f"/{network.max_prefixlen}", ""), network)]
