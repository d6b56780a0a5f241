# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a first activation would block although it is in use on the host and the inventory does not mention it.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .._policy.networks import Network, parse_networks
from .._policy.packet_filter import CLIENT, SERVER, PacketFilterPolicy
from .._policy.services import HOST_SERVICES, Service, find_service
from .rules import PacketFilterFacts, mail_services
from .sockets import Endpoint, SocketsInUse


class Undeclared(NamedTuple):
    """A service in use: the flow that would declare it, and the option in which that flow belongs.

    ``peers`` are those seen, or none where something merely listens.
    """

    service: Service
    direction: str
    option: str
    peers: tuple[str, ...] = ()


MAIL_FLOWS, HOST_FLOWS, MANAGEMENT = "services", "host_flows", "management_networks"
QUIET_UDP = (68, 123, 323, 546, 5353)
"""Ports at which clients of DHCP, NTP and multicast DNS wait for answers; not services."""


def find_undeclared(
    policy: PacketFilterPolicy,
    facts: PacketFilterFacts,
    in_use: SocketsInUse,
    *,
    first: bool = True,
    widened: bool = False,
) -> list[Undeclared]:
    """Return what is in use on the host and neither allowed by the policy nor closed by it on purpose.

    ``first`` is false where managed rules are live already; then mail is left out, and other services as well unless
    the scope ``widened`` to the whole host. Sessions of SSH count in every run.
    """
    served = {listener.port for listener in in_use.listeners}
    found = _undeclared_mail(policy, served, in_use.sessions) if first else []
    if policy.scope == "host":
        mail = {service.port for service in mail_services(policy, SERVER)}
        found += _undeclared_others(policy, facts, served - mail, in_use) if first or widened else []
        found += _undeclared_managers(policy, facts, in_use)
    closed = {service.port for service in policy.closed}
    return [undeclared for undeclared in found if undeclared.service.port not in closed]


def _undeclared_mail(policy: PacketFilterPolicy, served: set[int], sessions: Iterable[Endpoint]) -> list[Undeclared]:
    mail = {
        direction: {service.port: service for service in mail_services(policy, direction)}
        for direction in (SERVER, CLIENT)
    }
    found: dict[tuple[Service, str], set[str]] = {}
    for port in sorted(served & set(mail[SERVER])):
        if not _allows(policy, mail[SERVER][port], SERVER, None):
            found[mail[SERVER][port], SERVER] = set()
    for session in sessions:
        server = session.port in served
        port = session.port if server else session.remote_port
        direction = SERVER if server else CLIENT
        service = mail[direction].get(port)
        if service is None or (direction == CLIENT and policy.egress_open):
            continue
        key = (service, direction)
        if not _allows(policy, service, direction, session.remote) and (key not in found or found[key]):
            found.setdefault(key, set()).add(session.remote)
    return [Undeclared(*key, MAIL_FLOWS, tuple(sorted(peers))) for key, peers in found.items()]


def _undeclared_others(
    policy: PacketFilterPolicy, facts: PacketFilterFacts, served: set[int], in_use: SocketsInUse
) -> list[Undeclared]:
    services = [find_service(port, HOST_SERVICES) for port in sorted(served - {facts.ssh_port})]
    services += [
        find_service(f"{socket.port}/udp", HOST_SERVICES) for socket in in_use.udp if socket.port not in QUIET_UDP
    ]
    return [
        Undeclared(service, SERVER, HOST_FLOWS)
        for service in dict.fromkeys(services)
        if not _allows(policy, service, SERVER, None)
    ]


def _undeclared_managers(
    policy: PacketFilterPolicy, facts: PacketFilterFacts, in_use: SocketsInUse
) -> list[Undeclared]:
    service, ended = find_service(facts.ssh_port, HOST_SERVICES), set(in_use.ended)
    peers = {one.remote for one in in_use.sessions if one.port == facts.ssh_port and one not in ended}
    unnamed = sorted(
        peer
        for peer in peers - {facts.controller}
        if not _within(peer, policy.management) and not _allows(policy, service, SERVER, peer)
    )
    return [Undeclared(service, SERVER, MANAGEMENT, tuple(unnamed))] if unnamed else []


def _allows(policy: PacketFilterPolicy, service: Service, direction: str, peer: str | None) -> bool:
    """Whether a flow of the policy allows this peer, or without a peer, any address."""
    for flow in (*policy.flows, *policy.host_flows):
        protocols = set(flow.service.protocols) >= set(service.protocols)
        same = flow.service.port == service.port and flow.direction == direction and protocols
        if same and (peer is None or flow.peers is None or _within(peer, flow.peers)):
            return True
    return False


def _within(address: str, networks: Iterable[Network]) -> bool:
    return any(network.contains(parse_networks(address)[0]) for network in networks)


def describe_undeclared(
    found: list[Undeclared], names: Mapping[str, str], assumed: Iterable[Mapping[str, str]] = ()
) -> str:
    """Return the error of a first activation, with lists to paste into the inventory.

    ``names`` are the inventory variables of options; ``assumed`` are the default flows where the inventory has none,
    so that the list can be pasted as it is.
    """
    lines = ["The new rules would block what is in use on this host and not declared. Nothing was changed."]
    defaults = [f"  - {{service: {flow['service']}, direction: {flow['direction']}}}" for flow in assumed]
    for option in (MAIL_FLOWS, HOST_FLOWS, MANAGEMENT):
        flows = [undeclared for undeclared in found if undeclared.option == option]
        if not flows:
            continue
        given = defaults if option == MAIL_FLOWS else []
        lines.append(
            f"To keep it open, {'write' if given else 'add to'} {names.get(option, f'packet_filter_{option}')}:"
        )
        lines += given
        for flow in flows:
            items = [_yaml(peer) for peer in flow.peers] if option == MANAGEMENT else [_as_flow(flow)]
            lines += [f"  - {item}" for item in items]
    closable = dict.fromkeys(_short(undeclared.service) for undeclared in found if undeclared.option != MANAGEMENT)
    if closable:
        lines += ["To close it on purpose, add to packet_filter_close_services:", *(f"  - {name}" for name in closable)]
    if any(undeclared.option == MANAGEMENT for undeclared in found):
        lines.append("These addresses have SSH sessions now; to close SSH to them on purpose, end the sessions first.")
    return "\n".join(lines)


def _as_flow(undeclared: Undeclared) -> str:
    peers = f", peers: [{', '.join(map(_yaml, undeclared.peers))}]" if undeclared.peers else ""
    return f"{{service: {_short(undeclared.service)}, direction: {undeclared.direction}{peers}}}"


def _yaml(address: str) -> str:
    """Quote an IPv6 address, in which YAML could see a dictionary."""
    return f'"{address}"' if ":" in address else address


def _short(service: Service) -> str:
    if service.name.startswith("udp-"):
        return f"{service.port}/udp"
    return str(service.port) if service.name.startswith("port-") else service.name
