# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones of DNSBLs: those that are closed, and the keys of paying users in them.

Source: docs/reference/messaging-server-facts.md#closed-dnsbls. A closed DNSBL answers nothing, or lists everything, so
it must not be queried.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import NamedTuple

KEY_LENGTH = 26
"""Length from which the first label of a zone is the key of a paying user, which external clients must not see."""

_KEY = re.compile(rf"(?<![\w-])[A-Za-z0-9_-]{{{KEY_LENGTH},63}}(?=(\.[A-Za-z][A-Za-z0-9-]*){{2}})")
"""A key in the middle of a text: at least two labels follow, as in no file name."""

_BLANK = r"(?:\s|\\[nrt])*"
_BROKEN_KEY = re.compile(
    rf"(?<![\w-])[A-Za-z0-9_-]{{{KEY_LENGTH},}}(?={_BLANK}(?:\.{_BLANK}[A-Za-z][A-Za-z0-9-]*{_BLANK}){{2}})"
)
"""A key in a zone that is none: with the newline of a Vault block behind it (also escaped), or pasted twice."""


class ClosedList(NamedTuple):
    """The end of a DNSBL's zones, when it closed (``YYYY`` or ``YYYY-MM``), and what became of it."""

    zone: str
    closed: str
    became: str


CLOSED_LISTS = (
    ClosedList("maps.vix.com", "2001-07", "MAPS left these zones"),
    ClosedList("mail-abuse.org", "2001-07", "MAPS left these zones"),
    ClosedList("orbs.org", "2001", "ORBS was shut down"),
    ClosedList("ordb.org", "2006", "ORDB was shut down, and listed everything in 2008"),
    ClosedList("njabl.org", "2013", "NJABL was shut down"),
    ClosedList("ahbl.org", "2015", "AHBL was shut down and lists everything"),
    ClosedList("sorbs.net", "2024-06", "SORBS was shut down and its zones are empty"),
)


def shown_zone(zone: str) -> str:
    """Return a zone as external clients may see it: without the key of a paying user."""
    key, _dot, rest = zone.partition(".")
    return rest if len(key) >= KEY_LENGTH else zone


def hide_keys(text: str) -> str:
    """Return a text as it may stand in a log: each key as four digits of its hash, so that a changed key shows."""
    return _KEY.sub(_digest, text)


def hide_keys_of_value(value: str) -> str:
    """Return one value as it may stand in an error, where the zone around a key may be broken.

    Not for whole files: there a long word can end a line before one that begins with a dot.
    """
    return _BROKEN_KEY.sub(_digest, hide_keys(value))


def _digest(match: re.Match[str]) -> str:
    return f"<key {sha256(match[0].encode()).hexdigest()[:4]}>"


def closed_list(zone: str) -> str:
    """Return when the DNSBL of a zone closed and what became of it; empty when it is not known to be closed."""
    name = zone.lower().rstrip(".!")
    for one in CLOSED_LISTS:
        if name == one.zone or name.endswith("." + one.zone):
            return f"closed in {one.closed}; {one.became}"
    return ""
