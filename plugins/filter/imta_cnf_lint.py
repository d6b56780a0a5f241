# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: imta_cnf_lint
short_description: Find errors and pitfalls in a Messaging Server imta.cnf
version_added: 1.0.0
author:
  - The mailhost.hardening developers
description:
  - Finds channel blocks that lost their lines, keywords written as one, channels that can be switched to unasked, and
    authentication that leads nowhere.
positional: _input
extends_documentation_fragment:
  - mailhost.hardening.lint
"""

EXAMPLES = r"""
- name: Two keywords written as one
  ansible.builtin.debug:
    msg: "{{ imta_cnf | mailhost.hardening.imta_cnf_lint }}"
  vars:
    imta_cnf: |
      .  $U%$H@tcp-daemon

      defaults noswitchchannel

      tcp_local smtp maysaslserverremotehost
      tcp-daemon
    # => [{'line': 5, 'code': 'glued-keywords', 'message': '"maysaslserverremotehost" is two keywords without a blank',
    #      'hint': 'Write "maysaslserver remotehost".'}]
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

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._lint.imta import lint_imta
from ansible_collections.mailhost.hardening.plugins.plugin_utils._filter_parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Callable

PARAMETERS = Parameters("imta_cnf_lint")


def imta_cnf_lint(text: Any) -> list[dict[str, Any]]:
    """Findings of an imta.cnf."""
    return [finding._asdict() for finding in lint_imta(PARAMETERS.text("_input", text))]


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name and function."""
        return {"imta_cnf_lint": imta_cnf_lint}
