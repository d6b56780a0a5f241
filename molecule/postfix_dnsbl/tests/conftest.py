"""Runs of the role with the scenario's policy and what a test wants otherwise; dialogues with the server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mailhost_lab.mail.dialogues import Dialogue, Talk, hold
from mailhost_lab.runs import plays
from mailhost_lab.scenarios.dnsbl import looked_up_fixture, verdicts_fixture
from mailhost_lab.scenarios.postfix_dnsbl import ADDED, KEY
from mailhost_lab.scenarios.setup import addresses_fixture, policy_fixture

if TYPE_CHECKING:
    from mailhost_lab.mail.postfix import Postfix
    from mailhost_lab.packets.probes import Lab


addresses = addresses_fixture(*ADDED)
policy = policy_fixture(Path(__file__).parents[1])
verdicts = verdicts_fixture()
looked_up = looked_up_fixture("postfix")


@pytest.fixture(scope="session")
def role(policy: dict[str, Any]) -> Callable[..., plays.Run]:
    """Return what runs the role with the scenario's policy and other values."""

    def run(**values: Any) -> plays.Run:
        done = plays.harden(playbook=plays.POSTFIX, **(policy | values))
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
