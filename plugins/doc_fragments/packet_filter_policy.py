# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policy of a packet filter, as the filter and the module take it."""

from __future__ import annotations

from textwrap import indent

_FLOW = indent(
    r"""
direction:
  description: With V(server) others connect to the host, with V(client) the host connects out.
  type: str
  choices: [server, client]
  required: true
peers:
  description: V(internal), or a list of addresses, prefixes, ranges and V(internal), which stands for the
    C(internal_networks). Left out, any address.
  type: raw
comment:
  description: Comment of the flow's rules.
  type: str
new_connections_per_minute:
  description: For server flows, overrides the option of this name.
  type: int
""",
    " " * 4,
)

_OPTIONS = indent(
    r"""
scope:
  description: Whether the mail ports alone are decided about (V(mail)), or every port (V(host)).
  type: str
  choices: [mail, host]
  default: mail
services:
  description: Flows of mail that may pass.
  type: list
  elements: dict
  default:
    - {service: smtp, direction: server}
    - {service: smtp, direction: client}
  suboptions:
    service:
      description: Name of a mail service, or a TCP port.
      type: raw
      required: true"""
    + _FLOW
    + r"""
host_flows:
  description: Other flows that may pass, in the scope V(host).
  type: list
  elements: dict
  default:
    - {service: dns, direction: client}
    - {service: ntp, direction: client}
    - {service: dhcp, direction: client}
    - {service: http, direction: client}
    - {service: https, direction: client}
  suboptions:
    service:
      description: Name of a service of the host, a TCP port, or a UDP port as V(51820/udp).
      type: raw
      required: true"""
    + _FLOW
    + r"""
close_services:
  description: Services whose undeclared use is closed on purpose when the rules first go live.
  type: list
  elements: raw
  default: []
blocked_networks:
  description: Networks that may not connect.
  type: list
  elements: str
  default: []
management_networks:
  description: Networks that reach SSH in the scope V(host), beside the controller.
  type: list
  elements: str
  default: []
internal_networks:
  description: The networks that V(internal) stands for in peers.
  type: list
  elements: str
  default: []
reply_rules:
  description: Whether each flow has a pair of rules (V(strict)), or one rule accepts the packets of all connections.
  type: str
  choices: [strict, generic]
  default: strict
egress:
  description: Whether connections that the host opens are filtered.
  type: str
  choices: [enforce, open]
  default: enforce
state_match:
  description: The spelling of the connection state in the rules.
  type: str
  choices: [conntrack, state]
  default: conntrack
smtp_client_users:
  description: V(auto), V(any), or a list of the users that may connect to port 25 of other hosts.
  type: raw
  default: auto
new_connections_per_minute:
  description: New connections a minute that one source may open to a server flow, V(0) for no limit.
  type: int
  default: 0
new_connections_burst:
  description: New connections that one source may open before that limit counts.
  type: int
  default: 30
log_denied:
  description: Whether dropped and rejected packets are logged.
  type: bool
  default: true
log_denied_per_minute:
  description: Log lines a minute of each flow, direction and family.
  type: int
  default: 10
log_prefix:
  description: First word of the log prefix.
  type: str
  default: mailhost
""",
    " " * 6,
)


class ModuleDocFragment:
    """The same options below the input of the filter, and below an option of the module."""

    # With a type, as ansible-test's yamllint takes a plain assignment for one literal.
    DOCUMENTATION: str = (
        r"""
options:
  _input:
    description: The policy, with the meaning of the variables C(packet_filter_<option>).
    type: dict
    required: true
    suboptions:"""
        + _OPTIONS
    )

    MODULE: str = (
        r"""
options:
  policy:
    description:
      - The policy, with the meaning of the variables C(packet_filter_<option>).
      - Every problem of the policy is reported at once, before the host is contacted.
    type: dict
    default: {}
    suboptions:"""
        + _OPTIONS
    )
