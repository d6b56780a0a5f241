"""Runs of the role with the scenario's policy and what a test wants otherwise; dialogues with the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from mailhost_lab.mail import resolver
from mailhost_lab.mail.dialogues import Dialogue, Talk, hold
from mailhost_lab.runs import plays
from mailhost_lab.scenarios.dnsbl import looked_up_fixture, verdicts_fixture
from mailhost_lab.scenarios.messaging_server_dnsbl import KEYED

if TYPE_CHECKING:
    from mailhost_lab.mail.messaging_server import Messaging
    from mailhost_lab.packets.probes import Lab

HERE = Path(__file__).parent

verdicts = verdicts_fixture()
looked_up = looked_up_fixture("messaging")


@pytest.fixture(scope="session")
def base() -> dict[str, Any]:
    """Return the variables of the scenario, with which the first run was made."""
    scenario = yaml.safe_load((HERE.parent / "molecule.yml").read_text())
    return dict(scenario["provisioner"]["inventory"]["group_vars"]["messaging_hosts"])


@pytest.fixture(scope="session")
def role(base: dict[str, Any]) -> Callable[..., plays.Run]:
    """Return what runs the role with the scenario's policy and other values."""
    return lambda **values: plays.harden(playbook=plays.MESSAGING_SERVER, **(base | values))


@pytest.fixture(scope="session", autouse=True)
def first(messaging: Messaging) -> dict[str, str]:
    """Return how the first run left files and image, before any test."""
    return messaging.state()


@pytest.fixture(scope="session")
def deploy(role: Callable[..., plays.Run], first: dict[str, str]) -> Callable[..., plays.Run | None]:  # noqa: ARG001
    """Return what runs the role, which has to succeed; without a run where the last one was the same."""
    last: list[dict[str, Any]] = [{}]

    def run(**values: Any) -> plays.Run | None:
        if values == last[0]:
            return None
        done = role(**values)
        assert done.rc == 0, str(done)
        last[0] = values
        return done

    return run


@pytest.fixture(scope="session", autouse=True)
def _key(messaging: Messaging) -> None:
    """Have the list of a paying user in the lab's DNS."""
    records = "".join(f"host-record={address}.{KEYED},127.0.0.2\n" for address in ("2.0.0.127", "21.100.51.198"))
    text = messaging.read(resolver.SETTINGS)
    if records not in text:
        messaging.write(resolver.SETTINGS, text + records)
        messaging.run("systemctl", "restart", resolver.UNIT)


@pytest.fixture
def stopped(messaging: Messaging, role: Callable[..., plays.Run]) -> Callable[..., str]:
    """Return what runs the role, which has to fail and leave everything as it is; it returns the message."""

    def run(**values: Any) -> str:
        before = messaging.state()
        messaging.clear()
        done = role(**values)
        assert done.rc != 0, str(done)
        assert messaging.state() == before
        assert not [call for call in messaging.calls() if call.line.split(" ")[0] != "version"]
        return done.message

    return run


@pytest.fixture
def talk(lab: Lab, messaging: Messaging) -> Callable[..., list[Talk]]:
    """Return what holds dialogues after the server has forgotten what it was asked before."""

    def run(*dialogues: Dialogue) -> list[Talk]:
        messaging.clear()
        return hold(lab, dialogues)

    return run


@pytest.fixture
def other_mappings(messaging: Messaging) -> Iterator[Callable[[str, str], None]]:
    """Return what replaces a text in the live mapping file and has it compiled; undone after the test."""
    managed = messaging.read("mappings")

    def replace(old: str, new: str) -> None:
        assert old in managed
        messaging.install(mappings=managed.replace(old, new))

    yield replace
    messaging.install(mappings=managed)
