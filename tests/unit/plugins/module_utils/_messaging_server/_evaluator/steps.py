# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bounds of work that are the same on every machine: lines of Python that run, not seconds."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class Steps:
    """Lines of Python that have run since the count began; a loop counts each time it goes round."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.count = 0

    def __call__(self, _frame: FrameType, _event: str, _argument: Any) -> Steps:
        """Count an event of ``sys.settrace``; end the test at the limit, however long the rest would take."""
        self.count += 1
        assert self.count <= self.limit, f"more than {self.limit} steps"
        return self


@contextmanager
def at_most(limit: int) -> Iterator[Steps]:
    """Fail when the body takes more steps."""
    steps = Steps(limit)
    before = sys.gettrace()
    sys.settrace(steps)
    try:
        yield steps
    finally:
        sys.settrace(before)
