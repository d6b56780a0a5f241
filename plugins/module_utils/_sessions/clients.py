# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Client addresses for probes: strangers, both ends of a network, and the neighbours just outside of it.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.networks import (
    BITS,
    Network,
    format_address,
    parse_address,
    without_nested,
)

#: Where strangers come from, if nobody claims it: documentation prefixes first, then far corners of the unicast space.
_CANDIDATES4 = ("203.0.113.77", "198.51.100.77", "192.0.2.77", "8.8.4.77", "100.200.50.77", "151.3.44.77", "216.9.9.77")
_CANDIDATES6 = ("2001:db8:5757::77", "2a00:77::77", "2400:77::77", "2607:77::77", "2c0f:77::77")

#: Addresses of an IPv6 network that are tried by number when all candidates are claimed.
_STEPS = 4096

Item = TypeVar("Item")


class Claimed:
    """Networks that belong to somebody; says whether an address is in one of them."""

    def __init__(self, networks: Iterable[Network]) -> None:
        found = without_nested(networks)
        self._by_version = {version: sorted(n for n in found if n.version == version) for version in BITS}
        self._starts = {version: [n.value for n in nets] for version, nets in self._by_version.items()}

    def __contains__(self, address: tuple[int, int]) -> bool:
        """Whether one of the networks has the address, given as version and value."""
        version, value = address
        at = bisect_right(self._starts[version], value) - 1
        return at >= 0 and value <= self._by_version[version][at].last


class Ends(NamedTuple):
    """Addresses at the ends of a network: two inside (one for a single host), and the neighbours outside."""

    inside: tuple[str, ...]
    outside: tuple[str, ...]


def strangers(claimed: Claimed, version: int) -> Iterator[str]:
    """Addresses that nobody claims, the more usual ones first; none when everything is claimed."""
    for text in _CANDIDATES4 if version == 4 else _CANDIDATES6:
        if parse_address(text) not in claimed:
            yield text
    # A policy may claim all of them, on purpose even: go through the unicast space in steps.
    first, last = (1 << 24, 0xDF << 24) if version == 4 else (0x2000 << 112, 0x3FFF << 112)
    for number in range(_STEPS):
        value = first + (last - first) // _STEPS * number + 77
        if (version, value) not in claimed and (version == 6 or value >> 24 not in {10, 127}):
            yield format_address(version, value)


def ends(network: Network, claimed: Claimed) -> Ends:
    """Both ends of a network and its neighbours that are not in any claimed one."""
    inside = sorted({network.value, network.last})
    around = [value for value in (network.value - 1, network.last + 1) if 0 <= value < 1 << BITS[network.version]]
    return Ends(
        tuple(format_address(network.version, value) for value in inside),
        tuple(format_address(network.version, value) for value in around if (network.version, value) not in claimed),
    )


def sample(items: Sequence[Item], count: int) -> list[Item]:
    """At most so many of a list, two or more, spread evenly, with the first and the last one."""
    if len(items) <= count:
        return list(items)
    return [items[number * (len(items) - 1) // (count - 1)] for number in range(count)]
