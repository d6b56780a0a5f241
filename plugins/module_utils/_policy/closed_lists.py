# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Block lists that no longer work: data alone.

Private to this collection. Source: docs/reference/messaging-server-facts.md#closed-dnsbls.
A list that is closed answers nothing, or counts
everybody as listed; either way it must not be asked.
"""

from __future__ import annotations

from typing import NamedTuple


class ClosedList(NamedTuple):
    """The end of a list's zones, when it closed (``YYYY`` or ``YYYY-MM``), and what became of it."""

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
