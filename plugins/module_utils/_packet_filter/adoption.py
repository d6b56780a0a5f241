# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a first activation would cut on a host although nobody declared or closed it.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.rules import HostFacts, mail_services
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.networks import Network, parse_address
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.packet_filter import (
    CLIENT,
    SERVER,
    PacketFilterPolicy,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.services import HOST, Service, find_service


class Cut(NamedTuple):
    """What would be cut: the flow that would keep it, and the inventory variable in which that flow belongs.

    ``peers`` are those seen, or none where something merely listens.
    """

    service: Service
    direction: str
    variable: str
    peers: tuple[str, ...] = ()


MAIL_FLOWS, HOST_FLOWS, MANAGEMENT = "services", "host_flows", "management_networks"
QUIET_UDP = (68, 123, 323, 546, 5353)
"""Ports at which clients of DHCP, NTP and multicast DNS wait for answers; no service anybody would miss."""


def find_cuts(policy: PacketFilterPolicy, facts: HostFacts, in_use: Mapping[str, Any], first: bool = True) -> list[Cut]:
    """Return what is in use on the host and neither allowed by the policy nor closed by it on purpose.

    ``in_use`` has lists of sockets under ``listeners``, ``sessions`` and ``udp``; a socket is a dictionary with
    ``address``, ``port``, ``remote`` and ``remote_port``. ``first`` is false where our rules are there already and
    their scope widens to the whole host; then mail is not asked about again.
    """
    served = {socket["port"] for socket in in_use["listeners"]}
    cuts = _cut_mail(policy, served, in_use["sessions"]) if first else []
    if policy.scope == "host":
        mail = {service.port for service in mail_services(policy, SERVER)}
        cuts += _cut_others(policy, facts, served - mail, in_use)
    closed = {service.port for service in policy.closed}
    return [cut for cut in cuts if cut.service.port not in closed]


def _cut_mail(policy: PacketFilterPolicy, served: set[int], sessions: Iterable[Mapping[str, Any]]) -> list[Cut]:
    mail = {
        direction: {service.port: service for service in mail_services(policy, direction)}
        for direction in (SERVER, CLIENT)
    }
    cuts: dict[tuple[Service, str], set[str]] = {}
    for port in sorted(served & set(mail[SERVER])):
        if not _allows(policy, mail[SERVER][port], SERVER, None):
            cuts[mail[SERVER][port], SERVER] = set()
    for session in sessions:
        server = session["port"] in served
        port = session["port"] if server else session["remote_port"]
        direction = SERVER if server else CLIENT
        service = mail[direction].get(port)
        if service is None or (direction == CLIENT and policy.egress_open):
            continue
        key = (service, direction)
        if not _allows(policy, service, direction, session["remote"]) and (key not in cuts or cuts[key]):
            cuts.setdefault(key, set()).add(session["remote"])
    return [Cut(service, direction, MAIL_FLOWS, tuple(sorted(peers))) for (service, direction), peers in cuts.items()]


def _cut_others(policy: PacketFilterPolicy, facts: HostFacts, served: set[int], in_use: Mapping[str, Any]) -> list[Cut]:
    found = [find_service(port, HOST) for port in sorted(served - {facts.ssh_port})]
    found += [
        find_service(f"{socket['port']}/udp", HOST) for socket in in_use["udp"] if socket["port"] not in QUIET_UDP
    ]
    cuts = [
        Cut(service, SERVER, HOST_FLOWS)
        for service in dict.fromkeys(found)
        if not _allows(policy, service, SERVER, None)
    ]
    managers = {session["remote"] for session in in_use["sessions"] if session["port"] == facts.ssh_port}
    strangers = sorted(address for address in managers - {facts.controller} if not _within(address, policy.management))
    if strangers:
        cuts.append(Cut(find_service(facts.ssh_port, HOST), SERVER, MANAGEMENT, tuple(strangers)))
    return cuts


def _allows(policy: PacketFilterPolicy, service: Service, direction: str, peer: str | None) -> bool:
    """Whether a flow of the policy lets this peer through, or with no peer, anybody."""
    for flow in (*policy.flows, *policy.host_flows):
        protocols = set(flow.service.protocols) >= set(service.protocols)
        same = flow.service.port == service.port and flow.direction == direction and protocols
        if same and (peer is None or flow.peers is None or _within(peer, flow.peers)):
            return True
    return False


def _within(address: str, networks: Iterable[Network]) -> bool:
    version, value = parse_address(address)
    return any(network.version == version and network.value <= value <= network.last for network in networks)


def describe_cuts(cuts: list[Cut], names: Mapping[str, str], assumed: Iterable[Mapping[str, str]] = ()) -> str:
    """Return the refusal of a first activation, with lists to paste into the inventory.

    ``names`` are the inventory variables of options; ``assumed`` are the default flows where the inventory has none,
    so that the list can be pasted as it is.
    """
    lines = ["The policy would cut what is in use on this host, and nobody declared it. Nothing was changed."]
    defaults = [f"  - {{service: {flow['service']}, direction: {flow['direction']}}}" for flow in assumed]
    for option in (MAIL_FLOWS, HOST_FLOWS, MANAGEMENT):
        flows = [cut for cut in cuts if cut.variable == option]
        if not flows:
            continue
        given = defaults if option == MAIL_FLOWS else []
        lines.append(f"To keep it, {'write' if given else 'add to'} {names.get(option, f'packet_filter_{option}')}:")
        lines += given
        for cut in flows:
            lines += [f"  - {_yaml(peer)}" for peer in cut.peers] if option == MANAGEMENT else [f"  - {_as_flow(cut)}"]
    closable = dict.fromkeys(_short(cut.service) for cut in cuts if cut.variable != MANAGEMENT)
    if closable:
        lines += ["To close it on purpose, add to packet_filter_close_services:", *(f"  - {name}" for name in closable)]
    return "\n".join(lines)


def _as_flow(cut: Cut) -> str:
    limit = f", peers: [{', '.join(_yaml(peer) for peer in cut.peers)}]" if cut.peers else ""
    return f"{{service: {_short(cut.service)}, direction: {cut.direction}{limit}}}"


def _yaml(address: str) -> str:
    """An IPv6 address needs quotes where YAML would see a dictionary in it."""
    return f'"{address}"' if ":" in address else address


def _short(service: Service) -> str:
    if service.name.startswith("udp-"):
        return f"{service.port}/udp"
    return str(service.port) if service.name.startswith("port-") else service.name
