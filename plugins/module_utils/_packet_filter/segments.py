# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packets of TCP, UDP and ICMP echo as a client on the wire sends them, and what comes back.

Sources: RFC 791, RFC 8200, RFC 9293, RFC 768, RFC 792, RFC 4443.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

SYN, RST, ACK = 0x02, 0x04, 0x10
_TYPES = {4: 0x0800, 6: 0x86DD}
_TCP, _UDP, _ICMP, _ICMP6 = 6, 17, 1, 58
_ECHO = {4: (_ICMP, 8, 0), 6: (_ICMP6, 128, 129)}
"""By version: the protocol, and the types of an echo and of its reply."""
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


class Ends(NamedTuple):
    """The Ethernet addresses of a frame."""

    target: bytes
    source: bytes


def frame(segment: Segment, ends: Ends) -> bytes:
    """Return the Ethernet frame of a TCP segment."""
    # A segment size: some rules want one in a SYN.
    options = b"\x02\x04\x05\xb4" if segment.flags == SYN else b""
    words = (segment.sport, segment.dport, segment.sequence, segment.acknowledged)
    tcp = struct.pack("!HHIIBBHHH", *words, (20 + len(options)) << 2, segment.flags, 64240, 0, 0) + options
    return _frame(segment, ends, _TCP, _with_checksum(segment, _TCP, tcp, 16))


def datagram(segment: Segment, ends: Ends) -> bytes:
    """Return the Ethernet frame of a UDP datagram between the same ports, with one byte."""
    udp = struct.pack("!HHHH", segment.sport, segment.dport, 9, 0) + b"?"
    return _frame(segment, ends, _UDP, _with_checksum(segment, _UDP, udp, 6))


def echo(segment: Segment, ends: Ends) -> bytes:
    """Return the Ethernet frame of an ICMP echo; its identifier is the source port."""
    protocol, kind, _reply = _ECHO[_version(segment)]
    text = struct.pack("!BBHHH", kind, 0, 0, segment.sport, 1)
    if protocol == _ICMP:
        checked = text[:2] + struct.pack("!H", _checksum(text)) + text[4:]
    else:
        checked = _with_checksum(segment, protocol, text, 2)
    return _frame(segment, ends, protocol, checked)


def _version(segment: Segment) -> int:
    return 6 if ":" in segment.target else 4


def _addresses(segment: Segment) -> tuple[bytes, bytes]:
    family = socket.AF_INET6 if _version(segment) == 6 else socket.AF_INET
    return socket.inet_pton(family, segment.source), socket.inet_pton(family, segment.target)


def _with_checksum(segment: Segment, protocol: int, text: bytes, place: int) -> bytes:
    """Put the checksum over addresses and text into its place."""
    source, target = _addresses(segment)
    pseudo = source + target + struct.pack("!IBBBB", len(text), 0, 0, 0, protocol)
    return text[:place] + struct.pack("!H", _checksum(pseudo + text) or 0xFFFF) + text[place + 2 :]


def _frame(segment: Segment, ends: Ends, protocol: int, text: bytes) -> bytes:
    source, target = _addresses(segment)
    version = _version(segment)
    if version == 6:
        header = struct.pack("!IHBB", 6 << 28, len(text), protocol, 64) + source + target
    else:
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(text), 0, 0x4000, 64, protocol, 0) + source + target
        header = header[:10] + struct.pack("!H", _checksum(header)) + header[12:]
    return ends.target + ends.source + struct.pack("!H", _TYPES[version]) + header + text


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Seen(NamedTuple):
    """A packet on the wire, or with ``error`` the one that an ICMP error speaks of.

    ``plain``: a UDP datagram or the reply to an echo, whose ports are the identifier; else a TCP segment.
    """

    segment: Segment
    error: bool = False
    plain: bool = False


def seen(data: bytes) -> Seen | None:
    """Read an Ethernet frame; None where it is none of TCP, UDP or an echo's reply, and no ICMP error about these."""
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
    source, target = (socket.inet_ntop(family, packet[at + n * size : at + (n + 1) * size]) for n in (0, 1))
    echoes, kind, reply = _ECHO[version]
    if protocol == _UDP:
        return Seen(Segment(source, target, *struct.unpack("!HH", rest[:4])), plain=True)
    if protocol == echoes and rest and rest[0] in (kind, reply):
        (number,) = struct.unpack("!H", rest[4:6])
        # An echo stands here as an error quotes it.
        return Seen(Segment(source, target, number, number), plain=True)
    if protocol == _TCP:
        sport, dport, sequence, acknowledged = struct.unpack("!HHII", rest[:12])
        # An ICMP error quotes the first 8 bytes at least; 4.
        flags = rest[13] if len(rest) > 13 else 0
        return Seen(Segment(source, target, sport, dport, flags, sequence, acknowledged))
    if rest and rest[0] in _UNREACHABLE.get(protocol, ()):
        quoted = _read(rest[8:].ljust(60, b"\0"), version)
        return Seen(quoted.segment, error=True) if quoted else None
    return None
