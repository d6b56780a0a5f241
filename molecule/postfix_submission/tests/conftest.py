"""The scenario's policy, and runs of the playbook with what differs from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailhost_lab.runs.plays import Run

POLICY = Path(__file__).parents[1] / "inventory/policy.yml"


@pytest.fixture(scope="session")
def policy() -> dict[str, Any]:
    """Return the scenario's policy."""
    return dict(yaml.safe_load(POLICY.read_text())["postfix_hosts"]["vars"])


@pytest.fixture(scope="session")
def apply(harden: Callable[..., Run], policy: dict[str, Any]) -> Callable[..., Run]:
    """Return what runs the playbook with this policy and what differs from it."""
    return lambda **variables: harden(**{"mailhost_hosts": "postfix_hosts", **policy, **variables})
