# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation that the modules of all mail servers share."""

from __future__ import annotations


class ModuleDocFragment:
    """What is the same for each mail server: in the modules that users call, and in those that run on the host."""

    DOCUMENTATION = r"""
options:
  state:
    description:
      - Whether the managed settings are in the files. V(absent) removes exactly these. V(previous) restores what was
        live before the last change; twice, it goes forward again.
    type: str
    choices: [present, absent, previous]
    default: present
  blocked_network_files:
    description:
      - List of files on the controller with one blocked address, prefix or range a line, beside C(blocked_networks) of
        the policy. Overlaps are merged. Relative paths are looked up as M(ansible.builtin.copy) does.
    type: raw
    default: []
  accepted_effects:
    description: Effects that the policy does not ask for and that are accepted, each as a run printed it.
    type: raw
    default: []
  policy_tests:
    description: Sessions with their expected end. One that ends otherwise stops the deployment.
    type: list
    elements: dict
    default: []
    suboptions:
      client:
        description: Address of the client.
        type: str
        required: true
      authenticated:
        description: Whether the client has authenticated.
        type: bool
        default: false
      mail_from:
        description: Address of the sender; empty for a bounce.
        type: str
        required: true
      rcpt_to:
        description: Address of the recipient.
        type: str
        required: true
      expect:
        description: The expected end.
        type: str
        required: true
        choices: [accept, reject]
      port:
        description: The port.
        type: int
        choices: [25, 465, 587]
        default: 25
      comment:
        description: Text for the report.
        type: str
attributes:
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff
      mode.
    details: The keys of DNSBLs are hidden.
    support: full
"""

    TRANSACTION = r"""
options:
  step:
    description: What to do.
    type: str
    required: true
    choices:
      apply: Bring the configuration into the state of the arguments.
      rollback: Restore the configuration before the latest change.
  arguments:
    description: What the step needs.
    type: dict
    default: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
"""
