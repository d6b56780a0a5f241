# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block lists that no longer work, and the forms a zone can be written in.

Private to this collection. Source: docs/reference/messaging-server-facts.md#closed-dnsbls.
"""

from __future__ import annotations

import re
from hashlib import sha256

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.text import Finding, fold
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.closed_lists import CLOSED_LISTS

_ZONE = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?")

#: A first label of this length is the key of a paying user, which strangers must not see.
KEY_LENGTH = 26

#: Such a label in the middle of a text: two labels at least follow, which no file's name has.
_KEY = re.compile(rf"(?<![\w-])[A-Za-z0-9_-]{{{KEY_LENGTH},63}}(?=(\.[A-Za-z][A-Za-z0-9-]*){{2}})")


def shown_zone(zone: str) -> str:
    """A zone as strangers may see it: without the key of a paying user."""
    key, _dot, rest = zone.partition(".")
    return rest if len(key) >= KEY_LENGTH else zone


def hide_keys(text: str) -> str:
    """A text as it may stand in a log: for each key four digits of its hash, so that another key is seen to be one."""
    return _KEY.sub(lambda match: f"<key {sha256(match[0].encode()).hexdigest()[:4]}>", text)


def closed_list(zone: str) -> str:
    """When the list of a zone closed and what became of it, or empty when it is not known to be closed."""
    name = fold(zone.rstrip(".!"))
    for one in CLOSED_LISTS:
        if name == one.zone or name.endswith("." + one.zone):
            return f"closed in {one.closed}; {one.became}"
    return ""


def zone_findings(line: int, zone: str, *, with_dot: bool) -> list[Finding]:
    """Remarks on a zone in a configuration line; ``with_dot`` says that it should end in a dot."""
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
