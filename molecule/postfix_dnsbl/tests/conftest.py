"""Runs of the role with the scenario's policy and what a test wants otherwise; who talks to the server."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from mailhost_lab.mail.dialogues import Dialogue, Talk, hold
from mailhost_lab.packets import endpoints
from mailhost_lab.runs import plays
from mailhost_lab.scenarios.postfix_dnsbl import ADDED, KEY

if TYPE_CHECKING:
    from mailhost_lab.mail.postfix import Postfix
    from mailhost_lab.packets.probes import Lab

HERE = Path(__file__).parent


@pytest.fixture(scope="session", autouse=True)
def _addresses(lab: Lab) -> Iterator[None]:
    with endpoints.addresses(lab, "external", *ADDED):
        yield


@pytest.fixture(scope="session")
def policy() -> dict[str, Any]:
    """Return the scenario's policy, with which the first run was made."""
    inventory = yaml.safe_load((HERE.parent / "inventory/policy.yml").read_text())
    return dict(inventory["postfix_hosts"]["vars"])


@pytest.fixture(scope="session")
def role(policy: dict[str, Any]) -> Callable[..., plays.Run]:
    """Return what runs the role with the scenario's policy and other values."""

    def run(**values: Any) -> plays.Run:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(plays, "PLAYBOOK", str(HERE.parent / "role.yml"))
            done = plays.harden(**(policy | values))
        # What a pipeline keeps of a run: its output, its diffs.
        assert KEY not in done.stdout.lower()
        assert KEY not in str(done.results).lower()
        return done

    return run


@pytest.fixture(scope="session")
def deploy(role: Callable[..., plays.Run]) -> Callable[..., None]:
    """Return what runs the role, which has to succeed; without a run where the last one was the same."""
    last: list[dict[str, Any]] = [{}]

    def run(**values: Any) -> None:
        if values != last[0]:
            done = role(**values)
            assert (done.rc, done.changed) == (0, True), str(done)
            last[0] = values

    return run


@pytest.fixture
def talk(lab: Lab, postfix: Postfix) -> Callable[..., list[Talk]]:
    """Return what holds dialogues after the resolver has forgotten its questions; no answer may show the key."""

    def run(*dialogues: Dialogue) -> list[Talk]:
        postfix.clear()
        talks = hold(lab, dialogues)
        shown = [step.line for one in talks for step in one.steps]
        assert not [line for line in shown if KEY in line.lower()]
        return talks

    return run


@pytest.fixture
def verdicts(talk: Callable[..., list[Talk]]) -> Callable[..., dict[str, str]]:
    """Return what holds dialogues by name and returns their verdicts."""

    def run(dialogues: dict[str, Dialogue]) -> dict[str, str]:
        return {name: one.verdict for name, one in zip(dialogues, talk(*dialogues.values()))}

    return run


@pytest.fixture
def looked_up(postfix: Postfix) -> Callable[[], list[tuple[str, str, str]]]:
    """Return what tells the questions to block lists: type, client's address, zone; sorted, each as often as asked."""

    def run() -> list[tuple[str, str, str]]:
        return sorted(found for kind, name in postfix.queries() if (found := question(kind, name)))

    return run


def question(kind: str, name: str) -> tuple[str, str, str] | None:
    """A question to a block list, or None where it is another."""
    labels = name.lower().split(".")
    if labels[-1] == "arpa":
        return None
    if len(labels) > 32 and all(len(one) == 1 for one in labels[:32]):
        digits = "".join(reversed(labels[:32]))
        return kind, str(ipaddress.IPv6Address(int(digits, 16))), ".".join(labels[32:])
    if len(labels) > 4 and all(one.isdigit() for one in labels[:4]):
        return kind, ".".join(reversed(labels[:4])), ".".join(labels[4:])
    return None
