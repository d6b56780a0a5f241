"""What strangers try in order to have mail passed on, over IPv4 and IPv6, and that nothing of it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.relay_forms import (
    TARGET_DOMAIN,
    RelayForm,
    relay_forms,
)
from mailhost_lab.addresses import EXTERNAL, INTERNAL, POSTFIX
from mailhost_lab.mail.dialogues import Dialogue, Talk, hold

if TYPE_CHECKING:
    from mailhost_lab.mail.postfix import Postfix
    from mailhost_lab.packets.probes import Lab

FAMILIES = (4, 6)
REACHABLE = "remote.example"
"""A domain whose mail would arrive: what is let through by mistake is seen at `remote`."""

PLAIN = (
    "plain",
    "upper case",
    "mixed case",
    "detail",
    "null sender",
    "sender is the target",
)
"""Forms whose recipient is so plainly elsewhere that the policy's own words are the answer."""


def forms(family: int) -> list[RelayForm]:
    """The collection's forms, and those of them that can be written for a domain that takes mail."""
    found = relay_forms("mail.example", POSTFIX.address("external", family))
    swapped = [
        RelayForm(f"{form.name}, {REACHABLE}", form.mail_from, form.rcpt_to.replace(TARGET_DOMAIN, REACHABLE))
        for form in found
        if TARGET_DOMAIN in form.rcpt_to
    ]
    return [*found, *swapped]


EACH = [(form, family) for family in FAMILIES for form in forms(family)]


@pytest.fixture(scope="module")
def talks(lab: Lab, postfix: Postfix) -> list[Talk]:
    """Return how a stranger was answered to each form, up to the message where that was let come to it."""
    postfix.clear()
    return hold(
        lab,
        [
            Dialogue(
                EXTERNAL.name,
                POSTFIX.address("external", family),
                helo="client.stranger.example",
                mail_from=form.mail_from,
                rcpt_to=(form.rcpt_to,),
                message="Subject: pass it on\r\n\r\nplease",
            )
            for form, family in EACH
        ],
    )


def test_no_form_relays(talks: list[Talk], policy: dict[str, Any]) -> None:
    assert len({form.name for form, _family in EACH}) >= 80
    words = policy["mailhost_relay_rejection"]
    wrong = []
    for (form, family), talk in zip(EACH, talks):
        plain = form.name.partition(f", {REACHABLE}")[0] in PLAIN
        expected = f"550 5.7.1 <{form.rcpt_to}>: Recipient address rejected: {words}" if plain else "5"
        if not talk.verdict.startswith(expected) or talk.codes("data"):
            wrong.append((form, family, talk.verdict))
    assert wrong == []


def test_nothing_of_it_is_in_the_queue_or_went_anywhere(postfix: Postfix, talks: list[Talk]) -> None:
    assert talks
    assert postfix.queue() == []
    assert [postfix.mailbox("ann"), postfix.mailbox("bob"), postfix.collected()] == [[], [], []]


def test_the_same_recipients_are_reached_from_inside(lab: Lab, postfix: Postfix, talks: list[Talk]) -> None:
    """What was refused is refused for who asked, not for want of a way there."""
    postfix.clear()
    asked = [
        replace(talk.dialogue, src=INTERNAL.name, dst=POSTFIX.address("internal", family))
        for (form, family), talk in zip(EACH, talks)
        if form.name in (f"plain, {REACHABLE}", f"detail, {REACHABLE}")
    ]
    assert [talk.verdict for talk in hold(lab, asked)] == ["accepted"] * 4
    postfix.drain()
    arrived = sorted(mail.rcpt_to for mail in postfix.collected())
    assert arrived == sorted(one.rcpt_to[0] for one in asked)
