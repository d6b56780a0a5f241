# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses, prefixes and ranges of both families, read strictly and fast.

A file of blocked networks has up to a million entries, so a network is three integers and
the platform's ``inet_pton`` does the reading; ``ipaddress`` is ten times slower.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .errors import Problems, ReportedError, not_a_list, shown

ACCEPTED = (
    'write an address ("192.0.2.7"), a prefix ("192.0.2.0/24", "2001:db8::/32") or a range ("192.0.2.80-192.0.2.99")'
)
BITS = {4: 32, 6: 128}
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
_MAPPED = 0xFFFF << 32
"""``::ffff:0:0/96``: IPv4 addresses in IPv6 spelling (RFC 4291, section 2.5.5.2)."""
_LENGTHS = {str(length): length for length in range(1, 129)}
"""Prefix lengths as they are written."""


class NetworkError(ReportedError):
    """Why a text is not a network, with the form that would be accepted."""


class Network(NamedTuple):
    """A prefix: IP version (4 or 6), first address as an integer, prefix length in bits."""

    version: int
    value: int
    prefix: int

    @property
    def last(self) -> int:
        """The last address of the prefix, as an integer."""
        return self.value | ((1 << (BITS[self.version] - self.prefix)) - 1)

    @property
    def address(self) -> str:
        """The first address, in the canonical spelling (RFC 5952 for IPv6)."""
        return format_address(self.version, self.value)

    def contains(self, other: Network) -> bool:
        """Return whether the other network lies in this one. Not ``in``, which means an element of the tuple."""
        return self.version == other.version and self.value <= other.value and other.last <= self.last

    def overlaps(self, other: Network) -> bool:
        """Return whether the networks have an address in common."""
        return self.version == other.version and self.value <= other.last and other.value <= self.last

    def __str__(self) -> str:
        """Return ``address/prefix``, always with the prefix, as iptables-save prints it."""
        return f"{self.address}/{self.prefix}"

    def short(self) -> str:
        """Return the prefix, or the bare address of a single host, as ipset prints it."""
        return self.address if self.prefix == BITS[self.version] else str(self)


LOOPBACK = (Network(4, 127 << 24, 8), Network(6, 1, 128))
"""Addresses of the host itself (RFC 1122, section 3.2.1.3; RFC 4291, section 2.5.3)."""

PRIVATE = (
    Network(4, 10 << 24, 8),
    Network(4, 0xAC100000, 12),
    Network(4, 0xC0A80000, 16),
    Network(4, 0xA9FE0000, 16),
    Network(6, 0xFC << 120, 7),
    Network(6, 0xFE80 << 112, 10),
)
"""Networks that are not routed on the Internet (RFC 1918; RFC 3927; RFC 4193; RFC 4291, section 2.5.6)."""

WIDE = {4: 16, 6: 32}
"""Prefix lengths below which an internal network that is not private is taken for a mistake."""

LOCALHOST = "127.0.0.1"
"""The address to connect to on the host itself."""


def format_address(version: int, value: int) -> str:
    """Return an integer as an address of the given IP version."""
    return socket.inet_ntop(_FAMILY[version], value.to_bytes(BITS[version] // 8, "big"))


def parse_address(text: str) -> tuple[int, int]:
    """Return ``(version, integer)`` of an address, or raise NetworkError.

    Zone indices, IPv4 with leading zeros or fewer than four parts, and IPv4 in
    IPv6 spelling are errors: no packet filter would ever match the last one.
    """
    version = 6 if ":" in text else 4
    try:
        packed = socket.inet_pton(_FAMILY[version], text)
    except (OSError, ValueError):  # ValueError: NUL or characters outside of ASCII
        raise NetworkError(f"{shown(text)} is not an address; {ACCEPTED}") from None
    value = int.from_bytes(packed, "big")
    if version == 6 and value >> 32 == _MAPPED >> 32:
        raise NetworkError(
            f'{shown(text)} is an IPv4 address in IPv6 spelling; write "{format_address(4, value & 0xFFFFFFFF)}"'
        )
    return version, value


def parse_networks(text: object) -> list[Network]:
    """Return the networks that a text names: one, or the fewest prefixes that make up a range.

    Raises NetworkError for everything else, host bits below the prefix included.
    """
    if not isinstance(text, str):
        raise NetworkError(f"{shown(text)} is not a string; {ACCEPTED}")
    if "/" in text:
        return [_parse_prefix(text)]
    if "-" in text:
        return list(_parse_range(text))
    version, value = parse_address(text)
    return [Network(version, value, BITS[version])]


def _parse_prefix(text: str) -> Network:
    address, _slash, length = text.partition("/")
    version, value = parse_address(address)
    bits = BITS[version]
    if not (
        length.isascii()
        and length.isdigit()
        and len(length) <= 3
        and int(length) <= bits
        and (length == "0" or length[0] != "0")
    ):
        raise NetworkError(f"{shown(text)} has no prefix length from 0 to {bits}; {ACCEPTED}")
    prefix = int(length)
    host_bits = bits - prefix
    if value & ((1 << host_bits) - 1):
        base = Network(version, value >> host_bits << host_bits, prefix)
        raise NetworkError(f'{shown(text)} has host bits set; write "{base}" or "{address}/{bits}"')
    return Network(version, value, prefix)


def _parse_range(text: str) -> Iterator[Network]:
    low, _dash, high = text.partition("-")
    version, first = parse_address(low)
    high_version, last = parse_address(high)
    if version != high_version:
        raise NetworkError(
            f'{shown(text)} mixes IPv4 and IPv6; write a range with both ends of one family, as "192.0.2.80-192.0.2.99"'
        )
    if last < first:
        raise NetworkError(f'{shown(text)} is a reversed range; write "{high}-{low}"')
    return _summarize(version, first, last)


def _summarize(version: int, first: int, last: int) -> Iterator[Network]:
    bits = BITS[version]
    while first <= last:
        alignment = (first & -first).bit_length() - 1 if first else bits
        size = min(alignment, (last - first + 1).bit_length() - 1)
        yield Network(version, first, bits - size)
        first += 1 << size


def without_nested(networks: Iterable[tuple[int, int, int]]) -> list[Network]:
    """Return networks sorted by version, address and prefix, without those that lie in another one."""
    kept: list[Network] = []
    family, last = 0, -1
    for network in sorted(networks):
        version, value, prefix = network
        if version != family or value > last:
            family, last = version, value | ((1 << (BITS[version] - prefix)) - 1)
            kept.append(network if isinstance(network, Network) else Network(version, value, prefix))
    return kept


INTERNAL = "internal"
"""What stands for the internal networks of the policy in a list of peers."""


def read_list(
    problems: Problems, path: str, value: object, allow_any: bool = True, internal: Sequence[Network] = ()
) -> list[Network]:
    """Read an inventory list of networks; what is wrong goes to ``problems`` with its index.

    ``allow_any`` says whether ``/0`` is acceptable. ``internal``: the networks that the word INTERNAL stands for. An
    entry that equals, contains or lies in another one is a problem: one of the two is a mistake.
    """
    if not isinstance(value, (list, tuple)):
        problems.add(path, not_a_list(path, value, 'a list of networks, as ["192.0.2.0/24"]'))
        return []
    found: list[tuple[Network, int, object]] = []
    for index, text in enumerate(value):
        if internal and text == INTERNAL:
            found.extend((network, index, network.short()) for network in internal)
            continue
        try:
            networks = parse_networks(text)
        except NetworkError as error:
            problems.add(f"{path}[{index}]", str(error))
            continue
        if not allow_any and any(network.prefix == 0 for network in networks):
            problems.add(f"{path}[{index}]", f"{shown(text)} is every address; name the networks that are meant")
            continue
        found.extend((network, index, text) for network in networks)
    _report_overlaps(problems, path, found)
    return sorted(network for network, _index, _text in found)


def _report_overlaps(problems: Problems, path: str, found: list[tuple[Network, int, object]]) -> None:
    reported = set()
    outer, outer_index, outer_text = Network(0, 0, 0), -1, None
    for network, index, text in sorted(found, key=lambda item: item[:2]):
        if network.version == outer.version and network.value <= outer.last:
            pair = (index, outer_index)
            if pair not in reported:
                reported.add(pair)
                word = "repeats" if network == outer else "lies in"
                problems.add(
                    f"{path}[{index}]",
                    f"{shown(text)} {word} {shown(outer_text)} ({path}[{outer_index}]); leave one of them out",
                )
        else:
            outer, outer_index, outer_text = network, index, text


def read_file(problems: Problems, path: str, lines: Iterable[str]) -> list[Network]:
    """Read a file of blocked networks: one a line, ``#`` and ``;`` begin comments, overlaps are merged.

    Published lists overlap as a matter of course, so unlike in the inventory
    that is no mistake here.
    """
    found: list[tuple[int, int, int]] = []
    for number, line in enumerate(lines, start=1):
        text = line.split("#", 1)[0].split(";", 1)[0].strip() if "#" in line or ";" in line else line.strip()
        if not text:
            continue
        plain = _plain(text)
        if plain is not None:
            found.append(plain)
            continue
        try:
            networks = parse_networks(text)
        except NetworkError as error:
            problems.add(f"{path}:{number}", str(error))
            continue
        if any(network.prefix == 0 for network in networks):
            problems.add(f"{path}:{number}", f"{shown(text)} is every address; name the networks that are meant")
            continue
        found.extend(networks)
    return without_nested(found)


def _plain(text: str) -> tuple[int, int, int] | None:
    """Read an address or a prefix, the commonest lines of a file, in a third of the time; None for all others."""
    address, slash, length = text.partition("/")
    version = 6 if ":" in address else 4
    bits = BITS[version]
    try:
        value = int.from_bytes(socket.inet_pton(_FAMILY[version], address), "big")
    except (OSError, ValueError):
        return None
    prefix = _LENGTHS.get(length, 0) if slash else bits
    if (
        not 0 < prefix <= bits
        or value & ((1 << (bits - prefix)) - 1)
        or (version == 6 and value >> 32 == _MAPPED >> 32)
    ):
        return None
    return version, value, prefix
