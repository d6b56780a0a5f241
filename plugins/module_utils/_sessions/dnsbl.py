# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Self-test of DNSBLs through the host's own resolver, before a server relies on them.

Private to the collection: other collections must not import it.

Source: RFC 5782 section 5: an IPv4 DNSBL lists 127.0.0.2 and does not list 127.0.0.1. To clients without permission
DNSBLs answer with codes of 127.255.255.0/24; a mail server that cannot mask codes takes these for a listing.
"""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from .._policy.dnsbl import shown_zone
from .._policy.errors import PolicyError, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Query = Callable[[str], "Sequence[str] | None"]
    """Addresses of a name; an empty list when it does not exist, None when there is no definite answer."""

PATIENCE = 15
"""Seconds for all lists together; the resolver gives up a name after 10 by itself (resolv.conf(5))."""

ERROR_CODES = {
    "127.255.255.252": "the zone's name has a typing error",
    "127.255.255.254": "the DNSBL does not answer public or shared resolvers; use a resolver of your own",
    "127.255.255.255": "this resolver has sent too many queries; the DNSBL requires an agreement",
}
ERROR_PREFIX = "127.255.255."
ERRORS_ARE_LISTINGS = ". Messaging Server would take that for a listing and reject all mail"
"""What such an answer does where answers cannot be distinguished."""


class Answers(NamedTuple):
    """What a list says of the test address that it must have and of the one that it must not have."""

    listed: Sequence[str] | None
    unlisted: Sequence[str] | None


def resolve_name(name: str) -> list[str] | None:
    """IPv4 addresses of a name by the host's own resolver."""
    try:
        found = socket.getaddrinfo(name, None, socket.AF_INET, socket.SOCK_STREAM)
    except socket.gaierror as error:
        return [] if error.errno in {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)} else None
    except (OSError, UnicodeError):
        return None
    return sorted({str(address[0]) for *_rest, address in found})


def query_dnsbls(zones: Iterable[str], query: Query = resolve_name, patience: float = PATIENCE) -> dict[str, Answers]:
    """Query all DNSBLs side by side; what has no answer in time counts as no definite answer."""
    names = {(zone, octet): f"{octet}.0.0.127.{zone}." for zone in zones for octet in (2, 1)}
    answers: dict[tuple[str, int], Sequence[str] | None] = {}

    def one(key: tuple[str, int]) -> None:
        answers[key] = query(names[key])

    threads = [threading.Thread(target=one, args=(key,), daemon=True) for key in names]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + patience
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    known = dict(answers)
    return {zone: Answers(known.get((zone, 2)), known.get((zone, 1))) for zone, octet in names if octet == 2}


def unusable_dnsbls(
    zones: Mapping[str, int], names: Mapping[str, str], role: str, skip: bool, consequence: str = ""
) -> tuple[set[str], list[str]]:
    """Lists that fail their self-test, each with a warning; PolicyError where they are not to be skipped.

    ``zones``: the place of each list in the inventory. ``names``: the inventory variable to name for an option.
    ``consequence``: what an answer that is an error would do.
    """
    path = names.get("dnsbls", "mailhost_dnsbls")
    problems = {
        zone: f"{path}[{zones[zone]}].zone: {shown(shown_zone(zone))} cannot be used: {why}"
        for zone, answers in query_dnsbls(zones).items()
        for why in [describe_fault(answers, consequence)]
        if why
    }
    if problems and not skip:
        hint = (
            "remove it, correct its zone or the host's resolver, "
            f"or write {role}_unusable_dnsbls: skip to go on without it"
        )
        raise PolicyError([f"{problem}; {hint}" for problem in problems.values()])
    return set(problems), [f"{problem}; it is left out" for problem in problems.values()]


def describe_fault(answers: Answers, consequence: str = "") -> str:
    """Why a list cannot be relied on, or nothing when it works."""
    for found in (*(answers.listed or ()), *(answers.unlisted or ())):
        if found.startswith(ERROR_PREFIX):
            why = ERROR_CODES.get(found, "an error, not a listing")
            return f"it answers {found}: {why}{consequence}"
    if answers.unlisted:
        found = ", ".join(answers.unlisted)
        return f"it lists 127.0.0.1 ({found}), as a DNSBL does that has closed and lists every address"
    if answers.listed is None or answers.unlisted is None:
        return "the host's resolver gets no answer from it (time-out or server failure)"
    if not answers.listed:
        return "it does not list its test entry 127.0.0.2 (RFC 5782), as a DNSBL does that has closed or was misspelt"
    return ""
