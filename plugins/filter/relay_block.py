# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: relay_block
short_description: The tables of Messaging Server that keep external clients from relaying
version_added: 1.0.0
author:
  - The mailhost.hardening developers
description:
  - Returns the entries of C(ORIG_SEND_ACCESS), which rejects mail from external clients to other domains, and of
    C(ORIG_MAIL_ACCESS) where the policy needs it, as for relay exceptions.
  - Also rejected are addresses with a route for a host that accepts mail for the policy's domains
    (C(victim%other@here)), and addresses that name a channel directly.
  - HELO names and addresses may have a bar in them; entries that accept cannot be led astray by it.
  - All problems of the input are named in one error, each with its key, its value and the accepted form.
positional: _input
options:
  hosts:
    description:
      - The official host name of each channel of the host's C(imta.cnf), by channel. Left out, the channels are not
        known, and the refusals for directly named channels are those that every installation needs.
      - Channels that are called C(tcp_*) are closed for external clients too, but for the policy's domains.
    type: dict
extends_documentation_fragment:
  - mailhost.hardening.mail_policy
  - mailhost.hardening.messaging_server_settings
"""

EXAMPLES = r"""
- name: Relay block with a relay exception
  ansible.builtin.debug:
    msg: "{{ (policy | mailhost.hardening.relay_block).ORIG_SEND_ACCESS[-2:] }}"
  vars:
    policy:
      relay_exceptions:
        - {networks: [192.0.2.7], recipient_domains: [example.org]}
    # => [['tcp_local|$[!-{}-~]*|tcp_local|$[!-{}-~]*@example.org', '$Y'],
    #     ['tcp_local|*|tcp_local|*', '$NRelaying$ not$ permitted']]
"""

RETURN = r"""
_value:
  description:
    - The entries in order by the name of their table, each a list of pattern and template, finished and quoted.
      C(ORIG_SEND_ACCESS) is always there.
    - A table is always complete. C(ORIG_MAIL_ACCESS) has the entries for relaying and those for DNSBLs, so that
      it is the same from P(mailhost.hardening.relay_block#filter) and P(mailhost.hardening.dnsbl_entries#filter).
  type: dict
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.plan import plan_of_dictionaries
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.plugin_utils._filter_parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Callable

PARAMETERS = Parameters("relay_block")


def relay_block(policy: Any, settings: Any = None, hosts: Any = None) -> dict[str, list[list[str]]]:
    """Entries of both tables."""
    try:
        plan = plan_of_dictionaries(policy, settings, hosts)
    except PolicyError as error:
        raise PARAMETERS.policy_error(error) from None
    names = [name for name in ("ORIG_SEND_ACCESS", "ORIG_MAIL_ACCESS") if name in plan.tables]
    return {name: [list(entry) for entry in plan.tables[name]] for name in names}


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name and function."""
        return {"relay_block": relay_block}
