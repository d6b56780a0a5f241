# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: internal_ip
short_description: The table INTERNAL_IP of Messaging Server for a mail policy
version_added: 1.0.0
author:
  - The mailhost.hardening developers
description:
  - Returns the entries of the mapping table C(INTERNAL_IP), which says which clients may relay without AUTH. Both
    families are in it, ranges are split into prefixes, the loopback addresses are always internal, and the last entry
    is for all the rest.
  - The table decides only where the C([]) rewrite rule and the keywords of
    P(mailhost.hardening.channel_keywords#filter) are in place.
  - All problems of the input are named in one error, each with its key, its value and the accepted form.
positional: _input
extends_documentation_fragment:
  - mailhost.hardening.mail_policy
  - mailhost.hardening.messaging_server_settings
"""

EXAMPLES = r"""
- name: Clients that may relay
  ansible.builtin.debug:
    msg: "{{ policy | mailhost.hardening.internal_ip }}"
  vars:
    policy:
      internal_networks: [192.0.2.80-192.0.2.99, "2001:db8:1::/48"]
    # => [['$(192.0.2.80/28)', '$Y'], ['$(192.0.2.96/30)', '$Y'], ['${2001:db8:1::/48}', '$Y'], ['127.0.0.1', '$Y'],
    #     ['$(127.0.0.0/8)', '$Y'], ['${::1/128}', '$Y'], ['*', '$N']]
"""

RETURN = r"""
_value:
  description: The entries in order, each a list of pattern and template, finished and quoted.
  type: list
  elements: list
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.plan import plan_of_dictionaries
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.plugin_utils._filter_parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Callable

PARAMETERS = Parameters("internal_ip")


def internal_ip(policy: Any, settings: Any = None) -> list[list[str]]:
    """Entries of the table."""
    try:
        plan = plan_of_dictionaries(policy, settings)
    except PolicyError as error:
        raise PARAMETERS.policy_error(error) from None
    return [list(entry) for entry in plan.tables["INTERNAL_IP"]]


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name and function."""
        return {"internal_ip": internal_ip}
