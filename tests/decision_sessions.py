# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Policies and sessions made up at random, from a seed, at the boundaries of a policy.

Clients lie at the first and last address of every network and one beside them; domains come with look-alikes below and
above them; DNSBLs give answers next to those that count.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

from ansible_collections.mailhost.hardening.tests.decision_table import (
    ABSENT,
    EXISTS,
    SERVFAIL,
    TROUBLE,
    Address,
    Answer,
    Session,
    boundaries,
)

OWN = ("example.org", "mail.example.org", "example.net")
PARTNERS = ("partner.example", "branch.partner.example", "customer.example")
UNRELATED = ("unrelated.example", "example.org.invalid", "notexample.org", "sub.example.org")
ZONES = ("one.bl.example", "two.bl.example", "three.bl.example", "abcdefghijklmnopqrstuvwxyz.keyed.bl.example")
STAGES = ("mail", "connect", "dispatcher")
RETURN_CODES = (
    ["127.0.0.2"],
    ["127.0.0.2-127.0.0.11"],
    ["127.0.0.4", "127.0.0.10-127.0.0.12"],
    ["127.0.1.0/24", "127.0.0.2"],
    ["127.0.0.254-127.0.2.3"],
)
NEAR = (
    *("127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.9", "127.0.0.10", "127.0.0.11", "127.0.0.12"),
    *("127.0.0.13", "127.0.0.253", "127.0.0.254", "127.0.1.0", "127.0.1.255", "127.0.2.3", "127.0.2.4", "127.0.2.0"),
)
ERRORS = ("127.255.255.252", "127.255.255.254", "127.255.255.255")
NO_ANSWERS = ("192.0.2.1", "10.0.0.2")
"""What a parked domain answers: no address of 127.0.0.0/8."""

UNNAMED = ("203.0.113.7", "2001:db8:ffff::7")


def make_policy(chance: random.Random, *, return_codes: bool = False) -> dict[str, Any]:
    """A policy that the collection accepts. ``return_codes`` requires them in every DNSBL."""
    networks = _networks(chance)
    stages = ("mail", chance.choice(STAGES[1:]))
    policy: dict[str, Any] = {
        "domains": list(OWN[: chance.randint(1, len(OWN))]),
        "internal_networks": _take(chance, networks, 3),
        "blocked_networks": _take(chance, networks, 2),
        "dnsbl_exempt_networks": _take(chance, networks, 2),
        "relay_exceptions": [_exception(chance, networks) for _number in range(chance.randint(0, 2))],
        "sender_domain_check": chance.random() < 0.5,
        "dnsbls": [
            {
                "zone": zone,
                "stage": chance.choice(stages),
                **({"return_codes": chance.choice(RETURN_CODES)} if return_codes or chance.random() < 0.7 else {}),
            }
            for zone in chance.sample(ZONES, chance.randint(0, 3))
        ],
    }
    if chance.random() < 0.3 and policy["internal_networks"]:
        # An exemption of an internal network, and one around a blocked network.
        policy["dnsbl_exempt_networks"].append(policy["internal_networks"][0])
    if chance.random() < 0.3:
        policy["blocked_networks"].append("198.51.100.64-198.51.100.99")
        policy["dnsbl_exempt_networks"].append("198.51.100.0/24")
    return policy


def make_sessions(chance: random.Random, policy: dict[str, Any], count: int) -> Iterator[Session]:
    """Sessions for a policy; a listed client is as likely as one that is not."""
    clients = boundary_clients(policy)
    for _number in range(count):
        sender = _address(chance, policy, null=True)
        port = chance.choice((25, 25, 25, 25, 587, 465))
        yield Session(
            client=chance.choice(clients),
            mail_from=sender,
            rcpt_to=_address(chance, policy, null=False),
            port=port,
            authenticated=chance.random() < (0.1 if port == 25 else 0.6),
            listed={one["zone"]: _answer(chance) for one in policy["dnsbls"]},
            sender_domain=chance.choice((EXISTS, EXISTS, ABSENT, TROUBLE)) if sender else EXISTS,
        )


def boundary_clients(policy: dict[str, Any]) -> list[str]:
    """The boundary addresses of every network of a policy, inside and outside, and a few in none of them."""
    texts = [
        *policy["internal_networks"],
        *policy["blocked_networks"],
        *policy["dnsbl_exempt_networks"],
        *(text for one in policy["relay_exceptions"] for text in one["networks"]),
    ]
    found = ["127.0.0.1", "::1", *UNNAMED]
    for text in texts:
        first, last = boundaries(text)
        found += [str(one) for one in (_beside(first, -1), first, last, _beside(last, 1))]
    return found


def _beside(address: Address, step: int) -> Address:
    return type(address)(int(address) + step)


def _networks(chance: random.Random) -> list[str]:
    """Networks of both families that do not overlap; some touch each other."""
    slots: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
    for text, prefix, count in (("198.18.0.0/16", 24, 5), ("10.20.0.0/16", 20, 4), ("2001:db8:20::/44", 48, 5)):
        slots.extend(islice(ipaddress.ip_network(text).subnets(new_prefix=prefix), 1, count + 1))
    chance.shuffle(slots)
    return [_within(chance, slot) for slot in slots]


def _within(chance: random.Random, slot: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    form = chance.random()
    if form < 0.3:
        return str(slot)
    if form < 0.6:
        length = chance.randint(slot.prefixlen, slot.max_prefixlen)
        address = slot[chance.randrange(min(slot.num_addresses, 1 << 20))]
        return str(ipaddress.ip_network((address, length), strict=False))
    if form < 0.8:
        low = chance.randrange(200)
        return f"{slot[low]}-{slot[low + chance.randint(1, 50)]}"
    return str(slot[chance.randrange(250)])


def _take(chance: random.Random, networks: list[str], most: int) -> list[str]:
    return [networks.pop() for _number in range(chance.randint(0, most)) if networks]


def _exception(chance: random.Random, networks: list[str]) -> dict[str, Any]:
    kinds = chance.choice((("sender_domains",), ("recipient_domains",), ("sender_domains", "recipient_domains")))
    return {
        "networks": [networks.pop() for _number in range(chance.randint(1, 2))],
        **{kind: chance.sample(PARTNERS, chance.randint(1, 2)) for kind in kinds},
    }


def _answer(chance: random.Random) -> Answer:
    form = chance.random()
    if form < 0.4:
        return []
    if form < 0.5:
        return SERVFAIL
    if form < 0.6:
        return [chance.choice(ERRORS)]
    if form < 0.65:
        return [chance.choice(NO_ANSWERS)]
    return chance.sample(NEAR, chance.randint(1, 2))


def _address(chance: random.Random, policy: dict[str, Any], *, null: bool) -> str:
    if null and chance.random() < 0.15:
        return ""
    domain = chance.choice((*policy["domains"], *policy["domains"], *PARTNERS, *PARTNERS, *UNRELATED))
    local = chance.choice(("user", "first.last", "box+detail", "Postmaster", "abuse"))
    return f"{local}@{domain.upper() if chance.random() < 0.1 else domain}"
