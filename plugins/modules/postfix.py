#!/usr/bin/python

# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is a virtual module: it runs on the controller as an action plugin.

from __future__ import annotations

DOCUMENTATION = r"""
module: postfix
short_description: Brings the access configuration of Postfix into the state of a policy, as one transaction
version_added: 1.0.0
description:
  - Edits C(main.cf) and C(master.cf) of an installed Postfix, keeps lookup tables of its own beside them, and
    reloads it. One call to the host does it all.
  - Before anything is swapped, Postfix reads the new files, and a canary, a temporary Postfix of these files, answers
    real SMTP dialogues, for an external client in more than 40 forms of relaying, for every class of the policy, and
    for the user's own tests. A deviation stops the run and shows the dialogue. After the reload the live Postfix is
    tested.
  - When a step fails or the run is killed, the old files are restored and made live again.
author:
  - The mailhost.hardening developers (@mailhost-hardening)
requirements:
  - root on the host
  - an installed Postfix, 3.7 or newer, on the host
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    details: The canary runs in check mode as well.
    support: full
  platform:
    description: Target OS/families that can be operated against.
    details: Proven on Debian 12 and 13.
    support: full
    platforms: linux
extends_documentation_fragment:
  - mailhost.hardening.mail_policy.module
  - mailhost.hardening.postfix_settings
  - mailhost.hardening.mail_server
seealso:
  - plugin: mailhost.hardening.postfix_settings
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Let internal and authenticated clients relay, and no other
  mailhost.hardening.postfix:
    policy:
      domains: [example.org]
      internal_networks: [192.0.2.0/24, "2001:db8:7::/48"]
      dnsbls:
        - {zone: zen.spamhaus.org, stage: mail, return_codes: [127.0.0.2-127.0.0.11]}
    policy_tests:
      - {client: 203.0.113.9, mail_from: a@example.net, rcpt_to: b@example.com, expect: reject}

- name: Roll back the last change
  mailhost.hardening.postfix:
    state: previous
"""

RETURN = r"""
files:
  description: Files that were changed, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [/etc/postfix/main.cf, /etc/postfix/mailhost/internal.cidr]
evaluated:
  description: How many sessions the canary answered. Zero where these files and this policy were proven in an
    earlier run, with O(state=absent), and where no session could be held, which is a warning.
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
  returned: when changed, not in check mode
  type: list
  elements: str
  sample: [postfix reload]
notes:
  description: What the installed version cannot do and what stands in for it, and what could not be tested.
  returned: success, unless O(state=previous)
  type: list
  elements: str
step:
  description: The step that failed, as C(canary) or C(postfix check).
  returned: on failure of a step
  type: str
output:
  description: Output of the program or the dialogue.
  returned: on failure of a step
  type: str
restored:
  description: What was restored, or that nothing was changed.
  returned: on failure of a step
  type: str
backup:
  description: Folder with the files as they were before the change.
  returned: when changed, not in check mode
  type: str
"""
