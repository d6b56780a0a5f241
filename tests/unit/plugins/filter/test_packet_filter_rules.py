# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter as templates call it, and its words for what it does not accept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROOT = Path(__file__).resolve().parents[4]


def template(expression: str, **variables: Any) -> Any:
    return Templar(DataLoader(), variables=variables).template(trust_as_template("{{ " + expression + " }}"))


def test_the_documented_example() -> None:
    services = [
        {"service": "smtp", "direction": "server"},
        {"service": "pop3", "direction": "server", "peers": ["192.168.1.0/24"]},
    ]
    found = template("policy | mailhost.hardening.packet_filter_rules", policy={"services": services})
    assert set(found) == {"sets", "ipv4", "ipv6"}
    assert found["sets"] == ""
    assert (
        "-A MAILHOST-IN-MAIL -s 192.168.1.0/24 -p tcp -m tcp --sport 1024:65535 --dport 110 "
        '--tcp-flags FIN,SYN,RST,ACK SYN -m conntrack --ctstate NEW -m comment --comment "pop3 server" -j ACCEPT\n'
    ) in found["ipv4"]
    assert "110 --tcp-flags" not in found["ipv6"]


def test_users_and_controller_are_parameters() -> None:
    found = template(
        "{'scope': 'host'} | mailhost.hardening.packet_filter_rules(controller='192.0.2.9', ssh_port=2222, smtp_client_uids=[101])"
    )
    assert (
        "-A MAILHOST-IN -s 192.0.2.9/32 -p tcp -m tcp --dport 2222 -m comment --comment management -j ACCEPT\n"
        in found["ipv4"]
    )
    assert "-m owner --uid-owner 101 " in found["ipv4"]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        (
            "'x' | mailhost.hardening.packet_filter_rules",
            'parameter _input of filter mailhost.hardening.packet_filter_rules: "x" is not a dictionary; '
            "write the options of the role packet_filter without their prefix",
        ),
        (
            "{'scope': 'x'} | mailhost.hardening.packet_filter_rules",
            'parameter _input.scope of filter mailhost.hardening.packet_filter_rules: "x" is not accepted; write "mail" or "host"',
        ),
        (
            "{} | mailhost.hardening.packet_filter_rules(controller='mail.example')",
            'parameter controller of filter mailhost.hardening.packet_filter_rules: "mail.example" is not accepted; write an address, as "192.0.2.7"',
        ),
        (
            "{'scope': 'host'} | mailhost.hardening.packet_filter_rules",
            "parameter controller of filter mailhost.hardening.packet_filter_rules: is missing; "
            "the scope host needs it, or management_networks, to keep SSH open",
        ),
        (
            "{} | mailhost.hardening.packet_filter_rules(ssh_port=0)",
            "parameter ssh_port of filter mailhost.hardening.packet_filter_rules: 0 is not accepted; write a port from 1 to 65535",
        ),
        (
            "{} | mailhost.hardening.packet_filter_rules(smtp_client_uids='postfix')",
            'parameter smtp_client_uids of filter mailhost.hardening.packet_filter_rules: "postfix" is not accepted; write a list of user ids, as [101]',
        ),
    ],
)
def test_error_names_parameter_filter_and_value(expression: str, message: str) -> None:
    with pytest.raises(AnsibleError) as caught:
        template(expression)
    assert message in str(caught.value)


def test_internal_peers_are_those_of_the_parameter() -> None:
    flow = "{'service': 'imaps', 'direction': 'server', 'peers': %s}"
    internal = f"{{'internal_networks': ['192.0.2.0/24'], 'services': [{flow % repr('internal')}]}}"
    written = f"{{'services': [{flow % ['192.0.2.0/24']}]}}"
    name = "mailhost.hardening.packet_filter_rules"
    assert template(f"{internal} | {name}") == template(f"{written} | {name}")
