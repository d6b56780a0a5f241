# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of inventory variables that look like one of ours and are none.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

SHARED = (
    "blocked_network_files",
    "blocked_networks",
    "dnsbl_exempt_networks",
    "dnsbls",
    "domains",
    "hosts",
    "internal_networks",
    "mail_server",
    "policy_tests",
    "relay_exceptions",
    "relay_rejection",
    "sender_domain_check",
    "services",
    "verify_addresses",
    "verify_from",
    "verify_result",
    "verify_skip",
    "verify_timeout",
)
"""What follows ``mailhost_`` in the variables of roles and playbooks."""

LIKE = 0.85
"""Similarity from which a name is taken for a misspelt one; of other roles' variables few come near it."""


def misspelt(variables: Mapping[str, Any], role: str, options: Iterable[str]) -> list[str]:
    """Return a sentence for each variable whose name is nearly a shared one or one of this role's ``options``."""
    return [
        f"{name}: is no variable of this collection; did you mean {meant}?"
        for prefix, known in (("mailhost_", SHARED), (f"{role}_", tuple(options)))
        for name, meant in _near(variables, prefix, known)
    ]


def _near(variables: Mapping[str, Any], prefix: str, known: tuple[str, ...]) -> Iterable[tuple[str, str]]:
    for name in sorted(name for name in variables if isinstance(name, str) and name.startswith(prefix)):
        rest = name[len(prefix) :]
        if rest in known or any(rest.startswith(f"{option}_") for option in known):
            continue  # A further word is a name of the user's own, as in mailhost_internal_networks_office.
        for option in difflib.get_close_matches(rest.lower(), known, 1, LIKE):
            meant = f"{prefix}{option}"
            # What a variable of ours is put together from is the user's own as well.
            if name not in str(variables.get(meant, "")):
                yield name, meant
