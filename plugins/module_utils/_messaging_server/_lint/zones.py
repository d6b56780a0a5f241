# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Findings about the zone of a DNSBL in a configuration line.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.text import Finding
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.dnsbl import closed_list

_ZONE = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")


def zone_findings(line: int, zone: str, *, with_dot: bool) -> list[Finding]:
    """Return the findings about a zone; ``with_dot`` says that it should end in a dot."""
    found: list[Finding] = []
    if len(zone) > 255 or not _ZONE.fullmatch(zone):
        hint = "Write the zone alone; a ! is no comment behind an option, only in column 1."
        found.append(Finding(line, "zone-characters", f'"{zone[:80]}" is no zone name', hint))
    why = closed_list(zone)
    if why:
        found.append(Finding(line, "dead-zone", f'zone "{zone[:80]}" is dead: {why}', "Remove it."))
    if with_dot and not zone.endswith("."):
        hint = "End it with a dot, so that the resolver's search list is not tried."
        found.append(Finding(line, "zone-without-dot", f'zone "{zone[:80]}" has no dot at its end', hint))
    return found
