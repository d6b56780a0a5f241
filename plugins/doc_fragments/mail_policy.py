# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policy of a mail server, as filters and modules take it."""

from __future__ import annotations

from textwrap import indent

_OPTIONS = indent(
    r"""
domains:
  description:
    - Domains that this host accepts mail for, exact names. On Messaging Server, if there are any, mail from external
      clients to the internal channel is accepted for these alone.
  type: list
  elements: str
  default: []
internal_networks:
  description: Addresses, prefixes and ranges that relay without AUTH.
  type: list
  elements: str
  default: []
blocked_networks:
  description: Addresses, prefixes and ranges that may not connect.
  type: list
  elements: str
  default: []
relay_rejection:
  description: Text of the reply to external clients that want to relay.
  type: str
  default: Relaying not permitted
relay_exceptions:
  description: Networks that may relay for some domains.
  type: list
  elements: dict
  default: []
  suboptions:
    networks:
      description: Addresses, prefixes and ranges.
      type: list
      elements: str
      required: true
    sender_domains:
      description: Domains that they may send from. Left out, any; then C(recipient_domains) are needed.
      type: list
      elements: str
    recipient_domains:
      description: Domains that they may send to. Left out, any; then C(sender_domains) are needed.
      type: list
      elements: str
dnsbls:
  description: DNSBLs. Those that are known to be closed are errors.
  type: list
  elements: dict
  default: []
  suboptions:
    zone:
      description: The zone.
      type: str
      required: true
    stage:
      description: When the DNSBL is queried. On Postfix V(connect) and V(dispatcher) are postscreen, V(mail) is the
        recipient.
      type: str
      choices: [connect, mail, dispatcher]
      default: mail
    return_codes:
      description:
        - Answers of 127.0.0.0/8 that mean listed, addresses or ranges. Postfix needs them. The routines of Messaging
          Server cannot mask them, so every answer means listed there, and they are only checked.
      type: list
      elements: str
    text:
      description: Text of the rejection. C({client}) in it stands for the client's address.
      type: str
dnsbl_exempt_networks:
  description: Addresses, prefixes and ranges that are never looked up.
  type: list
  elements: str
  default: []
sender_domain_check:
  description: Whether the domain of a sender must exist.
  type: bool
  default: false
""",
    " " * 6,
)


class ModuleDocFragment:
    """The same options below the input of a filter, and below an option of a module."""

    # With a type, as ansible-test's yamllint takes a plain assignment for one literal.
    DOCUMENTATION: str = (
        r"""
options:
  _input:
    description: The policy of the mail host, with the meaning of the variables C(mailhost_<option>).
    type: dict
    required: true
    suboptions:"""
        + _OPTIONS
    )

    MODULE: str = (
        r"""
options:
  policy:
    description:
      - The policy of the mail host, with the meaning of the variables C(mailhost_<option>).
      - Every problem of the policy is reported at once, before the host is contacted.
    type: dict
    default: {}
    suboptions:"""
        + _OPTIONS
    )
