# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks without parts of them.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Union

IPNetwork = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


def without(network: IPNetwork, others: Sequence[IPNetwork]) -> list[IPNetwork]:
    """The parts of a network that are in none of the others."""
    parts = [network]
    for other in others:
        if within(other, network):
            parts = [rest for part in parts for rest in _cut(part, other)]
    return parts


def _cut(part: IPNetwork, other: IPNetwork) -> list[IPNetwork]:
    if isinstance(part, ipaddress.IPv4Network) and isinstance(other, ipaddress.IPv4Network):
        return sorted(part.address_exclude(other)) if other.subnet_of(part) else [part]
    if isinstance(part, ipaddress.IPv6Network) and isinstance(other, ipaddress.IPv6Network):
        return sorted(part.address_exclude(other)) if other.subnet_of(part) else [part]
    return [part]


def within(inner: IPNetwork, outer: IPNetwork) -> bool:
    """Whether a network lies in another one, or is the same."""
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)
