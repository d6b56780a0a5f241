# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: channel_keywords
short_description: Channels of Messaging Server for a mail policy
version_added: 1.0.0
author:
  - The mailhost.hardening developers
description:
  - Returns what C(imta.cnf) must have so that mail is distinguished by where it comes from. That is the switching
    keywords, the C([]) rewrite rule that consults C(INTERNAL_IP), and blocks for channels that are missing.
  - All problems of the input are named in one error, each with its key, its value and the accepted form.
positional: _input
options:
  hosts:
    description:
      - The official host name of each channel of the host's C(imta.cnf), by channel. Left out, the channels are not
        known, and all blocks are returned.
    type: dict
extends_documentation_fragment:
  - mailhost.hardening.mail_policy
  - mailhost.hardening.messaging_server_settings
"""

EXAMPLES = r"""
- name: The rule for internal addresses
  ansible.builtin.debug:
    msg: "{{ ({} | mailhost.hardening.channel_keywords(hosts=hosts)).rules }}"
  vars:
    hosts: {tcp_local: tcp-daemon, tcp_intranet: inside}
    # => [['[]', '$E$R${INTERNAL_IP,$L}$U%[$L]@inside']]
"""

RETURN = r"""
_value:
  description: What must be there.
  type: dict
  contains:
    blocks:
      description: Channels to add.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the channel.
          type: str
        keywords:
          description: Its keywords, in one line.
          type: str
        host:
          description: Its official host name.
          type: str
    keywords:
      description: Keywords to set; each takes the place of one that it excludes.
      type: list
      elements: dict
      contains:
        channel:
          description: Name of the channel, or C(defaults) for those without a keyword of their own.
          type: str
        keyword:
          description: The keyword.
          type: str
        arguments:
          description: Its arguments.
          type: list
          elements: str
    rules:
      description: Rewrite rules, lists of pattern and template, each of which must be the first of its pattern.
      type: list
      elements: list
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.plan import plan_of_dictionaries
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.plugin_utils._filter_parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Callable

PARAMETERS = Parameters("channel_keywords")


def channel_keywords(policy: Any, settings: Any = None, hosts: Any = None) -> dict[str, list[Any]]:
    """Blocks, keywords and rules."""
    try:
        plan = plan_of_dictionaries(policy, settings, hosts)
    except PolicyError as error:
        raise PARAMETERS.policy_error(error) from None
    return {
        "blocks": [dict(zip(("name", "keywords", "host"), block)) for block in plan.blocks],
        "keywords": [
            {"channel": channel, "keyword": keyword, "arguments": list(arguments)}
            for channel, keyword, arguments in plan.keywords
        ],
        "rules": [list(rule) for rule in plan.rules],
    }


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name and function."""
        return {"channel_keywords": channel_keywords}
