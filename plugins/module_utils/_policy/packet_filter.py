# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policy of a mail host: inventory values in, validated and typed values out.

Every problem of an inventory is found in one pass and raised as one PolicyError.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .errors import Problems, not_a_list, shown
from .networks import INTERNAL, Network, read_list, without_nested
from .options import Known, OptionReader, either
from .services import ALL_SERVICES, HOST_SERVICES, MAIL_SERVICES, Service, UnknownServiceError, find_service

SERVER, CLIENT = "server", "client"
COMMENT_LENGTH = 255
"""Bytes that the comment match keeps (iptables-extensions(8): 256 with the final NUL)."""
LOG_PREFIX_LENGTH = 11
"""29 bytes that a log prefix may have (iptables-extensions(8)) less the longest flow's name, `` managesieve-out: ``."""
MTA_USERS = ("postfix", "Debian-exim", "exim", "mailsrv")
"""Users under which mail servers deliver, in the order in which ``auto`` looks for them."""


class Flow(NamedTuple):
    """A declared flow. ``peers`` is None for any address, else the networks of the other side."""

    service: Service
    direction: str
    peers: tuple[Network, ...] | None = None
    comment: str = ""
    new_connections_per_minute: int = 0

    @property
    def name(self) -> str:
        """The name of the flow in rules and logs, as ``smtp-in`` or ``pop3-out``."""
        return flow_name(self.service, self.direction)


class PacketFilterPolicy(NamedTuple):
    """Everything that the packet filter of a host is made from. Units: connections or lines a minute."""

    scope: str
    flows: tuple[Flow, ...]
    host_flows: tuple[Flow, ...]
    closed: tuple[Service, ...]
    blocked: tuple[Network, ...]
    management: tuple[Network, ...]
    generic_replies: bool
    egress_open: bool
    state_match: str
    smtp_client_users: str | tuple[str | int, ...]
    burst: int
    log_per_minute: int
    log_prefix: str


def flow_name(service: Service, direction: str) -> str:
    """Return the name of a flow: the service, and ``in`` or ``out`` as seen from the host."""
    return f"{service.name}-{'in' if direction == SERVER else 'out'}"


DEFAULTS: dict[str, Any] = {
    "scope": "mail",
    "services": [{"service": "smtp", "direction": SERVER}, {"service": "smtp", "direction": CLIENT}],
    "host_flows": [{"service": name, "direction": CLIENT} for name in ("dns", "ntp", "dhcp", "http", "https")],
    "close_services": [],
    "blocked_networks": [],
    "management_networks": [],
    "internal_networks": [],
    "reply_rules": "strict",
    "egress": "enforce",
    "state_match": "conntrack",
    "smtp_client_users": "auto",
    "new_connections_per_minute": 0,
    "new_connections_burst": 30,
    "log_denied": True,
    "log_denied_per_minute": 10,
    "log_prefix": "mailhost",
}
"""Options of a packet filter policy and their defaults; the same values stand in roles/packet_filter/defaults."""

_CHOICES = {
    "scope": ("mail", "host"),
    "reply_rules": ("strict", "generic"),
    "egress": ("enforce", "open"),
    "state_match": ("conntrack", "state"),
}
# Within these bounds the kernel keeps a rate exactly and iptables-save prints it as it was written.
_RANGES = {
    "new_connections_per_minute": (0, 1000),
    "new_connections_burst": (1, 1000),
    "log_denied_per_minute": (1, 600),
}
_FLOW_KEYS = ("service", "direction", "peers", "comment", "new_connections_per_minute")


class _PacketFilterReader(OptionReader):
    """Reads the options of a packet filter policy. ``internal``: the networks that INTERNAL stands for in peers."""

    known = Known("packet_filter", DEFAULTS, _CHOICES, _RANGES)
    internal: tuple[Network, ...] = ()

    def log_prefix(self) -> str:
        value = self.value("log_prefix")
        if not isinstance(value, str) or not re.fullmatch(rf"[A-Za-z0-9_.-]{{1,{LOG_PREFIX_LENGTH}}}", value):
            self.problems.add(
                self.path("log_prefix"),
                f"{shown(value)} is not accepted; "
                f"write 1 to {LOG_PREFIX_LENGTH} letters, digits, dots, hyphens or underscores",
            )
            return "mailhost"
        return str(value)

    def users(self) -> str | tuple[str | int, ...]:
        option, value = "smtp_client_users", self.value("smtp_client_users")
        accepted = 'write "auto", "any" or a list of user names and ids, as ["postfix"]'
        if isinstance(value, str) and value in ("auto", "any"):
            return str(value)
        if not isinstance(value, (list, tuple)) or not value:
            self.problems.add(self.path(option), f"{shown(value)} is not accepted; {accepted}")
            return "auto"
        users: list[str | int] = []
        for index, user in enumerate(value):
            path = f"{self.path(option)}[{index}]"
            name = isinstance(user, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}", user)
            number = isinstance(user, int) and not isinstance(user, bool) and 0 <= user <= 4294967294
            if not name and not number:
                self.problems.add(path, f"{shown(user)} is not a user; write a user name or an id from 0 to 4294967294")
            elif user in users:
                self.problems.add(
                    path, f"{shown(user)} repeats {self.path(option)}[{users.index(user)}]; leave one of them out"
                )
            users.append(user)
        return tuple(users)

    def services(self, option: str) -> list[Service]:
        found: list[Service] = []
        for index, value in enumerate(self.items(self.path(option), self.value(option), '["imap"]')):
            try:
                found.append(find_service(value, ALL_SERVICES))
            except UnknownServiceError as error:
                self.problems.add(f"{self.path(option)}[{index}]", str(error))
        return found

    def flows(self, option: str, catalogue: dict[str, Service], per_minute: int) -> list[Flow]:
        flows: list[Flow] = []
        indices: list[int] = []
        example = "[{service: smtp, direction: server}]"
        for index, item in enumerate(self.items(self.path(option), self.value(option), example)):
            flow = self._flow(f"{self.path(option)}[{index}]", item, catalogue, per_minute)
            if flow is None:
                continue
            for other, other_index in zip(flows, indices):
                if flow.name == other.name and _overlap(flow.peers, other.peers):
                    self.problems.add(
                        f"{self.path(option)}[{index}]",
                        f"{flow.service.name} {flow.direction} is declared by {self.path(option)}[{other_index}] "
                        "for the same peers; write one flow with all peers",
                    )
                    break
            flows.append(flow)
            indices.append(index)
        return flows

    def _flow(self, path: str, item: Any, catalogue: dict[str, Service], per_minute: int) -> Flow | None:
        if not isinstance(item, Mapping):
            self.problems.add(
                path, f"{shown(item)} is not a flow; write a dictionary, as {{service: smtp, direction: server}}"
            )
            return None
        for key in item:
            if key not in _FLOW_KEYS:
                self.problems.add(path, f"{shown(key)} is not a key of a flow; write one of {', '.join(_FLOW_KEYS)}")
        service = self._service(path, item, catalogue)
        direction = item.get("direction")
        if direction not in (SERVER, CLIENT):
            self.problems.add(
                f"{path}.direction", f"{shown(direction)} is not accepted; write {either((SERVER, CLIENT))}"
            )
        peers = self._peers(path, item)
        comment = self._comment(path, item.get("comment"))
        limit = self._limit(path, item, per_minute)
        if service is None or direction not in (SERVER, CLIENT):
            return None
        return Flow(service, str(direction), peers, comment, limit if direction == SERVER else 0)

    def _service(self, path: str, item: Mapping[str, Any], catalogue: dict[str, Service]) -> Service | None:
        try:
            return find_service(item.get("service"), catalogue)
        except UnknownServiceError as error:
            self.problems.add(f"{path}.service", str(error))
            return None

    def _peers(self, path: str, item: Mapping[str, Any]) -> tuple[Network, ...] | None:
        value, path = item.get("peers"), f"{path}.peers"
        if "peers" not in item:
            return None
        if value is None:
            self.problems.add(path, "is empty; name the peers, or leave the key out to allow any address")
            return ()
        if isinstance(value, str):
            if value != INTERNAL:
                self.problems.add(
                    path,
                    not_a_list(path, value, f'a list of networks, as ["192.0.2.0/24"], or "{INTERNAL}"'),
                )
                return ()
            value = [value]
        if isinstance(value, (list, tuple)):
            if not value:
                self.problems.add(path, "is an empty list; name the peers, or leave the key out to allow any address")
            if INTERNAL in value and not self.internal:
                variable = self.path("internal_networks")
                # Networks that are wrong are reported there.
                if not self.value("internal_networks"):
                    self.problems.add(
                        path, f'"{INTERNAL}" is given, but {variable} is empty; list the internal networks there'
                    )
                value = [one for one in value if one != INTERNAL]
        return tuple(read_list(self.problems, path, value, internal=self.internal))

    def _comment(self, path: str, value: Any) -> str:
        if value is None:
            return ""
        if (
            not isinstance(value, str)
            or not re.fullmatch(rf"[ !#-&(-\[\]-~]{{1,{COMMENT_LENGTH}}}", value)
            or value != value.strip()
        ):
            self.problems.add(
                f"{path}.comment",
                f"{shown(value)} is not accepted; write 1 to {COMMENT_LENGTH} printable ASCII characters "
                "without quotes, backslashes, or blanks at the ends",
            )
            return ""
        return str(value)

    def _limit(self, path: str, item: Mapping[str, Any], per_minute: int) -> int:
        value = item.get("new_connections_per_minute")
        if value is None:
            return per_minute
        path = f"{path}.new_connections_per_minute"
        if item.get("direction") == CLIENT:
            self.problems.add(path, "limits connections from outside; leave it out of a client flow")
            return 0
        return self.integer("new_connections_per_minute", path, value)


def _overlap(one: tuple[Network, ...] | None, other: tuple[Network, ...] | None) -> bool:
    if one is None or other is None:
        return True
    return len(without_nested(one + other)) < len(one) + len(other)


def read_packet_filter_policy(
    options: Any,
    names: Mapping[str, str] | None = None,
    blocked_files: Mapping[str, Iterable[str]] | None = None,
) -> PacketFilterPolicy:
    """Return the validated policy for a dictionary of options, or raise PolicyError with every problem.

    ``options``: the keys of DEFAULTS, each of them optional. ``names``: the inventory
    variable to name in errors for an option, by default ``packet_filter_<option>``.
    ``blocked_files``: the lines of each file of blocked networks, by its path.
    """
    if not isinstance(options, Mapping):
        problems = Problems()
        problems.add(
            "policy",
            f"{shown(options)} is not a dictionary; write the options of the role packet_filter without their prefix",
        )
        problems.raise_if_any()
    reader = _PacketFilterReader(options, names or {})
    reader.reject_unknown("policy")
    per_minute = reader.integer("new_connections_per_minute")
    reader.internal = reader.internal_networks(reader.path("internal_networks"), reader.value("internal_networks"))
    policy = PacketFilterPolicy(
        scope=reader.choice("scope"),
        flows=tuple(reader.flows("services", MAIL_SERVICES, per_minute)),
        host_flows=tuple(reader.flows("host_flows", HOST_SERVICES, per_minute)),
        closed=tuple(reader.services("close_services")),
        blocked=reader.blocked(blocked_files or {}),
        management=reader.networks("management_networks", allow_any=True),
        generic_replies=reader.choice("reply_rules") == "generic",
        egress_open=reader.choice("egress") == "open",
        state_match=reader.choice("state_match"),
        smtp_client_users=reader.users(),
        burst=reader.integer("new_connections_burst"),
        log_per_minute=reader.integer("log_denied_per_minute") if reader.boolean("log_denied") else 0,
        log_prefix=reader.log_prefix(),
    )
    _check_contradictions(reader, policy)
    reader.problems.raise_if_any()
    return policy


def _check_contradictions(reader: _PacketFilterReader, policy: PacketFilterPolicy) -> None:
    declared = {(flow.service.port, flow.direction) for flow in policy.flows}
    catalogue = {service.port for service in MAIL_SERVICES.values()}
    for index, flow in enumerate(policy.host_flows):
        port = flow.service.port
        if "tcp" in flow.service.protocols and (port in catalogue or (port, flow.direction) in declared):
            reader.problems.add(
                f"{reader.path('host_flows')}[{index}].service",
                f"port {flow.service.port} is a mail port; declare it in {reader.path('services')}",
            )
