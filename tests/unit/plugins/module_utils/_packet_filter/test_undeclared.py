# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a first activation would block, and the list that a user pastes."""

from __future__ import annotations

from typing import Any

import yaml

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.rules import PacketFilterFacts
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.sockets import Endpoint, SocketsInUse
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.undeclared import (
    describe_undeclared,
    find_undeclared,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.packet_filter import read_packet_filter_policy

SMTP = [{"service": "smtp", "direction": "server"}, {"service": "smtp", "direction": "client"}]


def listener(port: int, address: str = "0.0.0.0") -> Endpoint:  # noqa: S104
    return Endpoint(address, port, "0.0.0.0", 0)  # noqa: S104


def session(port: int, remote: str, remote_port: int) -> Endpoint:
    return Endpoint("192.0.2.1", port, remote, remote_port)


def message(
    options: dict[str, Any],
    listeners: list[Any],
    sessions: list[Any],
    assumed: Any = (),
    *,
    udp: Any = (),
    first: bool = True,
    widened: bool = False,
    ended: Any = (),
) -> str:
    in_use = SocketsInUse.from_dict(SocketsInUse(listeners, sessions, udp, ended).to_dict())
    facts = PacketFilterFacts("192.0.2.99", 22)
    found = find_undeclared(read_packet_filter_policy(options), facts, in_use, first=first, widened=widened)
    return describe_undeclared(found, {"services": "mailhost_services"}, assumed) if found else ""


def test_declared_services_leave_nothing_to_report() -> None:
    listeners = [listener(25), listener(22), listener(80), listener(25, "::")]
    sessions = [
        session(25, "198.51.100.7", 40000),
        session(41000, "198.51.100.8", 25),
        session(22, "198.51.100.9", 5000),
    ]
    assert message({"services": SMTP}, listeners, sessions) == ""


def test_undeclared_listeners_and_sessions_become_a_list_to_paste() -> None:
    sessions = [
        session(110, "198.51.100.7", 40000),
        session(41000, "2001:db8::8", 995),
        session(41001, "198.51.100.8", 995),
        session(4190, "198.51.100.9", 22),
    ]
    text = message({"services": SMTP}, [listener(25), listener(110)], sessions)
    assert text.splitlines() == [
        "The new rules would block what is in use on this host and not declared. Nothing was changed.",
        "To keep it open, add to mailhost_services:",
        "  - {service: pop3, direction: server}",
        '  - {service: pop3s, direction: client, peers: [198.51.100.8, "2001:db8::8"]}',
        "To close it on purpose, add to packet_filter_close_services:",
        "  - pop3",
        "  - pop3s",
    ]


def test_pasted_list_is_accepted_and_complete() -> None:
    listeners = [listener(25), listener(143), listener(4190)]
    sessions = [session(41000, "2001:db8::8", 110)]
    text = message({}, listeners, sessions, SMTP)
    pasted = text.split("mailhost_services:\n", 1)[1].split("To close", 1)[0]
    services = yaml.safe_load(pasted)
    assert services[:2] == SMTP
    assert message({"services": services}, listeners, sessions) == ""


def test_session_with_an_undeclared_peer_is_reported() -> None:
    options = {"services": [{"service": "pop3", "direction": "server", "peers": ["10.0.0.0/8"]}]}
    sessions = [session(110, "10.1.1.1", 40000), session(110, "198.51.100.7", 40000)]
    assert "{service: pop3, direction: server, peers: [198.51.100.7]}" in message(options, [listener(110)], sessions)


def test_close_services_leaves_nothing_to_report() -> None:
    options = {"services": SMTP, "close_services": ["imap", 110]}
    sessions = [session(143, "198.51.100.7", 40000), session(41000, "198.51.100.8", 110)]
    assert message(options, [listener(143), listener(110)], sessions) == ""


def test_open_egress_blocks_no_client_session() -> None:
    options = {"services": SMTP, "egress": "open"}
    assert message(options, [], [session(41000, "198.51.100.8", 110)]) == ""


def test_scope_host_reports_other_listeners_but_not_its_own_ssh() -> None:
    options = {"services": SMTP, "scope": "host"}
    text = message(options, [listener(22), listener(80), listener(25), listener(8080)], [])
    assert text.splitlines()[1:4] == [
        "To keep it open, add to packet_filter_host_flows:",
        "  - {service: http, direction: server}",
        "  - {service: 8080, direction: server}",
    ]
    flows = [{"service": "http", "direction": "server"}, {"service": 8080, "direction": "server"}]
    assert (
        message({**options, "host_flows": flows}, [listener(22), listener(80), listener(25), listener(8080)], []) == ""
    )


def test_scope_host_reports_other_managers_and_udp_services() -> None:
    sessions = [session(22, "198.51.100.9", 5000), session(22, "192.0.2.99", 5001)]
    options = {"services": SMTP, "scope": "host"}
    text = message(options, [listener(22)], sessions, udp=[listener(51820), listener(68)])
    assert text.splitlines()[1:] == [
        "To keep it open, add to packet_filter_host_flows:",
        "  - {service: 51820/udp, direction: server}",
        "To keep it open, add to packet_filter_management_networks:",
        "  - 198.51.100.9",
        "To close it on purpose, add to packet_filter_close_services:",
        "  - 51820/udp",
        "These addresses have SSH sessions now; to close SSH to them on purpose, end the sessions first.",
    ]
    declared = {
        **options,
        "management_networks": ["198.51.100.0/24"],
        "host_flows": [{"service": "51820/udp", "direction": "server"}],
    }
    assert message(declared, [listener(22)], sessions, udp=[listener(51820)]) == ""


def test_widened_scope_reports_other_services_but_not_mail() -> None:
    listeners = [listener(143), listener(8080)]
    options = {"services": SMTP, "scope": "host"}
    text = message(options, listeners, [], first=False, widened=True)
    assert "8080" in text
    assert "imap" not in text
    assert message({**options, "close_services": [8080]}, listeners, [], first=False, widened=True) == ""


def test_server_at_a_web_port_does_not_make_client_sessions_mail() -> None:
    options = {"services": [*SMTP, {"service": 443, "direction": "server"}]}
    assert message(options, [listener(443)], [session(41000, "198.51.100.8", 443)]) == ""


def test_every_run_of_scope_host_reports_open_ssh_sessions_alone() -> None:
    here, ended = session(22, "198.51.100.9", 5000), session(22, "198.51.100.10", 5001)
    options = {"services": SMTP, "scope": "host", "management_networks": ["203.0.113.0/24"]}
    text = message(options, [listener(22), listener(143), listener(8080)], [here, ended], first=False, ended=[ended])
    assert text.splitlines()[1:] == [
        "To keep it open, add to packet_filter_management_networks:",
        "  - 198.51.100.9",
        "These addresses have SSH sessions now; to close SSH to them on purpose, end the sessions first.",
    ]
    flow = {"service": "ssh", "direction": "server", "peers": ["198.51.100.0/24"]}
    assert message({**options, "host_flows": [flow]}, [listener(22)], [here], first=False) == ""
    assert message({**options, "scope": "mail"}, [listener(22)], [here], first=False) == ""
