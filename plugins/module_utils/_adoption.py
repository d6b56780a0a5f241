# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a first activation would cut on a host although nobody declared or closed it.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Optional

from ansible_collections.mailhost.hardening.plugins.module_utils._firewall import HostFacts, mail_services
from ansible_collections.mailhost.hardening.plugins.module_utils._networks import Network, parse_address
from ansible_collections.mailhost.hardening.plugins.module_utils._policy import CLIENT, SERVER, FirewallPolicy
from ansible_collections.mailhost.hardening.plugins.module_utils._services import HOST, Service, find_service

Cut = tuple[Service, str, bool, Optional[tuple[str, ...]]]
"""Service, direction, whether it is a mail service, and the peers seen (None for a mere listener)."""


def find_cuts(
    policy: FirewallPolicy,
    facts: HostFacts,
    listeners: Iterable[Mapping[str, Any]],
    sessions: Iterable[Mapping[str, Any]],
) -> list[Cut]:
    """Return what is in use on the host and neither allowed by the policy nor closed by it on purpose.

    ``listeners`` and ``sessions`` are TCP sockets of the host: dictionaries with
    ``address``, ``port``, ``remote`` and ``remote_port``.
    """
    mail = {service.port: service for service in mail_services(policy)}
    closed = {service.port for service in policy.closed}
    served = {socket["port"] for socket in listeners}
    cuts: dict[tuple[Service, str, bool], set[str]] = {}
    for port in sorted(served):
        if port not in closed and (port in mail or (policy.scope == "host" and port != facts.ssh_port)):
            service = mail.get(port) or find_service(port, HOST)
            if not _allows(policy, service, SERVER, None):
                cuts[(service, SERVER, port in mail)] = set()
    for session in sessions:
        server = session["port"] in served
        port = session["port"] if server else session["remote_port"]
        direction = SERVER if server else CLIENT
        if port not in mail or port in closed or (direction == CLIENT and policy.egress_open):
            continue
        key = (mail[port], direction, True)
        if not _allows(policy, mail[port], direction, session["remote"]) and (key not in cuts or cuts[key]):
            cuts.setdefault(key, set()).add(session["remote"])
    return [
        (service, direction, is_mail, tuple(sorted(peers)) or None)
        for (service, direction, is_mail), peers in cuts.items()
    ]


def _allows(policy: FirewallPolicy, service: Service, direction: str, peer: str | None) -> bool:
    """Whether a flow of the policy lets this peer through, or with no peer, anybody."""
    for flow in (*policy.flows, *policy.host_flows):
        same = flow.service.port == service.port and flow.direction == direction and "tcp" in flow.service.protocols
        if same and (peer is None or flow.peers is None or _within(peer, flow.peers)):
            return True
    return False


def _within(address: str, networks: Iterable[Network]) -> bool:
    version, value = parse_address(address)
    return any(network.version == version and network.value <= value <= network.last for network in networks)


def describe_cuts(cuts: list[Cut], services_variable: str, assumed: Iterable[Mapping[str, str]] = ()) -> str:
    """Return the refusal of a first activation, with lists to paste into the inventory.

    ``assumed`` are the default flows where the inventory has none, so that the
    list can be pasted as it is.
    """
    lines = ["The policy would cut what is in use on this host, and nobody declared it. Nothing was changed."]
    defaults = [f"  - {{service: {flow['service']}, direction: {flow['direction']}}}" for flow in assumed]
    for variable, is_mail in ((services_variable, True), ("firewall_host_flows", False)):
        flows = [cut for cut in cuts if cut[2] == is_mail]
        if flows:
            verb = "write" if defaults and is_mail else "add to"
            lines += [
                f"To keep it, {verb} {variable}:",
                *(defaults if is_mail else []),
                *(f"  - {_as_flow(*cut)}" for cut in flows),
            ]
    names = dict.fromkeys(_short(cut[0]) for cut in cuts)
    lines += ["To close it on purpose, add to firewall_close_services:", *(f"  - {name}" for name in names)]
    return "\n".join(lines)


def _as_flow(service: Service, direction: str, _is_mail: bool, peers: tuple[str, ...] | None) -> str:
    limit = f", peers: [{', '.join(_yaml(peer) for peer in peers)}]" if peers else ""
    return f"{{service: {_short(service)}, direction: {direction}{limit}}}"


def _yaml(address: str) -> str:
    """An IPv6 address needs quotes where YAML would see a dictionary in it."""
    return f'"{address}"' if ":" in address else address


def _short(service: Service) -> str:
    return str(service.port) if service.name.startswith("port-") else service.name
