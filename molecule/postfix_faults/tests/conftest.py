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
    from collections.abc import Iterator

    from postfix import Postfix


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
