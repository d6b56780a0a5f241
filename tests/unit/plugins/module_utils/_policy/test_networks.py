# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Networks as a user writes them, against the standard library's ipaddress as the second oracle."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import Problems
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.networks import (
    LOOPBACK,
    NetworkError,
    parse_networks,
    read_file,
    read_list,
    without_nested,
)

ACCEPTED = (
    'write an address ("192.0.2.7"), a prefix ("192.0.2.0/24", "2001:db8::/32") or a range ("192.0.2.80-192.0.2.99")'
)

GOOD = [
    ("192.0.2.7", ["192.0.2.7/32"]),
    ("192.0.2.0/24", ["192.0.2.0/24"]),
    ("0.0.0.0/0", ["0.0.0.0/0"]),
    ("::/0", ["::/0"]),
    ("2001:DB8:0:0::/64", ["2001:db8::/64"]),
    ("::1", ["::1/128"]),
    ("192.0.2.80-192.0.2.99", ["192.0.2.80/28", "192.0.2.96/30"]),
    ("192.0.2.1-192.0.2.1", ["192.0.2.1/32"]),
    ("0.0.0.0-255.255.255.255", ["0.0.0.0/0"]),
    ("2001:db8::-2001:db8::f", ["2001:db8::/124"]),
]

WRONG = [
    ("10.0.0.5/8", '"10.0.0.5/8" has host bits set; write "10.0.0.0/8" or "10.0.0.5/32"'),
    ("2001:db8::1/32", '"2001:db8::1/32" has host bits set; write "2001:db8::/32" or "2001:db8::1/128"'),
    ("192.0.2.99-192.0.2.80", '"192.0.2.99-192.0.2.80" is a reversed range; write "192.0.2.80-192.0.2.99"'),
    (
        "192.0.2.1-2001:db8::1",
        '"192.0.2.1-2001:db8::1" mixes IPv4 and IPv6; '
        'write a range with both ends of one family, as "192.0.2.80-192.0.2.99"',
    ),
    ("::ffff:192.0.2.7", '"::ffff:192.0.2.7" is an IPv4 address in IPv6 spelling; write "192.0.2.7"'),
    ("192.0.2.0/33", f'"192.0.2.0/33" has no prefix length from 0 to 32; {ACCEPTED}'),
    ("192.0.2.0/", f'"192.0.2.0/" has no prefix length from 0 to 32; {ACCEPTED}'),
    ("192.0.2.0/024", f'"192.0.2.0/024" has no prefix length from 0 to 32; {ACCEPTED}'),
    ("192.0.2.0/255.255.255.0", f'"192.0.2.0/255.255.255.0" has no prefix length from 0 to 32; {ACCEPTED}'),
    ("192.0.2.0/\u0662\u0664", f'"192.0.2.0/\u0662\u0664" has no prefix length from 0 to 32; {ACCEPTED}'),
    ("2001:db8::/129", f'"2001:db8::/129" has no prefix length from 0 to 128; {ACCEPTED}'),
    ("192.0.2", f'"192.0.2" is not an address; {ACCEPTED}'),
    ("010.0.0.1", f'"010.0.0.1" is not an address; {ACCEPTED}'),
    ("0x7f000001", f'"0x7f000001" is not an address; {ACCEPTED}'),
    ("192.0.2.7 ", f'"192.0.2.7 " is not an address; {ACCEPTED}'),
    ("192.0.2.7\n-j ACCEPT", f'"192.0.2.7\\n" is not an address; {ACCEPTED}'),
    ("192.0.2.7\0", f'"192.0.2.7\\x00" is not an address; {ACCEPTED}'),
    ("fe80::1%eth0", f'"fe80::1%eth0" is not an address; {ACCEPTED}'),
    ("mail.example", f'"mail.example" is not an address; {ACCEPTED}'),
    ("", f'"" is not an address; {ACCEPTED}'),
    (42, f"42 is not a string; {ACCEPTED}"),
    (None, f"null is not a string; {ACCEPTED}"),
    (True, f"true is not a string; {ACCEPTED}"),
    (["192.0.2.7"], f"a list is not a string; {ACCEPTED}"),
    ({"a": 1}, f"a dictionary is not a string; {ACCEPTED}"),
]


@pytest.mark.parametrize(("text", "expected"), GOOD)
def test_accepted_forms(text: str, expected: list[str]) -> None:
    assert [str(network) for network in parse_networks(text)] == expected


@pytest.mark.parametrize(("value", "message"), WRONG)
def test_wrong_form_is_an_error_with_the_accepted_one(value: object, message: str) -> None:
    with pytest.raises(NetworkError) as caught:
        parse_networks(value)
    assert str(caught.value) == message


ipv4 = st.ip_addresses(v=4)
# All but ::ffff:0:0/96: an IPv4 address in IPv6 spelling is an error.
ipv6 = st.one_of(st.integers(0, (0xFFFF << 32) - 1), st.integers(1 << 48, (1 << 128) - 1)).map(ipaddress.IPv6Address)


@given(st.one_of(st.tuples(ipv4, ipv4), st.tuples(ipv6, ipv6)).map(sorted))
def test_a_range_becomes_what_the_standard_library_says(ends: list) -> None:
    found = [ipaddress.ip_network(str(network)) for network in parse_networks(f"{ends[0]}-{ends[1]}")]
    assert found == list(ipaddress.summarize_address_range(*ends))


@given(st.lists(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)), max_size=30), st.integers(0, 32))
def test_without_nested_covers_the_same_addresses(found: list, prefix: int) -> None:
    texts = [str(ipaddress.ip_network((address, prefix), strict=False)) for address in found]
    texts = [text for text in texts if not text.startswith("::ffff:")]
    networks = [network for text in texts for network in parse_networks(text)]
    kept = [ipaddress.ip_network(str(network)) for network in without_nested(networks + networks[:3])]
    everything = [ipaddress.ip_network(text) for text in texts]
    for version in (4, 6):
        managed = [network for network in kept if network.version == version]
        theirs = [network for network in everything if network.version == version]
        assert list(ipaddress.collapse_addresses(managed)) == list(ipaddress.collapse_addresses(theirs))
        assert sum(network.num_addresses for network in managed) == sum(
            network.num_addresses for network in ipaddress.collapse_addresses(theirs)
        )


def problems_of(value: object, allow_any: bool = True) -> list[str]:
    problems = Problems()
    read_list(problems, "nets", value, allow_any)
    return problems.found


def test_overlaps_name_both_entries() -> None:
    found = problems_of(["10.1.0.0/16", "192.0.2.0/24", "10.0.0.0/8", "192.0.2.0/24", "192.0.2.9-192.0.2.10"])
    assert found == [
        'nets[0]: "10.1.0.0/16" lies in "10.0.0.0/8" (nets[2]); leave one of them out',
        'nets[3]: "192.0.2.0/24" repeats "192.0.2.0/24" (nets[1]); leave one of them out',
        'nets[4]: "192.0.2.9-192.0.2.10" lies in "192.0.2.0/24" (nets[1]); leave one of them out',
    ]


def test_a_string_is_never_a_list() -> None:
    assert problems_of("10.0.0.0/8") == [
        'nets: "10.0.0.0/8" is not a list; write a list of networks, as ["192.0.2.0/24"]'
    ]


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "0.0.0.0-255.255.255.255"])
def test_every_address_is_an_error_where_it_makes_no_sense(text: str) -> None:
    assert problems_of([text]) == []
    assert problems_of([text], allow_any=False) == [
        f'nets[0]: "{text}" is every address; name the networks that are meant'
    ]


def test_a_file_may_overlap_and_names_its_lines_in_errors() -> None:
    problems = Problems()
    lines = ["# list", "", "10.0.0.0/8 ; all of it", "10.1.0.0/16", "10.0.0.5/8", "192.0.2.7# x", "::/0"]
    found = read_file(problems, "blocked.txt", lines)
    assert [str(network) for network in found] == ["10.0.0.0/8", "192.0.2.7/32"]
    assert problems.found == [
        'blocked.txt:5: "10.0.0.5/8" has host bits set; write "10.0.0.0/8" or "10.0.0.5/32"',
        'blocked.txt:7: "::/0" is every address; name the networks that are meant',
    ]


@pytest.mark.parametrize(
    "line",
    [
        *("::ffff:192.0.2.1", "::ffff:192.0.2.0/120", "::ffff:0:0/96", "192.0.2.1/24", "2001:db8::1/64"),
        *("192.0.2.0/024", "192.0.2.0/33", "192.0.2.0/", "192.0.2.0/+24", "192.0.2.0/\u0662\u0664", "2001:db8::/129"),
        *("192.0.2.01", "192.0.2", "fe80::1%eth0", "0.0.0.0/0", "::/0"),
    ],
)
def test_a_block_list_takes_no_line_that_the_inventory_would_not(line: str) -> None:
    problems = Problems()
    assert read_file(problems, "blocked.txt", [line]) == []
    assert len(problems.found) == 1
    assert problems.found[0].startswith("blocked.txt:1: ")


@pytest.mark.parametrize(
    ("one", "other", "contains", "overlaps"),
    [
        ("192.0.2.0/24", "192.0.2.0/24", True, True),
        ("192.0.2.0/24", "192.0.2.255", True, True),
        ("192.0.2.0/24", "192.0.3.0", False, False),
        ("192.0.2.0/25", "192.0.2.0/24", False, True),
        ("0.0.0.0/0", "::1", False, False),
        ("::/0", "2001:db8::/32", True, True),
    ],
)
def test_networks_contain_and_overlap_within_a_family(one: str, other: str, contains: bool, overlaps: bool) -> None:
    first, second = parse_networks(one)[0], parse_networks(other)[0]
    assert (first.contains(second), first.overlaps(second)) == (contains, overlaps)
    assert second.overlaps(first) is overlaps


@pytest.mark.parametrize("address", ["127.0.0.0", "127.255.255.255", "::1"])
def test_loopback_is_the_whole_network_of_both_families(address: str) -> None:
    assert any(network.contains(parse_networks(address)[0]) for network in LOOPBACK)
