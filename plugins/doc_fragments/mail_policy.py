# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation that several filters share."""

from __future__ import annotations


class ModuleDocFragment:
    """What the filters that turn a mail policy into configuration have in common."""

    DOCUMENTATION = r"""
options:
  _input:
    description:
      - The policy of the mail host, a dictionary of options without the prefix C(mailhost_), each of them optional.
      - C(domains), list of domains this host accepts mail for, exact names. If there are any, mail from outside to
        the internal channel is accepted for these alone.
      - C(internal_networks), list of addresses, prefixes and ranges that relay without login.
      - C(blocked_networks), list of networks that may not connect.
      - C(relay_rejection), text for strangers who relay, by default C(Relaying not permitted).
      - C(relay_exceptions), list of C({networks, sender_domains, recipient_domains}). Without C(sender_domains), or
        without C(recipient_domains), any domain will do; one of them is needed.
      - C(dnsbls), list of C({zone, stage, return_codes, text}). C(stage) is C(connect), C(mail) (the default) or
        C(dispatcher). The routines of Messaging Server cannot mask return codes, so every answer of a list counts as
        listed; C(return_codes) is only checked here, and counts for other mail servers. C({client}) in C(text) stands
        for the client's address. Lists that are known to be closed are refused.
      - C(dnsbl_exempt_networks), list of networks that are never looked up.
      - C(sender_domain_check), whether the domain of a sender must exist, by default V(false).
    type: dict
    required: true
  settings:
    description:
      - How the policy is written for this installation, a dictionary of options without the prefix
        C(messaging_server_), each of them optional.
      - C(channels), dictionary of the names of the channels C(external), C(internal), C(authenticated), C(submission)
        and C(local), by default C(tcp_local), C(tcp_intranet), C(tcp_auth), C(tcp_submit) and C(l).
      - C(submission), whether there is a service for submission, by default V(true).
      - C(sender_domain_check_form), C(keyword) (the default) or C(mapping). The mapping form finds address records
        only, so it refuses domains that have nothing but a mail exchanger, and it spares C(dnsbl_exempt_networks).
      - C(release), C(6-2005q4) (the default) or C(6.3). It decides how many characters an entry may have.
      - C(dns_library), the library with the block list routines, by default C(IMTA_LIB:dns_verify.so).
      - C(extra_entries), dictionary from table to C({before, after}), lists of C([pattern, template]) to put before
        ours, or after ours and before the last entry for all the rest.
      - C(general_database_from), C(unknown_entries) and C(unusable_dnsbls) are for the role and only checked.
    type: dict
    default: {}
seealso:
  - name: Sun Java System Messaging Server Administration Guide
    description: Mapping tables, access control and channel switching.
    link: https://docs.oracle.com/cd/E19563-01/819-4428/
"""
