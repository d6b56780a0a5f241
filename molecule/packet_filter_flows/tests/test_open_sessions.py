"""Open sessions live through a change of the policy, unless the change closes their flow."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from mailhost_lab.packets import endpoints
from mailhost_lab.packets.probes import Probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailhost_lab.packets.probes import Lab


@dataclass(frozen=True)
class Held:
    """A session that is open while the policy changes, and what it says to see whether the other side hears it."""

    src: str
    dst: str
    port: int
    says: str
    answer: str
    user: str = "nobody"


STAYS = [
    Held("external", "mailhost", 25, "NOOP", "250"),
    Held("internal", "mailhost", 25, "NOOP", "250"),
    Held("internal", "mailhost", 143, "a NOOP", "a OK"),
    Held("external", "mailhost", 2525, "NOOP", "250"),
    Held("mailhost", "remote", 25, "NOOP", "250", "postfix"),
    Held("external", "mailhost", 8080, "NOOP", "250"),
]
ENDS = [
    Held("external", "mailhost", 110, "CAPA", "+OK"),
    Held("mailhost", "remote", 110, "CAPA", "+OK"),
    Held("mailhost", "remote", 2525, "NOOP", "250"),
]

# Submission is new, the peers of pop3 and of the client flow to port 2525 are others, the client flow of pop3 is gone.
CHANGED: list[dict[str, Any]] = [
    {"service": "smtp", "direction": "server"},
    {"service": "smtp", "direction": "client"},
    {"service": "submission", "direction": "server"},
    {"service": "imap", "direction": "server", "peers": ["198.51.100.64/26", "2001:db8:200::/64"]},
    {"service": "pop3", "direction": "server", "peers": ["198.51.100.21", "2001:db8:100::21"]},
    {"service": 2525, "direction": "server"},
    {"service": 2525, "direction": "client", "peers": ["198.51.100.40", "2001:db8:100::40"]},
]


@contextmanager
def sessions(lab: Lab) -> Iterator[dict[tuple[Held, int], endpoints.Session]]:
    """Open all sessions in both families and see that each of them answers."""
    with ExitStack() as stack:
        opened = {}
        for held in (*STAYS, *ENDS):
            network = "internal" if held.src == "internal" else "external"
            for family in (4, 6):
                target = lab.address(held.dst, network, family)
                session = stack.enter_context(endpoints.session(lab, held.src, target, held.port, user=held.user))
                assert held.answer in session.say(held.says)
                opened[held, family] = session
        yield opened


@dataclass
class After:
    """What was seen after the change."""

    changed: bool
    again: bool
    answers: dict[tuple[Held, int], str]


@pytest.fixture(scope="module")
def after(lab: Lab, harden: Callable[..., bool]) -> After:
    """Change the policy under the sessions, twice the same, and let each of them speak."""
    with sessions(lab) as opened:
        changed = harden(mailhost_services=CHANGED)
        again = harden(mailhost_services=CHANGED)
        for key, session in opened.items():
            session.tell(key[0].says)
        # A packet that was held back is sent again soon; silence has to last longer than that.
        answers = {key: session.heard() for key, session in opened.items() if key[0] in STAYS}
        deadline = time.monotonic() + 2  # the time is what is tested
        for key, session in opened.items():
            if key[0] in ENDS:
                answers[key] = session.heard(timeout=max(0, deadline - time.monotonic()))
    return After(changed, again, answers)


def test_policy_change_under_sessions_is_one_change(after: After) -> None:
    assert (after.changed, after.again) == (True, False)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("held", STAYS, ids=lambda held: f"{held.src}-{held.dst}:{held.port}")
def test_session_of_a_kept_flow_survives_the_change(after: After, held: Held, family: int) -> None:
    assert held.answer in after.answers[held, family]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("held", ENDS, ids=lambda held: f"{held.src}-{held.dst}:{held.port}")
def test_session_of_a_dropped_flow_ends(after: After, held: Held, family: int) -> None:
    assert after.answers[held, family] == ""


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.usefixtures("after")
def test_new_connection_after_the_change_follows_the_new_policy(lab: Lab, family: int) -> None:
    managed, remote = (lab.address(name, "external", family) for name in ("mailhost", "remote"))
    second = lab.hosts["external"].extra4 if family == 4 else lab.hosts["external"].extra6
    opened = [
        Probe("external", managed, 25, greeting=True),
        Probe("external", managed, 587, greeting=True),
        Probe("external", managed, 110, source=second[0], greeting=True),
    ]
    blocked = [
        Probe("external", managed, 110),
        Probe("external", managed, 4190, source=second[0]),
        Probe("mailhost", remote, 110),
        Probe("mailhost", remote, 2525),
        Probe("mailhost", remote, 4190),
    ]
    verdicts = lab.batch([*opened, *blocked])
    assert verdicts[: len(opened)] == ["open"] * len(opened)
    assert set(verdicts[len(opened) :]) <= {"filtered", "rejected"}
