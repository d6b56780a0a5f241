# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Place of the private Postfix, which is written elsewhere at this moment; nothing is proven by this file.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ansible_collections.mailhost.hardening.plugins.module_utils._mail_policy import MailPolicy
from ansible_collections.mailhost.hardening.plugins.module_utils._policy_proof import Deviation
from ansible_collections.mailhost.hardening.plugins.module_utils._policy_tests import PolicyTest
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix_maps import MapFile
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix_settings import Settings


class Staged(NamedTuple):
    """Staged texts, the live configuration's folder and queue."""

    main: str
    master: str
    maps: Mapping[str, MapFile]
    folder: str
    queue: str


class Proof(NamedTuple):
    """What came of the questions."""

    count: int
    deviations: list[Deviation]
    notes: list[str]


def check_staged(staged: Staged) -> list[str]:  # noqa: ARG001
    """Nothing yet."""
    return []


def prove(
    staged: Staged,  # noqa: ARG001
    policy: MailPolicy,  # noqa: ARG001
    settings: Settings,  # noqa: ARG001
    tests: tuple[PolicyTest, ...],  # noqa: ARG001
) -> Proof:
    """Nothing yet."""
    return Proof(0, [], [])
