# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares the wanted packet filter with what a host says, and shows the difference.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.mailhost.hardening.plugins.module_utils._firewall import Ruleset

SHOWN_MEMBERS = 2000
"""Members of a set up to which a diff shows them one by one; ten thousands would take a diff minutes."""


class Change(NamedTuple):
    """What is to go live on a host: the texts, and what belongs to them (see State of the loader)."""

    ruleset: Ruleset
    backend: str
    jump_after: Sequence[str]
    ports: Sequence[int]
    absent: bool = False

    def needed(self, facts: Mapping[str, Any]) -> bool:
        """Whether the host, by its own words, is not in this state yet."""
        if self.absent:
            return not facts["absent"]
        found = facts["installed"]
        if found is None or not facts["boot_ready"]:
            return True
        state = {
            "backend": self.backend,
            "jump_after": list(self.jump_after),
            "ports": list(self.ports),
            "live": facts["live_digest"],
        }
        return bool(dict(found["state"]) != state or dict(found["digests"]) != self._digests())

    def _digests(self) -> dict[str, str]:
        return {name: hashlib.sha256(text.encode("utf-8")).hexdigest() for name, text in self.ruleset._asdict().items()}

    def payload(self) -> dict[str, Any]:
        """Return the change in the form in which it travels."""
        texts = {
            name: base64.b64encode(zlib.compress(text.encode("ascii"), 1)).decode("ascii")
            for name, text in self.ruleset._asdict().items()
        }
        return {
            "texts": texts,
            "backend": self.backend,
            "jump_after": list(self.jump_after),
            "ports": list(self.ports),
            "absent": self.absent,
        }

    def diff(self, facts: Mapping[str, Any]) -> list[dict[str, str]]:
        """Return Ansible diffs, one for each text that changes."""
        found = facts["installed"]
        drifted = found is None or found["state"]["live"] != facts["live_digest"]
        diffs = []
        for name, text in self.ruleset._asdict().items():
            after = text
            if name == "sets":
                before = _shown_sets(found["texts"]["sets"]) if found else ""
                before = before or "".join(f"# set {known}\n" for known in facts["sets"])
                after = _shown_sets(after)
            else:
                before = facts["live"][name] if drifted else found["texts"][name]
            if before != after:
                diffs.append(
                    {
                        "before_header": f"{name} (live)",
                        "after_header": f"{name} (policy)",
                        "before": before,
                        "after": after,
                    }
                )
        return diffs


def _shown_sets(text: str) -> str:
    """Return a text of sets as a diff shows it: members one by one, or for a long set their number."""
    members: dict[str, list[str]] = {}
    for line in text.splitlines():
        words = line.split(" ", 2)
        members.setdefault(words[1], []).extend(words[2:] if words[0] == "add" else [])
    lines = []
    for name, found in members.items():
        lines.append(f"# set {name}")
        lines += found if len(found) <= SHOWN_MEMBERS else [f"# {len(found)} networks"]
    return "".join(f"{line}\n" for line in lines)
