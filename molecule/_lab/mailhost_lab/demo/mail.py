"""The mail of the demo: the same SMTP dialogues with both mail servers, and what their one policy wants.

The table stands here, written from the policy's meaning; nothing of the role is asked what it did.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mailhost_lab.addresses import MESSAGING, POSTFIX
from mailhost_lab.demo.display import paint, summary, verdict
from mailhost_lab.mail import messaging_server, postfix
from mailhost_lab.mail.dialogues import Dialogue, hold

if TYPE_CHECKING:
    from mailhost_lab.addresses import Host
    from mailhost_lab.packets.probes import Lab

REMOTE_ADDRESS = "victim@remote.example"
EXTERNAL_SENDER = "someone@sender.example"
RELAY = "550 5.7.1 Relaying not permitted"
ACCEPTED = "250"
LOCAL = "a local address"
"""Stands for the server's own address, the one that may log in."""


class Server(NamedTuple):
    """A host with a mail server, and the address and password that may log in there."""

    host: Host
    user: tuple[str, str]


MESSAGING_SERVER = Server(MESSAGING, messaging_server.USER)
POSTFIX_SERVER = Server(POSTFIX, postfix.ANN)


@dataclass(frozen=True)
class Mail:
    """One line of the table. `wanted` is what the answer must say."""

    name: str
    src: str
    rcpt_to: str
    wanted: str
    mail_from: str = EXTERNAL_SENDER
    port: int = 25
    login: bool = False
    families: tuple[int, ...] = (4, 6)

    def dialogue(self, server: Server, family: int) -> Dialogue:
        """Return what the client says."""
        network = "internal" if self.src == "internal" else "external"
        return Dialogue(
            self.src,
            server.host.address(network, family),
            self.port,
            starttls=self.login,
            login=server.user if self.login else None,
            mail_from=server.user[0] if self.mail_from == LOCAL else self.mail_from,
            rcpt_to=(server.user[0] if self.rcpt_to == LOCAL else self.rcpt_to,),
        )


MAILS = {
    "An external client": (
        Mail("to a local address", "remote", LOCAL, ACCEPTED),
        Mail("a bounce to a local address", "remote", LOCAL, ACCEPTED, mail_from=""),
        Mail("to another domain", "remote", REMOTE_ADDRESS, RELAY),
        Mail("as a local sender, to another", "remote", REMOTE_ADDRESS, RELAY, mail_from=LOCAL),
        Mail("a bounce, to another", "remote", REMOTE_ADDRESS, RELAY, mail_from=""),
        Mail("with a percent sign", "remote", "victim%remote.example@mail.example", RELAY),
        Mail("with a source route", "remote", "@mail.example:victim@remote.example", RELAY),
        Mail("from no such domain", "remote", LOCAL, "550 5.1.8", mail_from="a@no-such-domain.example"),
    ),
    "An external client that a DNSBL lists": (
        Mail("to a local address", "external", LOCAL, "5.7.1 We take no mail from 198.51.100.20", families=(4,)),
        Mail("to the postmaster", "external", "postmaster@mail.example", ACCEPTED, families=(4,)),
    ),
    "Internal and authenticated clients": (
        Mail("internal, to another domain", "internal", REMOTE_ADDRESS, ACCEPTED, mail_from=LOCAL),
        Mail("external, authenticated", "external", REMOTE_ADDRESS, ACCEPTED, mail_from=LOCAL, port=587, login=True),
        Mail("external, not authenticated", "external", REMOTE_ADDRESS, "530 5.7.0", mail_from=LOCAL, port=587),
    ),
}


def shown(answer: str) -> str:
    """An answer without the address that it repeats: Postfix begins with it, Messaging Server ends with it."""
    code, _blank, text = answer.partition(" <")
    answer = f"{code} {re.sub(r'^[^>]*>: ([A-Z][a-z]+ address rejected: )?', '', text)}" if text else answer
    return re.sub(r"(: [^ ]*@.*|; .*)$", "", answer)


def answers_of(lab: Lab, server: Server) -> dict[tuple[Mail, int], str]:
    """Hold the dialogues; what each mail got in each family, in the table's words."""
    asked = [(mail, family) for mails in MAILS.values() for mail in mails for family in mail.families]
    talks = hold(lab, [mail.dialogue(server, family) for mail, family in asked])
    verdicts = [ACCEPTED if talk.verdict == "accepted" else shown(talk.verdict) for talk in talks]
    return dict(zip(asked, verdicts))


def mail_verdicts(lab: Lab, server: Server) -> list[bool]:
    """Hold the dialogues; whether each answer is the policy's."""
    return [mail.wanted in answer for (mail, _family), answer in answers_of(lab, server).items()]


def show_mail(lab: Lab, server: Server) -> int:
    """Hold the dialogues, print the table, return how many answers are not the policy's."""
    answers = answers_of(lab, server)
    wrong = 0
    row = "   {:<31}{:>5}   {}{} {}"
    print(paint(row.format("", "port", "IPv4  ", "IPv6  ", "answer"), "2"))
    for group, mails in MAILS.items():
        print(f"\n   {paint(group, '1')}")
        for mail in mails:
            said = {family: answers[mail, family] for family in mail.families}
            good = {family: mail.wanted in answer for family, answer in said.items()}
            wrong += sum(not one for one in good.values())
            marks = [verdict("", good[family], 6) if family in good else " " * 6 for family in (4, 6)]
            texts = dict.fromkeys("accepted" if answer == ACCEPTED else answer for answer in said.values())
            print(row.format(mail.name, mail.port, *marks, " / ".join(texts)))
    summary(wrong, len(answers))
    return wrong
