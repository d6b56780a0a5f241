# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.networks import Network, parse_networks
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.clients import (
    Claimed,
    ends,
    sample,
    strangers,
)


def networks(*texts: str) -> list[Network]:
    return [network for text in texts for network in parse_networks(text)]


@given(st.lists(st.ip_addresses(v=4).map(lambda ip: ipaddress.ip_network(f"{ip}/20", strict=False)), max_size=6))
def test_strangers_are_nobody_of_the_policy(claimed: list[ipaddress.IPv4Network]) -> None:
    found = list(islice(strangers(Claimed(networks(*map(str, claimed))), 4), 3))
    assert len(found) == 3
    assert not any(ipaddress.ip_address(one) in network for one in found for network in claimed)


@pytest.mark.parametrize(
    "claimed",
    [
        ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"],
        ["0.0.0.0/1"],
        ["128.0.0.0/1"],
        ["0.0.0.0/2", "128.0.0.0/1"],
        ["2000::/4", "2001:db8::/32"],
    ],
)
def test_there_is_a_stranger_wherever_there_is_room(claimed: list[str]) -> None:
    version = 6 if ":" in claimed[-1] else 4
    found = next(strangers(Claimed(networks(*claimed)), version))
    assert not any(ipaddress.ip_address(found) in ipaddress.ip_network(one) for one in claimed)


def test_nobody_is_left() -> None:
    everything = Claimed(networks("0.0.0.0/1", "128.0.0.0/1"))
    assert list(strangers(everything, 4)) == []


@pytest.mark.parametrize(
    ("network", "also", "inside", "outside"),
    [
        ("192.0.2.0/24", [], ("192.0.2.0", "192.0.2.255"), ("192.0.1.255", "192.0.3.0")),
        ("192.0.2.7", [], ("192.0.2.7",), ("192.0.2.6", "192.0.2.8")),
        ("192.0.2.0/25", ["192.0.2.128/25"], ("192.0.2.0", "192.0.2.127"), ("192.0.1.255",)),
        ("2001:db8::/32", [], ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
         ("2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::")),
        ("240.0.0.0/4", [], ("240.0.0.0", "255.255.255.255"), ("239.255.255.255",)),
    ],
)  # fmt: skip
def test_ends(network: str, also: list[str], inside: tuple[str, ...], outside: tuple[str, ...]) -> None:
    found = ends(networks(network)[0], Claimed(networks(network, *also)))
    assert found == (inside, outside)


def test_sample_is_spread_with_both_ends() -> None:
    many = networks(*(f"10.0.{number}.0/24" for number in range(100)))
    few = sample(many, 5)
    assert [one.address for one in few] == ["10.0.0.0", "10.0.24.0", "10.0.49.0", "10.0.74.0", "10.0.99.0"]
    assert sample(many[:3], 5) == many[:3]
