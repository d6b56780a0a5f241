#!/usr/bin/python

# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is a virtual module: it runs on the controller as an action plugin.

from __future__ import annotations

DOCUMENTATION = r"""
module: packet_filter
short_description: Brings the packet filter of a mail host into the state of a policy, as one transaction
version_added: 1.0.0
description:
  - Compiles the policy into rules for IPv4 and IPv6 and into sets, has the host's own kernel prove them in a
    throw-away network namespace, makes them live with a timer armed on the host that rolls them back, and confirms
    them over a new connection.
  - Touches the chains C(MAILHOST-*), one jump to each from C(INPUT) and C(OUTPUT), and the sets C(mailhost-*), and
    nothing else of the packet filter.
  - The first activation stops, with a list to paste into the inventory, where the new rules would block what is in
    use on the host and not declared.
author:
  - The mailhost.hardening developers (@mailhost-hardening)
options:
  state:
    description: Whether the packet filter is on the host. V(absent) removes chains, sets, boot unit and files.
    type: str
    choices: [present, absent]
    default: present
  blocked_network_files:
    description: List of files on the controller with one blocked address, prefix or range a line. Overlaps are merged.
    type: raw
    default: []
  accepted_effects:
    description: Effects that the policy does not ask for and that are accepted, each as a run printed it.
    type: raw
    default: []
  backend:
    description: The iptables variant; V(auto) uses the one in use on the host.
    type: str
    choices: [auto, nft, legacy]
    default: auto
  jump_after:
    description: Patterns (shell wildcards) of unmanaged chains whose jumps stay before the managed ones.
    type: list
    elements: str
    default: ["f2b-*"]
  confirm_timeout:
    description: Seconds, 5 to 600, after which the host rolls back an unconfirmed change.
    type: int
    default: 30
  check_controller:
    description: Whether rules that would block the live SSH connection are an error before they go live.
    type: bool
    default: true
  confirm_without_network:
    description:
      - Whether a run over a connection that uses no network (local, podman, docker, SSH from the host to itself) may
        change rules of the scope V(host). Its confirmation does not show whether SSH from elsewhere still works.
    type: bool
    default: false
  unknown_effects:
    description:
      - What to do where the connections before and after the change cannot be compared, or not in full, as on a host
        without network namespaces. V(warn) says what is not known and goes on, V(stop) changes nothing.
    type: str
    choices: [warn, stop]
    default: warn
requirements:
  - root on the host
  - iptables on the host
  - ipset on the host, where sets are used
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    details: The rules are proven in check mode as well.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff
      mode.
    support: full
  platform:
    description: Target OS/families that can be operated against.
    details: Proven on Debian 12 and Debian 13.
    support: full
    platforms: linux
seealso:
  - plugin: mailhost.hardening.packet_filter_rules
    plugin_type: filter
extends_documentation_fragment:
  - mailhost.hardening.packet_filter_policy.module
"""

EXAMPLES = r"""
- name: Let mail in and out, and POP3 for the office
  mailhost.hardening.packet_filter:
    policy:
      services:
        - {service: smtp, direction: server}
        - {service: smtp, direction: client}
        - {service: pop3, direction: server, peers: [192.168.1.0/24]}

- name: Remove the packet filter from the host
  mailhost.hardening.packet_filter:
    state: absent
"""

RETURN = r"""
diff:
  description: What is live against what the policy makes, for each text that changes.
  returned: changed, in diff mode
  type: list
  elements: dict
effects:
  description:
    - What a client gets after the run that it did not get before, or the other way round. Effects without a reason
      stop the run unless they are accepted.
  returned: success
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
backend:
  description: The iptables variant in use, V(nft) or V(legacy).
  returned: success
  type: str
  sample: nft
"""
