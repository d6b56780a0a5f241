"""The scenario's policy, runs of the role with what differs from it, and the addresses that strangers come from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from mailhost_lab.packets import endpoints
from mailhost_lab.runs import plays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailhost_lab.packets.probes import Lab

SCENARIO = Path(__file__).parents[1]

# Ends and neighbours of the networks in the policy.
ADDED = (
    ("16", "17", "18", "19", "23", "24", "27", "28"),
    ("a1", "a2", "af", "b0", "bf", "c0", "c3", "c4"),
)


@pytest.fixture(scope="session", autouse=True)
def _addresses(lab: Lab) -> Iterator[None]:
    added = [*(f"198.51.100.{end}" for end in ADDED[0]), *(f"2001:db8:100::{end}" for end in ADDED[1])]
    with endpoints.addresses(lab, "external", *added):
        yield


@pytest.fixture(scope="session")
def policy() -> dict[str, Any]:
    """Return the scenario's policy."""
    inventory = yaml.safe_load((SCENARIO / "inventory/policy.yml").read_text())
    return dict(inventory["postfix_hosts"]["vars"])


@pytest.fixture(scope="session")
def apply(policy: dict[str, Any]) -> Callable[..., plays.Run]:
    """Return what runs the role with this policy and what differs from it; the packet filter's part is left out."""

    def run(*, check: bool = False, **variables: Any) -> plays.Run:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plays, "PLAYBOOK", str(SCENARIO / "role.yml"))
            return plays.harden(check=check, **(policy | variables))

    return run
