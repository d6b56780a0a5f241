# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Spelling of rules and sets, exactly as iptables-save and ipset save print them.

Texts in the canonical spelling can be compared with the live rules. Checked
against iptables 1.8.9 and 1.8.11, nft and legacy.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .._policy.networks import Network
from .loader import chains_text

SYN = "--tcp-flags FIN,SYN,RST,ACK SYN"
SET_THRESHOLD = 50
"""Number of peers above which a rule looks them up in a set, so its cost does not grow."""


class AddressSet(NamedTuple):
    """An ipset of one family. Its name holds a digest of its members, so a changed set is a new set."""

    name: str
    version: int
    members: tuple[str, ...]

    @property
    def header(self) -> str:
        """The ``create`` line; the sizes leave room, so that filling it needs no resizing."""
        family = "inet" if self.version == 4 else "inet6"
        size = 1 << max(10, len(self.members).bit_length() - 1)
        return f"create {self.name} hash:net family {family} hashsize {size} maxelem {max(65536, 2 * size)}"

    def restore_text(self) -> str:
        """Return the text for ``ipset restore``."""
        add = f"add {self.name} "
        return self.header + "\n" + "".join(f"{add}{member}\n" for member in self.members)


def address_set(kind: str, version: int, networks: Sequence[Network]) -> AddressSet:
    """Return the set of sorted networks; ``kind`` is part of its name, which may have 31 characters (ipset(8))."""
    members = tuple(network.short() for network in networks)
    digest = hashlib.sha256("\n".join(members).encode("ascii")).hexdigest()[:10]
    return AddressSet(f"mailhost-{kind}{version}-{digest}", version, members)


def quote(text: str) -> str:
    """Return a comment or prefix as iptables-save prints it; the policy has neither quotes nor backslashes."""
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else f'"{text}"'


def rate(per_minute: int) -> str:
    """Return a rate in the unit that iptables-save chooses."""
    return f"{per_minute}/min" if per_minute % 60 else f"{per_minute // 60}/sec"


def tcp(source_port: str = "", port: str = "", flags: str = "") -> str:
    """Return a TCP match; an empty part is not matched."""
    parts = ["-p tcp -m tcp"]
    parts += [f"--sport {source_port}"] if source_port else []
    parts += [f"--dport {port}"] if port else []
    parts += [flags] if flags else []
    return " ".join(parts)


def udp(source_port: str = "", port: str = "") -> str:
    """Return a UDP match; an empty part is not matched."""
    return tcp(source_port, port).replace("tcp", "udp")


def join(*parts: str) -> str:
    """Join the parts of a rule, leaving out those that are empty."""
    return " ".join(part for part in parts if part)


class FilterTable:
    """The managed chains in the filter table of one family, in order."""

    def __init__(self, version: int) -> None:
        self.version = version
        self.chains: dict[str, list[str]] = {}
        self.sets: dict[str, AddressSet] = {}

    def chain(self, name: str) -> None:
        """Declare a chain."""
        self.chains[name] = []

    def add(self, chain: str, *parts: str) -> None:
        """Append a rule to a chain."""
        self.chains[chain].append(join(*parts))

    def own(self, networks: Iterable[Network]) -> list[Network]:
        """Return the networks of this table's family."""
        return [network for network in networks if network.version == self.version]

    def each_peer(self, kind: str, side: str, networks: Sequence[Network]) -> Iterator[tuple[str, str]]:
        """Yield ``(address part, set part)`` of the rules that match one side of a packet.

        ``side`` is ``src`` or ``dst``. Up to SET_THRESHOLD networks are one
        rule each; more of them become one rule with a set.
        """
        if len(networks) > SET_THRESHOLD:
            found = address_set(kind, self.version, networks)
            self.sets[found.name] = found
            yield "", f"-m set --match-set {found.name} {side}"
            return
        for network in networks:
            # iptables-save leaves out a network that matches every address.
            yield (f"-{side[0]} {network}" if network.prefix else ""), ""

    def text(self) -> str:
        """Return the text for ``iptables-restore --noflush``; it names no built-in chain."""
        return chains_text(self.chains)
