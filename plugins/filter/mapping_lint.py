# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: mapping_lint
short_description: Find errors and pitfalls in a Messaging Server mapping file
version_added: 1.0.0
author:
  - The mailhost.hardening developers
description:
  - Finds what breaks the grammar of the mapping file and what is known to go wrong in access tables, such as entries in
    column one, unquoted blanks, callouts without C($C), closed DNSBLs and networks that are too wide.
positional: _input
options:
  load_balancers:
    description:
      - Addresses of load balancers, proxies and translators through which clients reach the server; they must not be
        internal.
    type: list
    elements: str
    default: []
  channels:
    description: Names of the channels of imta.cnf. With them, entries that name another channel are found.
    type: list
    elements: str
extends_documentation_fragment:
  - mailhost.hardening.lint
"""

EXAMPLES = r"""
- name: No findings in the mapping file
  ansible.builtin.assert:
    that: findings | length == 0
    fail_msg: "{{ findings }}"
  vars:
    findings: "{{ mappings | mailhost.hardening.mapping_lint }}"
    mappings: |
      INTERNAL_IP

        $(192.0.2.0/24)  $Y
        127.0.0.1        $Y
        *                $N
    # => []

- name: A rejection without SMTP code
  ansible.builtin.debug:
    msg: "{{ mappings | mailhost.hardening.mapping_lint }}"
  vars:
    mappings: |
      PORT_ACCESS

        TCP|*|25|192.0.2.66|*  $NGo$ away
        *  $YEXTERNAL
    # => [{'line': 3, 'code': 'no-smtp-code',
    #      'message': 'the text "Go away" of a rejected connection has no SMTP code; it is sent as it is',
    #      'hint': 'Begin it with a code, for example "$N500$ 5.7.1$ ...".'}]
"""

RETURN = r"""
_value:
  description: One dictionary for each finding, by line. Empty where there are none.
  type: list
  elements: dict
  contains:
    line:
      description: Physical line, counted from 1.
      type: int
      returned: always
    code:
      description: The rule.
      type: str
      returned: always
    message:
      description: What is wrong.
      type: str
      returned: always
    hint:
      description: What to do.
      type: str
      returned: always
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._lint.mapping import lint_mappings
from ansible_collections.mailhost.hardening.plugins.plugin_utils._filter_parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Callable

PARAMETERS = Parameters("mapping_lint")


def mapping_lint(text: Any, load_balancers: Any = (), channels: Any = None) -> list[dict[str, Any]]:
    """Findings of a mapping file."""
    known = None if channels is None else PARAMETERS.texts("channels", channels)
    balancers = PARAMETERS.texts("load_balancers", load_balancers)
    return [one._asdict() for one in lint_mappings(PARAMETERS.text("_input", text), balancers, known)]


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name and function."""
        return {"mapping_lint": mapping_lint}
