# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connections by which the states before and after a change are compared, and what the policy says of each.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from .._policy.packet_filter import CLIENT, SERVER
from .probe_plan import PlannedFlow, ProbePlan
from .replica import ECHO, TCP, UDP, Ports, Try
from .snapshot import Snapshot
from .special import Special, choose_clients

BURST = 20
"""Connections that one client opens at once."""
ANYWHERE, LOW, BURST_WHO = "from anywhere", "from anywhere, source port below 1024", "from anywhere, a burst"
LOW_REASON = "source ports of clients begin at 1024"
REMOVED = "the packet filter is removed"
SCOPE = "packet_filter_scope"
OTHERS_OUT = ((TCP, 22), (TCP, 80), (TCP, 443), (UDP, 53), (UDP, 123))
"""Connections to other hosts besides mail: remote shells, the web, DNS and time."""
DENIED = "rules that can only deny come before the managed ones"
"""Why a client that a rule names is kept out although a flow is for everybody: the rule counts again."""


class Question(NamedTuple):
    """A connection to try, and what the policy says of it.

    ``who``: the class of clients. ``required``: a declared flow, which has to be open. ``opens``, ``closes``: why the
    policy opens or closes it, nothing where it does not. ``baseline``: the class of everybody else.
    """

    attempt: Try
    who: str
    required: bool = False
    opens: str = ""
    closes: str = ""
    baseline: str = ""


def questions_for(
    plan: ProbePlan, ports: Ports, snapshot: Snapshot, named: Sequence[Special], families: Iterable[int]
) -> Iterator[Question]:
    """Yield every connection to try. ``ports``: where the copies listen. ``named``: clients of rules and sets."""
    chosen = choose_clients(named)
    for family in sorted(families):
        target = _own_address(snapshot, family)
        neutral = [one for one in plan.neutral if family_of(one) == family and not _is_named(one, named)]
        if not target or not neutral:
            continue
        clients = [one for one in chosen if family_of(one.address) == family]
        decided = [port for port in ports.tcp if plan.whole or port in decided_ports(plan)]
        for port in decided:
            yield from _incoming(plan, port, target, neutral, clients)
        yield from _outgoing(plan, neutral[0])
        if not ports.scoped:
            continue
        others = [(TCP, port) for port in ports.tcp if port not in decided]
        yield from _others(plan, [*others, *((UDP, port) for port in ports.udp), (ECHO, 0)], target, neutral[-1])
        yield from _others_out(plan, neutral[0])


def decided_ports(plan: ProbePlan) -> list[int]:
    """Return the TCP ports of the host about which a policy of either scope decides."""
    served = [flow.port for flow in plan.flows if flow.direction == SERVER and TCP in flow.protocols]
    return sorted({*plan.ports, *served})


def _incoming(
    plan: ProbePlan, port: int, target: str, neutral: Sequence[str], clients: Sequence[Special]
) -> Iterator[Question]:
    flows = _flows(plan, SERVER, port, TCP)
    anyone = next((flow for flow in flows if flow.anyone), None)
    closes = _closes(plan, [flow.name for flow in flows])
    opens = f"flow {anyone.name}" if anyone else ""
    plain_closes = "" if anyone else closes
    if plan.absent:
        opens = closes = plain_closes = REMOVED
    # A client for each kind of question, as limits count what a client does.
    plain, low, many = [*neutral, *neutral, *neutral][:3]
    required = anyone is not None and not plan.absent
    yield Question(Try(plain, target, port), ANYWHERE, required, opens, plain_closes)
    for flow in flows:
        family = family_of(target)
        for peer in (one for one in flow.peers if family_of(one) == family):
            who, reason = f"from peers of flow {flow.name}", REMOVED if plan.absent else f"flow {flow.name}"
            yield Question(Try(peer, target, port), who, not plan.absent, reason)
        for other in (one for one in flow.beside if family_of(one) == family):
            yield Question(
                Try(other, target, port), f"from others than peers of flow {flow.name}", False, opens, closes
            )
    for client in clients:
        yield Question(Try(client.address, target, port), client.who, False, opens, plain_closes or DENIED, ANYWHERE)
    reason = LOW_REASON if anyone and not plan.absent else closes
    yield Question(Try(low, target, port, low=True), LOW, False, opens, reason, ANYWHERE)
    if anyone:
        yield Question(Try(many, target, port, burst=BURST), BURST_WHO, False, opens, "", ANYWHERE)
    if not plan.absent:
        for address in (one for one in plan.blocked if family_of(one) == family_of(target)):
            yield Question(Try(address, target, port), "from blocked networks", False, "", "mailhost_blocked_networks")


def _closes(plan: ProbePlan, names: Sequence[str]) -> str:
    if names:
        return f"flow {names[0]} is for its peers"
    return "no flow declared" if not plan.whole else "no flow declared, scope host"


def _outgoing(plan: ProbePlan, neutral: str) -> Iterator[Question]:
    number = 0
    for port in plan.ports_out:
        flows = _flows(plan, CLIENT, port, TCP)
        anyone = next((flow for flow in flows if flow.anyone), None)
        for place, (name, uid) in enumerate(plan.users if port == 25 else plan.users[:1]):
            number += 1
            kept = plan.limited and port == 25 and place > 0
            reason = (
                "packet_filter_smtp_client_users" if kept and anyone else _closes(plan, [one.name for one in flows])
            )
            opens = f"flow {anyone.name}" if anyone else ""
            if plan.absent:
                opens = reason = REMOVED
            required = anyone is not None and not kept and not plan.absent
            attempt = Try("", _target(neutral, number), port, uid=uid)
            yield Question(attempt, f"to anywhere as {name}", required, opens, "" if required else reason)


def _others(plan: ProbePlan, services: Iterable[tuple[str, int]], target: str, neutral: str) -> Iterator[Question]:
    """What only the scope host decides about. Each has a client of its own, as limits count what a client does."""
    for number, (protocol, port) in enumerate(services):
        flows = _flows(plan, SERVER, port, protocol)
        attempt = Try(str(ipaddress.ip_address(neutral) + number), target, port, protocol=protocol)
        yield _of_scope(plan, attempt, ANYWHERE, flows)
        for flow in flows:
            for peer in (one for one in flow.peers if family_of(one) == family_of(target)):
                reason = REMOVED if plan.absent else f"flow {flow.name}"
                yield Question(attempt._replace(source=peer), f"from peers of flow {flow.name}", False, reason)


def _others_out(plan: ProbePlan, neutral: str) -> Iterator[Question]:
    decided = {(TCP, port) for port in plan.ports_out}
    for number, (protocol, port) in enumerate(one for one in OTHERS_OUT if one not in decided):
        attempt = Try("", _target(neutral, 1000 + number), port, uid=0, protocol=protocol)
        yield _of_scope(plan, attempt, "to anywhere as root", _flows(plan, CLIENT, port, protocol))


def _of_scope(plan: ProbePlan, attempt: Try, who: str, flows: Sequence[PlannedFlow]) -> Question:
    anyone = next((flow for flow in flows if flow.anyone), None)
    opens = REMOVED if plan.absent else f"flow {anyone.name}" if anyone else SCOPE
    closes = "" if anyone or not plan.whole else _closes(plan, [flow.name for flow in flows])
    return Question(attempt, who, False, opens, REMOVED if plan.absent else closes)


def _flows(plan: ProbePlan, direction: str, port: int, protocol: str) -> list[PlannedFlow]:
    return [
        flow for flow in plan.flows if flow.direction == direction and flow.port == port and protocol in flow.protocols
    ]


def _target(neutral: str, number: int) -> str:
    """An address of another host for each connection, by which its packets are known."""
    return str(ipaddress.ip_address(neutral) + number)


def family_of(address: str) -> int:
    """Return the version of IP of an address."""
    return 6 if ":" in address else 4


def _own_address(snapshot: Snapshot, family: int) -> str:
    found = [text for one in snapshot.interfaces for text, _length in one.addresses if family_of(text) == family]
    return [*found, ""][0]


def _is_named(address: str, named: Iterable[Special]) -> bool:
    client = ipaddress.ip_address(address)
    return any(client in one.network for one in named if one.network.version == client.version)
