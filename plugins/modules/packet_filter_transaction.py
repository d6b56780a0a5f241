#!/usr/bin/python

# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: packet_filter_transaction
short_description: The host's part of mailhost.hardening.packet_filter
version_added: 1.0.0
description:
  - Inspects the host, proves a packet filter on its kernel, makes it live with the way back armed, and confirms it.
  - This module is called by the action M(mailhost.hardening.packet_filter), which makes the texts it
    loads. It is not meant for playbooks, and its options may change at any time.
author:
  - The mailhost.hardening developers (@mailhost-hardening)
options:
  step:
    description: What to do.
    type: str
    required: true
    choices:
      inspect: Say what is on the host; changes nothing but a change that a killed run left unconfirmed.
      prove: Load the texts in a throw-away network namespace.
      apply: Prove the texts and make them live; they are taken back unless they are confirmed in time.
      confirm: Make the pending change permanent.
      status: Say what became of a change.
  question:
    description: For V(inspect), what is to be found out.
    type: dict
    default: {}
  change:
    description: For V(prove) and V(apply), what is to go live.
    type: dict
    default: {}
  token:
    description: For V(apply), V(confirm) and V(status), the name of the change.
    type: str
    default: ""
requirements:
  - root
  - iptables
  - ipset, where sets are used
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
"""

EXAMPLES = r"""
- name: Put the packet filter on the host (this calls the module)
  mailhost.hardening.packet_filter:
    policy:
      services:
        - {service: smtp, direction: server}
        - {service: smtp, direction: client}
"""

RETURN = r"""
facts:
  description: What was found out.
  returned: when O(step) is V(inspect)
  type: dict
status:
  description: What became of a change.
  returned: when O(step) is V(status)
  type: dict
notes:
  description: What could not be proven, one sentence each.
  returned: when O(step) is V(prove), V(apply) or V(confirm)
  type: list
  elements: str
"""

import base64
import os
import zlib
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter import host, loader, transaction
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.boot import boot_is_ready
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.display import describe, shown_sets
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.namespace import Connection
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import ReportedError


def inspect(question: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    if os.geteuid() != 0:
        raise host.ConflictError("the packet filter can be changed by root alone; set ansible_become: true")
    transaction.settle(loader.ROOT, change=not check_mode)
    rivals = host.find_rivals()
    if rivals and not question["absent"]:
        raise host.ConflictError(
            f"{' and '.join(rivals)} is active on the host and would rewrite or overrule our rules; "
            "disable it, or leave the packet filter to it"
        )
    backend = host.choose_backend(question["backend"])
    lives = {family: loader.read_live(family, backend) for family in loader.FAMILIES}
    host.refuse_strangers(lives)
    found = transaction.installed()
    sets = loader.live_sets(transaction.installed_sets() if found else loader.live_set_names())
    members = {name: loader.members_digest(text) for name, text in sets.items()}
    connection = host.ssh_connection()
    uids, unknown = host.find_users(question["users"], question["candidates"])
    facts: dict[str, Any] = {
        "backend": backend,
        "managed": any(live.managed for live in lives.values()),
        "live_digest": loader.digest(lives, members),
        "live": {family: describe(live.text(), live.jumps) for family, live in lives.items()},
        "misplaced": host.misplaced(lives, question["jump_after"]),
        "absent": transaction.is_absent(lives),
        "connection": connection._asdict() if connection else None,
        "uids": uids,
        "unknown_users": unknown,
        "owner_match": host.owner_match_works(backend) if uids else False,
        "boot_ready": boot_is_ready(transaction.loader_source()),
        "installed": None,
        "in_use": None,
    }
    facts["live"]["sets"] = shown_sets(sets, members)
    if found is not None:
        facts["installed"] = found._asdict()
    first = found is None and not facts["managed"]
    if first or (question["scope"] == "host" and not host.closes_everything(lives)):
        listeners, sessions = host.tcp_sockets(host.IN_USE)
        udp = host.udp_listeners()
        sockets = {"listeners": listeners, "sessions": sessions, "udp": udp}
        facts["in_use"] = {name: host.as_plain(found) for name, found in sockets.items()}
    facts["first"] = first
    return facts


def read_change(change: dict[str, Any]) -> transaction.Wanted:
    texts = {name: zlib.decompress(base64.b64decode(text)).decode("ascii") for name, text in change["texts"].items()}
    state = loader.State(change["backend"], tuple(change["jump_after"]), tuple(change["ports"]))
    return transaction.Wanted(texts, state, change["absent"])


def do_step(module: AnsibleModule) -> dict[str, Any]:
    step, change, token = module.params["step"], module.params["change"], module.params["token"]
    if step == "inspect":
        return {"facts": inspect(module.params["question"], module.check_mode)}
    if step == "confirm":
        return {"changed": True, "notes": transaction.confirm(token)}
    if step == "status":
        return {"status": transaction.status(token)}
    connection = Connection(**change["connection"]) if change["connection"] else None
    if step == "prove" or module.check_mode:
        return {"notes": transaction.prove_only(read_change(change), connection)}
    return {"changed": True, "notes": transaction.apply(token, read_change(change), connection, change["timeout"])}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "required": True, "choices": ["inspect", "prove", "apply", "confirm", "status"]},
            "question": {"type": "dict", "default": {}},
            "change": {"type": "dict", "default": {}},
            "token": {"type": "str", "default": "", "no_log": False},
        },
        supports_check_mode=True,
        no_log=True,  # a block list of a million networks does not belong into syslog
    )
    # For the same reason the arguments do not travel back.
    short = {"module_args": {"step": module.params["step"]}}
    try:
        module.exit_json(invocation=short, **do_step(module))
    except (ReportedError, loader.LoadError, OSError) as error:
        module.fail_json(msg=str(error), invocation=short)


if __name__ == "__main__":
    main()
