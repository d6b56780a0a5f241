"""How often one client may come and send in a minute; internal clients are not limited."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailhost_lab.addresses import EXTERNAL, POSTFIX
from mailhost_lab.mail.dialogues import Dialogue, hold
from mailhost_lab.packets import endpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailhost_lab.mail.dialogues import Talk
    from mailhost_lab.packets.probes import Lab
    from mailhost_lab.runs.plays import Run

MESSAGES, CONNECTIONS = 3, 6
SOURCES = {4: EXTERNAL.extra4[0], 6: "2001:db8:100:0:5000::21"}
"""Postfix 3.10 counts all of an IPv6 prefix of 84 bits as one client, so no other client may be in it."""


@pytest.fixture(autouse=True, scope="module")
def _few(apply: Callable[..., Run]) -> Iterator[None]:
    # A reload forgets what was counted (anvil(8)).
    run = apply(postfix_messages_per_minute=MESSAGES, postfix_connections_per_minute=CONNECTIONS)
    assert (run.rc, run.changed) == (0, True), run
    yield
    assert apply().rc == 0


def in_turn(lab: Lab, src: str, count: int, family: int) -> list[Talk]:
    """Come one time after the other, each time with one message."""
    network = "internal" if src == "internal" else "external"
    source = SOURCES[family] if src == "external" else None
    one = Dialogue(
        src,
        POSTFIX.address(network, family),
        source=source,
        mail_from="someone@sender.example",
        rcpt_to=("ann@mail.example",),
    )
    return [hold(lab, [one])[0] for _time in range(count)]


@pytest.mark.parametrize("family", [4, 6])
def test_external_client_is_limited_to_its_rate(lab: Lab, family: int) -> None:
    with endpoints.addresses(lab, "external", SOURCES[6]):
        talks = in_turn(lab, "external", CONNECTIONS + 1, family)
    mails = [talk.lines("mail") for talk in talks[:-1]]
    assert [lines[0][:3] for lines in mails] == ["250"] * MESSAGES + ["450"] * (CONNECTIONS - MESSAGES)
    assert mails[-1][0].startswith("450 4.7.1 Error: too much mail from ")
    (connect,) = talks[-1].lines("connect")
    assert connect.startswith("421 4.7.0 ")
    assert "too many connections" in connect


def test_internal_client_has_no_rate_limit(lab: Lab) -> None:
    talks = in_turn(lab, "internal", 2 * CONNECTIONS, 4)
    assert {talk.verdict for talk in talks} == {"accepted"}
