"""What scenarios that disturb runs share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mailhost_lab.mail.dialogues import Dialogue, hold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailhost_lab.packets.probes import Lab


def misfits(lab: Lab, dialogues: Sequence[Dialogue], patterns: Sequence[str]) -> list[str]:
    """Return the ends of dialogues, each its first rejection with the step, or nothing where all fit the patterns."""
    ends = []
    for talk in hold(lab, dialogues):
        rejected = [f"{step.name} {step.code} {step.text}" for step in talk.steps if step.code >= 400]
        ends.append(rejected[0] if rejected else talk.verdict)
    return [] if all(map(re.match, patterns, ends)) else ends
