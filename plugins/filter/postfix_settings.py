# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: postfix_settings
short_description: Turns the policy of a mail host into the settings of a Postfix
version_added: 1.0.0
author:
  - The mailhost.hardening developers (@mailhost-hardening)
description:
  - Returns what main.cf, master.cf and the lookup tables must have for a policy, so that it can be read, compared and
    archived. Nothing is written, and no Postfix is needed.
  - Only internal and authenticated clients and relay exceptions can relay. AUTH is possible on the ports of submission
    alone, and over TLS alone.
  - A parameter that the installed Postfix does not know is left out, and RV(_value.notes) says what stands in for it.
positional: _input, settings, facts
options:
  facts:
    description: What the installed Postfix reports.
    type: dict
    required: true
    suboptions:
      parameters:
        description: Every parameter that it knows with its default, as C(postconf -d) prints them.
        type: dict
        required: true
      map_types:
        description: Types of lookup tables, as C(postconf -m) prints them.
        type: list
        elements: str
        required: true
      sasl_types:
        description: Types of SASL servers, as C(postconf -a) prints them.
        type: list
        elements: str
        default: []
      chroot:
        description: Whether master.cf runs smtpd in the queue directory.
        type: bool
        default: false
      site:
        description: What main.cf sets, as C(postconf -n) prints it, without what this filter made.
        type: dict
        default: {}
      postscreen:
        description: Whether postscreen is at port 25 already. It stays there.
        type: bool
        default: false
      cleanup:
        description: What C(-o) sets for the site's own cleanup in master.cf, by parameter.
        type: dict
        default: {}
seealso:
  - name: postconf(5)
    description: The parameters of Postfix.
    link: https://www.postfix.org/postconf.5.html
extends_documentation_fragment:
  - mailhost.hardening.mail_policy
  - mailhost.hardening.postfix_settings
"""

EXAMPLES = r"""
- name: Show the internal networks
  ansible.builtin.debug:
    msg: "{{ (policy | mailhost.hardening.postfix_settings({'submission': false}, facts)).maps['internal.cidr'].text }}"
  vars:
    policy:
      internal_networks: [192.0.2.80-192.0.2.99]
    facts:
      parameters: "{{ dict(postconf_d.stdout_lines | map('split', ' =', 1) | map('map', 'trim')) }}"
      map_types: "{{ postconf_m.stdout_lines }}"
# => 127.0.0.0/8 OK
#    ::1/128 OK
#    192.0.2.80/28 OK
#    192.0.2.96/30 OK
"""

RETURN = r"""
_value:
  description: What the files must have.
  type: dict
  contains:
    main:
      description: Parameters of main.cf. Their names and those of the site are kept apart by the caller.
      type: dict
    master:
      description:
        - Services of master.cf, each with C(name), C(type), C(private), C(chroot), C(limit), C(command), C(options) (a
          list of pairs), and as C(text) the lines.
      type: list
      elements: dict
    maps:
      description:
        - Lookup tables by file name, each with C(type) and C(text), for the folder C(mailhost) of the configuration. A
          type other than C(cidr), C(regexp) and C(texthash) needs C(postmap).
      type: dict
    notes:
      description: What the installed Postfix cannot do, and what stands in for it.
      type: list
      elements: str
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.mail import DEFAULTS as POLICY
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.facts import read_facts
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.settings import DEFAULTS as SETTINGS
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import compile_plan, read_wanted
from ansible_collections.mailhost.hardening.plugins.plugin_utils._filter_parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Callable

PARAMETERS = Parameters("postfix_settings")


def postfix_settings(policy: Any, settings: Any, facts: Any) -> dict[str, Any]:
    """Return the settings for a policy; AnsibleFilterError names everything that is wrong."""
    names = {option: f"_input.{option}" for option in POLICY}
    names.update({option: f"settings.{option}" for option in SETTINGS})
    try:
        found = read_facts(facts)
        plan = compile_plan(*read_wanted(policy, settings, names), found, names)
    except PolicyError as error:
        raise PARAMETERS.policy_error(error) from None
    services = []
    for service in plan.services:
        options = [list(option) for option in service.options]
        services.append({**service._asdict(), "options": options, "text": service.lines()})
    return {
        "main": plan.main,
        "master": services,
        "maps": {name: dict(one._asdict()) for name, one in plan.maps.items()},
        "notes": list(plan.notes),
    }


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name and function."""
        return {"postfix_settings": postfix_settings}
