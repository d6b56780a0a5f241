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
    NetworkSet,
    boundary_of,
    external_clients,
    sample,
)


def networks(*texts: str) -> list[Network]:
    return [network for text in texts for network in parse_networks(text)]


@given(st.lists(st.ip_addresses(v=4).map(lambda ip: ipaddress.ip_network(f"{ip}/20", strict=False)), max_size=6))
def test_external_clients_are_outside_of_known_networks(known: list[ipaddress.IPv4Network]) -> None:
    found = list(islice(external_clients(NetworkSet(networks(*map(str, known))), 4), 3))
    assert len(found) == 3
    assert not any(ipaddress.ip_address(one) in network for one in found for network in known)


@pytest.mark.parametrize(
    "known",
    [
        ["192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"],
        ["0.0.0.0/1"],
        ["128.0.0.0/1"],
        ["0.0.0.0/2", "128.0.0.0/1"],
        ["2000::/4", "2001:db8::/32"],
    ],
)
def test_there_is_an_external_client_wherever_there_is_room(known: list[str]) -> None:
    version = 6 if ":" in known[-1] else 4
    found = next(external_clients(NetworkSet(networks(*known)), version))
    assert not any(ipaddress.ip_address(found) in ipaddress.ip_network(one) for one in known)


def test_there_is_no_external_client_where_all_networks_are_known() -> None:
    everything = NetworkSet(networks("0.0.0.0/1", "128.0.0.0/1"))
    assert list(external_clients(everything, 4)) == []


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
def test_boundary_has_first_and_last_address_and_unknown_neighbours(
    network: str, also: list[str], inside: tuple[str, ...], outside: tuple[str, ...]
) -> None:
    found = boundary_of(networks(network)[0], NetworkSet(networks(network, *also)))
    assert found == (inside, outside)


def test_sample_is_spread_from_first_to_last() -> None:
    many = networks(*(f"10.0.{number}.0/24" for number in range(100)))
    few = sample(many, 5)
    assert [one.address for one in few] == ["10.0.0.0", "10.0.24.0", "10.0.49.0", "10.0.74.0", "10.0.99.0"]
    assert sample(many[:3], 5) == many[:3]
