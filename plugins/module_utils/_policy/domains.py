# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Public suffixes, as far as the form of a name tells. Sources: RFC 6761 and RFC 6762 for names that are private.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re

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
