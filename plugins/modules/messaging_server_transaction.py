#!/usr/bin/python

# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: messaging_server_transaction
short_description: The host's part of mailhost.hardening.messaging_server
version_added: 1.0.0
description:
  - Changes the configuration of an installed Messaging Server as one transaction, or restores the previous one.
  - A run that fails or is killed is rolled back to the previous files and the previous compiled configuration.
  - This module is called by the action M(mailhost.hardening.messaging_server), which makes its arguments.
    It is not meant for playbooks, and its options may change at any time.
author:
  - The mailhost.hardening developers (@mailhost-hardening)
requirements:
  - root
  - an installed Messaging Server
extends_documentation_fragment:
  - mailhost.hardening.mail_server.transaction
"""

EXAMPLES = r"""
- name: Harden the Messaging Server (this calls the module)
  mailhost.hardening.messaging_server:
    policy:
      domains: [example.com]
      internal_networks: [192.0.2.0/24]
"""

RETURN = r"""
backup:
  description: The folder that keeps the previous files.
  returned: when something was changed
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.change import MessagingServerRun
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.run import run_step


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "required": True, "choices": ["apply", "rollback"]},
            "arguments": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
        no_log=True,  # a list of a million networks does not belong into syslog
    )
    run_step(module, "Messaging Server", MessagingServerRun)


if __name__ == "__main__":
    main()
