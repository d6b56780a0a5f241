# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ``dns_verify`` family of callouts on top of any resolver.

Source: docs/reference/messaging-server-facts.md#dns-verify. No network is touched here: the resolver is the caller's,
and :class:`StaticResolver` answers from a dictionary.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DOMAIN_HIT_PREFIX = "$N"
"""What ``dns_verify_domain`` puts before the reason when a host is listed. That it sets flag N is derived from
the vendor's templates; the exact text is not known: docs/reference/messaging-server-facts.md#unknown."""

DOMAIN_PORT_HIT_PREFIX = "$N500$ 5.7.1$ "
"""The same for ``dns_verify_domain_port``, whose text the Dispatcher writes raw. Also an open point."""

NO_TEXT = "No error text available"
"""The reason when a zone has an address record but no text and the template gives no text either (older releases)."""

NOT_FOUND_TEXT = "not found"
"""What ``%e`` stands for in the texts of ``dns_verify``; the vendor's resolver messages are not known."""

TEXT_RECORDS_ARE_QUOTED = True
"""Text records are data of others. Whether the vendor expands dollar signs in them is not known; here they cannot
add flags."""

IPV6_IS_LOOKED_UP = False
"""Whether ``dns_verify_domain`` looks up IPv6 addresses is not known; taken as not listed."""

NO_ANSWER = "SERVFAIL"
"""What stands for no definite answer in a set of records."""

NAME_RECORDS = ("A", "AAAA", "MX", "CNAME")
"""Records that make a name one that mail can come from; a name with other records only does not exist for us."""

ROUTINES = ("dns_verify", "dns_verify_domain", "dns_verify_domain_port")


class Resolver(Protocol):
    """Answers to look-ups; ``None`` means that there is no definite answer (time-out, server failure)."""

    def exists(self, name: str) -> bool | None:
        """Whether the name has any address or mail exchanger."""

    def texts(self, name: str) -> Sequence[str] | None:
        """Its text records."""

    def addresses(self, name: str) -> Sequence[str] | None:
        """Its address records."""


class StaticResolver:
    """A resolver that knows a fixed set of records.

    ``records`` maps a name (any case, with or without final dot) to: a list of address texts; a mapping from record
    type (``A``, ``TXT``, ``MX`` ...) to a list of texts; or the text ``SERVFAIL`` for no definite answer. A name that
    is not in it, or has none of ``NAME_RECORDS``, does not exist.

    With ``zones`` a key may also be the zone of a DNSBL. Its value answers for every address that has no name of its
    own in the records, or it is a mapping from address to such a value.
    """

    def __init__(self, records: Mapping[str, object], *, zones: bool = False) -> None:
        self._zones = zones
        self._records = {name.rstrip(".").lower(): value for name, value in records.items()}

    def _value(self, name: str) -> object:
        key = name.rstrip(".").lower()
        labels = key.split(".")
        if key in self._records or not self._zones or len(labels) < 5 or not all(map(str.isdigit, labels[:4])):
            return self._records.get(key)
        answers = self._records.get(".".join(labels[4:]))
        if isinstance(answers, dict) and not any(str(kind).isalpha() for kind in answers):
            return answers.get(".".join(reversed(labels[:4])))
        return answers

    def _records_of(self, name: str, kind: str) -> list[str] | None:
        value = self._value(name)
        if isinstance(value, dict):
            value = next((item for name, item in value.items() if str(name).upper() == kind), None)
        elif kind != "A" and value != NO_ANSWER:
            value = None
        if value == NO_ANSWER:
            return None
        return [str(item) for item in value] if isinstance(value, (list, tuple)) else []

    def exists(self, name: str) -> bool | None:
        """Whether the name has an address or a mail exchanger; no definite answer for one of them is none at all."""
        value = self._value(name)
        records = [self._records_of(name, kind) for kind in NAME_RECORDS]
        if any(records):
            return True
        return None if value == NO_ANSWER or None in records else False

    def texts(self, name: str) -> Sequence[str] | None:
        """Its text records."""
        return self._records_of(name, "TXT")

    def addresses(self, name: str) -> Sequence[str] | None:
        """Its address records."""
        return self._records_of(name, "A")


def dnsbl_name(address: str, zone: str) -> str | None:
    """The name to look up in a DNSBL: the octets reversed, then the zone. None when it is no IPv4 address."""
    try:
        parsed = ipaddress.IPv4Address(address)
    except ValueError:
        return None
    return ".".join([*reversed(str(parsed).split(".")), zone.rstrip(".")])


def listing(resolver: Resolver, address: str, zone: str) -> tuple[bool, str]:
    """Whether a zone lists an address, and the reason its text record gives (empty without one).

    Every answer counts, also the error answers of DNSBLs: the routines cannot mask return codes. No definite
    answer counts as not listed.
    """
    name = dnsbl_name(address, zone)
    if name is None:
        return False, ""
    texts = resolver.texts(name)
    if texts:
        return True, texts[0]
    return bool(resolver.addresses(name)), ""


def call_routine(resolver: Resolver, routine: str, argument: str) -> str | None:
    """The template text that a routine of the family returns, or None when it fails.

    ``argument`` is the expanded argument: ``domain|if found|if not found[|if unknown]`` for ``dns_verify``, else
    ``address,zone[,default text]``.
    """
    if routine == "dns_verify":
        return _verify_name(resolver, argument)
    if routine not in {"dns_verify_domain", "dns_verify_domain_port"}:
        return None
    address, _comma, rest = argument.partition(",")
    zone, comma, default = rest.partition(",")
    listed, reason = listing(resolver, address, zone)
    if not listed:
        return None
    if not reason:
        reason = default if comma else NO_TEXT
    prefix = DOMAIN_PORT_HIT_PREFIX if routine == "dns_verify_domain_port" else DOMAIN_HIT_PREFIX
    return prefix + (reason.replace("$", "$$") if TEXT_RECORDS_ARE_QUOTED else reason)


def _verify_name(resolver: Resolver, argument: str) -> str | None:
    pieces = argument.split("|")
    if len(pieces) < 3:
        return None
    found = resolver.exists(pieces[0])
    if found is None:
        return pieces[3].replace("%e", "no answer") if len(pieces) > 3 else None
    return pieces[1] if found else pieces[2].replace("%e", NOT_FOUND_TEXT)
