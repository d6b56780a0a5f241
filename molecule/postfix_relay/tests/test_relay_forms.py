"""What external clients try in order to have mail passed on, over IPv4 and IPv6, and that nothing of it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mailhost_lab.addresses import EXTERNAL, INTERNAL, POSTFIX
from mailhost_lab.mail.dialogues import Dialogue, Talk, hold
from mailhost_lab.scenarios.relay import FAMILIES
from mailhost_lab.scenarios.relay_forms import forms

if TYPE_CHECKING:
    from mailhost_lab.mail.postfix import Postfix
    from mailhost_lab.packets.probes import Lab

PLAIN = ("plain", "upper case", "mixed case", "detail", "sender: null sender", "sender: the target")
"""Forms whose recipient is so plainly elsewhere that the policy's own words are the answer."""

DELIVERED = ("source route back", "domain of blanks")
"""Forms that Postfix reads as bob@mail.example, which is local."""

EACH = [(form, family) for family in FAMILIES for form in forms(POSTFIX)]


@pytest.fixture(scope="module")
def talks(lab: Lab, postfix: Postfix) -> list[Talk]:
    """Return the answers to each form, with the message where the server lets it come to that."""
    postfix.clear()
    return hold(
        lab,
        [
            Dialogue(
                EXTERNAL.name,
                POSTFIX.address("external", family),
                helo="client.sender.example",
                mail_from=form.mail_from,
                rcpt_to=(form.rcpt_to,),
                message="Subject: pass it on\r\n\r\nplease",
            )
            for form, family in EACH
        ],
    )


def test_external_client_cannot_relay_by_any_form(talks: list[Talk], policy: dict[str, Any]) -> None:
    assert len({form.name for form, _family in EACH}) >= 75
    words = policy["mailhost_relay_rejection"]
    wrong = []
    for (form, family), talk in zip(EACH, talks):
        expected = f"550 5.7.1 <{form.rcpt_to}>: Recipient address rejected: {words}" if form.name in PLAIN else "5"
        if form.name in DELIVERED:
            expected = "accepted"
        if not talk.verdict.startswith(expected) or (talk.codes("data") and expected != "accepted"):
            wrong.append((form, family, talk.verdict))
    assert wrong == []


def test_relay_forms_lead_nowhere_but_to_local_mailboxes(postfix: Postfix, talks: list[Talk]) -> None:
    assert talks
    postfix.drain()
    assert [postfix.mailbox("ann"), postfix.collected()] == [[], []]
    assert [mail.message["Delivered-To"] for mail in postfix.mailbox("bob")] == ["bob@mail.example"] * 4


def test_internal_client_reaches_the_same_recipients(lab: Lab, postfix: Postfix, talks: list[Talk]) -> None:
    """The forms are rejected for the client's sake, not for want of a way there."""
    postfix.clear()
    asked = [
        replace(talk.dialogue, src=INTERNAL.name, dst=POSTFIX.address("internal", family))
        for (form, family), talk in zip(EACH, talks)
        if form.name in ("plain", "detail")
    ]
    assert [talk.verdict for talk in hold(lab, asked)] == ["accepted"] * 4
    postfix.drain()
    arrived = sorted(mail.rcpt_to for mail in postfix.collected())
    assert arrived == sorted(one.rcpt_to[0] for one in asked)
