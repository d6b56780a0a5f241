# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: rewrite_probe
short_description: Rewrite an address by the rules of a Messaging Server imta.cnf
version_added: 1.0.0
author:
  - The mailhost.hardening developers
description:
  - Answers which rewrite rule of C(imta.cnf) applies to an address and to which system it routes, from the texts of the
    files and without a Messaging Server.
  - To see what C(switchchannel) does with a client, rewrite C(@[client address]) as a backward pointing envelope
    address.
positional: _input, imta_cnf_text
options:
  _input:
    description: The address, V(user@host) or V(user@[address]). The user may be empty.
    type: str
    required: true
  imta_cnf_text:
    description: The text of imta.cnf.
    type: str
    required: true
  mappings_text:
    description: The text of the mapping file, for rules that call a mapping table.
    type: str
    default: ''
  direction:
    description: Which way the address points.
    type: str
    choices:
      forward: To a recipient.
      backward: To the sender.
    default: forward
  location:
    description: Where the address stands.
    type: str
    choices:
      envelope: In the SMTP dialogue.
      header: In the message.
    default: envelope
  source_channel:
    description:
      - The channel that the mail comes from, for rules with C($M) and C($N). Without it such a rule cannot be
        evaluated, which is an error.
    type: str
    default: ''
seealso:
  - plugin: mailhost.hardening.smtp_decision
    plugin_type: filter
"""

EXAMPLES = r"""
- name: The system of an internal client
  ansible.builtin.debug:
    msg: "{{ '@[192.0.2.7]' | mailhost.hardening.rewrite_probe(imta_cnf, mappings, direction='backward') }}"
  vars:
    imta_cnf: |
      []  $E$R${INTERNAL_IP,$L}$U%[$L]@tcp_intranet-daemon
      []  $U%[$L]@tcp-daemon
    mappings: |
      INTERNAL_IP

        $(192.0.2.0/24)  $Y
        *  $N
    # => {'pattern': '[]', 'system': 'tcp_intranet-daemon', 'address': '@[192.0.2.7]', 'trace': [...]}
"""

RETURN = r"""
_value:
  description: What the rules make of the address.
  type: dict
  contains:
    pattern:
      description: Pattern of the rule that applies; empty when none does.
      type: str
      returned: always
    system:
      description: The system the rule routes to; empty when no rule applies.
      type: str
      returned: always
    address:
      description: The new address.
      type: str
      returned: always
    trace:
      description: Which rules were tried and why they failed.
      type: list
      elements: str
      returned: always
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.context import (
    surroundings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.mapping import (
    load_mappings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.rewrite import (
    AddressError,
    Rewriter,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.rewrite_template import (
    Place,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta import parse_imta
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import ReportedError
from ansible_collections.mailhost.hardening.plugins.plugin_utils._filter_parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Callable

PARAMETERS = Parameters("rewrite_probe")
DIRECTIONS = ("forward", "backward")
LOCATIONS = ("envelope", "header")


def rewrite_probe(  # noqa: PLR0913, PLR0917 (parameters of the filter)
    address: Any,
    imta_cnf_text: Any,
    mappings_text: Any = "",
    direction: Any = "forward",
    location: Any = "envelope",
    source_channel: Any = "",
) -> dict[str, Any]:
    """Rewrite an address."""
    address, imta_cnf = PARAMETERS.text("_input", address), PARAMETERS.text("imta_cnf_text", imta_cnf_text)
    mappings = PARAMETERS.text("mappings_text", mappings_text)
    direction = PARAMETERS.choice("direction", direction, DIRECTIONS)
    location = PARAMETERS.choice("location", location, LOCATIONS)
    source = PARAMETERS.text("source_channel", source_channel)
    place = Place(direction == "forward", location == "envelope", source)
    try:
        result = Rewriter(parse_imta(imta_cnf), load_mappings(mappings), surroundings()).rewrite(address, place)
    except AddressError as error:
        raise PARAMETERS.error("_input", str(error)) from None
    except ReportedError as error:
        raise PARAMETERS.error("imta_cnf_text", str(error)) from None
    return {
        "pattern": result.pattern,
        "system": result.system,
        "address": result.address,
        "trace": list(result.trace),
    }


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name and function."""
        return {"rewrite_probe": rewrite_probe}
