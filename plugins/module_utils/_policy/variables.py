# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of inventory variables: those of the collection, and those that are nearly one.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from .mail import DEFAULTS as MAIL_OPTIONS

BLOCKED_FILES = "blocked_network_files"

ACCEPTED_EFFECTS = "accepted_effects"

SHARED_BY_ROLES = (*MAIL_OPTIONS, "services", BLOCKED_FILES, "policy_tests", ACCEPTED_EFFECTS)
"""Options of roles that stand in ``mailhost_`` variables as well, which count where the role's own is not set."""

SHARED = (
    *SHARED_BY_ROLES,
    "hosts",
    "mail_server",
    *("verify_addresses", "verify_from", "verify_result", "verify_skip", "verify_timeout"),
)
"""What follows ``mailhost_`` in the variables of roles and playbooks."""

LIKE = 0.85
"""Similarity from which a name is taken for a misspelt one; of other roles' variables few come near it."""


FOREIGN = ("postfix",)
"""Roles whose prefix other roles of that name use as well, for variables of their own."""


def unread(variables: Mapping[str, Any], role: str, options: Iterable[str]) -> list[str]:
    """Return each variable with a prefix of this role that is none of its ``options``, and that is not misspelt."""
    known = tuple(options)
    near = {name for name, _meant in misspelt(variables, role, known)}
    return [
        name
        for prefix, own in (("mailhost_", SHARED), (f"{role}_", known))
        for name in _others(variables, prefix, own)
        if name not in near and not _is_result(variables[name])
    ]


def _is_result(value: Any) -> bool:
    """Whether a task has registered this."""
    return isinstance(value, Mapping) and "changed" in value


def _others(variables: Mapping[str, Any], prefix: str, known: tuple[str, ...]) -> Iterable[str]:
    for name in sorted(name for name in variables if isinstance(name, str) and name.startswith(prefix)):
        rest = name[len(prefix) :]
        # A further word is a name of the user's own, as in mailhost_internal_networks_office.
        if rest not in known and not any(rest.startswith(f"{option}_") for option in known):
            yield name


def misspelt(variables: Mapping[str, Any], role: str, options: Iterable[str]) -> list[tuple[str, str]]:
    """Return each variable whose name is nearly a shared one or one of this role's ``options``, with that one."""
    return [
        (name, meant)
        for prefix, known in (("mailhost_", SHARED), (f"{role}_", tuple(options)))
        for name, meant in _near(variables, prefix, known)
    ]


def _near(variables: Mapping[str, Any], prefix: str, known: tuple[str, ...]) -> Iterable[tuple[str, str]]:
    for name in _others(variables, prefix, known):
        for option in difflib.get_close_matches(name[len(prefix) :].lower(), known, 1, LIKE):
            yield name, f"{prefix}{option}"
