# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names in the DNS: their forms, and public suffixes as far as the form tells.

Sources: RFC 6761 and RFC 6762 for names that are private.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_ZONE_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"


class NameForm(NamedTuple):
    """A kind of name: what it is called, an example, its form, and how many characters it may have."""

    what: str
    example: str
    form: re.Pattern[str]
    longest: int


DOMAIN = NameForm("a domain", "example.com", re.compile(rf"{LABEL}(?:\.{LABEL})+"), 253)

ZONE = NameForm("a zone", "zen.example.org", re.compile(rf"{_ZONE_LABEL}(?:\.{_ZONE_LABEL})+"), 237)
"""Zone of a DNSBL; with the reversed address before it the name must stay below 254 characters."""

_PRIVATE_DOMAINS = ("corp", "home", "internal", "intranet", "lan", "local", "localdomain", "localhost", "private")
"""Top-level names that are no public suffix."""

_SECOND_LEVEL = ("ac", "co", "com", "edu", "gov", "net", "org")
"""Labels that are public suffixes below many countries."""


def public_suffixes(domain: str) -> list[str]:
    """Return the public suffixes that a domain lies below: for a.co.uk these are uk and co.uk."""
    labels = domain.lower().rstrip(".").split(".")
    if len(labels) < 2 or labels[-1] in _PRIVATE_DOMAINS or not re.fullmatch(r"[a-z][a-z0-9-]+", labels[-1]):
        return []
    second = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _SECOND_LEVEL
    return [labels[-1], *([".".join(labels[-2:])] if second else [])]


def is_public_suffix(word: str) -> bool:
    """Return whether this is a public suffix: com, .com, co.uk."""
    name = word.lower().strip(".")
    return name in public_suffixes(f"x.{name}")
