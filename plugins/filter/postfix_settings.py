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
    archived. Nothing is written and no Postfix is asked.
  - Only inside and logged-in clients and relay exceptions can relay. Logging in is possible on the ports of submission
    alone, and over TLS alone.
  - A parameter that the installed Postfix does not know is left out, and RV(_value.notes) says what stands in for it.
positional: _input, settings, facts
options:
  _input:
    description:
      - Options of a mail policy, each of them optional, with the meaning of the variable C(mailhost_<option>). They are
        C(domains), C(internal_networks), C(blocked_networks), C(relay_rejection), C(relay_exceptions), C(dnsbls),
        C(dnsbl_exempt_networks) and C(sender_domain_check).
      - Every block list must have C(return_codes). The stages V(connect) and V(dispatcher) are postscreen, V(mail) is
        the recipient.
    type: dict
    required: true
  settings:
    description: What concerns Postfix alone.
    type: dict
    default: {}
    suboptions:
      domain_class:
        description:
          - What the domains of the policy are to Postfix, C(mydestination) (V(local)), C(virtual_mailbox_domains)
            (V(virtual)) or C(relay_domains) (V(relay)). V(unmanaged) leaves these three as they are.
        type: str
        choices: [local, virtual, relay, unmanaged]
        default: local
      submission:
        description: Whether the ports of submission (587) and submissions (465) are open to users.
        type: bool
        default: true
      sasl_path:
        description: Socket of Dovecot's password check, relative to the queue directory or absolute.
        type: str
        default: private/auth
      login_form:
        description: Whether a login is an address, or the V(local part) of an address in one of the domains.
        type: str
        choices: [address, local part]
        default: address
      sender_logins:
        description: Logins that may send from an address, beside the one of the same name.
        type: dict
        default: {}
      tls_certificate:
        description: File of the certificate with its chain. Left out, main.cf keeps its own.
        type: str
        default: ''
      tls_key:
        description: File of the key.
        type: str
        default: ''
      helo_check:
        description: What the name in HELO must be, a host name with dots (V(fqdn)), any host name (V(syntax)).
        type: str
        choices: [fqdn, syntax, 'off']
        default: fqdn
      sender_domain_exceptions:
        description: Sender domains that are not looked up.
        type: list
        elements: str
        default: []
      postscreen:
        description: Whether postscreen is there V(always), or when the host has it or the policy blocks networks or
          has lists for it.
        type: str
        choices: [auto, always]
        default: auto
      postscreen_tests:
        description: Tests of V(pregreet), V(pipelining), V(non_smtp_command) and V(bare_newline).
        type: list
        elements: str
        default: [pregreet]
      dnsbl_threshold:
        description: Points at which postscreen refuses a client.
        type: int
        default: 1
      dnsbl_weights:
        description: Points of a list by zone. A list without counts as much as the threshold.
        type: dict
        default: {}
      bare_newline:
        description: What becomes of lines that end otherwise than the protocol says.
        type: str
        choices: [normalize, reject]
        default: normalize
      bare_newline_exclusions:
        description: Networks whose line endings are let pass. They could smuggle mail.
        type: list
        elements: str
        default: []
      connections_per_minute:
        description: Connections a minute of a client that is not inside; 0 is without limit, here and below.
        type: int
        default: 60
      concurrent_connections:
        description: Connections of a client at the same time.
        type: int
        default: 20
      messages_per_minute:
        description: Messages a minute of a client.
        type: int
        default: 120
      recipients_per_minute:
        description: Recipients a minute of a client.
        type: int
        default: 600
      logins_per_minute:
        description: Passwords a minute of a client.
        type: int
        default: 10
      message_size_limit:
        description: Bytes of a message.
        type: int
        default: 51200000
      recipient_limit:
        description: Recipients of a message.
        type: int
        default: 100
      indexed_map_from:
        description: Number of blocked single addresses from which they go into an indexed table.
        type: int
        default: 1000
      extra_restrictions:
        description: Restrictions behind ours, by stage, C(client), C(helo), C(sender), C(recipient), C(data) or
          C(end_of_data). Relaying is not among them.
        type: dict
        default: {}
      extra_settings:
        description: Further parameters of main.cf, none that the policy decides.
        type: dict
        default: {}
      unknown_entries:
        description: Read by the role alone.
        type: str
        choices: [stop, replace]
        default: stop
      unusable_dnsbls:
        description: Read by the role alone.
        type: str
        choices: [stop, skip]
        default: stop
  facts:
    description: What the installed Postfix says of itself.
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
"""

EXAMPLES = r"""
- name: Show who is inside
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
