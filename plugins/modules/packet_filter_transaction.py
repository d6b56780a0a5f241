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
  - Inspects the host, proves a packet filter on its kernel, makes it live with the rollback armed, and confirms it.
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
      inspect: Return the report of the host; rolls back a change that a killed run left unconfirmed.
      prove: Load the texts in a throw-away network namespace.
      apply: Prove the texts and make them live; they are rolled back unless they are confirmed in time.
      confirm: Make the pending change permanent.
      status: Return the status of a change.
  question:
    description: For V(inspect), what the report is to answer.
    type: dict
  change:
    description: For V(prove) and V(apply), what is to go live.
    type: dict
  token:
    description: For V(apply), V(confirm) and V(status), the name of the change.
    type: str
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
report:
  description: What the host reports of itself.
  returned: when O(step) is V(inspect)
  type: dict
status:
  description: Whether a change is pending or confirmed, and why it was rolled back.
  returned: when O(step) is V(status)
  type: dict
effects:
  description: What a client gets after the change that it did not get before, or the other way round.
  returned: when O(step) is V(prove) or V(apply)
  type: list
  elements: dict
notes:
  description: What could not be proven, one sentence each.
  returned: when O(step) is V(prove), V(apply) or V(confirm)
  type: list
  elements: str
"""

import zlib
from collections.abc import Callable
from typing import Any, TypeVar

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter import disk, host, loader, transaction
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.effects import EffectsError
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import ReportedError

T = TypeVar("T")


def do_step(module: AnsibleModule) -> dict[str, Any]:
    step, token = module.params["step"], module.params["token"]
    if step == "inspect":
        question = read(module, "question", lambda raw: host.Question(**raw))
        return {"report": host.inspect(question, module.check_mode).to_dict()}
    if step == "confirm":
        return {"changed": True, "notes": transaction.confirm(token)}
    if step == "status":
        return {"status": transaction.status(token)._asdict()}
    change = read(module, "change", transaction.PacketFilterChange.from_dict)
    if step == "prove" or module.check_mode:
        return proven(transaction.prove_only(change))
    return {"changed": True, **proven(transaction.apply(token, change))}


def read(module: AnsibleModule, name: str, make: Callable[[Any], T]) -> T:
    """Return an argument as an object; it comes from the action, so a wrong one comes from a task of a user's own."""
    try:
        return make(module.params[name])
    except (KeyError, TypeError, ValueError, AttributeError, zlib.error) as error:
        raise ReportedError(
            f"{name}: is not what the action makes ({type(error).__name__}: {error}); "
            "call mailhost.hardening.packet_filter instead"
        ) from None


def proven(found: transaction.Proven) -> dict[str, Any]:
    return {"notes": list(found.notes), "effects": [one.to_dict() for one in found.effects]}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "step": {"type": "str", "required": True, "choices": ["inspect", "prove", "apply", "confirm", "status"]},
            "question": {"type": "dict"},
            "change": {"type": "dict"},
            "token": {"type": "str", "no_log": False},
        },
        required_if=[
            ("step", "inspect", ["question"]),
            ("step", "prove", ["change"]),
            ("step", "apply", ["change", "token"]),
            ("step", "confirm", ["token"]),
            ("step", "status", ["token"]),
        ],
        supports_check_mode=True,
        no_log=True,  # a million blocked networks do not belong into syslog
    )
    # For the same reason the arguments do not travel back.
    short = {"module_args": {"step": module.params["step"]}}
    try:
        module.exit_json(invocation=short, **do_step(module))
    except OSError as error:
        module.fail_json(msg=disk.describe(error), invocation=short)
    except (ReportedError, loader.LoadError) as error:
        notes = list(error.warnings) if isinstance(error, EffectsError) else []
        module.fail_json(msg=str(error), notes=notes, invocation=short)


if __name__ == "__main__":
    main()
