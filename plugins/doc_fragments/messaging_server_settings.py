# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of Messaging Server, as filters and the module take them."""

from __future__ import annotations


class ModuleDocFragment:
    """How a policy is written for an installation."""

    DOCUMENTATION = r"""
options:
  settings:
    description: How the policy is written for this installation, with the meaning of the variables
      C(messaging_server_<option>).
    type: dict
    default: {}
    suboptions:
      channels:
        description: Names of the channels where they are not the usual ones, any of C(external) (V(tcp_local)),
          C(internal) (V(tcp_intranet)), C(authenticated) (V(tcp_auth)), C(submission) (V(tcp_submit)), C(local)
          (V(l)).
        type: dict
        default: {}
      submission:
        description: Whether there is a service for submission.
        type: bool
        default: true
      sender_domain_check_form:
        description: The form of the check of sender domains. V(mapping) finds address records only, so it rejects
          domains that have nothing but an MX record, and it spares the exempt networks.
        type: str
        choices: [keyword, mapping]
        default: keyword
      release:
        description: The oldest release that the entries have to fit. It decides how many characters an entry may have.
        type: str
        choices: [6-2005q4, '6.3']
        default: 6-2005q4
      general_database_from:
        description: Number of single addresses of a list from which they go into the general database, V(0) for never.
          For the role; filters only check it.
        type: int
        default: 100
      dns_library:
        description: The library with the routines for DNSBLs.
        type: str
        default: IMTA_LIB:dns_verify.so
      extra_entries:
        description: From table to C({before, after}), lists of C([pattern, template]) to put before or after the
          managed entries. V(after) stands before the last entry that takes everything.
        type: dict
        default: {}
      unknown_entries:
        description: What to do with entries that neither the inventory nor an earlier run has. For the role; filters
          only check it.
        type: str
        choices: [stop, replace]
        default: stop
      unusable_dnsbls:
        description: What to do with a DNSBL that fails its self-test. For the role; filters only check it.
        type: str
        choices: [stop, skip]
        default: stop
seealso:
  - name: Sun Java System Messaging Server Administration Guide
    description: Mapping tables, access control and channel switching.
    link: https://docs.oracle.com/cd/E19563-01/819-4428/
"""
