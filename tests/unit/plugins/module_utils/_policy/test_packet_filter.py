# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors of a packet filter policy, with the exact words; and that all of them are reported at once."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.rules import compile_packet_filter
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import SHOWN, PolicyError
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.packet_filter import read_packet_filter_policy

NETWORKS = (
    'write an address ("192.0.2.7"), a prefix ("192.0.2.0/24", "2001:db8::/32") or a range ("192.0.2.80-192.0.2.99")'
)
SERVICES = (
    "write one of imap, imaps, managesieve, pop3, pop3s, smtp, submission, submissions, or a TCP port from 1 to 65535"
)
HOST_SERVICES = (
    'write one of dhcp, dns, http, https, ntp, ssh, or a TCP port from 1 to 65535, or a UDP port as "51820/udp"'
)
EVERY_SERVICE = (
    "write one of dhcp, dns, http, https, imap, imaps, managesieve, ntp, pop3, pop3s, smtp, ssh, submission, submissions, "
    'or a TCP port from 1 to 65535, or a UDP port as "51820/udp"'
)
COMMENT = "write 1 to 255 printable ASCII characters without quotes, backslashes, or blanks at the ends"
PREFIX = "write 1 to 11 letters, digits, dots, hyphens or underscores"
DIRECTION = 'write "server" or "client"'
USERS = 'write "auto", "any" or a list of user names and ids, as ["postfix"]'
USER = "write a user name or an id from 0 to 4294967294"
EMPTY = "but mailhost_internal_networks is empty; list the internal networks there"
KEYS = "write one of service, direction, peers, comment, new_connections_per_minute"


def flow(**changes: Any) -> dict[str, Any]:
    """Return options with one server flow, changed as asked."""
    return {"services": [{"service": "smtp", "direction": "server", **changes}]}


def host_flow(**changes: Any) -> dict[str, Any]:
    return {"host_flows": [{"service": "dns", "direction": "client", **changes}]}


WRONG: list[tuple[Any, str]] = [
    # Shapes
    ("smtp", 'policy: "smtp" is not a dictionary; write the options of the role packet_filter without their prefix'),
    (None, "policy: null is not a dictionary; write the options of the role packet_filter without their prefix"),
    ({"services": "smtp"}, 'packet_filter_services: "smtp" is not a list; write a list, as [{service: smtp, direction: server}]'),
    ({"services": {"a": 1}}, "packet_filter_services: a dictionary is not a list; write a list, as [{service: smtp, direction: server}]"),
    ({"services": None}, "packet_filter_services: null is not a list; write a list, as [{service: smtp, direction: server}]"),
    ({"services": ["smtp"]}, 'packet_filter_services[0]: "smtp" is not a flow; write a dictionary, as {service: smtp, direction: server}'),
    ({"services": [[]]}, "packet_filter_services[0]: a list is not a flow; write a dictionary, as {service: smtp, direction: server}"),
    ({"host_flows": "dns"}, 'packet_filter_host_flows: "dns" is not a list; write a list, as [{service: smtp, direction: server}]'),
    ({"close_services": "imap"}, 'packet_filter_close_services: "imap" is not a list; write a list, as ["imap"]'),
    ({"blocked_networks": "10.0.0.0/8"}, 'packet_filter_blocked_networks: "10.0.0.0/8" is not a list; write a list of networks, as ["192.0.2.0/24"]'),
    ({"management_networks": "10.0.0.0/8"}, 'packet_filter_management_networks: "10.0.0.0/8" is not a list; write a list of networks, as ["192.0.2.0/24"]'),
    # Services and ports
    (flow(service="smpt"), f'packet_filter_services[0].service: "smpt" is not a service; {SERVICES}'),
    (flow(service="SMTP"), f'packet_filter_services[0].service: "SMTP" is not a service; {SERVICES}'),
    (flow(service="ssh"), f'packet_filter_services[0].service: "ssh" is not a service; {SERVICES}'),
    (flow(service="25"), 'packet_filter_services[0].service: "25" is text; write 25 without quotes'),
    (flow(service=0), f"packet_filter_services[0].service: 0 is not a service; {SERVICES}"),
    (flow(service=65536), f"packet_filter_services[0].service: 65536 is not a service; {SERVICES}"),
    (flow(service=-1), f"packet_filter_services[0].service: -1 is not a service; {SERVICES}"),
    (flow(service=25.0), f"packet_filter_services[0].service: 25.0 is not a service; {SERVICES}"),
    (flow(service=True), f"packet_filter_services[0].service: true is not a service; {SERVICES}"),
    (flow(service=None), f"packet_filter_services[0].service: null is not a service; {SERVICES}"),
    (flow(service=["smtp"]), f"packet_filter_services[0].service: a list is not a service; {SERVICES}"),
    (flow(service="smtp\n-j ACCEPT"), f'packet_filter_services[0].service: "smtp\\n-j ACCEPT" is not a service; {SERVICES}'),
    (host_flow(service="smtp"), f'packet_filter_host_flows[0].service: "smtp" is not a service; {HOST_SERVICES}'),
    (host_flow(service=993), "packet_filter_host_flows[0].service: port 993 is a mail port; declare it in packet_filter_services"),
    ({"close_services": ["ftp"]}, f'packet_filter_close_services[0]: "ftp" is not a service; {EVERY_SERVICE}'),
    (flow(service="25/udp"), f'packet_filter_services[0].service: "25/udp" is not a service; {SERVICES}'),
    (host_flow(service="65536/udp"), f'packet_filter_host_flows[0].service: "65536/udp" is not a service; {HOST_SERVICES}'),
    (host_flow(service="0/udp"), f'packet_filter_host_flows[0].service: "0/udp" is not a service; {HOST_SERVICES}'),
    # Keys and directions
    (flow(direction="both"), f'packet_filter_services[0].direction: "both" is not accepted; {DIRECTION}'),
    (flow(direction=None), f"packet_filter_services[0].direction: null is not accepted; {DIRECTION}"),
    (flow(direction=["server"]), f"packet_filter_services[0].direction: a list is not accepted; {DIRECTION}"),
    (flow(peer=["10.0.0.1"]), f'packet_filter_services[0]: "peer" is not a key of a flow; {KEYS}'),
    (flow(**{"-j ACCEPT": 1}), f'packet_filter_services[0]: "-j ACCEPT" is not a key of a flow; {KEYS}'),
    # Peers
    (flow(peers="10.0.0.0/8"), 'packet_filter_services[0].peers: "10.0.0.0/8" is not a list; write a list of networks, as ["192.0.2.0/24"], or "internal"'),
    (flow(peers="internal"), f'packet_filter_services[0].peers: "internal" is given, {EMPTY}'),
    (flow(peers=["192.0.2.7", "internal"]), f'packet_filter_services[0].peers: "internal" is given, {EMPTY}'),
    (flow(peers="internal") | {"internal_networks": []}, f'packet_filter_services[0].peers: "internal" is given, {EMPTY}'),
    (host_flow(peers="internal"), f'packet_filter_host_flows[0].peers: "internal" is given, {EMPTY}'),
    (
        flow(peers=["internal", "192.0.2.7"]) | {"internal_networks": ["192.0.2.0/24"]},
        'packet_filter_services[0].peers[1]: "192.0.2.7" lies in "192.0.2.0/24" (packet_filter_services[0].peers[0]); leave one of them out',
    ),
    (
        flow(peers=["internal", "192.0.2.0/24"]) | {"internal_networks": ["192.0.2.8/29"]},
        'packet_filter_services[0].peers[0]: "192.0.2.8/29" lies in "192.0.2.0/24" (packet_filter_services[0].peers[1]); leave one of them out',
    ),
    (
        flow(peers=["internal", "internal"]) | {"internal_networks": ["192.0.2.8/29"]},
        'packet_filter_services[0].peers[1]: "192.0.2.8/29" repeats "192.0.2.8/29" (packet_filter_services[0].peers[0]); leave one of them out',
    ),
    (flow(peers="internal") | {"internal_networks": ["x"]}, f'mailhost_internal_networks[0]: "x" is not an address; {NETWORKS}'),
    (flow(peers=[]), "packet_filter_services[0].peers: is an empty list; name the peers, or leave the key out to allow any address"),
    (flow(peers=None), "packet_filter_services[0].peers: is empty; name the peers, or leave the key out to allow any address"),
    (
        {"internal_networks": ["0.0.0.0/1"]},
        'mailhost_internal_networks[0]: "0.0.0.0/1" has a network of /1, and all its hosts could relay; write networks of '
        "/16 or longer, only those that are yours",
    ),
    (flow(peers=["10.0.0.5/8"]), 'packet_filter_services[0].peers[0]: "10.0.0.5/8" has host bits set; write "10.0.0.0/8" or "10.0.0.5/32"'),
    (flow(peers=[10]), f"packet_filter_services[0].peers[0]: 10 is not a string; {NETWORKS}"),
    (flow(peers=["office"]), f'packet_filter_services[0].peers[0]: "office" is not an address; {NETWORKS}'),
    (flow(peers=["10.0.0.1", "! 10.0.0.2"]), f'packet_filter_services[0].peers[1]: "! 10.0.0.2" is not an address; {NETWORKS}'),
    (flow(peers=["10.0.0.9-10.0.0.1"]), 'packet_filter_services[0].peers[0]: "10.0.0.9-10.0.0.1" is a reversed range; write "10.0.0.1-10.0.0.9"'),
    (
        flow(peers=["10.0.0.1-2001:db8::1"]),
        'packet_filter_services[0].peers[0]: "10.0.0.1-2001:db8::1" mixes IPv4 and IPv6; '
        'write a range with both ends of one family, as "192.0.2.80-192.0.2.99"',
    ),
    (
        flow(peers=["10.0.0.0/8", "10.2.0.0/16"]),
        'packet_filter_services[0].peers[1]: "10.2.0.0/16" lies in "10.0.0.0/8" (packet_filter_services[0].peers[0]); leave one of them out',
    ),
    # Repeated flows
    (
        {"services": [{"service": "smtp", "direction": "server"}, {"service": 25, "direction": "server"}]},
        "packet_filter_services[1]: smtp server is declared by packet_filter_services[0] for the same peers; write one flow with all peers",
    ),
    (
        {
            "services": [
                {"service": "pop3", "direction": "server", "peers": ["10.0.0.0/8"]},
                {"service": "pop3", "direction": "server", "peers": ["192.0.2.1", "10.9.0.0/16"]},
            ]
        },
        "packet_filter_services[1]: pop3 server is declared by packet_filter_services[0] for the same peers; write one flow with all peers",
    ),
    # Comments and log texts
    (flow(comment='say "hi"'), f'packet_filter_services[0].comment: "say "hi"" is not accepted; {COMMENT}'),
    (flow(comment="it's"), f'packet_filter_services[0].comment: "it\'s" is not accepted; {COMMENT}'),
    (flow(comment="a\\b"), f'packet_filter_services[0].comment: "a\\b" is not accepted; {COMMENT}'),
    (flow(comment="a\n-A INPUT -j ACCEPT"), f'packet_filter_services[0].comment: "a\\n-A INPUT -j ACCEPT" is not accepted; {COMMENT}'),
    (flow(comment="a\rb"), f'packet_filter_services[0].comment: "a\\rb" is not accepted; {COMMENT}'),
    (flow(comment="a\0b"), f'packet_filter_services[0].comment: "a\\x00b" is not accepted; {COMMENT}'),
    (flow(comment="x" * 300), f'packet_filter_services[0].comment: "{"x" * 80}"... is not accepted; {COMMENT}'),
    (flow(comment="b\u00fcro"), f'packet_filter_services[0].comment: "b\u00fcro" is not accepted; {COMMENT}'),
    (flow(comment="\u202eoffice"), f'packet_filter_services[0].comment: "\\u202eoffice" is not accepted; {COMMENT}'),
    (flow(comment=""), f'packet_filter_services[0].comment: "" is not accepted; {COMMENT}'),
    (flow(comment=" office"), f'packet_filter_services[0].comment: " office" is not accepted; {COMMENT}'),
    (flow(comment=5), f"packet_filter_services[0].comment: 5 is not accepted; {COMMENT}"),
    ({"log_prefix": "mail host"}, f'packet_filter_log_prefix: "mail host" is not accepted; {PREFIX}'),
    ({"log_prefix": 'a" -j ACCEPT'}, f'packet_filter_log_prefix: "a" -j ACCEPT" is not accepted; {PREFIX}'),
    ({"log_prefix": "x" * 12}, f'packet_filter_log_prefix: "xxxxxxxxxxxx" is not accepted; {PREFIX}'),
    ({"log_prefix": ""}, f'packet_filter_log_prefix: "" is not accepted; {PREFIX}'),
    ({"log_prefix": "a\n"}, f'packet_filter_log_prefix: "a\\n" is not accepted; {PREFIX}'),
    ({"log_prefix": None}, f"packet_filter_log_prefix: null is not accepted; {PREFIX}"),
    # Numbers
    ({"new_connections_per_minute": "10"}, 'packet_filter_new_connections_per_minute: "10" is text; write a whole number from 0 to 1000'
        '; -e name=value and INI inventories give text, -e \'{"packet_filter_new_connections_per_minute": 10}\' does not'),
    ({"new_connections_per_minute": "1001"}, 'packet_filter_new_connections_per_minute: "1001" is text; write a whole number from 0 to 1000'),
    ({"new_connections_per_minute": -1}, "packet_filter_new_connections_per_minute: -1 is not accepted; write a whole number from 0 to 1000"),
    ({"new_connections_burst": 0}, "packet_filter_new_connections_burst: 0 is not accepted; write a whole number from 1 to 1000"),
    ({"log_denied_per_minute": 601}, "packet_filter_log_denied_per_minute: 601 is not accepted; write a whole number from 1 to 600"),
    ({"log_denied": "yes"}, 'packet_filter_log_denied: "yes" is text; write true or false'
        '; -e name=value and INI inventories give text, -e \'{"packet_filter_log_denied": true}\' does not'),
    (
        flow(new_connections_per_minute=1.5),
        "packet_filter_services[0].new_connections_per_minute: 1.5 is not accepted; write a whole number from 0 to 1000",
    ),
    (
        flow(direction="client", new_connections_per_minute=5),
        "packet_filter_services[0].new_connections_per_minute: limits connections from outside; leave it out of a client flow",
    ),
    # Choices
    ({"scope": "all"}, 'packet_filter_scope: "all" is not accepted; write "mail" or "host"'),
    ({"scope": ["mail"]}, 'packet_filter_scope: a list is not accepted; write "mail" or "host"'),
    ({"egress": "closed"}, 'packet_filter_egress: "closed" is not accepted; write "enforce" or "open"'),
    ({"reply_rules": ""}, 'packet_filter_reply_rules: "" is not accepted; write "strict" or "generic"'),
    ({"state_match": "xt_state"}, 'packet_filter_state_match: "xt_state" is not accepted; write "conntrack" or "state"'),
    # Users
    ({"smtp_client_users": "postfix"}, f'packet_filter_smtp_client_users: "postfix" is not accepted; {USERS}'),
    ({"smtp_client_users": []}, f"packet_filter_smtp_client_users: a list is not accepted; {USERS}"),
    ({"smtp_client_users": ["post fix"]}, f'packet_filter_smtp_client_users[0]: "post fix" is not a user; {USER}'),
    ({"smtp_client_users": ["-1"]}, f'packet_filter_smtp_client_users[0]: "-1" is not a user; {USER}'),
    ({"smtp_client_users": [True]}, f"packet_filter_smtp_client_users[0]: true is not a user; {USER}"),
    ({"smtp_client_users": [4294967295]}, f"packet_filter_smtp_client_users[0]: 4294967295 is not a user; {USER}"),
    (
        {"smtp_client_users": ["postfix", "postfix"]},
        'packet_filter_smtp_client_users[1]: "postfix" repeats packet_filter_smtp_client_users[0]; leave one of them out',
    ),
    # Networks that must not be everything
    ({"blocked_networks": ["0.0.0.0/0"]}, 'packet_filter_blocked_networks[0]: "0.0.0.0/0" is every address; name the networks that are meant'),
    ({"internal_networks": ["::/0"]}, 'mailhost_internal_networks[0]: "::/0" is every address; name the networks that are meant'),
    ({"internal_networks": ["10.0.0.5/8"]}, 'mailhost_internal_networks[0]: "10.0.0.5/8" has host bits set; write "10.0.0.0/8" or "10.0.0.5/32"'),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_policy_error_has_path_value_and_accepted_form(options: Any, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read_packet_filter_policy(options, {"internal_networks": "mailhost_internal_networks"})
    assert str(caught.value) == message


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(PolicyError, match=r'^policy: "scpoe" is not an option; write one of '):
        read_packet_filter_policy({"scpoe": "host"})


def test_every_problem_of_a_policy_is_reported_at_once() -> None:
    options = {
        "scope": "all",
        "services": [{"service": "imp", "direction": "both", "peers": ["x", "10.0.0.1/8"]}],
        "blocked_networks": ["::/0"],
    }
    with pytest.raises(PolicyError) as caught:
        read_packet_filter_policy(options)
    places = {problem.split(":", 1)[0] for problem in caught.value.problems}
    assert places == {
        "packet_filter_scope",
        "packet_filter_services[0].service",
        "packet_filter_services[0].direction",
        "packet_filter_services[0].peers[0]",
        "packet_filter_services[0].peers[1]",
        "packet_filter_blocked_networks[0]",
    }


def test_the_inventory_variable_is_named_where_the_value_came_from() -> None:
    with pytest.raises(PolicyError, match=r'^mailhost_services\[0\]\.service: "x" is not a service'):
        read_packet_filter_policy(flow(service="x"), {"services": "mailhost_services"})


def test_a_flood_of_problems_is_counted() -> None:
    with pytest.raises(PolicyError) as caught:
        read_packet_filter_policy({"blocked_networks": ["x"] * (SHOWN + 5)})
    assert len(caught.value.problems) == SHOWN + 5
    assert str(caught.value).splitlines()[-1] == "... and 5 more problems"


def test_any_address_may_be_the_peer_of_a_client_flow() -> None:
    policy = read_packet_filter_policy(flow(direction="client", peers=["0.0.0.0/0", "::/0"]))
    assert [str(peer) for peer in policy.flows[0].peers or ()] == ["0.0.0.0/0", "::/0"]


INTERNAL = ["192.0.2.0/24", "198.51.100.80-198.51.100.99", "2001:db8:7::/48"]


@pytest.mark.parametrize(
    ("word", "written"),
    [("internal", INTERNAL), (["internal"], INTERNAL), (["203.0.113.7", "internal"], ["203.0.113.7", *INTERNAL])],
)
@pytest.mark.parametrize("option", ["services", "host_flows"])
def test_internal_peers_give_the_rules_of_the_written_networks(option: str, word: Any, written: list[str]) -> None:
    service = "imaps" if option == "services" else "https"

    def rules(peers: Any) -> Any:
        policy = read_packet_filter_policy(
            {
                "scope": "host",
                "management_networks": ["203.0.113.1"],
                "internal_networks": INTERNAL,
                option: [
                    {"service": service, "direction": "server", "peers": peers},
                    {"service": service, "direction": "client", "peers": peers},
                ],
            }
        )
        return compile_packet_filter(policy)

    assert rules(word) == rules(written)
