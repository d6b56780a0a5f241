# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a value has the form that a parameter of Postfix takes, known from the parameter's default.

A program of Postfix ends where a value has another form, and most of them, as the queue manager and those that deliver,
do not run before the change is live. Source: postconf(5).

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ..._policy.errors import shown

MAILBOXES = ("mailbox_size_limit", "virtual_mailbox_limit")
"""Limits of mailboxes, which must not be below that of a message: nothing would be delivered."""

_REFERENCE = re.compile(r"\$\{?(\w+)\}?")
_REFERENCES = 9

_ANY = r".*\$.*"
_KINDS = (
    (re.compile("yes|no"), re.compile(f"(?i:yes|no)|{_ANY}"), 'is neither yes nor no; write "yes" or "no"'),
    (re.compile("[0-9]+"), re.compile(f"[0-9]+|{_ANY}"), 'is not a number; write digits, as "20"'),
    (
        re.compile("[0-9]+[smhdw]"),
        re.compile(f"[0-9]+[smhdw]?|{_ANY}"),
        'is not a time; write one as "3d" (s, m, h, d, w)',
    ),
)
"""The form of a default, that of other values, and what to say of one that is neither."""

_WORDS = re.compile(
    "compatibility_level|milter_protocol|mail_release_date|lmtp_tcp_port|.*_(?:feedback|loglevel)"
    "|postscreen_dnsbl_(?:allow|white)list_threshold"
)
"""Their default is a number, and other values may be a release, a fraction, words, or below zero."""


def wrong_form(name: str, value: str, defaults: Mapping[str, str]) -> str:
    """What is wrong with a value, with the accepted form; empty where nothing is known to be.

    ``defaults``: every known parameter with its default. Those of a transport that Postfix does not know by name have
    the default of all transports.
    """
    default = defaults.get(name, defaults.get(default_of_transports(name), ""))
    for _step in range(_REFERENCES):
        match = _REFERENCE.fullmatch(default)
        default = defaults.get(match.group(1), "") if match else default
    if _WORDS.fullmatch(name):
        return ""
    for kind, accepted, text in _KINDS:
        if kind.fullmatch(default) and not accepted.fullmatch(value):
            return f"{shown(value)} {text}"
    return ""


def default_of_transports(name: str) -> str:
    """The parameter with the default of one of a transport, as lmtp-dovecot_destination_recipient_limit."""
    return f"default_{name.partition('_')[2]}"


def is_too_small(name: str, value: str, message_size_limit: int) -> bool:
    """Whether this limits mailboxes to less than a message may have. 0 is without limit."""
    return name in MAILBOXES and value.isdecimal() and len(value) < 19 and 0 < int(value) < message_size_limit
