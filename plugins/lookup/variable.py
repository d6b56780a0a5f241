# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: variable
short_description: Value of the first of some variables that is set
version_added: 1.0.0
description:
  - Returns the value of the first variable that is set, else the default. A variable with an undefined reference in it
    is an error, also where R(ansible.builtin.vars,ansible_collections.ansible.builtin.vars_lookup) takes the default
    instead, as it does before ansible-core 2.19. With the default nothing would be blocked.
  - The roles and playbooks of this collection read their variables with it. It is not meant for other ones.
author:
  - The mailhost.hardening developers (@mailhost-hardening)
options:
  _terms:
    description: Names of variables.
    type: list
    elements: str
    required: true
  default:
    description: The value where none is set.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Show the domains of Postfix
  ansible.builtin.debug:
    msg: "{{ lookup('mailhost.hardening.variable', 'postfix_domains', 'mailhost_domains', default=[]) }}"
"""

RETURN = r"""
_raw:
  description: One element, the value.
  type: list
  elements: raw
"""

from typing import Any

from ansible.errors import AnsibleUndefinedVariable
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    """Templates a variable by itself, so that an undefined reference in it is never taken for its absence."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        known = variables or {}
        for name in terms:
            if name in known:
                try:
                    return [self._templar.template(known[name])]  # type: ignore[union-attr]
                except AnsibleUndefinedVariable as error:
                    raise AnsibleUndefinedVariable(f"{name}: {error}") from None
        return [kwargs["default"]]
