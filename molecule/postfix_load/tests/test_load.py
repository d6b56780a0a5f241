"""Every message that Postfix accepts arrives, and once: under load, while the role changes what is in force.

Messages are distinguished by their Message-Id, of which smtp-source gives each its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from mailhost_lab.addresses import POSTFIX
from mailhost_lab.mail.dialogues import Dialogue, hold

if TYPE_CHECKING:
    from mailhost_lab.mail.postfix import Postfix
    from mailhost_lab.packets.probes import Lab
    from mailhost_lab.runs.plays import Running

    from .conftest import Load

COUNT, COUNT_OUTAGE = 2000, 200
EXTERNAL_SENDER = "eve@sender.example"
MESSAGE_ID = re.compile(r"message-id=(<[^>]+>)")
RELOAD = "postfix/master: reload "


def taken(log: list[str]) -> Counter[str]:
    """How often Postfix has noted each message."""
    return Counter(match[1] for line in log if (match := MESSAGE_ID.search(line)))


def arrived(postfix: Postfix, user: str) -> Counter[str]:
    """How often each message is in a mailbox."""
    return Counter(str(one.message["Message-Id"]) for one in postfix.mailbox(user))


def test_accepted_mail_arrives_once_while_the_role_reloads(
    load: Load, start_role: Callable[..., AbstractContextManager[Running]], postfix: Postfix
) -> None:
    before = len(postfix.log())
    with load("internal", POSTFIX.address("internal", 4), COUNT, "ann@mail.example", "bob@mail.example") as sending:
        with start_role(mailhost_relay_rejection="Relaying is not for you") as running:
            done = running.wait()
        rounds = sending.enough()
    assert (done.rc, done.changed) == (0, True), str(done)
    # What was under delivery at the reload is looked at again after minutes, as qmgr(8) does with what is locked.
    postfix.run("postqueue", "-f")
    postfix.drain()
    log = postfix.log()[before:]
    accepted = taken(log)
    assert rounds > 0
    assert (len(accepted), set(accepted.values())) == (rounds * COUNT, {1})
    assert arrived(postfix, "bob") == accepted
    first, *_between, last = [number for number, line in enumerate(log) if MESSAGE_ID.search(line)]
    assert any(line.startswith(RELOAD) for line in log[first:last]), "nothing was reloaded under load"


def test_mail_flows_while_no_dnsbl_answers(lab: Lab, load: Load, postfix: Postfix) -> None:
    target = POSTFIX.address("external", 4)
    before = len(postfix.log())
    # It takes the questions and answers none, so that each ends by time-out.
    postfix.run("systemctl", "kill", "--signal=STOP", "lab-dns.service")
    try:
        with load("external", target, COUNT_OUTAGE, EXTERNAL_SENDER, "bob@mail.example") as sending:
            rounds = sending.enough()
    finally:
        postfix.run("systemctl", "kill", "--signal=CONT", "lab-dns.service")
    postfix.drain()
    accepted = taken(postfix.log()[before:])
    assert (len(accepted), set(accepted.values())) == (rounds * COUNT_OUTAGE, {1})
    assert arrived(postfix, "bob") == accepted
    # Processes remember for a while that a list did not answer.
    postfix.run("postfix", "reload")
    (listed,) = hold(lab, [Dialogue("external", target, mail_from=EXTERNAL_SENDER, rcpt_to=("bob@mail.example",))])
    assert listed.verdict == "550 5.7.1 Your host 198.51.100.20 is listed by plain.dnsbl.example"
