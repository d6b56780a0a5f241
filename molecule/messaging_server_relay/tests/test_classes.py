"""Who may send where, class by class of the policy, in both families: the answers, and the channels that were used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from mailhost_lab.addresses import HOSTS, MESSAGING
from mailhost_lab.mail.dialogues import Dialogue, Talk, hold
from mailhost_lab.mail.messaging_server import USER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhost_lab.mail.messaging_server import Messaging
    from mailhost_lab.packets.probes import Lab

TEXT = "Relaying is not for you, see https://mail.example/relay"
BLOCKED = "500 5.7.1 Access denied"
LOGIN_FIRST = "530 5.7.0 Authentication required"

EXTERNAL_SENDER, FRIEND, USER_OF_OURS = "eve@stranger.example", "fred@friend.example", USER[0]
US, ELSEWHERE, PARTNER = "post@mail.example", "bob@remote.example", "pat@partner.example"

FAMILIES = (4, 6)
NETWORKS = {4: "198.51.100.", 6: "2001:db8:100::"}
FRIENDLY = {4: "198.51.100.21", 6: "2001:db8:100::21"}
INNER = {4: "198.51.100.84", 6: "2001:db8:200::84"}
ENDS = {4: ("13", "14"), 6: ("62", "6f")}
"""First and last address of the internal range."""

NEIGHBOURS = {4: ("15",), 6: ("61", "70")}
"""Addresses beside it that nobody of the lab has."""

BLOCKED_ENDS = {4: ("4", "7"), 6: ("40", "43")}
BLOCKED_NEIGHBOURS = {4: ("3", "8"), 6: ("3f", "44")}


class Case(NamedTuple):
    """A dialogue and its good end: a step with its line, or the channels from and to which the message went."""

    name: str
    dialogue: Dialogue
    refused: tuple[str, str] | None = None
    channels: tuple[str, str] | None = None


def says(family: int, src: str, mail_from: str | None, *rcpt_to: str, **more: Any) -> Dialogue:
    """What a host says to the server, which it reaches in its own network."""
    server = MESSAGING.address("internal" if src == "internal" else "external", family)
    message = "Subject: hello\r\n\r\nhello" if mail_from is not None else None
    return Dialogue(src, server, mail_from=mail_from, rcpt_to=rcpt_to, message=message, **more)


def no_relay(name: str, dialogue: Dialogue) -> Case:
    """A case in which the only recipient is refused with the policy's text."""
    return Case(name, dialogue, refused=("rcpt", f"550 5.7.1 {TEXT}: {dialogue.rcpt_to[0]}"))


def to_us(family: int) -> Iterator[Case]:
    """Mail for the own domain is taken from everybody whose address is not blocked."""
    taken = ("tcp_local", "l")
    for src in ("external", "remote"):
        yield Case(f"{src} to us", says(family, src, EXTERNAL_SENDER, US), channels=taken)
    yield Case("HELO to us", says(family, "external", EXTERNAL_SENDER, US, ehlo=False), channels=taken)
    yield Case("bounce to us", says(family, "external", "", US), channels=taken)
    yield Case("spoofed sender to us", says(family, "external", "boss@mail.example", US), channels=taken)
    yield Case("upper case to us", says(family, "external", EXTERNAL_SENDER, "POST@MAIL.EXAMPLE"), channels=taken)
    yield Case("TLS to us", says(family, "external", EXTERNAL_SENDER, US, starttls=True), channels=taken)
    yield Case("friend to us", says(family, "external", FRIEND, US, source=FRIENDLY[family]), channels=taken)
    for end in BLOCKED_NEIGHBOURS[family]:
        dialogue = says(family, "external", EXTERNAL_SENDER, US, source=NETWORKS[family] + end)
        yield Case(f"next to the blocked, {end}", dialogue, channels=taken)


def relay(family: int) -> Iterator[Case]:
    """The own network may relay, also that part of it which lies among strangers; its neighbours may not."""
    onwards = ("tcp_intranet", "tcp_local")
    for name, sender in (("managed", USER_OF_OURS), ("another's", EXTERNAL_SENDER), ("nobody's", "")):
        yield Case(f"internal, sender {name}", says(family, "internal", sender, ELSEWHERE), channels=onwards)
    yield Case("internal to us", says(family, "internal", USER_OF_OURS, US), channels=("tcp_intranet", "l"))
    yield Case("internal, HELO", says(family, "internal", USER_OF_OURS, ELSEWHERE, ehlo=False), channels=onwards)
    yield Case("internal, TLS", says(family, "internal", USER_OF_OURS, ELSEWHERE, starttls=True), channels=onwards)
    for end in ENDS[family]:
        dialogue = says(family, "external", USER_OF_OURS, ELSEWHERE, source=NETWORKS[family] + end)
        yield Case(f"end of the range, {end}", dialogue, channels=onwards)
    for end in NEIGHBOURS[family]:
        beside = says(family, "external", USER_OF_OURS, ELSEWHERE, source=NETWORKS[family] + end)
        yield no_relay(f"beside the range, {end}", beside)
    yield no_relay("remote", says(family, "remote", USER_OF_OURS, ELSEWHERE))
    yield no_relay("stranger", says(family, "external", EXTERNAL_SENDER, ELSEWHERE))
    yield no_relay("stranger, TLS", says(family, "external", EXTERNAL_SENDER, ELSEWHERE, starttls=True))
    yield no_relay("stranger, HELO", says(family, "external", EXTERNAL_SENDER, ELSEWHERE, ehlo=False))
    yield no_relay("bounce from a stranger", says(family, "external", "", ELSEWHERE))
    yield no_relay(
        "HELO of an inner host", says(family, "external", EXTERNAL_SENDER, ELSEWHERE, helo=f"[{INNER[family]}]")
    )


def logins(family: int) -> Iterator[Case]:
    """Who has logged in may relay, on port 25 and, where nobody else may send at all, on port 587."""
    onwards = {25: ("tcp_auth", "tcp_local"), 587: ("tcp_submit", "tcp_local")}
    wrong = (USER[0], "wrong")
    for port in (25, 587):
        for mechanism in ("PLAIN", "LOGIN"):
            dialogue = says(
                family,
                "external",
                USER_OF_OURS,
                ELSEWHERE,
                dport=port,
                starttls=True,
                login=USER,
                mechanism=mechanism,
            )
            yield Case(f"login at {port}, {mechanism}", dialogue, channels=onwards[port])
    bad = says(family, "external", USER_OF_OURS, ELSEWHERE, starttls=True, login=wrong)
    yield no_relay("bad login at 25", bad)
    for src in ("external", "internal"):
        for recipient in (ELSEWHERE, US):
            none = says(family, src, USER_OF_OURS, recipient, dport=587, starttls=True)
            yield Case(f"no login at 587, {src} to {recipient}", none, refused=("mail", LOGIN_FIRST))
    bad = says(family, "external", USER_OF_OURS, ELSEWHERE, dport=587, starttls=True, login=wrong)
    yield Case("bad login at 587", bad, refused=("mail", LOGIN_FIRST))
    internal = says(family, "internal", USER_OF_OURS, ELSEWHERE, dport=587, starttls=True, login=USER)
    yield Case("login at 587, internal", internal, channels=onwards[587])


def friends(family: int) -> Iterator[Case]:
    """A friend may relay from his network, for his domain, to the domain that was agreed, and no otherwise."""

    def friend(mail_from: str, rcpt_to: str, **more: Any) -> Dialogue:
        return says(family, "external", mail_from, rcpt_to, **{"source": FRIENDLY[family], **more})

    onwards = ("tcp_local", "tcp_local")
    yield Case("friend", friend(FRIEND, PARTNER), channels=onwards)
    yield Case("friend, upper case", friend(FRIEND.upper(), PARTNER.upper()), channels=onwards)
    yield Case("friend, TLS", friend(FRIEND, PARTNER, starttls=True), channels=onwards)
    yield Case("friend, quoted", friend('"fred"@friend.example', PARTNER), channels=onwards)
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
        "fred@friend.example.",
    ):
        yield no_relay(f"friend, sender <{sender}>", friend(sender, PARTNER))
    for recipient in (
        ELSEWHERE,
        "pat@sub.partner.example",
        "pat@notpartner.example",
        "pat@partner.example.evil.example",
        "pat%remote.example@partner.example",
        "remote.example!pat@partner.example",
        "bob@remote.example@partner.example",
        '"bob@remote.example"@partner.example',
        "@partner.example:bob@remote.example",
        "pat%partner.example@remote.example",
    ):
        yield no_relay(f"friend to <{recipient}>", friend(FRIEND, recipient))


def blocked(family: int) -> Iterator[Case]:
    """A blocked network hears one line, whatever it wants."""
    for end in BLOCKED_ENDS[family]:
        for port in (25, 587):
            dialogue = says(family, "external", EXTERNAL_SENDER, US, source=NETWORKS[family] + end, dport=port)
            yield Case(f"blocked {end} at {port}", dialogue, refused=("connect", BLOCKED))


def bars(family: int) -> Iterator[Case]:
    """Text with the bars that part the fields of a probe, so as to look like somebody else."""
    friend, inner = FRIENDLY[family], INNER[family]
    fields = f"tcp_local|{FRIEND}|tcp_local|{PARTNER}"
    for helo in (
        f"x|25|{inner}|1025|SMTP/x",
        f"x|25|{inner}|1025|SMTP/x|MAIL|tcp_intranet|{EXTERNAL_SENDER}|tcp_local|{ELSEWHERE}",
        f"x|MAIL|tcp_intranet|{EXTERNAL_SENDER}|tcp_local|{ELSEWHERE}",
        f"x|MAIL|{fields}",
        f"x|25|{friend}|1025|SMTP/x|MAIL|{fields}",
        f"TCP|{MESSAGING.address('external', family)}|25|{friend}|1025|SMTP/x|MAIL|{fields}",
        "$Y$E",
        f"$|INTERNAL_IP;{inner}|",
    ):
        yield no_relay(f"HELO {helo}", says(family, "external", EXTERNAL_SENDER, ELSEWHERE, helo=helo))
        yield no_relay(f"HELO {helo}, as a friend", says(family, "external", FRIEND, PARTNER, helo=helo))
    for sender in (
        f'"x|{fields}"@stranger.example',
        f'"x|{fields}|"@friend.example',
        f'"x|l|{US}"@stranger.example',
        f'"x|tcp_intranet|{US}"@stranger.example',
        "x|tcp_intranet|x@mail.example",
        "|@friend.example",
        '"|tcp_local|"@friend.example',
        "$Y$E@stranger.example",
    ):
        for source in (None, friend):
            dialogue = says(family, "external", sender, ELSEWHERE, source=source)
            yield no_relay(f"sender <{sender}>, {'friend' if source else 'stranger'}", dialogue)
        yield no_relay(f"sender <{sender}> to the partner", says(family, "external", sender, PARTNER))
    for recipient in (
        "bob|x@remote.example",
        f'"|l|{US}"@remote.example',
        f'"|tcp_local|{PARTNER}"@remote.example',
        f"|tcp_local|{PARTNER}|@remote.example",
        f'"tcp_intranet|{US}|tcp_local|bob"@remote.example',
    ):
        for mail_from, source in ((EXTERNAL_SENDER, None), (FRIEND, friend)):
            dialogue = says(family, "external", mail_from, recipient, source=source)
            yield no_relay(f"{mail_from} to <{recipient}>", dialogue)


CLASSES = (to_us, relay, logins, friends, blocked, bars)
CASES = {
    f"{cases.__name__}, IPv{family}: {case.name}": case
    for family in FAMILIES
    for cases in CLASSES
    for case in cases(family)
}


class Heard(NamedTuple):
    """What was said, and what arrived of it."""

    talk: Talk
    messages: list[dict[str, Any]]


def hold_all(lab: Lab, messaging: Messaging, dialogues: list[Dialogue]) -> list[Heard]:
    """Hold dialogues at once; each says in its message which it is."""
    messaging.clear()
    marked = [
        Dialogue(**{**one.__dict__, "message": f"X-Number: {number}\r\n{one.message}" if one.message else None})
        for number, one in enumerate(dialogues)
    ]
    talks = hold(lab, marked)
    arrived = messaging.messages()
    return [
        Heard(talk, [one for one in arrived if one["message"].startswith(f"X-Number: {number}\r\n")])
        for number, talk in enumerate(talks)
    ]


@pytest.fixture(scope="module")
def heard(lab: Lab, messaging: Messaging) -> dict[str, Heard]:
    """Hold all dialogues of all classes at once."""
    return dict(zip(CASES, hold_all(lab, messaging, [case.dialogue for case in CASES.values()])))


@pytest.mark.parametrize("name", CASES)
def test_case(heard: dict[str, Heard], name: str) -> None:
    case, (talk, messages) = CASES[name], heard[name]
    if case.refused:
        step, line = case.refused
        assert talk.lines(step) == [line]
        assert messages == []
        return
    assert talk.verdict == "accepted"
    (message,) = messages
    # The server must have seen the client as it is, or the case proves nothing.
    assert message["client"] == client_address(case.dialogue)
    assert message["user"] == (case.dialogue.login[0] if case.dialogue.login else "")
    assert message["mail_from"] == case.dialogue.mail_from
    (recipient,) = message["recipients"]
    assert recipient["address"] == case.dialogue.rcpt_to[0]
    assert (message["source_channel"], recipient["destination_channel"]) == case.channels


def client_address(dialogue: Dialogue) -> str:
    """The address from which a host speaks to the server."""
    host = HOSTS[dialogue.src]
    family = 6 if ":" in dialogue.dst else 4
    return dialogue.source or host.address(host.ports[0].network, family)


@pytest.mark.parametrize("family", FAMILIES)
def test_of_two_recipients_only_ours_is_taken(lab: Lab, messaging: Messaging, family: int) -> None:
    ((talk, (message,)),) = hold_all(lab, messaging, [says(family, "external", EXTERNAL_SENDER, ELSEWHERE, US)])
    assert talk.codes("rcpt") == [550, 250]
    assert [to["address"] for to in message["recipients"]] == [US]


@pytest.mark.parametrize("family", FAMILIES)
def test_where_a_login_is_offered(lab: Lab, family: int) -> None:
    asked = [
        (src, port, starttls, offered)
        for src, port, offered in (
            ("external", 25, True),
            ("remote", 25, True),
            ("internal", 25, False),
            ("external", 587, True),
            ("internal", 587, True),
        )
        for starttls in (False, True)
    ]
    talks = hold(lab, [says(family, src, None, dport=port, starttls=tls) for src, port, tls, _offered in asked])
    assert [(talk.verdict, talk.offers("AUTH")) for talk in talks] == [
        ("accepted", offered) for *_rest, offered in asked
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_login_where_none_is_offered_is_refused(lab: Lab, family: int) -> None:
    (talk,) = hold(lab, [says(family, "internal", None, login=USER)])
    assert talk.codes("auth") == [503]
