# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a policy says of connections, in the form in which the host tries them: samples of addresses, not networks.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .._policy.networks import BITS, Network, format_address, parse_address
from .._policy.packet_filter import CLIENT, SERVER, Flow, PacketFilterPolicy
from .rules import mail_services

SAMPLE = 3
"""Networks of a list that are tried."""
NEUTRAL = {
    4: ("203.0.113.77", "198.51.100.77", "192.0.2.77", "8.8.4.77", "100.200.50.77", "151.3.44.77"),
    6: ("2001:db8:5757::77", "2a00:77::77", "2400:77::77", "2607:77::77", "2c0f:77::77"),
}
"""Clients that nothing speaks of, if no network has them: documentation prefixes first."""


class PlannedFlow(NamedTuple):
    """A declared flow: name, direction, port, whether its peers are any; else addresses of peers and next to them.

    ``protocols``: of tcp and udp.
    """

    name: str
    direction: str
    port: int
    anyone: bool
    peers: Sequence[str]
    beside: Sequence[str]
    protocols: Sequence[str] = ("tcp",)


class ProbePlan(NamedTuple):
    """What the host tries: flows, ports that the policy decides about, blocked and neutral addresses, and users.

    ``users``: name and id, the first one is the mail server's; ``limited``: whether port 25 is for that one alone.
    ``ports_out``: ports of other hosts; empty where the policy leaves them open. ``whole``: scope host. ``absent``: the
    packet filter is removed.
    """

    flows: Sequence[PlannedFlow]
    ports: Sequence[int]
    ports_out: Sequence[int]
    blocked: Sequence[str]
    neutral: Sequence[str]
    users: Sequence[tuple[str, int]]
    limited: bool
    whole: bool
    absent: bool

    def without_networks(self) -> ProbePlan:
        """Return the plan without addresses of peers and of blocked networks."""
        return self._replace(blocked=[], flows=[flow._replace(peers=[], beside=[]) for flow in self.flows])

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> ProbePlan:
        """Read what ``to_dict`` returned, also after its way through JSON."""
        flows = [PlannedFlow(**flow) for flow in raw["flows"]]
        users = [(str(name), int(uid)) for name, uid in raw["users"]]
        return cls(**{**raw, "flows": flows, "users": users})

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for the way to the host."""
        return {**self._asdict(), "flows": [flow._asdict() for flow in self.flows], "users": [*map(list, self.users)]}


def plan_probes(policy: PacketFilterPolicy, mta_uid: int | None, *, limited: bool, absent: bool = False) -> ProbePlan:
    """Return what is to be tried for a policy.

    ``mta_uid``: the user under which the mail server delivers, None where that is not known.
    """
    flows = [*policy.flows, *(policy.host_flows if policy.scope == "host" else ())]
    named = [network for flow in flows for network in flow.peers or ()]
    known = [*named, *policy.blocked, *policy.management]
    neutral = [text for texts in NEUTRAL.values() for text in texts if not _is_in(text, known)]
    users = [*([("the mail server", mta_uid)] if mta_uid is not None else []), ("root", 0), ("nobody", 65534)]
    return ProbePlan(
        flows=[_planned(flow) for flow in flows],
        ports=[service.port for service in mail_services(policy, SERVER)],
        ports_out=[] if policy.egress_open else [service.port for service in mail_services(policy, CLIENT)],
        blocked=[_inside(network) for network in _sample(policy.blocked)],
        neutral=neutral,
        users=users,
        limited=limited,
        whole=policy.scope == "host",
        absent=absent,
    )


def _planned(flow: Flow) -> PlannedFlow:
    peers = _sample(flow.peers or ())
    beside = [text for text in map(_beside, peers) if text and not _is_in(text, flow.peers or ())]
    name, port = flow.name, flow.service.port
    inside = [_inside(one) for one in peers]
    return PlannedFlow(name, flow.direction, port, flow.peers is None, inside, beside, list(flow.service.protocols))


def _sample(networks: Sequence[Network]) -> list[Network]:
    """Networks of both families, the first and the last ones of each."""
    found: list[Network] = []
    for version in BITS:
        own = [one for one in networks if one.version == version]
        found += own[: SAMPLE - 1] + own[SAMPLE - 1 :][-1:]
    return found


def _inside(network: Network) -> str:
    """An address of a network that a host can have."""
    free = BITS[network.version] - network.prefix
    return format_address(network.version, network.value + (1 if free > 1 else 0))


def _beside(network: Network) -> str:
    """The address behind a network, nothing behind the last one."""
    after = network.last + 1
    return format_address(network.version, after) if after >> BITS[network.version] == 0 else ""


def _is_in(text: str, networks: Iterable[Network]) -> bool:
    version, value = parse_address(text)
    return any(one.version == version and one.value <= value <= one.last for one in networks)
