"""The host with its old policy in force, for every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailhost_lab.scenarios.messaging_server_faults import OLD, Host

if TYPE_CHECKING:
    from mailhost_lab.mail.messaging_server import Messaging


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
