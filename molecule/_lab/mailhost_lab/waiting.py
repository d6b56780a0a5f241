"""Wait for what a host does by itself: poll, with a bound that a slow machine keeps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def until(what: str, true: Callable[[], object], seconds: float = 180) -> None:
    """Wait until something is true, or fail with the words for it."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)
