# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares the wanted packet filter with what a host says, and shows the difference.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.display import describe, shown_sets
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.loader import (
    FAMILIES,
    JUMPS,
    members_digest,
    split_sets,
    texts_digest,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.rules import Ruleset


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
            "texts": texts_digest(self.ruleset._asdict()),
        }
        return bool(dict(found) != state)

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
        """Return Ansible diffs, one for each text that changes: what is live against what the policy makes."""
        sets = {name: "\n".join(lines) for name, lines in split_sets(self.ruleset.sets).items()}
        after = {"sets": shown_sets(sets, {name: members_digest(text) for name, text in sets.items()})}
        for family in FAMILIES:
            text = self.ruleset._asdict()[family]
            after[family] = describe(text, {builtin: int(f":{chain} " in text) for builtin, chain in JUMPS.items()})
        return [
            {
                "before_header": f"{name} (live)",
                "after_header": f"{name} (policy)",
                "before": facts["live"][name],
                "after": text,
            }
            for name, text in after.items()
            if facts["live"][name] != text
        ]
