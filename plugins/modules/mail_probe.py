#!/usr/bin/python

# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_probe
short_description: Looks at a mail host from outside and says what deviates from its policy
version_added: 1.0.0
description:
  - Runs on a probing host, not on the mail host, which needs neither login nor anything of this collection.
  - Tries 50 relay forms, up to RCPT and never further; which mail ports answer; where AUTH is offered; which versions
    of TLS are accepted; what the banner, VRFY and EXPN show; XCLIENT; whether DNSBLs work.
  - A deviation does not fail the module, so that a play can show all verdicts first. See RV(deviations).
  - What could not be seen is V(skipped) and says why. A reply of 4xx, a rate limit and silence are no proof.
  - Sends no message. Takes 25 connections or so for each address, never more than one at a time to a port.
author:
  - The mailhost.hardening developers (@mailhost-hardening)
options:
  addresses:
    description: Names or addresses of the mail host as the probing host reaches it. Of a name all addresses are tested.
    type: list
    elements: str
    required: true
  services:
    description:
      - What the mail host serves, as the variable C(mailhost_services).
      - Declared ports have to answer, others must not, and AUTH must not be offered on port 25. Empty, port 25 has to
        answer, and AUTH must not be offered in the clear.
    type: raw
    default: []
  policy:
    description:
      - The policy of the mail host, as the modules M(mailhost.hardening.postfix) and
        M(mailhost.hardening.messaging_server) take it.
      - C(domains), the first of which is tried; without one the server's own name is.
      - C(internal_networks) and C(relay_exceptions), in which the probing host must not be, or V(relay) is skipped.
      - C(blocked_networks), in which the probing host must not be, or nothing is tested and V(ports) deviates.
      - C(dnsbls), which are queried for their test entries.
    type: dict
    default: {}
  skip:
    description: Points that are tested and not judged, of V(ports), V(relay), V(auth), V(tls), V(starttls), V(banner),
      V(vrfy), V(xclient) and V(dnsbls).
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds for one answer; all answers of one address together get fifteen times as long.
    type: float
    default: 20
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    details: Does the same as without.
    support: full
seealso:
  - module: mailhost.hardening.postfix
  - module: mailhost.hardening.messaging_server
"""

EXAMPLES = r"""
- name: Look at a mail host from a host outside
  mailhost.hardening.mail_probe:
    addresses: [mx1.example.org]
    policy:
      domains: [example.org]
  delegate_to: outside.example.net
  become: false
  register: outside

- name: Show the verdicts
  ansible.builtin.debug:
    msg: "{{ outside.lines }}"
"""

RETURN = r"""
points:
  description: The verdicts.
  returned: success
  type: list
  elements: dict
  contains:
    address:
      description: The address that was tested, or empty where none was.
      type: str
      returned: success
    point:
      description: What it is about, as in O(skip).
      type: str
      returned: success
    verdict:
      description: V(ok), V(deviation) or V(skipped).
      type: str
      returned: success
    detail:
      description: What was seen, in one line.
      type: str
      returned: success
lines:
  description: The same as a report to print.
  returned: success
  type: list
  elements: str
  sample:
    - at 198.51.100.10, seen from 198.51.100.20
    - "ok         ports     25 and 587 answer, 110, 143, 465, 993, 995 and 4190"
    - "                     not"
deviations:
  description: How many points deviate.
  returned: success
  type: int
  sample: 0
summary:
  description: The report in one line, which is also the last of RV(lines).
  returned: success
  type: str
  sample: "0 of 9 points deviate, 1 skipped (dnsbls)"
"""

from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.dnsbl import hide_keys_of_value
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.module_utils._verify import probe


class ProbeModule(AnsibleModule):
    """A module whose errors, Ansible's own as well, have neither keys nor arguments in them."""

    def fail_json(self, msg: str, **kwargs: Any) -> NoReturn:
        super().fail_json(msg=hide_keys_of_value(msg), **{**kwargs, "invocation": {}})
        raise AssertionError("fail_json ends the process")


def main() -> None:
    module = ProbeModule(  # type: ignore[no-untyped-call]
        argument_spec={
            "addresses": {"type": "list", "elements": "str", "required": True},
            "services": {"type": "raw", "default": []},
            "policy": {"type": "dict", "default": {}},
            "skip": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "float", "default": 20},
        },
        supports_check_mode=True,
        no_log=True,  # a zone may hold a key, and a long list of networks does not belong into syslog
    )
    # For the same reasons the arguments do not travel back.
    try:
        module.exit_json(changed=False, invocation={}, **probe.check(probe.read_wanted(module.params)))
    except PolicyError as error:
        module.fail_json(msg=str(error), invocation={})


if __name__ == "__main__":
    main()
