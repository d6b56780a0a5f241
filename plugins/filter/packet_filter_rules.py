# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: packet_filter_rules
short_description: Turns the policy of a mail host into finished iptables and ipset text
version_added: 1.0.0
description:
  - Returns the rules of a policy in the spelling that iptables-save prints, so that they can be read, compared and
    archived. The role P(mailhost.hardening.packet_filter#role) loads the same text.
  - What only the host knows are parameters. Without O(smtp_client_uids) any user may connect to port 25.
  - The text names the managed chains only; the jumps from C(INPUT) and C(OUTPUT) are placed when it is loaded.
author:
  - The mailhost.hardening developers (@mailhost-hardening)
positional: _input
options:
  controller:
    description: The address from which the host is managed. The scope V(host) needs it, or C(management_networks).
    type: str
  ssh_port:
    description: The port of SSH, 1 to 65535.
    type: int
    default: 22
  smtp_client_uids:
    description: Ids of the users that may connect to port 25. Left out, any user may.
    type: list
    elements: int
seealso:
  - plugin: mailhost.hardening.packet_filter
    plugin_type: module
  - name: iptables-extensions(8)
    description: The matches and targets of the rules.
    link: https://manpages.debian.org/bookworm/iptables/iptables-extensions.8.en.html
extends_documentation_fragment:
  - mailhost.hardening.packet_filter_policy
"""

EXAMPLES = r"""
- name: Show the IPv4 rules of a policy
  ansible.builtin.debug:
    msg: "{{ (policy | mailhost.hardening.packet_filter_rules).ipv4 }}"
  vars:
    policy:
      services:
        - {service: smtp, direction: server}
        - {service: pop3, direction: server, peers: [192.168.1.0/24]}
# => the chains MAILHOST-IN, MAILHOST-IN-MAIL, MAILHOST-OUT and MAILHOST-OUT-MAIL, with among others
#    -A MAILHOST-IN-MAIL -s 192.168.1.0/24 -p tcp -m tcp --sport 1024:65535 --dport 110 --tcp-flags FIN,SYN,RST,ACK SYN
#      -m conntrack --ctstate NEW -m comment --comment "pop3 server" -j ACCEPT
"""

RETURN = r"""
_value:
  description:
    - Three texts. C(sets) is for C(ipset restore) and empty where no set is needed; C(ipv4) and C(ipv6) are for
      C(iptables-restore --noflush) and
      C(ip6tables-restore --noflush).
  type: dict
  contains:
    sets:
      description: Sets of both families.
      type: str
    ipv4:
      description: Chains and rules of IPv4.
      type: str
    ipv6:
      description: Chains and rules of IPv6.
      type: str
"""

from typing import Any, Callable

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.rules import (
    PacketFilterFacts,
    compile_packet_filter,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.networks import NetworkError, parse_address
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.packet_filter import (
    DEFAULTS,
    read_packet_filter_policy,
)
from ansible_collections.mailhost.hardening.plugins.plugin_utils._filter_parameters import Parameters

PARAMETERS = Parameters("packet_filter_rules")


def _host_facts(controller: Any, ssh_port: Any, smtp_client_uids: Any) -> PacketFilterFacts:
    if controller is not None:
        try:
            parse_address(controller if isinstance(controller, str) else "")
        except NetworkError:
            raise PARAMETERS.wrong("controller", controller, 'an address, as "192.0.2.7"') from None
    if not isinstance(ssh_port, int) or isinstance(ssh_port, bool) or not 1 <= ssh_port <= 65535:
        raise PARAMETERS.wrong("ssh_port", ssh_port, "a port from 1 to 65535")
    if smtp_client_uids is None:
        return PacketFilterFacts(controller, ssh_port, None)
    uids: list[int] = []
    for uid in smtp_client_uids if isinstance(smtp_client_uids, (list, tuple)) else [smtp_client_uids]:
        if (
            not isinstance(smtp_client_uids, (list, tuple))
            or not isinstance(uid, int)
            or isinstance(uid, bool)
            or not 0 <= uid <= 4294967294
        ):
            raise PARAMETERS.wrong("smtp_client_uids", uid, "a list of user ids, as [101]")
        uids.append(uid)
    return PacketFilterFacts(controller, ssh_port, tuple(uids))


def packet_filter_rules(
    policy: Any, controller: str | None = None, ssh_port: int = 22, smtp_client_uids: list[int] | None = None
) -> dict[str, str]:
    """Return the texts for a policy; AnsibleFilterError names everything that is wrong with it."""
    facts = _host_facts(controller, ssh_port, smtp_client_uids)
    try:
        found = read_packet_filter_policy(policy, {option: f"_input.{option}" for option in DEFAULTS})
    except PolicyError as error:
        raise PARAMETERS.policy_error(error) from None
    if found.scope == "host" and facts.controller is None and not found.management:
        raise PARAMETERS.error(
            "controller", "is missing; the scope host needs it, or management_networks, to keep SSH open"
        )
    return {name: str(text) for name, text in compile_packet_filter(found, facts)._asdict().items()}


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"packet_filter_rules": packet_filter_rules}
