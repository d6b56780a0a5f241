# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Return codes as Postfix's patterns: they match the addresses that were written, and no other."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.access import answer_patterns

LOW, HIGH = int(ipaddress.ip_address("127.0.0.0")), int(ipaddress.ip_address("127.255.254.255"))


def fits(pattern: str, address: str) -> bool:
    """What postconf(5) says of a pattern: four octets, each a number or alternatives in brackets."""
    octets, rest = [], pattern.replace("..", "-")
    while rest:
        end = rest.index("]") + 1 if rest.startswith("[") else (rest + ".").index(".")
        octets.append(rest[:end].strip("[]"))
        rest = rest[end + 1 :]
    assert len(octets) == 4
    for octet, text in zip(octets, address.split(".")):
        ends = [part.partition("-") for part in octet.split(";")]
        if not any(int(low) <= int(text) <= int(high or low) for low, _dash, high in ends):
            return False
    return True


@pytest.mark.parametrize(
    ("codes", "patterns"),
    [
        (["127.0.0.2"], ["127.0.0.2"]),
        (["127.0.0.2-127.0.0.11"], ["127.0.0.[2..11]"]),
        (["127.0.0.4", "127.0.0.2", "127.0.0.10-127.0.0.11"], ["127.0.0.[2;4;10..11]"]),
        (["127.0.1.0/24"], ["127.0.1.[0..255]"]),
        (["127.0.0.254-127.0.2.3"], ["127.0.0.[254..255]", "127.0.1.[0..255]", "127.0.2.[0..3]"]),
        (["127.0.0.0/16", "127.1.0.0/16"], ["127.[0..1].[0..255].[0..255]"]),
        (["127.0.0.2", "127.0.0.3"], ["127.0.0.[2..3]"]),
    ],
)
def test_patterns_are_the_fewest(codes: list[str], patterns: list[str]) -> None:
    assert answer_patterns(codes) == patterns


@given(st.lists(st.tuples(st.integers(LOW, HIGH), st.integers(0, 1 << 18)), min_size=1, max_size=3), st.data())
def test_patterns_match_exactly(ranges: list[tuple[int, int]], data: st.DataObject) -> None:
    ends = [(first, min(first + size, HIGH)) for first, size in ranges]
    codes = [f"{ipaddress.ip_address(first)}-{ipaddress.ip_address(last)}" for first, last in ends]
    patterns = answer_patterns(codes)
    probes = [probe for first, last in ends for probe in (first - 1, first, (first + last) // 2, last, last + 1)]
    for probe in [*probes, data.draw(st.integers(LOW, HIGH))]:
        wanted = any(first <= probe <= last for first, last in ends)
        assert any(fits(one, str(ipaddress.ip_address(probe))) for one in patterns) is wanted
