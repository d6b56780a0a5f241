# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: mapping_match
short_description: Match a text against a pattern of a Messaging Server mapping table
version_added: 1.0.0
author:
  - The mailhost.hardening developers
description:
  - Answers what C(imsimta test -match) answers, without a Messaging Server.
  - The whole text has to match the whole pattern. Letters A to Z match in either case.
positional: _input, pattern
options:
  _input:
    description: The text.
    type: str
    required: true
  pattern:
    description:
      - A pattern with C(%), C(*), globs such as C($D*) or C($[0-3]%), back matches such as C($0*), the modifiers C($_),
        C($@) and C($^), and addresses such as C($(192.0.2.0/24\)), C($<192.0.2.0/8>) or C(${2001:db8::/32}).
    type: str
    required: true
seealso:
  - plugin: mailhost.hardening.mapping_probe
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Take an address apart
  ansible.builtin.debug:
    msg: "{{ 'xx11a@sys1.example.com' | mailhost.hardening.mapping_match('$[ax1]*@*.example.com') }}"
    # => {'match': true, 'saved': ['xx11a', 'sys1']}

- name: Is the client in a network
  ansible.builtin.debug:
    msg: "{{ '192.0.2.77' | mailhost.hardening.mapping_match('$(192.0.2.0/24)') }}"
    # => {'match': true, 'saved': []}
"""

RETURN = r"""
_value:
  description: Whether the pattern matches, and the texts of its saved wildcards.
  type: dict
  contains:
    match:
      description: Whether the whole text matches.
      type: bool
      returned: always
    saved:
      description: What the wildcards with a number matched, number 0 first. Empty when there is no match.
      type: list
      elements: str
      returned: always
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.mapping_match import (
    Subject,
    TooCostlyError,
    match,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping_pattern import (
    PatternError,
    compile_pattern,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import shown
from ansible_collections.mailhost.hardening.plugins.plugin_utils._filter_parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Callable

PARAMETERS = Parameters("mapping_match")


def mapping_match(text: Any, pattern: Any) -> dict[str, Any]:
    """Match a text against a pattern."""
    subject, pattern = Subject(PARAMETERS.text("_input", text)), PARAMETERS.text("pattern", pattern)
    try:
        saved = match(compile_pattern(pattern), subject)
    except PatternError as error:
        raise PARAMETERS.error("pattern", f"{shown(pattern)}, column {error.offset + 1}: {error}") from None
    except TooCostlyError as error:
        raise PARAMETERS.error("pattern", f"{shown(pattern)}: {error}") from None
    return {"match": saved is not None, "saved": saved or []}


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name and function."""
        return {"mapping_match": mapping_match}
