# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: mail_hosts
author:
  - The mailhost.hardening developers (@mailhost-hardening)
version_added: 1.0.0
short_description: The hosts that the playbooks of this collection are for
description:
  - Returns the pattern in C(mailhost_hosts), by default C(mailhosts), and fails where it matches no host of the
    inventory, which would be no more than a warning, and a run that ends well. A group that is there may be empty.
  - Takes no terms. Made for C(hosts) of a play.
options: {}
"""

EXAMPLES = r"""
- name: Ping the mail hosts
  hosts: "{{ lookup('mailhost.hardening.mail_hosts') }}"
  tasks:
    - name: Ping
      ansible.builtin.ping:
"""

RETURN = r"""
_list:
  description: One element, the pattern.
  type: list
  elements: raw
"""

from typing import Any

from ansible import context
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):
    """Has the inventory match the pattern again, since `--limit` may rightly leave nothing of it."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:  # noqa: ARG002
        known = variables or {}
        pattern = self._templar.template(known.get("mailhost_hosts", "mailhosts"))  # type: ignore[union-attr]
        # A syntax check needs no inventory.
        if not context.CLIARGS.get("syntax") and not self._matches(pattern, known.get("groups", {})):
            shown = ",".join(map(str, pattern)) if isinstance(pattern, list) else pattern
            raise AnsibleError(
                f'mailhost_hosts: "{shown}" matches no host and no group of the inventory; write one of its groups'
            )
        return [pattern]

    def _matches(self, pattern: Any, groups: dict[str, list[str]]) -> bool:
        if isinstance(pattern, str) and pattern in groups:
            return True
        inventory = InventoryManager(self._loader, parse=False)
        for group, hosts in groups.items():
            inventory.add_group(group)
            for host in hosts:
                inventory.add_host(host, group=group)
        return bool(inventory.get_hosts(pattern))
