# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the SMTP server says when it accepts or rejects, as far as the manuals give it.

Sources: docs/reference/messaging-server-facts.md#rejection-replies and
docs/reference/messaging-server-facts.md#dispatcher-dnsbls. Where the wording of the vendor is not known, the constant
says so, and the trace of the decision repeats it.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._formats.mapping_flags import Decision

DEFAULT_TEXTS = {0: "unknown host or domain", 1: "you are not allowed to use this address"}
"""Default texts of a rejection without text, by the option ACCESS_ERRORS:
docs/reference/messaging-server-facts.md#rejection-replies."""

LISTED_PORTS = (25, 110, 143)
"""Ports for which the Dispatcher's own DNSBL check writes its reply:
docs/reference/messaging-server-facts.md#dispatcher-dnsbls."""

AUTHENTICATION_REQUIRED = "530 5.7.0 Authentication required"
"""Not from the manuals: the reply of RFC 4954 to mail without the authentication a channel demands."""

UNKNOWN_SENDER_DOMAIN = "550 5.1.8 unknown host or domain: "
"""Not from the manuals: status code of RFC 3463 for a sender's domain that does not exist."""

UNROUTABLE = "550 5.1.2 unknown host or domain: "
"""Not from the manuals: a recipient whose address no rule rewrites to a channel."""

OWN_WORDING = "the vendor's wording of this reply is not known; it is chosen here"


def rejection(decision: Decision, address: str, access_errors: int) -> str:
    """The reply line to a command an access table rejects: 550 5.7.1, or what flag X says."""
    code = decision.code or "5.7.1"
    text = decision.text or DEFAULT_TEXTS[access_errors]
    return f"{'450' if code.startswith('4') else '550'} {code} {text}: {address}"


def listed(client: str) -> str:
    """The line the Dispatcher writes for a listed client before it closes."""
    return f"500 5.7.1 access_control: host {client} found on DNS list and rejected"
