# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: mapping_probe
short_description: Apply a Messaging Server mapping table to a text
version_added: 1.0.0
author:
  - The mailhost.hardening developers
description:
  - Answers what C(imsimta test -mapping -noimage_file) answers, from the text of a mapping file and without a
    Messaging Server.
  - Where the manuals leave something open the trace says how it was read.
positional: _input, table, probe
options:
  _input:
    description: The text of the mapping file.
    type: str
    required: true
  table:
    description: Name of the table, in any case.
    type: str
    required: true
  probe:
    description:
      - The text the table is applied to, for example V(TCP|192.0.2.25|25|198.51.100.7|40001) for C(PORT_ACCESS).
    type: str
    required: true
  input_flags:
    description: Letters of the input flags that are set, for example V(A) for the probe of the Dispatcher.
    type: str
    default: ''
  callouts:
    description:
      - Answers of routines, by name of the routine and by expanded argument. An answer is template text. A routine
        fails for an argument that is absent.
      - Key C(dns_exists) is special. It is the list of the names that exist, for the routine C(dns_verify).
    type: dict
    default: {}
  general_database:
    description: Keys of the general database and their template text.
    type: dict
    default: {}
  includes:
    description:
      - Texts of included files by the name that stands after C(<). An include without a text is named in the trace and
        skipped.
    type: dict
    default: {}
seealso:
  - plugin: mailhost.hardening.mapping_match
    plugin_type: filter
  - plugin: mailhost.hardening.mapping_lint
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Whether an external client may relay
  ansible.builtin.debug:
    msg: "{{ mappings | mailhost.hardening.mapping_probe('ORIG_SEND_ACCESS', probe) }}"
  vars:
    probe: tcp_local|a@b.example|tcp_local|c@d.example
    mappings: |
      ORIG_SEND_ACCESS

        tcp_local|*|tcp_local|*  $NRelaying$ not$ permitted
    # => {'matched': true, 'flags': ['N'], 'output': 'Relaying not permitted',
    #     'arguments': {'N': 'Relaying not permitted'}, 'trace': [...]}

- name: What the Dispatcher does with a listed host
  ansible.builtin.debug:
    msg: "{{ result.output }}"
  vars:
    result: "{{ mappings | mailhost.hardening.mapping_probe('PORT_ACCESS', probe, 'A', callouts) }}"
    mappings: |
      PORT_ACCESS

        TCP|*|25|*|*  $C$:A$[IMTA_LIB:dns_verify.so,dns_verify_domain_port,$1,bl.example.]$E
        *  $YEXTERNAL
    probe: TCP|192.0.2.25|25|198.51.100.7|40001
    callouts:
      dns_verify_domain_port:
        198.51.100.7,bl.example.: $N500$ 5.7.1$ listed
    # => 500 5.7.1 listed
"""

RETURN = r"""
_value:
  description: What the table gives for the probe.
  type: dict
  contains:
    matched:
      description: Whether an entry matched and its template succeeded.
      type: bool
      returned: always
    flags:
      description: Letters of the output flags, sorted.
      type: list
      elements: str
      returned: always
    output:
      description: The output text; the probe itself when nothing matched.
      type: str
      returned: always
    arguments:
      description: Arguments of the flags that take one, read from the output in the order of the access tables.
      type: dict
      returned: always
    trace:
      description: What happened, step by step, entries counted from 1.
      type: list
      elements: str
      returned: always
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.callouts import (
    EXISTING_NAMES,
    callouts_from,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.context import (
    surroundings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.mapping import (
    load_mappings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.mapping_match import (
    TooCostlyError,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.text import MtaTextError
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import shown
from ansible_collections.mailhost.hardening.plugins.plugin_utils._filter_parameters import EMPTY, Parameters

if TYPE_CHECKING:
    from collections.abc import Callable

PARAMETERS = Parameters("mapping_probe")


def _callouts(value: Any) -> dict[str, object]:
    checked: dict[str, object] = {}
    for routine, item in PARAMETERS.mapping("callouts", value).items():
        check = PARAMETERS.texts if routine == EXISTING_NAMES else PARAMETERS.text_map
        checked[routine] = check(f"callouts[{shown(routine)}]", item)
    return checked


def mapping_probe(  # noqa: PLR0913, PLR0917 - the filter's parameters
    text: Any,
    table: Any,
    probe: Any,
    input_flags: Any = "",
    callouts: Any = EMPTY,
    general_database: Any = EMPTY,
    includes: Any = EMPTY,
) -> dict[str, Any]:
    """Apply a mapping table to a probe."""
    mappings_text, table, probe = (
        PARAMETERS.text(name, value) for name, value in (("_input", text), ("table", table), ("probe", probe))
    )
    around = surroundings(
        PARAMETERS.text("input_flags", input_flags),
        PARAMETERS.text_map("general_database", general_database),
        callouts_from(_callouts(callouts)),
    )
    included = tuple(sorted(PARAMETERS.text_map("includes", includes).items()))
    try:
        mappings = load_mappings(mappings_text, "mappings", included)
        if table not in mappings:
            raise PARAMETERS.error("table", f"{shown(table)} is not in the mapping file")
        result = mappings.probe(table, probe, around)
    except MtaTextError as error:
        raise PARAMETERS.error("_input", str(error)) from None
    except TooCostlyError as error:
        raise PARAMETERS.error("probe", f"{shown(probe)}: {error}") from None
    return {
        "matched": result.matched,
        "flags": list(result.flags),
        "output": result.output,
        "arguments": result.arguments,
        "trace": result.trace(),
    }


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name and function."""
        return {"mapping_probe": mapping_probe}
