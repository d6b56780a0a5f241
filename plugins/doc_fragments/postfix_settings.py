# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of Postfix, as the filter and the module take them."""

from __future__ import annotations


class ModuleDocFragment:
    """How a policy is written for an installation."""

    DOCUMENTATION = r"""
options:
  settings:
    description: Settings of Postfix alone, with the meaning of the variables C(postfix_<option>).
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
        description: Whether users can send after AUTH, on the ports 587 (submission) and 465 (submissions).
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
        description: Logins that may send from an address, or with C(@domain) from all of a domain, beside the one
          of the same name.
        type: dict
        default: {}
      sender_login_maps:
        description: Tables that say which logins own an address, instead of the login of the same name.
        type: list
        elements: str
        default: []
      submission_restrictions:
        description: Restrictions for recipients on the ports of submission. None of them permits.
        type: list
        elements: str
        default: []
      tls_certificate:
        description: File of the certificate with its chain. Empty, main.cf keeps its own.
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
        description: Whether postscreen answers on port 25 V(always), or where the host has it, or the policy has
          blocked networks or DNSBLs for it.
        type: str
        choices: [auto, always]
        default: auto
      postscreen_tests:
        description: Tests of V(pregreet), V(pipelining), V(non_smtp_command) and V(bare_newline).
        type: list
        elements: str
        default: [pregreet]
      dnsbl_threshold:
        description: Points from which postscreen rejects a client.
        type: int
        default: 1
      dnsbl_weights:
        description: Points of a DNSBL by zone. One without counts as much as the threshold.
        type: dict
        default: {}
      bare_newline:
        description: What happens to messages with line ends that the protocol does not have.
        type: str
        choices: [normalize, reject]
        default: normalize
      bare_newline_exclusions:
        description: Networks whose line ends are accepted. They could smuggle mail.
        type: list
        elements: str
        default: []
      connections_per_minute:
        description: Connections a minute of an external client; 0 sets no limit, here and below.
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
        description:
          - AUTH commands a minute of a client, of those with the right password as well (postconf(5),
            smtpd_client_auth_rate_limit).
          - A mail program connects and logs in for each message, so the default is that of I(connections_per_minute).
            An office behind one address shares the number.
        type: int
        default: 60
      message_size_limit:
        description: Bytes of a message.
        type: int
        default: 51200000
      recipient_limit:
        description:
          - Recipients of a message, from internal clients as well, as a mailing list sends to many.
          - The default is that of Postfix. Clients that are not internal are limited by I(recipients_per_minute).
        type: int
        default: 1000
      indexed_map_from:
        description: Number of blocked single addresses from which they go into an indexed table.
        type: int
        default: 1000
      extra_restrictions:
        description: Restrictions after the managed ones, by stage, C(client), C(helo), C(sender), C(recipient), C(data)
          or C(end_of_data). None of them decides about relaying.
        type: dict
        default: {}
      extra_settings:
        description: Further parameters of main.cf, none that the policy decides.
        type: dict
        default: {}
      unknown_entries:
        description: For the role; the filter only checks it.
        type: str
        choices: [stop, replace]
        default: stop
      unusable_dnsbls:
        description: For the role; the filter only checks it.
        type: str
        choices: [stop, skip]
        default: stop
"""
