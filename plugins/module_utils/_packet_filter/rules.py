# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compile the packet filter of a mail host: a policy becomes chains, rules and sets.

Chains, all in the filter table: ``MAILHOST-IN`` and ``MAILHOST-OUT`` are the
ones that INPUT and OUTPUT jump to; they hand packets of mail ports to
``MAILHOST-IN-MAIL`` and ``MAILHOST-OUT-MAIL``. The flows are those of
docs/reference/requirements.md#packet-filter; docs/packet-filter.md draws the chains.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .._policy.networks import Network, parse_networks
from .._policy.packet_filter import CLIENT, SERVER, Flow, PacketFilterPolicy, flow_name
from .._policy.services import MAIL_SERVICES, Service
from .loader import IN, IN_MAIL, OUT, OUT_MAIL, multiport
from .syntax import SYN, FilterTable, join, quote, rate, tcp, udp

UNPRIVILEGED = "1024:65535"
RESERVED_CLIENT_PORTS = range(512, 1024)
"""Ports that bindresvport(3) gives to clients such as NFS: no sign of a mail server."""
SOURCES = 262144
"""Sources that a limit keeps apart. The kernel drops new connections of further ones while its table is full."""


class PacketFilterFacts(NamedTuple):
    """What only the host knows.

    ``controller`` and ``ssh_port``: the address and the port between which the
    live SSH connection is, or None and 22. ``smtp_client_uids``: the users that
    may connect to port 25, or None for all.
    """

    controller: str | None = None
    ssh_port: int = 22
    smtp_client_uids: tuple[int, ...] | None = None


class Ruleset(NamedTuple):
    """Finished text: ``sets`` for ipset restore, ``ipv4`` and ``ipv6`` for ip(6)tables-restore --noflush."""

    sets: str
    ipv4: str
    ipv6: str


def compile_packet_filter(policy: PacketFilterPolicy, facts: PacketFilterFacts = PacketFilterFacts()) -> Ruleset:  # noqa: B008 (immutable)
    """Return the finished text of a policy on a host."""
    tables = [_Compiler(version, policy, facts).table for version in (4, 6)]
    sets = "".join(found.restore_text() for table in tables for found in table.sets.values())
    return Ruleset(sets, tables[0].text(), tables[1].text())


def mail_services(policy: PacketFilterPolicy, direction: str = "") -> list[Service]:
    """Return the services that the mail chains decide about, by port: the catalogue, and ports declared beside it.

    With a direction, those that are closed in it unless declared. A port outside of the catalogue is a mail port only
    in the direction in which it was declared: a server at port 443 does not make client sessions to 443 mail.
    """
    found = {service.port: service for service in MAIL_SERVICES.values()}
    found.update((flow.service.port, flow.service) for flow in policy.flows if direction in ("", flow.direction))
    return [found[port] for port in sorted(found)]


class _Compiler:
    """Compiles the table of one family."""

    def __init__(self, version: int, policy: PacketFilterPolicy, facts: PacketFilterFacts) -> None:
        self.policy = policy
        self.facts = facts
        self.table = FilterTable(version)
        self.host_scope = policy.scope == "host"
        self.ports = [service.port for service in mail_services(policy)]
        self.served = mail_services(policy, SERVER)
        self.used = mail_services(policy, CLIENT)
        self.icmp = "-p icmp" if version == 4 else "-p ipv6-icmp"
        self._incoming()
        if not policy.egress_open:
            self._outgoing()

    def state(self, states: str) -> str:
        """Return the connection state match in the chosen spelling."""
        return (
            f"-m conntrack --ctstate {states}"
            if self.policy.state_match == "conntrack"
            else f"-m state --state {states}"
        )

    # The two entry chains

    def _incoming(self) -> None:
        table = self.table
        table.chain(IN)
        table.chain(IN_MAIL)
        table.add(IN, "-i lo", "-j ACCEPT" if self.host_scope else "-j RETURN")
        if self.host_scope:
            for network in self._managers():
                self._accept(IN, f"-s {network}", tcp("", str(self.facts.ssh_port)), note="management")
        self._icmp(IN)
        if self.host_scope:
            self._blocked(IN, [self.state("INVALID,NEW")])
        for ports in multiport("ports", self.ports):
            table.add(IN, ports, f"-j {IN_MAIL}")
        self._mail_in()
        if self.host_scope:
            self._established(IN)
            for flow in self.policy.host_flows:
                self._flow(IN, flow, incoming=True)
            self._deny(IN, "", "other-in", "DROP")

    def _outgoing(self) -> None:
        table = self.table
        table.chain(OUT)
        table.chain(OUT_MAIL)
        table.add(OUT, "-o lo", "-j ACCEPT" if self.host_scope else "-j RETURN")
        if self.host_scope:
            # Stateless, like its other half: SSH to the host must not depend on connection tracking.
            for network in self._managers():
                packet = tcp(str(self.facts.ssh_port), "", f"! {SYN}")
                self._accept(OUT, f"-d {network}", packet, note="management")
        self._icmp(OUT)
        if self.host_scope:
            self._established(OUT)
        for ports in multiport("ports", self.ports):
            table.add(OUT, ports, f"-j {OUT_MAIL}")
        self._mail_out()
        if self.host_scope:
            for flow in self.policy.host_flows:
                self._flow(OUT, flow, incoming=False)
            self._deny(OUT, "", "other-out", self._reject())

    # Mail: what the scope "mail" is about

    def _mail_in(self) -> None:
        table, policy = self.table, self.policy
        served = [service.port for service in self.served]
        self._blocked(IN_MAIL, list(multiport("dports", served)))
        if policy.egress_open:
            self._only_peers_reply([flow for flow in policy.flows if flow.direction == CLIENT and flow.peers])
        if policy.generic_replies:
            table.add(IN_MAIL, self.state("ESTABLISHED"), "-j ACCEPT")
        for flow in policy.flows:
            self._flow(IN_MAIL, flow, incoming=True)
        # A reply on a connection that this host opened to some other service, from a local port that
        # happens to be a mail port (NFS uses 993): not mail, so the unmanaged rules decide.
        table.add(
            IN_MAIL,
            "-p tcp",
            "-m conntrack --ctstate ESTABLISHED --ctdir REPLY",
            "-j ACCEPT" if policy.egress_open and self.host_scope else "-j RETURN",
        )
        for service in self.served:
            self._log(IN_MAIL, tcp("", str(service.port)), flow_name(service, SERVER))
        for ports in multiport("dports", served):
            table.add(IN_MAIL, ports, "-j DROP")
        marks = [service for service in self.used if self._marks_server(service)]
        for service in marks:
            self._log(IN_MAIL, tcp(str(service.port)), flow_name(service, CLIENT))
        for ports in multiport("sports", [service.port for service in marks]):
            table.add(IN_MAIL, ports, "-j DROP")

    @staticmethod
    def _marks_server(service: Service) -> bool:
        """Whether a packet from this port can only be meant as a mail server's; clients use the others too."""
        return service.port < 1024 and service.port not in RESERVED_CLIENT_PORTS

    def _mail_out(self) -> None:
        table, policy = self.table, self.policy
        if policy.generic_replies:
            table.add(OUT_MAIL, self.state("ESTABLISHED"), "-j ACCEPT")
        for flow in policy.flows:
            self._flow(OUT_MAIL, flow, incoming=False)
        table.add(OUT_MAIL, "-p tcp", "-m conntrack --ctstate ESTABLISHED --ctdir REPLY", "-j RETURN")
        for service in self.used:
            self._log(OUT_MAIL, tcp("", str(service.port)), flow_name(service, CLIENT))
        for ports in multiport("dports", [service.port for service in self.used]):
            table.add(OUT_MAIL, ports, f"-j {self._reject()}")

    # The halves of a flow (docs/reference/requirements.md#packet-filter)

    def _flow(self, chain: str, flow: Flow, incoming: bool) -> None:
        """Add the rules of the half of a flow that a chain sees, those of its incoming or its outgoing packets."""
        opening = incoming == (flow.direction == SERVER)
        side = "src" if incoming else "dst"
        if "tcp" in flow.service.protocols:
            (self._opening if opening else self._replies)(chain, flow, side)
        if "udp" in flow.service.protocols:
            self._udp(chain, flow, side, opening)

    def _opening(self, chain: str, flow: Flow, side: str) -> None:
        port = str(flow.service.port)
        for address, in_set in self._peers(flow, side):
            for owner in self._owners(flow):
                # The limit comes last, so that it counts only what the rule would accept.
                new = (address, tcp(UNPRIVILEGED, port, SYN), in_set, owner, self.state("NEW"), self._rate_limit(flow))
                self._accept(chain, *new, note=self._label(flow))
            if not self.policy.generic_replies:
                established = (address, tcp(UNPRIVILEGED, port), in_set, self.state("ESTABLISHED"))
                self._accept(chain, *established, note=self._label(flow))

    def _replies(self, chain: str, flow: Flow, side: str) -> None:
        if not self.policy.generic_replies:
            self._accept_replies(chain, flow, side, self.state("ESTABLISHED"))

    def _accept_replies(self, chain: str, flow: Flow, side: str, state: str) -> None:
        for address, in_set in self._peers(flow, side):
            packet = tcp(str(flow.service.port), UNPRIVILEGED, f"! {SYN}")
            self._accept(chain, address, packet, in_set, state, note=self._label(flow))

    def _udp(self, chain: str, flow: Flow, side: str, opening: bool) -> None:
        client, server = flow.service.client_ports, str(flow.service.port)
        if flow.service.name == "dhcp" and self.table.version == 6:
            client, server = "546", "547"
        packet = udp(client, server) if opening else udp(server, client)
        # Answers to a DHCP broadcast belong to no connection.
        states = "" if flow.service.name == "dhcp" else self.state("NEW,ESTABLISHED" if opening else "ESTABLISHED")
        for address, in_set in self._peers(flow, side):
            self._accept(chain, address, packet, in_set, states, note=self._label(flow))

    def _only_peers_reply(self, flows: Sequence[Flow]) -> None:
        """Accept replies of the peers and drop those of other addresses, where nothing limits the outgoing half."""
        for flow in flows:
            self._accept_replies(IN_MAIL, flow, "src", "-m conntrack --ctstate ESTABLISHED --ctdir REPLY")
        for service in dict.fromkeys(flow.service for flow in flows):
            replies = join(tcp(str(service.port)), "-m conntrack --ctdir REPLY")
            self._deny(IN_MAIL, replies, flow_name(service, CLIENT), "DROP")

    def _owners(self, flow: Flow) -> list[str]:
        uids = self.facts.smtp_client_uids
        if flow.direction == SERVER or flow.service.port != MAIL_SERVICES["smtp"].port or uids is None:
            return [""]
        return [f"-m owner --uid-owner {uid}" for uid in sorted(uids)]

    def _peers(self, flow: Flow, side: str) -> Iterator[tuple[str, str]]:
        if flow.peers is None:
            yield "", ""
            return
        yield from self.table.each_peer("peers", side, self.table.own(flow.peers))

    def _rate_limit(self, flow: Flow) -> str:
        """Return the match that holds while a source keeps to the limit; what exceeds it is denied by a later rule."""
        limit, burst = flow.new_connections_per_minute, self.policy.burst
        if not limit:
            return ""
        # A source is forgotten only when its burst would have come back anyway, else pausing would reset the limit;
        # but after half an hour at the latest, so that forged sources do not fill the table for long.
        expire = min(max(60000, -(-burst * 60000 // limit)), 1800000)
        # The kernel keeps the table of a name, and its limits, while rules are replaced: other limits, other name.
        return join(
            f"-m hashlimit --hashlimit-upto {rate(limit)} --hashlimit-burst {burst} --hashlimit-mode srcip",
            f"--hashlimit-name {self.policy.log_prefix}-{flow.name}-{limit}-{burst} --hashlimit-htable-max {SOURCES}",
            f"--hashlimit-htable-expire {expire}" if limit % 60 == 0 or expire != 60000 else "",
            "--hashlimit-srcmask 64" if self.table.version == 6 else "",
        )

    # The scope "host": everything else

    def _managers(self) -> list[Network]:
        controller = parse_networks(self.facts.controller) if self.facts.controller is not None else []
        return sorted(set(self.table.own([*self.policy.management, *controller])))

    def _established(self, chain: str) -> None:
        if self.policy.generic_replies:
            self.table.add(chain, self.state("RELATED,ESTABLISHED"), "-j ACCEPT")
        elif self.policy.egress_open:
            self.table.add(chain, "-m conntrack --ctstate RELATED,ESTABLISHED --ctdir REPLY", "-j ACCEPT")

    # What all chains share

    def _icmp(self, chain: str) -> None:
        related = "RELATED,ESTABLISHED" if self.host_scope else "RELATED"
        self.table.add(chain, self.icmp, self.state(related), "-j ACCEPT")
        if not self.host_scope:
            return
        if self.table.version == 4:
            self.table.add(chain, "-p icmp -m icmp --icmp-type 8", "-j ACCEPT")
            return
        for kind in _ICMPV6:
            hops = "-m hl --hl-eq 255" if kind in _ONE_HOP else ""
            self.table.add(chain, "-p ipv6-icmp -m icmp6", f"--icmpv6-type {kind}", hops, "-j ACCEPT")

    def _blocked(self, chain: str, packets: Sequence[str]) -> None:
        networks = self.table.own(self.policy.blocked)
        for packet in packets:
            for address, in_set in self.table.each_peer("blocked", "src", networks):
                self._deny(chain, join(packet, in_set) if in_set else packet, "blocked", "DROP", address)

    def _deny(self, chain: str, packet: str, name: str, verdict: str, address: str = "") -> None:
        self._log(chain, join(address, packet), name)
        self.table.add(chain, address, packet, f"-j {verdict}")

    def _log(self, chain: str, packet: str, name: str) -> None:
        if self.policy.log_per_minute:
            limit = f"-m limit --limit {rate(self.policy.log_per_minute)}"
            self.table.add(chain, packet, limit, f'-j LOG --log-prefix "{self.policy.log_prefix} {name}: "')

    def _reject(self) -> str:
        """Return the target that lets local programs fail at once with a reason, not after a timeout."""
        return "REJECT --reject-with " + (
            "icmp-admin-prohibited" if self.table.version == 4 else "icmp6-adm-prohibited"
        )

    @staticmethod
    def _label(flow: Flow) -> str:
        return flow.comment or f"{flow.service.name} {flow.direction}"

    def _accept(self, chain: str, *packet: str, note: str) -> None:
        self.table.add(chain, *packet, f"-m comment --comment {quote(note)}", "-j ACCEPT")


_ICMPV6 = (1, 2, 3, 4, 128, 129, 130, 131, 132, 133, 134, 135, 136, 141, 142, 143, 148, 149, 151, 152, 153)
"""Types that a host must not lose (RFC 4890, sections 4.4.1 and 4.4.2)."""
_ONE_HOP = (133, 134, 135, 136, 141, 142, 148, 149)
"""Those that never cross a router (neighbour discovery), so that their hop limit is still 255."""
