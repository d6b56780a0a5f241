# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Frames are read back as they were written; errors are read from bytes written by hand."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.segments import (
    RST,
    SYN,
    Ends,
    Seen,
    Segment,
    datagram,
    echo,
    frame,
    seen,
)

ENDS = Ends(b"\x02\0\0\0\0\x02", b"\x02\0\0\0\0\x01")
SEGMENTS = {
    4: Segment("198.51.100.9", "198.51.100.10", 40000, 25),
    6: Segment("2001:db8::9", "2001:db8::10", 40000, 25, RST, 7),
}


def sum16(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    return (total & 0xFFFF) + (total >> 16)


@pytest.mark.parametrize("version", SEGMENTS)
def test_segment_is_read_back(version: int) -> None:
    found = seen(frame(SEGMENTS[version], ENDS))
    assert found is not None
    assert found.segment == SEGMENTS[version]
    assert not found.error


def test_checksums_add_up() -> None:
    data = frame(SEGMENTS[4], ENDS)[14:]
    header, tcp = data[:20], data[20:]
    assert sum16(header) == 0xFFFF
    assert sum16(header[12:] + struct.pack("!BBH", 0, 6, len(tcp)) + tcp) == 0xFFFF


@pytest.mark.parametrize("make", [datagram, echo])
@pytest.mark.parametrize("version", SEGMENTS)
def test_datagrams_and_echoes_are_read_back(version: int, make: Callable[[Segment, Ends], bytes]) -> None:
    sent = Segment(SEGMENTS[version].source, SEGMENTS[version].target, 40000, 40000)
    found = seen(make(sent, ENDS))
    assert found is not None
    assert (found.plain, found.error) == (True, False)
    assert (found.segment.source, found.segment.target, found.segment.dport) == (sent.source, sent.target, 40000)
    data = make(sent, ENDS)[14:]
    if version == 4:
        assert sum16(data[:20]) == 0xFFFF
    text = data[20:] if version == 4 else data[40:]
    pseudo = (
        data[12:20] + struct.pack("!BBH", 0, data[9], len(text))
        if version == 4
        else data[8:40] + struct.pack("!IBBBB", len(text), 0, 0, 0, data[6])
    )
    plain = version == 4 and make is echo  # without the addresses (RFC 792)
    summed = text if plain else pseudo + text
    assert sum16(summed + b"\0" * (len(summed) % 2)) == 0xFFFF


@pytest.mark.parametrize(("version", "head"), [(4, b"\x03\x0d"), (6, b"\x01\x01")])
def test_error_names_the_rejected_segment(version: int, head: bytes) -> None:
    rejected = frame(SEGMENTS[version]._replace(flags=SYN), ENDS)
    packet = rejected[14:]
    body = head + b"\0" * 6 + packet[: 28 if version == 4 else 48]
    outer = packet[:9] + b"\x01" + packet[10:20] if version == 4 else packet[:6] + b"\x3a" + packet[7:40]
    found = seen(rejected[:14] + outer + body)
    assert found is not None
    assert (found.error, found.segment.source, found.segment.sport, found.segment.dport) == (
        True,
        SEGMENTS[version].source,
        40000,
        25,
    )


@given(st.binary(max_size=120))
def test_other_bytes_are_no_error(data: bytes) -> None:
    for kind in (b"\x08\x00", b"\x86\xdd", b"\x08\x06"):
        assert isinstance(seen(b"\0" * 12 + kind + data), (Seen, type(None)))
