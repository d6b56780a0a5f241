"""The host with its old policy in force, for every test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailhost_lab.scenarios.postfix_faults import OLD, Host

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhost_lab.mail.postfix import Postfix


@pytest.fixture(scope="session")
def learned(postfix: Postfix) -> Iterator[Host]:
    """Return the host under the old policy, with a message in its queue that the other side does not take yet."""
    host = Host(postfix)
    host.equip()
    host.succeed(OLD)
    with host.waiting_message():
        yield host


@pytest.fixture
def host(learned: Host) -> Host:
    """Return the host with the old policy in force and no fault."""
    learned.clear()
    if learned.differences(OLD):
        learned.succeed(OLD)
    return learned
