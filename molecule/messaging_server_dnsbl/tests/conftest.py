"""Runs of the role with the scenario's policy and what a test wants otherwise; who talks to the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from mailhost_lab.mail import resolver
from mailhost_lab.mail.dialogues import Dialogue, Talk, hold
from mailhost_lab.runs import plays
from mailhost_lab.scenarios.messaging_server_dnsbl import KEYED

if TYPE_CHECKING:
    from mailhost_lab.mail.messaging_server import Messaging
    from mailhost_lab.packets.probes import Lab

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def base() -> dict[str, Any]:
    """Return the variables of the scenario, with which the first run was made."""
    scenario = yaml.safe_load((HERE.parent / "molecule.yml").read_text())
    return dict(scenario["provisioner"]["inventory"]["group_vars"]["messaging_hosts"])


@pytest.fixture(scope="session")
def role(harden: Callable[..., plays.Run], base: dict[str, Any]) -> Iterator[Callable[..., plays.Run]]:
    """Return what runs the role with the scenario's policy and other values."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plays, "PLAYBOOK", str(HERE.parent / "mail_server_alone.yml"))
        yield lambda **values: harden(**{"mailhost_hosts": "messaging_hosts", **base, **values})


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
def refused(messaging: Messaging, role: Callable[..., plays.Run]) -> Callable[..., str]:
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
def verdicts(talk: Callable[..., list[Talk]]) -> Callable[..., dict[str, str]]:
    """Return what holds dialogues by name and returns their verdicts."""

    def run(dialogues: dict[str, Dialogue]) -> dict[str, str]:
        return {name: one.verdict for name, one in zip(dialogues, talk(*dialogues.values()))}

    return run


@pytest.fixture
def looked_up(messaging: Messaging) -> Callable[[], list[tuple[str, str, str]]]:
    """Return what tells the questions to block lists: type, client's address, zone; sorted, each as often as asked."""

    def run() -> list[tuple[str, str, str]]:
        names = [(kind, name.split(".")) for kind, name in messaging.queries()]
        return sorted(
            (kind, ".".join(reversed(labels[:4])), ".".join(labels[4:]))
            for kind, labels in names
            if len(labels) > 4 and all(map(str.isdigit, labels[:4]))
        )

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
