# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: dispatcher_options
short_description: Options of dispatcher.cnf for a mail policy
version_added: 1.0.0
author:
  - The mailhost.hardening developers
description:
  - Returns the options of C(dispatcher.cnf) that a policy needs, which are C(DNS_VERIFY_DOMAIN) for the lists of stage
    C(dispatcher), at most five, and the service for submission.
  - The Dispatcher queries its DNSBLs only for connections that no entry of C(PORT_ACCESS) matches. So they are an error
    together with DNSBLs of stage C(connect), and P(mailhost.hardening.dnsbl_entries#filter) returns the table that
    fits.
  - All problems of the input are named in one error, each with its key, its value and the accepted form.
positional: _input
options:
  submission_exists:
    description: Whether C(dispatcher.cnf) has the service C(SMTP_SUBMIT). A new one also gets its port, V(587).
    type: bool
    default: false
extends_documentation_fragment:
  - mailhost.hardening.mail_policy
  - mailhost.hardening.messaging_server_settings
"""

EXAMPLES = r"""
- name: Lists of the Dispatcher
  ansible.builtin.debug:
    msg: "{{ policy | mailhost.hardening.dispatcher_options(submission_exists=true) }}"
  vars:
    policy:
      dnsbls:
        - {zone: bl.example, stage: dispatcher}
    # => {'SMTP': {'DNS_VERIFY_DOMAIN': ['bl.example.']}, 'SMTP_SUBMIT': {'PARAMETER': ['CHANNEL=tcp_submit']}}
"""

RETURN = r"""
_value:
  description: By service, then by option, the list of its values.
  type: dict
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.plan import plan_of_dictionaries
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.plugin_utils._filter_parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Callable

PARAMETERS = Parameters("dispatcher_options")


def dispatcher_options(
    policy: Any, settings: Any = None, submission_exists: Any = False
) -> dict[str, dict[str, list[str]]]:
    """Values by service and option."""
    submission_exists = PARAMETERS.boolean("submission_exists", submission_exists)
    try:
        plan = plan_of_dictionaries(policy, settings, submission=submission_exists)
    except PolicyError as error:
        raise PARAMETERS.policy_error(error) from None
    options: dict[str, dict[str, list[str]]] = {}
    for service, option, values in plan.options:
        options.setdefault(service, {})[option] = list(values)
    return options


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name and function."""
        return {"dispatcher_options": dispatcher_options}
