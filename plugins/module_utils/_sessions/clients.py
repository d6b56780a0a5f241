# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Client addresses for sessions: external clients, and the boundary addresses of a network.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from .._policy.networks import BITS, Network, format_address, parse_address, without_nested

_CANDIDATES4 = ("203.0.113.77", "198.51.100.77", "192.0.2.77", "8.8.4.77", "100.200.50.77", "151.3.44.77", "216.9.9.77")
_CANDIDATES6 = ("2001:db8:5757::77", "2a00:77::77", "2400:77::77", "2607:77::77", "2c0f:77::77")
"""Where external clients come from, if no known network has it: documentation prefixes first."""

_STEPS = 4096
"""Addresses of an IPv6 network that are tried by number when networks have all candidates."""

Item = TypeVar("Item")


class NetworkSet:
    """Networks with a quick answer whether an address is in one of them."""

    def __init__(self, networks: Iterable[Network]) -> None:
        found = without_nested(networks)
        self._by_version = {version: sorted(n for n in found if n.version == version) for version in BITS}
        self._starts = {version: [n.value for n in nets] for version, nets in self._by_version.items()}

    def __contains__(self, address: tuple[int, int]) -> bool:
        """Whether one of the networks has the address, given as version and value."""
        version, value = address
        at = bisect_right(self._starts[version], value) - 1
        return at >= 0 and value <= self._by_version[version][at].last


class Boundary(NamedTuple):
    """First and last address of a network (one for a single host), and their neighbours outside of it."""

    inside: tuple[str, ...]
    outside: tuple[str, ...]


def external_clients(known: NetworkSet, version: int) -> Iterator[str]:
    """Yield addresses outside of known networks, the more usual ones first; none when these are everything."""
    for text in _CANDIDATES4 if version == 4 else _CANDIDATES6:
        if parse_address(text) not in known:
            yield text
    # A policy may have all of them, on purpose even: go through the unicast space in steps.
    first, last = (1 << 24, 0xDF << 24) if version == 4 else (0x2000 << 112, 0x3FFF << 112)
    for number in range(_STEPS):
        value = first + (last - first) // _STEPS * number + 77
        if (version, value) not in known and (version == 6 or value >> 24 not in {10, 127}):
            yield format_address(version, value)


def boundary_of(network: Network, known: NetworkSet) -> Boundary:
    """Return the boundary addresses of a network, without neighbours that are in a known one."""
    inside = sorted({network.value, network.last})
    around = [value for value in (network.value - 1, network.last + 1) if 0 <= value < 1 << BITS[network.version]]
    return Boundary(
        tuple(format_address(network.version, value) for value in inside),
        tuple(format_address(network.version, value) for value in around if (network.version, value) not in known),
    )


def sample(items: Sequence[Item], count: int) -> list[Item]:
    """Return at most so many of a list, two or more, spread evenly, with the first and the last one."""
    if len(items) <= count:
        return list(items)
    return [items[number * (len(items) - 1) // (count - 1)] for number in range(count)]
