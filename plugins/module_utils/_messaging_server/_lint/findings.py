# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Findings of the lints: their shape, and those that more than one file has.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ..._policy.dnsbl import closed_list
from .._formats.text import Fault

_ZONE = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")


class Finding(NamedTuple):
    """A finding of a lint: where, which rule, what is wrong and what to do."""

    line: int
    code: str
    message: str
    hint: str


def fault_findings(faults: Iterable[Fault], hints: Mapping[str, str], hint: str = "Correct the line.") -> list[Finding]:
    """Return a finding for each breach of the grammar; ``hints`` by code, ``hint`` for the other codes."""
    return [
        Finding(
            fault.error.line,
            fault.code,
            f"{fault.error.found}; expected {fault.error.expected}",
            hints.get(fault.code, hint),
        )
        for fault in faults
    ]


def unless_included(message: str, missing: Sequence[str]) -> str:
    """Return a message about what is not there, with the included files that were not read and may have it."""
    if not missing:
        return message
    names = ", ".join(f'"{name[:60]}"' for name in missing[:3])
    if len(missing) > 3:
        names += " and others"
    return f"{message}, unless the included {names} {'has' if len(missing) == 1 else 'have'} it"


def zone_findings(line: int, zone: str, *, with_dot: bool) -> list[Finding]:
    """Return the findings about a zone; ``with_dot`` says that it should end in a dot."""
    found: list[Finding] = []
    if len(zone) > 255 or not _ZONE.fullmatch(zone):
        hint = "Write the zone alone; a ! is no comment after an option, only in column 1."
        found.append(Finding(line, "zone-characters", f'"{zone[:80]}" is no zone name', hint))
    why = closed_list(zone)
    if why:
        found.append(Finding(line, "dead-zone", f'zone "{zone[:80]}" is dead: {why}', "Remove it."))
    if with_dot and not zone.endswith("."):
        hint = "End it with a dot, so that the resolver's search list is not tried."
        found.append(Finding(line, "zone-without-dot", f'zone "{zone[:80]}" has no dot at its end', hint))
    return found
