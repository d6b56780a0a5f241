"""Servers for every port that the tests knock at, so that a port is never closed for want of a listener."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mailhost_lab.packets import endpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailhost_lab.packets.probes import Lab

POLICY = Path(__file__).parents[1] / "inventory" / "policy.yml"

# Postfix and dovecot listen on the other mail ports of the mail host and of remote.
LISTENERS = {
    "mailhost": (465, 587, 2525, 2526, 4190, 8080),
    "remote": (465, 587, 2525, 4190, 8080),
    "internal": (110, 4190),
}


@pytest.fixture(scope="session", autouse=True)
def _listeners(lab: Lab) -> Iterator[None]:
    with ExitStack() as stack:
        for host, ports in LISTENERS.items():
            stack.enter_context(endpoints.listening(lab, host, *(f"tcp:{port}" for port in ports)))
        yield


@pytest.fixture(scope="module")
def harden() -> Iterator[Callable[..., int]]:
    """Run the role again with what differs from the scenario's policy; afterwards the policy is back."""

    def run(**variables: Any) -> int:
        return endpoints.harden(POLICY, **variables)

    yield run
    run()
