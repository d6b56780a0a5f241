"""The mail of the demo: SMTP dialogues with the host that has Messaging Server (a stand-in), and what the policy wants.

The table stands here, written from the policy's meaning; nothing of the role is asked what it did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import messaging
from addresses import MESSAGING
from demo_display import paint, summary, verdict
from dialogues import Dialogue, hold

if TYPE_CHECKING:
    from probes import Lab

OURS, THEIRS = "user@mail.example", "victim@remote.example"
STRANGER = "someone@stranger.example"
RELAY = "550 5.7.1 Relaying not permitted"
ACCEPTED = "250"
WIDTH = 50


@dataclass(frozen=True)
class Mail:
    """One line of the table. `wanted` begins the answer that the policy wants."""

    name: str
    src: str
    rcpt_to: str
    wanted: str
    mail_from: str = STRANGER
    port: int = 25
    login: bool = False
    families: tuple[int, ...] = (4, 6)

    def dialogue(self, family: int) -> Dialogue:
        """Return what the client says."""
        network = "inside" if self.src == "inside" else "outside"
        return Dialogue(
            self.src,
            MESSAGING.address(network, family),
            self.port,
            starttls=self.login,
            login=messaging.USER if self.login else None,
            mail_from=self.mail_from,
            rcpt_to=(self.rcpt_to,),
        )


MAILS = {
    "A stranger": (
        Mail("to one of ours", "remote", OURS, ACCEPTED),
        Mail("a bounce to one of ours", "remote", OURS, ACCEPTED, mail_from=""),
        Mail("to somebody elsewhere", "remote", THEIRS, RELAY),
        Mail("as one of ours, elsewhere", "remote", THEIRS, RELAY, mail_from=OURS),
        Mail("as a bounce, elsewhere", "remote", THEIRS, RELAY, mail_from=""),
        Mail("with a percent sign", "remote", "victim%remote.example@tcp-daemon", RELAY),
        Mail("with a source route", "remote", "@mail.example:victim@remote.example", RELAY),
        Mail("from no such domain", "remote", OURS, "5", mail_from="a@no-such-domain.example"),
    ),
    "A stranger on a block list": (
        Mail("to one of ours", "outside", OURS, "550 5.7.1 We take no mail from 198.51.100.20", families=(4,)),
        Mail("to the postmaster", "outside", "postmaster@mail.example", ACCEPTED, families=(4,)),
    ),
    "Our own people": (
        Mail("inside, to somebody elsewhere", "inside", THEIRS, ACCEPTED, mail_from=OURS),
        Mail("outside, logged in", "outside", THEIRS, ACCEPTED, mail_from=OURS, port=587, login=True),
        Mail("outside, not logged in", "outside", THEIRS, "5", mail_from=OURS, port=587),
    ),
}


def show_mail(lab: Lab) -> int:
    """Hold the dialogues, print the table, return how many answers are not the policy's."""
    asked = [(mail, family) for mails in MAILS.values() for mail in mails for family in mail.families]
    answers = dict(zip(asked, hold(lab, [mail.dialogue(family) for mail, family in asked])))
    wrong = 0
    row = "   {:<31}{:>5}   {} {}"
    print(paint(row.format("", "port", f"{'IPv4':<{WIDTH}}", "IPv6"), "2"))
    for group, mails in MAILS.items():
        print(f"\n   {paint(group, '1')}")
        for mail in mails:
            cells = []
            for family in mail.families:
                talk = answers[mail, family]
                answer = ACCEPTED if talk.verdict == "accepted" else talk.verdict
                good = answer.startswith(mail.wanted)
                wrong += not good
                said = "accepted" if answer == ACCEPTED else answer.partition(":")[0]
                cells.append(verdict(said[: WIDTH - 4], good, WIDTH))
            print(row.format(mail.name, mail.port, *[*cells, ""][:2]).rstrip())
    summary(wrong, len(asked))
    return wrong
