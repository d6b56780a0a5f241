#!/usr/bin/python

# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is a virtual module: it runs on the controller as an action plugin.

from __future__ import annotations

DOCUMENTATION = r"""
module: messaging_server
short_description: Brings the access configuration of Messaging Server into the state of a policy, as one transaction
version_added: 1.0.0
description:
  - Edits the mapping file, C(imta.cnf), C(dispatcher.cnf) and C(general.txt) of an installed Sun or Oracle Messaging
    Server, evaluates and compiles the result, swaps it in and makes it live. One call to the host does it all.
  - Before anything is swapped the new files are evaluated for an external client in more than 40 forms of relaying,
    for every class of the policy, and for the user's own tests. A deviation stops the run and shows the trace.
  - When a step fails or the run is killed, the old files and the old compiled image are restored and made live again.
author:
  - The mailhost.hardening developers (@mailhost-hardening)
options:
  root:
    description: Folder of the installation, as V(/opt/SUNWmsgsr). Empty, the usual places are looked at.
    type: str
    default: ""
requirements:
  - root on the host
  - an installed Messaging Server with text configuration files on the host
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    details: The new files are evaluated, and read by the product's own tools, in check mode as well.
    support: full
  platform:
    description: Target OS/families that can be operated against.
    details: Proven on Debian 12 with a stand-in for the product.
    support: full
    platforms: linux
extends_documentation_fragment:
  - mailhost.hardening.mail_policy.module
  - mailhost.hardening.messaging_server_settings
  - mailhost.hardening.mail_server
seealso:
  - plugin: mailhost.hardening.relay_block
    plugin_type: filter
  - plugin: mailhost.hardening.smtp_decision
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Let internal and authenticated clients relay, and no other
  mailhost.hardening.messaging_server:
    policy:
      domains: [example.org]
      internal_networks: [192.0.2.0/24, "2001:db8:7::/48"]
      dnsbls:
        - {zone: zen.spamhaus.org, stage: mail}
    policy_tests:
      - {client: 203.0.113.9, mail_from: a@example.net, rcpt_to: b@example.com, expect: reject}

- name: Roll back the last change
  mailhost.hardening.messaging_server:
    state: previous
"""

RETURN = r"""
files:
  description: Files that were changed, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [/opt/SUNWmsgsr/config/mappings]
evaluated:
  description: How many sessions were evaluated on the new files. Zero where these files and this policy were evaluated
    in an earlier run.
  returned: success, unless O(state=previous)
  type: int
  sample: 214
effects:
  description:
    - What a client gets after the run that it did not get before, or the other way round. Effects without a reason
      stop the run unless they are accepted.
  returned: success, unless O(state=previous)
  type: list
  elements: dict
  contains:
    kind:
      description: One of V(opened), V(closed), V(rejected), V(deferred) and V(limited).
      type: str
    subject:
      description: Port, class of clients and what they do.
      type: str
    before:
      description: What decided before, a rule or a setting.
      type: str
    reason:
      description: Why the policy asks for it.
      type: str
activation:
  description: What was done to make the change live.
  returned: when changed
  type: list
  elements: str
  sample: [imsimta reload]
step:
  description: The step that failed, as C(evaluate) or C(imsimta cnbuild).
  returned: on failure of a step
  type: str
output:
  description: Output of the tool or the evaluation.
  returned: on failure of a step
  type: str
restored:
  description: What was restored, or that nothing was changed.
  returned: on failure of a step
  type: str
backup:
  description: Folder with the files and the compiled image as they were before the change.
  returned: when changed, not in check mode
  type: str
"""
