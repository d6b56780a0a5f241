"""Who may send where, class by class of the policy, in both families: the answers, and the mailboxes it came to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from mailhost_lab.addresses import HOSTS, POSTFIX
from mailhost_lab.mail.dialogues import Dialogue, Talk, hold
from mailhost_lab.mail.postfix import ANN, Mail

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhost_lab.mail.postfix import Postfix
    from mailhost_lab.packets.probes import Lab

TEXT = "Relaying is not for you, see https://mail.example/relay"
LOGIN_FIRST = "530 5.7.0"
MANAGED, THEIRS = "our mailbox", "remote"
"""Where a message may come."""

EXTERNAL_SENDER, FRIEND = "eve@stranger.example", "fred@friend.example"
US, ELSEWHERE, PARTNER = "post@mail.example", "bob@remote.example", "pat@partner.example"

FAMILIES = (4, 6)
NETWORKS = {4: "198.51.100.", 6: "2001:db8:100::"}
FRIENDLY = {4: "198.51.100.21", 6: "2001:db8:100::21"}
INNER = {4: "198.51.100.84", 6: "2001:db8:200::84"}
ENDS = {4: ("17", "18"), 6: ("a2", "af")}
"""First and last address of the internal range."""

NEIGHBOURS = {4: ("16", "19"), 6: ("a1", "b0")}
"""Addresses beside it that nobody of the lab has."""

BLOCKED_ENDS = {4: ("24", "27"), 6: ("c0", "c3")}
BLOCKED_NEIGHBOURS = {4: ("23", "28"), 6: ("bf", "c4")}


class Case(NamedTuple):
    """A dialogue and its good end: the beginning of the line that refuses, or the place where the message comes."""

    name: str
    dialogue: Dialogue
    refused: str = ""
    arrives: str = ""


def says(family: int, src: str, mail_from: str | None, *rcpt_to: str, **more: Any) -> Dialogue:
    """What a host says to the server, which it reaches in its own network."""
    server = POSTFIX.address("internal" if src == "internal" else "external", family)
    return Dialogue(src, server, mail_from=mail_from, rcpt_to=rcpt_to, **more)


def no_relay(name: str, dialogue: Dialogue) -> Case:
    """A case in which the only recipient is refused with the policy's text."""
    return Case(name, dialogue, refused=f"550 5.7.1 <{dialogue.rcpt_to[0]}>: Recipient address rejected: {TEXT}")


def to_us(family: int) -> Iterator[Case]:
    """Mail for the own domain is taken from everybody whose address is not blocked."""
    for src in ("external", "remote", "internal"):
        yield Case(f"{src} to us", says(family, src, EXTERNAL_SENDER, US), arrives=MANAGED)
    yield Case("HELO to us", says(family, "external", EXTERNAL_SENDER, US, ehlo=False), arrives=MANAGED)
    yield Case("bounce to us", says(family, "external", "", US), arrives=MANAGED)
    yield Case("spoofed sender to us", says(family, "external", "boss@mail.example", US), arrives=MANAGED)
    yield Case("upper case to us", says(family, "external", EXTERNAL_SENDER, "POST@MAIL.EXAMPLE"), arrives=MANAGED)
    yield Case("TLS to us", says(family, "external", EXTERNAL_SENDER, US, starttls=True), arrives=MANAGED)
    yield Case("friend to us", says(family, "external", FRIEND, US, source=FRIENDLY[family]), arrives=MANAGED)
    for end in BLOCKED_NEIGHBOURS[family]:
        dialogue = says(family, "external", EXTERNAL_SENDER, US, source=NETWORKS[family] + end)
        yield Case(f"next to the blocked, {end}", dialogue, arrives=MANAGED)


def relay(family: int) -> Iterator[Case]:
    """The own network may relay, also that part of it which lies among strangers; its neighbours may not."""
    for name, sender in (("managed", ANN[0]), ("another's", EXTERNAL_SENDER), ("nobody's", "")):
        yield Case(f"internal, sender {name}", says(family, "internal", sender, ELSEWHERE), arrives=THEIRS)
    yield Case("internal, HELO", says(family, "internal", ANN[0], ELSEWHERE, ehlo=False), arrives=THEIRS)
    yield Case("internal, TLS", says(family, "internal", ANN[0], ELSEWHERE, starttls=True), arrives=THEIRS)
    for end in ENDS[family]:
        dialogue = says(family, "external", ANN[0], ELSEWHERE, source=NETWORKS[family] + end)
        yield Case(f"end of the range, {end}", dialogue, arrives=THEIRS)
    for end in NEIGHBOURS[family]:
        beside = says(family, "external", ANN[0], ELSEWHERE, source=NETWORKS[family] + end)
        yield no_relay(f"beside the range, {end}", beside)
    yield no_relay("remote", says(family, "remote", ANN[0], ELSEWHERE))
    yield no_relay("stranger", says(family, "external", EXTERNAL_SENDER, ELSEWHERE))
    yield no_relay("stranger, TLS", says(family, "external", EXTERNAL_SENDER, ELSEWHERE, starttls=True))
    yield no_relay("stranger, HELO", says(family, "external", EXTERNAL_SENDER, ELSEWHERE, ehlo=False))
    yield no_relay("bounce from a stranger", says(family, "external", "", ELSEWHERE))
    literal = f"[{INNER[family]}]" if family == 4 else f"[IPv6:{INNER[family]}]"
    yield no_relay("HELO of an inner host", says(family, "external", EXTERNAL_SENDER, ELSEWHERE, helo=literal))


def logins(family: int) -> Iterator[Case]:
    """Who has logged in may relay, from anywhere; who has not may not even send to us on these ports."""
    ports: tuple[tuple[int, dict[str, bool]], ...] = ((587, {"starttls": True}), (465, {"tls": True}))
    for port, secure in ports:
        for src in ("external", "internal"):
            for mechanism in ("PLAIN", "LOGIN"):
                dialogue = says(family, src, ANN[0], ELSEWHERE, dport=port, login=ANN, mechanism=mechanism, **secure)
                yield Case(f"login at {port}, {src}, {mechanism}", dialogue, arrives=THEIRS)
            for recipient in (ELSEWHERE, US):
                none = says(family, src, ANN[0], recipient, dport=port, **secure)
                yield Case(f"no login at {port}, {src} to {recipient}", none, refused=LOGIN_FIRST)
        bad = says(family, "external", ANN[0], ELSEWHERE, dport=port, login=(ANN[0], "wrong"), **secure)
        yield Case(f"bad login at {port}", bad, refused="535 5.7.8")


def friends(family: int) -> Iterator[Case]:
    """A friend may send from its domains to those of the partner, and nowhere else."""

    def friend(mail_from: str, rcpt_to: str, **more: Any) -> Dialogue:
        return says(family, "external", mail_from, rcpt_to, **{"source": FRIENDLY[family], **more})

    yield Case("friend", friend(FRIEND, PARTNER), arrives=THEIRS)
    yield Case("friend, upper case", friend(FRIEND.upper(), PARTNER.upper()), arrives=THEIRS)
    yield Case("friend, TLS", friend(FRIEND, PARTNER, starttls=True), arrives=THEIRS)
    yield no_relay("stranger as the friend", friend(FRIEND, PARTNER, source=None))
    yield no_relay("other mail server as the friend", says(family, "remote", FRIEND, PARTNER))
    beside = NETWORKS[family] + BLOCKED_NEIGHBOURS[family][1]
    yield no_relay("blocked one's neighbour as the friend", friend(FRIEND, PARTNER, source=beside))
    for sender in (
        EXTERNAL_SENDER,
        "",
        "fred@mail.example",
        "fred@sub.friend.example",
        "fred@notfriend.example",
        "fred@friend.example.evil.example",
    ):
        yield no_relay(f"friend, sender <{sender}>", friend(sender, PARTNER))
    for recipient in (
        ELSEWHERE,
        "pat@sub.partner.example",
        "pat@notpartner.example",
        "pat@partner.example.evil.example",
    ):
        yield no_relay(f"friend to <{recipient}>", friend(FRIEND, recipient))
    for recipient in (
        "pat%remote.example@partner.example",
        "remote.example!pat@partner.example",
        '"bob@remote.example"@partner.example',
        "pat%partner.example@remote.example",
    ):
        yield Case(f"friend to <{recipient}>", friend(FRIEND, recipient), refused="5")


def blocked(family: int) -> Iterator[Case]:
    """A blocked network hears one line, whatever it wants."""
    for end in BLOCKED_ENDS[family]:
        address = NETWORKS[family] + end
        dialogue = says(family, "external", EXTERNAL_SENDER, US, source=address)
        yield Case(f"blocked {end}", dialogue, refused="521 5.3.2 Service currently unavailable")
        at_587 = says(family, "external", ANN[0], ELSEWHERE, source=address, dport=587, starttls=True, login=ANN)
        yield Case(f"blocked {end} at 587", at_587, refused=f"554 5.7.1 <unknown[{address}]>: Client host rejected")


CLASSES = (to_us, relay, logins, friends, blocked)
CASES = {
    f"{cases.__name__}, IPv{family}: {case.name}": case
    for family in FAMILIES
    for cases in CLASSES
    for case in cases(family)
}


class Heard(NamedTuple):
    """What was said, and what arrived of it, by its place."""

    talk: Talk
    managed: list[Mail]
    theirs: list[Mail]


def hold_all(lab: Lab, postfix: Postfix, dialogues: list[Dialogue]) -> list[Heard]:
    """Hold dialogues at once, each with a message that says which it is, and wait for the mail."""
    postfix.clear()
    talks = hold(
        lab, [replace(one, message=f"Subject: n{number}\r\n\r\nhello") for number, one in enumerate(dialogues)]
    )
    postfix.drain()
    managed, theirs = [*postfix.mailbox("ann"), *postfix.mailbox("bob")], postfix.collected()

    def of(number: int, mails: list[Mail]) -> list[Mail]:
        return [mail for mail in mails if mail.message["Subject"] == f"n{number}"]

    heard = [Heard(talk, of(number, managed), of(number, theirs)) for number, talk in enumerate(talks)]
    assert sum(len(one.managed) + len(one.theirs) for one in heard) == len(managed) + len(theirs), (
        "mail that nobody sent"
    )
    return heard


@pytest.fixture(scope="module")
def heard(lab: Lab, postfix: Postfix) -> dict[str, Heard]:
    """Hold all dialogues of all classes at once."""
    return dict(zip(CASES, hold_all(lab, postfix, [case.dialogue for case in CASES.values()])))


@pytest.mark.parametrize("name", CASES)
def test_case(heard: dict[str, Heard], name: str) -> None:
    case, (talk, managed, theirs) = CASES[name], heard[name]
    if case.refused:
        assert talk.verdict.startswith(case.refused)
        assert (managed, theirs) == ([], [])
        return
    assert talk.verdict == "accepted"
    (mail,) = managed if case.arrives == MANAGED else theirs
    assert (len(managed), len(theirs)) == ((1, 0) if case.arrives == MANAGED else (0, 1))
    assert mail.mail_from.lower() == (case.dialogue.mail_from or "").lower()
    assert mail.rcpt_to.lower() == case.dialogue.rcpt_to[0].lower()
    # The server must have seen the client as it is, or the case proves nothing; a user's address is nobody's business.
    assert (f"{client_address(case.dialogue)}])" in mail.text) == (case.dialogue.login is None)


def client_address(dialogue: Dialogue) -> str:
    """The address from which a host speaks to the server."""
    host = HOSTS[dialogue.src]
    family = 6 if ":" in dialogue.dst else 4
    return dialogue.source or host.address(host.ports[0].network, family)


@pytest.mark.parametrize("family", FAMILIES)
def test_of_two_recipients_only_ours_is_taken(lab: Lab, postfix: Postfix, family: int) -> None:
    ((talk, (mail,), theirs),) = hold_all(lab, postfix, [says(family, "external", EXTERNAL_SENDER, ELSEWHERE, US)])
    assert talk.codes("rcpt") == [550, 250]
    assert (mail.rcpt_to, theirs) == (US, [])
