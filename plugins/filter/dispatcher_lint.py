# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: dispatcher_lint
short_description: Find errors and pitfalls in a Messaging Server dispatcher.cnf
version_added: 1.0.0
author:
  - The mailhost.hardening developers
description:
  - Finds zones of DNSBLs that are misspelt, closed, too many, or never queried because C(PORT_ACCESS) matches every
    connection.
positional: _input
options:
  mappings_text:
    description: The text of the mapping file, to see whether C(PORT_ACCESS) hides the zones.
    type: str
    default: ''
extends_documentation_fragment:
  - mailhost.hardening.lint
"""

EXAMPLES = r"""
- name: A closed DNSBL
  ansible.builtin.debug:
    msg: "{{ dispatcher_cnf | mailhost.hardening.dispatcher_lint }}"
  vars:
    dispatcher_cnf: |
      [SERVICE=SMTP]
      PORT=25
      DNS_VERIFY_DOMAIN=rbl.maps.vix.com
    # => [{'line': 3, 'code': 'dead-zone',
    #      'message': 'zone "rbl.maps.vix.com" is dead: closed in 2001-07; MAPS left these zones',
    #      'hint': 'Remove it.'}]
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

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._lint.dispatcher import (
    lint_dispatcher,
)
from ansible_collections.mailhost.hardening.plugins.plugin_utils._filter_parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Callable

PARAMETERS = Parameters("dispatcher_lint")


def dispatcher_lint(text: Any, mappings_text: Any = "") -> list[dict[str, Any]]:
    """Findings of a dispatcher.cnf."""
    mappings = PARAMETERS.text("mappings_text", mappings_text)
    return [finding._asdict() for finding in lint_dispatcher(PARAMETERS.text("_input", text), mappings)]


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name and function."""
        return {"dispatcher_lint": dispatcher_lint}
