"""With generic reply rules an open session goes on when its flow is closed; a new one does not begin."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from mailhost_lab.packets import endpoints
from mailhost_lab.packets.probes import Probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailhost_lab.packets.probes import Lab


def test_session_outlives_its_flow(lab: Lab, harden: Callable[..., bool]) -> None:
    managed = [lab.address("mailhost", "external", family) for family in (4, 6)]
    remote = [lab.address("remote", "external", family) for family in (4, 6)]
    with ExitStack() as stack:
        opened = [stack.enter_context(endpoints.session(lab, "external", target, 110)) for target in managed]
        opened += [stack.enter_context(endpoints.session(lab, "mailhost", target, 110)) for target in remote]
        assert harden(mailhost_services=[{"service": "smtp", "direction": "server"}])
        assert ["+OK" in session.say("CAPA") for session in opened] == [True] * 4
    verdicts = lab.batch([Probe("external", target, 110) for target in managed])
    assert set(verdicts) <= {"filtered", "rejected"}
