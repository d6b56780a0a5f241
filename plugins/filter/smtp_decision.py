# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: smtp_decision
short_description: What a Messaging Server with given configuration files does with an SMTP session
version_added: 1.0.0
author:
  - The mailhost.hardening developers
description:
  - Follows a session from the connection over the sender to each recipient, on the texts of the configuration files and
    without a Messaging Server or any network.
  - Where the manuals leave something open, or do not give the wording of a reply, the trace says so.
positional: _input, config
options:
  _input:
    description: The session.
    type: dict
    required: true
    suboptions:
      client:
        description: Address of the client.
        type: str
        required: true
      server:
        description: Address the client connected to.
        type: str
        default: 192.0.2.25
      port:
        description: Port the client connected to.
        type: int
        default: 25
      client_port:
        description: Port of the client.
        type: int
        default: 40001
      service_channel:
        description: Channel the session begins on. Without it C(PARAMETER=CHANNEL=) of the service, else V(tcp_local).
        type: str
        default: ''
      helo:
        description: Name in HELO or EHLO.
        type: str
        default: ''
      ehlo:
        description: Whether the client said EHLO.
        type: bool
        default: true
      tls:
        description: Whether STARTTLS succeeded.
        type: bool
        default: false
      authenticated:
        description: Whether AUTH succeeded, or the address of the user.
        type: raw
        default: false
      mail_from:
        description: Envelope sender; empty for a bounce.
        type: str
        default: ''
      rcpt_to:
        description: Recipients.
        type: list
        elements: str
        default: []
      destination_channels:
        description: Channel of a recipient where the rewrite rules shall not decide, for example V(ims-ms) for a user.
        type: dict
        default: {}
      expansions:
        description: Members of a recipient that is a list or an alias, for the tables that see them.
        type: dict
        default: {}
      dns:
        description:
          - Everything that exists in the DNS, by name. A value is a list of addresses, a dictionary from record type to
            texts, or V(SERVFAIL). A name that is absent, or has no record, does not exist.
          - A name may also be the zone of a DNSBL. Its value is the answer about the client, or a dictionary from
            address to answer.
        type: dict
        default: {}
      callouts:
        description: Answers of other routines, as for P(mailhost.hardening.mapping_probe#filter).
        type: dict
        default: {}
  config:
    description: Texts of the configuration files.
    type: dict
    required: true
    suboptions:
      imta_cnf:
        description: Text of imta.cnf.
        type: str
        default: ''
      mappings:
        description: Text of the mapping file.
        type: str
        default: ''
      dispatcher_cnf:
        description: Text of dispatcher.cnf.
        type: str
        default: ''
      general:
        description: Text of general.txt.
        type: str
        default: ''
      includes:
        description: Texts of included files by the name that stands after C(<).
        type: dict
        default: {}
      access_errors:
        description: The option ACCESS_ERRORS, V(0) or V(1).
        type: int
        default: 0
"""

EXAMPLES = r"""
- name: An external client tries to relay
  ansible.builtin.assert:
    that:
      - "result.recipients[0].reply == '550 5.7.1 Relaying not permitted: c@d.example'"
      - result.source_channels | map(attribute='channel') | list == ['tcp_local']
  vars:
    result: "{{ session | mailhost.hardening.smtp_decision(config) }}"
    session:
      client: 198.51.100.7
      helo: mx.b.example
      mail_from: a@b.example
      rcpt_to: [c@d.example]
    config:
      imta_cnf: |
        .  $U%$H@tcp-daemon

        defaults noswitchchannel

        tcp_local smtp switchchannel
        tcp-daemon
      mappings: |
        ORIG_SEND_ACCESS

          tcp_local|*|tcp_local|*  $NRelaying$ not$ permitted
"""

RETURN = r"""
_value:
  description: What becomes of the session.
  type: dict
  contains:
    connect:
      description:
        - The connection, with C(reached), C(accepted), C(reply) (the exact line of a rejection, else empty),
          C(source_channel) and C(tables).
      type: dict
      returned: always
    mail:
      description: MAIL FROM, with the same keys.
      type: dict
      returned: always
    recipients:
      description:
        - Each RCPT TO, with C(address), C(reached), C(accepted), C(reply), C(destination_channel) and C(tables).
      type: list
      elements: dict
      returned: always
    source_channels:
      description: The source channel after each C(step) (V(service), V(address), V(tls), V(authentication)).
      type: list
      elements: dict
      returned: always
    rule_set:
      description: The security rule set PORT_ACCESS gives the session.
      type: str
      returned: always
    tables:
      description: The tables that were consulted, in order.
      type: list
      elements: str
      returned: always
    trace:
      description: Why, step by step.
      type: list
      elements: str
      returned: always
"""

from typing import TYPE_CHECKING, Any

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.decision import (
    as_data,
    decide_session,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.rewrite import (
    AddressError,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.session import (
    SessionError,
    read_config,
    read_session,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import ReportedError
from ansible_collections.mailhost.hardening.plugins.plugin_utils._filter_parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Callable

PARAMETERS = Parameters("smtp_decision")


def smtp_decision(session: Any, config: Any) -> dict[str, Any]:
    """Evaluate a session."""
    try:
        return as_data(decide_session(read_session(session), read_config(config)))
    except SessionError as error:
        raise PARAMETERS.error(error.path, error.text) from None
    except AddressError as error:
        raise PARAMETERS.error("_input", str(error)) from None
    except ReportedError as error:
        raise PARAMETERS.error("config", str(error)) from None


class FilterModule:
    """Ansible's way to find the filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name and function."""
        return {"smtp_decision": smtp_decision}
