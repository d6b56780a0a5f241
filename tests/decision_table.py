# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a mail policy means for an SMTP session, said once and without any product.

The back ends are compared with this table. It is written from the meaning of the inventory variables and shares no
code with the collection, down to the arithmetic of networks.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Union

CONNECT, MAIL, RCPT = "connect", "mail", "rcpt"
EXISTS, ABSENT, TROUBLE = "exists", "absent", "trouble"
SERVFAIL = "SERVFAIL"

SUBMISSION_PORTS = (465, 587)
ALWAYS_REACHABLE = ("postmaster", "abuse")

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Answer = Union[Sequence[str], str]

LOOPBACK = ("127.0.0.1", "::1")
ANSWERS = ipaddress.ip_network("127.0.0.0/8")
ERRORS = ipaddress.ip_network("127.255.255.0/24")


class Session(NamedTuple):
    """A session with one recipient.

    ``listed``: the answer of each DNSBL about the client, addresses or SERVFAIL; a zone that is not named
    does not list it. ``sender_domain``: whether the domain of ``mail_from`` exists. ``mail_from`` is empty for a
    bounce.
    """

    client: str
    mail_from: str
    rcpt_to: str
    port: int = 25
    authenticated: bool = False
    listed: Mapping[str, Answer] = {}
    sender_domain: str = EXISTS


class Verdict(NamedTuple):
    """The end of a session.

    ``stage``: where it is rejected, empty when it is not. ``may_defer``: a deferral at MAIL FROM or later is as good,
    because the DNS did not answer whether the sender's domain exists. ``why``: for a person.
    """

    accept: bool
    stage: str
    why: str
    may_defer: bool = False


def decide(policy: Mapping[str, Any], session: Session) -> Verdict:
    """The verdict for a session. ``policy``: the shared inventory variables without ``mailhost_``."""
    client = ipaddress.ip_address(session.client)
    if contains(policy.get("blocked_networks"), client):
        return Verdict(False, CONNECT, "the client is blocked")
    internal = session.client in LOOPBACK or contains(policy.get("internal_networks"), client)
    if session.port in SUBMISSION_PORTS and not session.authenticated:
        return Verdict(False, MAIL, "submission requires AUTH")
    looked_up = session.port == 25 and not internal and not contains(policy.get("dnsbl_exempt_networks"), client)
    if looked_up and _listed(policy, session, ("connect", "dispatcher")):
        return Verdict(False, CONNECT, "a DNSBL of stage connect lists the client")
    if internal or session.authenticated:
        return Verdict(True, "", "an authenticated client" if session.authenticated else "the client is internal")
    return _decide_external(policy, session, looked_up)


def _decide_external(policy: Mapping[str, Any], session: Session, looked_up: bool) -> Verdict:
    checked = bool(policy.get("sender_domain_check")) and session.mail_from != ""
    if checked and session.sender_domain == ABSENT:
        return Verdict(False, MAIL, "the sender's domain does not exist")
    trouble = checked and session.sender_domain == TROUBLE
    if domain_of(session.rcpt_to) not in _names(policy.get("domains")):
        if any(_is_exception(one, session) for one in policy.get("relay_exceptions", ())):
            return Verdict(True, "", "a relay exception", trouble)
        return Verdict(False, RCPT, "an external client may not relay", trouble)
    reachable = session.rcpt_to.rpartition("@")[0].lower() in ALWAYS_REACHABLE
    if looked_up and not reachable and _listed(policy, session, ("mail",)):
        return Verdict(False, RCPT, "a DNSBL of stage mail lists the client", trouble)
    return Verdict(True, "", "mail for a domain of the policy", trouble)


def _is_exception(exception: Mapping[str, Any], session: Session) -> bool:
    if not contains(exception["networks"], ipaddress.ip_address(session.client)):
        return False
    pairs = (
        (exception.get("sender_domains"), session.mail_from),
        (exception.get("recipient_domains"), session.rcpt_to),
    )
    return all(not domains or domain_of(address) in _names(domains) for domains, address in pairs)


def _listed(policy: Mapping[str, Any], session: Session, stages: tuple[str, ...]) -> bool:
    for one in policy.get("dnsbls", ()):
        answer = session.listed.get(one["zone"], ())
        found = () if isinstance(answer, str) else answer
        if one.get("stage", "mail") in stages and any(counts(one.get("return_codes"), text) for text in found):
            return True
    return False


def counts(return_codes: Sequence[str] | None, answer: str) -> bool:
    """Whether an answer of a DNSBL means that the client is listed."""
    address = ipaddress.ip_address(answer)
    if address not in ANSWERS or address in ERRORS:
        return False
    return not return_codes or contains(return_codes, address)


def contains(networks: Iterable[str] | None, address: Address) -> bool:
    """Whether an address lies in one of the addresses, prefixes and ranges."""
    for text in networks or ():
        first, last = boundaries(text)
        if first.version == address.version and int(first) <= int(address) <= int(last):
            return True
    return False


def boundaries(text: str) -> tuple[Address, Address]:
    """The first and the last address of an address, a prefix or a range."""
    low, dash, high = text.partition("-")
    if dash:
        return ipaddress.ip_address(low), ipaddress.ip_address(high)
    network = ipaddress.ip_network(text)
    return network[0], network[-1]


def domain_of(address: str) -> str:
    """The domain of an address in lower case, empty without one."""
    return address.rpartition("@")[2].lower() if "@" in address else ""


def _names(domains: Iterable[str] | None) -> set[str]:
    return {name.lower().rstrip(".") for name in domains or ()}
