# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: dnsbl_entries
short_description: The tables of Messaging Server that query DNSBLs
version_added: 1.0.0
author:
  - The mailhost.hardening developers
description:
  - Returns the entries of C(PORT_ACCESS), which rejects blocked networks and queries the DNSBLs of stage C(connect)
    when a client connects to port 25, and of C(ORIG_MAIL_ACCESS), which queries those of stage C(mail) for each
    recipient of an external client, and looks for the domain of the sender where the policy says so in mapping form.
  - Internal and exempt networks are never looked up, at stage C(mail) authenticated clients neither, and C(postmaster)
    and C(abuse) can always be reached there. When the DNS gives no answer, mail goes through.
  - For DNSBLs of stage C(dispatcher) the table C(PORT_ACCESS) has no last entry for all the rest, because the
    Dispatcher queries none when an entry matches; P(mailhost.hardening.dispatcher_options#filter) has their options.
  - The routines cannot mask return codes; an error answer of a DNSBL (127.255.255.0/24) counts as listed. Let the role
    test the DNSBLs from the host, or do so yourself, before they are used.
  - All problems of the input are named in one error, each with its key, its value and the accepted form.
positional: _input
extends_documentation_fragment:
  - mailhost.hardening.mail_policy
  - mailhost.hardening.messaging_server_settings
"""

EXAMPLES = r"""
- name: A DNSBL that is queried for each message
  ansible.builtin.debug:
    msg: "{{ (policy | mailhost.hardening.dnsbl_entries).ORIG_MAIL_ACCESS[-1] }}"
  vars:
    policy:
      dnsbls:
        - {zone: bl.example, stage: mail, text: 'Host {client} is listed'}
    # => ['TCP|$[0-9A-Fa-f.:]*|$D*|$[0-9A-Fa-f.:]*|$D*|SMTP*|*|tcp_local|*|*|*',
    #     '$C$[IMTA_LIB:dns_verify.so,dns_verify_domain,$2,bl.example.,Host$ $2$ is$ listed]$E']
"""

RETURN = r"""
_value:
  description:
    - The entries in order by the name of their table, each a list of pattern and template, finished and quoted.
      A table is there where the policy needs it.
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

PARAMETERS = Parameters("dnsbl_entries")


def dnsbl_entries(policy: Any, settings: Any = None) -> dict[str, list[list[str]]]:
    """Entries of the tables that are needed."""
    try:
        plan = plan_of_dictionaries(policy, settings)
    except PolicyError as error:
        raise PARAMETERS.policy_error(error) from None
    names = [name for name in ("PORT_ACCESS", "ORIG_MAIL_ACCESS") if name in plan.tables]
    return {name: [list(entry) for entry in plan.tables[name]] for name in names}


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name and function."""
        return {"dnsbl_entries": dnsbl_entries}
