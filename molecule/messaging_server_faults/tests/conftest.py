"""The host with its old policy in force, for every test."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))
pytest.register_assert_rewrite("host_runs")

from host_runs import OLD, Host  # noqa: E402 - its assertions are to be rewritten first

if TYPE_CHECKING:
    from messaging import Messaging


@pytest.fixture(scope="session")
def learned(messaging: Messaging) -> Host:
    """Return the host, to which each policy was brought once."""
    found = Host(messaging)
    found.learn()
    return found


@pytest.fixture
def host(learned: Host) -> Host:
    """Return the host with the old policy in force and no faults."""
    learned.messaging.clear()
    if learned.differences(OLD):
        learned.succeed(OLD)
    return learned
