"""Fixtures that several scenarios have: their conftest.py makes them for its folder and its hosts."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from mailhost_lab.containers.engine import LabError
from mailhost_lab.packets import endpoints
from mailhost_lab.runs import plays

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from mailhost_lab.packets.probes import Lab


def policy_of(scenario: Path) -> dict[str, Any]:
    """Return the variables of the one group in inventory/policy.yml."""
    (group,) = yaml.safe_load((scenario / "inventory/policy.yml").read_text()).values()
    return dict(group["vars"])


def policy_fixture(scenario: Path) -> Any:
    """Make the fixture `policy`: the scenario's policy, with which the first run was made."""

    @pytest.fixture(scope="session", name="policy")
    def policy() -> dict[str, Any]:
        return policy_of(scenario)

    return policy


def apply_fixture(playbook: str, **common: Any) -> Any:
    """Make the fixture `apply`: it runs a playbook with the scenario's policy and what differs from it."""

    @pytest.fixture(scope="session", name="apply")
    def apply(lab: Lab, policy: dict[str, Any]) -> Callable[..., plays.Run]:  # noqa: ARG001 - nothing works without a lab
        return lambda **options: plays.harden(playbook=playbook, **{**common, **policy, **options})

    return apply


def addresses_fixture(*added: str) -> Any:
    """Make a fixture for all tests: `external` has these addresses as well."""

    @pytest.fixture(scope="session", autouse=True)
    def addresses(lab: Lab) -> Iterator[None]:
        with endpoints.addresses(lab, "external", *added):
            yield

    return addresses


def listeners_fixture(listeners: Mapping[str, Sequence[str]]) -> Any:
    """Make a fixture for all tests: servers by host, so that no port is closed for want of a listener."""

    @pytest.fixture(scope="session", autouse=True)
    def listening(lab: Lab) -> Iterator[None]:
        with ExitStack() as stack:
            for host, ports in listeners.items():
                stack.enter_context(endpoints.listening(lab, host, *ports))
            yield

    return listening


def harden_fixture(scenario: Path) -> Any:
    """Make the fixture `harden`: it runs the playbook with what differs, and returns whether the host was changed.

    A failure and a warning are errors; after a test module the scenario's policy is in force again.
    """
    policy = policy_of(scenario)

    def run(**variables: Any) -> bool:
        done = plays.harden(**{**policy, **variables})
        if done.rc or done.warned:
            raise LabError(f"the role failed or warned: {done.message}\n{done}")
        return done.changed

    @pytest.fixture(scope="module", name="harden")
    def harden(lab: Lab) -> Iterator[Callable[..., bool]]:  # noqa: ARG001 - without a lab there is nothing to harden
        yield run
        run()

    return harden
