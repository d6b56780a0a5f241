# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""TCP segments as a client on the wire sends them, and what comes back: the packets of a replica's probes.

Sources: RFC 791, RFC 8200, RFC 9293, RFC 792, RFC 4443.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

SYN, RST, ACK = 0x02, 0x04, 0x10
_TYPES = {4: 0x0800, 6: 0x86DD}
_TCP, _ICMP, _ICMP6 = 6, 1, 58
_UNREACHABLE = {_ICMP: (3,), _ICMP6: (1,)}
"""Types of ICMP errors with which a packet is rejected."""


class Segment(NamedTuple):
    """A TCP segment without data."""

    source: str
    target: str
    sport: int
    dport: int
    flags: int = SYN
    sequence: int = 1
    acknowledged: int = 0


def frame(segment: Segment, to_mac: bytes, from_mac: bytes) -> bytes:
    """Return the Ethernet frame of a segment."""
    version = 6 if ":" in segment.target else 4
    family = socket.AF_INET6 if version == 6 else socket.AF_INET
    source, target = (socket.inet_pton(family, text) for text in (segment.source, segment.target))
    # A segment size: some rules want one in a SYN.
    options = b"\x02\x04\x05\xb4" if segment.flags == SYN else b""
    words = (segment.sport, segment.dport, segment.sequence, segment.acknowledged)
    tcp = struct.pack("!HHIIBBHHH", *words, (20 + len(options)) << 2, segment.flags, 64240, 0, 0) + options
    pseudo = source + target + struct.pack("!IBBBB", len(tcp), 0, 0, 0, _TCP)
    tcp = tcp[:16] + struct.pack("!H", _checksum(pseudo + tcp)) + tcp[18:]
    if version == 6:
        header = struct.pack("!IHBB", 6 << 28, len(tcp), _TCP, 64) + source + target
    else:
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, _TCP, 0) + source + target
        header = header[:10] + struct.pack("!H", _checksum(header)) + header[12:]
    return to_mac + from_mac + struct.pack("!H", _TYPES[version]) + header + tcp


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Seen(NamedTuple):
    """A TCP segment on the wire, or with ``error`` the one that an ICMP error speaks of."""

    segment: Segment
    error: bool = False


def seen(data: bytes) -> Seen | None:
    """Read an Ethernet frame; None where it is no TCP and no ICMP error about TCP."""
    try:
        kind = struct.unpack("!H", data[12:14])[0]
        version = next((version for version, number in _TYPES.items() if number == kind), 0)
        return _read(data[14:], version) if version else None
    except (struct.error, ValueError, IndexError):
        return None


def _read(packet: bytes, version: int) -> Seen | None:
    if version == 4:
        protocol, length, family, at, size = packet[9], (packet[0] & 15) * 4, socket.AF_INET, 12, 4
    else:
        protocol, length, family, at, size = packet[6], 40, socket.AF_INET6, 8, 16
    rest = packet[length:]
    if protocol == _TCP:
        source, target = (socket.inet_ntop(family, packet[at + n * size : at + (n + 1) * size]) for n in (0, 1))
        sport, dport, sequence, acknowledged = struct.unpack("!HHII", rest[:12])
        # An ICMP error quotes the first 8 bytes at least; 4.
        flags = rest[13] if len(rest) > 13 else 0
        return Seen(Segment(source, target, sport, dport, flags, sequence, acknowledged))
    if rest and rest[0] in _UNREACHABLE.get(protocol, ()):
        quoted = _read(rest[8:].ljust(60, b"\0"), version)
        return Seen(quoted.segment, error=True) if quoted else None
    return None
