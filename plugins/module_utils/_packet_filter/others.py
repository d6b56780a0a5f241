# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What other programs did to the managed rules: saved them to load them again, or replaced them.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence

from . import loader
from .boot import AGAIN_UNIT, LATE_UNIT, RESTORERS, UNIT, systemd_runs


def saved_files_warnings(saved: Sequence[str], absent: bool) -> list[str]:
    """Return a warning of the files in which other programs saved managed chains or sets; none where there are none."""
    if not saved:
        return []
    held = f"{', '.join(saved)}: holds managed chains or sets (MAILHOST-*, mailhost-*) that another program saved"
    if absent:
        then = (
            "At the next boot it would load the old policy again, or stop at a set that is gone and load nothing. "
            "Save the rules again now (Debian: netfilter-persistent save), or delete what names them"
        )
    else:
        then = (
            "The policy of this run is loaded after them at boot, but they would come back after a removal. "
            "Keep them out of that file, or save the rules again once the packet filter is removed"
        )
    return [f"{held}. {then}"]


def repair_warnings(texts: Mapping[str, str], lives: Mapping[str, loader.LiveRules], root: str) -> list[str]:
    """Return why a run has to repair: the managed chains of these families are gone, since when, and who was it."""
    gone = loader.missing(texts, lives)
    if not gone:
        return []
    loaded, suspects = _history(os.path.join(root, "current", "state.json"))
    what = f"the managed chains of {' and '.join(gone)} were gone"
    if not suspects:
        return [f"{what}: something has flushed or replaced them since {_local(loaded)}, when they were loaded"]
    since, unit = suspects[0]
    return [f"{what} since {_local(since)}, when {unit} was started, stopped or reloaded"]


def _history(state_file: str) -> tuple[float, list[tuple[float, str]]]:
    """Return when the managed rules were loaded last, and which units of others changed their state since."""
    loaded = os.stat(state_file).st_mtime
    if not systemd_runs():
        return loaded, []
    names = (UNIT, AGAIN_UNIT, LATE_UNIT, *RESTORERS)
    text = loader.run(["systemctl", "show", "--property=Id,StateChangeTimestampMonotonic", *names])
    return history(text, loaded, time.time() - time.clock_gettime(time.CLOCK_MONOTONIC))


def history(text: str, loaded: float, booted: float) -> tuple[float, list[tuple[float, str]]]:
    """Return the same from what systemctl shows of the units, and from when the policy and the host were started."""
    changes = {}
    for unit in text.split("\n\n"):
        shown = dict(line.partition("=")[::2] for line in unit.splitlines())
        changes[shown.get("Id", "")] = booted + int(shown.get("StateChangeTimestampMonotonic") or 0) / 1e6
    own = [changes.pop(unit, 0.0) for unit in (UNIT, AGAIN_UNIT, LATE_UNIT)]
    known = max(loaded, *own)
    return known, sorted((since, unit) for unit, since in changes.items() if since > known)


def _local(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))
