"""What each class of clients may send, in both families: the answers, and the channels that were used."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from mailhost_lab.addresses import MESSAGING
from mailhost_lab.mail.dialogues import Dialogue, Talk, hold
from mailhost_lab.mail.messaging_server import USER
from mailhost_lab.scenarios.messaging_server_relay import BLOCKED, RELAY
from mailhost_lab.scenarios.relay import (
    ELSEWHERE,
    EVASIVE_RECIPIENTS,
    EXCEPTED,
    EXCEPTED_SENDER,
    EXTERNAL_SENDER,
    FAMILIES,
    INNER,
    LOCAL,
    PARTNER,
    PREFIX,
    TEXT,
    Case,
    Outcome,
    by_name,
    client_address,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhost_lab.mail.messaging_server import Messaging
    from mailhost_lab.packets.probes import Lab

LOGIN_FIRST = "530 5.7.0 Authentication required"
CHANNELS = {
    Outcome.DELIVERED: ("tcp_local", "l"),
    Outcome.DELIVERED_FROM_INTERNAL: ("tcp_intranet", "l"),
    Outcome.RELAYED_FROM_INTERNAL: ("tcp_intranet", "tcp_local"),
    Outcome.RELAYED_BY_EXCEPTION: ("tcp_local", "tcp_local"),
}
"""From and to which channel a message goes."""

AUTHENTICATED = {25: ("tcp_auth", "tcp_local"), 587: ("tcp_submit", "tcp_local")}
"""The same after SMTP AUTH, by port."""


def no_relay(name: str, dialogue: Dialogue) -> Case:
    """Return a case in which the only recipient is rejected with the policy's text."""
    return Case(name, dialogue, Outcome.NO_RELAY)


def authenticated(family: int) -> Iterator[Case]:
    """Authenticated clients relay on port 25 and on port 587, where no other client may send at all."""
    wrong = (USER[0], "wrong")
    for port, channels in AUTHENTICATED.items():
        for mechanism in ("PLAIN", "LOGIN"):
            login = {"dport": port, "starttls": True, "login": USER, "mechanism": mechanism}
            dialogue = RELAY.external(family, ELSEWHERE, USER[0], **login)
            yield Case(f"login at {port}, {mechanism}", dialogue, channels)
    bad = RELAY.external(family, ELSEWHERE, USER[0], starttls=True, login=wrong)
    yield no_relay("bad login at 25", bad)
    for src in ("external", "internal"):
        for recipient in (ELSEWHERE, LOCAL):
            none = RELAY.says(family, src, USER[0], recipient, dport=587, starttls=True)
            yield Case(f"no login at 587, {src} to {recipient}", none, ("mail", LOGIN_FIRST))
    bad = RELAY.external(family, ELSEWHERE, USER[0], dport=587, starttls=True, login=wrong)
    yield Case("bad login at 587", bad, ("mail", LOGIN_FIRST))
    internal = RELAY.says(family, "internal", USER[0], ELSEWHERE, dport=587, starttls=True, login=USER)
    yield Case("login at 587, internal", internal, AUTHENTICATED[587])


def by_exception(family: int) -> Iterator[Case]:
    """The exception in spellings that Messaging Server reads in its own way."""
    yield Case("quoted", RELAY.excepted(family, '"fred"@excepted.example'), Outcome.RELAYED_BY_EXCEPTION)
    yield no_relay("sender with a final dot", RELAY.excepted(family, "fred@excepted.example."))
    for recipient in (
        *EVASIVE_RECIPIENTS,
        "bob@remote.example@partner.example",
        "@partner.example:bob@remote.example",
    ):
        yield no_relay(f"to <{recipient}>", RELAY.excepted(family, rcpt_to=recipient))


def blocked(family: int) -> Iterator[Case]:
    """A blocked network gets one line, whatever it wants."""
    for end in RELAY.blocked.first_and_last[family]:
        for port in (25, 587):
            dialogue = RELAY.external(family, LOCAL, source=PREFIX[family] + end, dport=port)
            yield Case(f"blocked {end} at {port}", dialogue, ("connect", BLOCKED))


def bars(family: int) -> Iterator[Case]:
    """Text with the bars that part the fields of a probe, so as to look like another client."""
    excepted, inner = EXCEPTED[family], INNER[family]
    fields = f"tcp_local|{EXCEPTED_SENDER}|tcp_local|{PARTNER}"
    for helo in (
        f"x|25|{inner}|1025|SMTP/x",
        f"x|25|{inner}|1025|SMTP/x|MAIL|tcp_intranet|{EXTERNAL_SENDER}|tcp_local|{ELSEWHERE}",
        f"x|MAIL|tcp_intranet|{EXTERNAL_SENDER}|tcp_local|{ELSEWHERE}",
        f"x|MAIL|{fields}",
        f"x|25|{excepted}|1025|SMTP/x|MAIL|{fields}",
        f"TCP|{MESSAGING.address('external', family)}|25|{excepted}|1025|SMTP/x|MAIL|{fields}",
        "$Y$E",
        f"$|INTERNAL_IP;{inner}|",
    ):
        yield no_relay(f"HELO {helo}", RELAY.external(family, ELSEWHERE, helo=helo))
        yield no_relay(f"HELO {helo}, excepted sender", RELAY.external(family, PARTNER, EXCEPTED_SENDER, helo=helo))
    for sender in (
        f'"x|{fields}"@sender.example',
        f'"x|{fields}|"@excepted.example',
        f'"x|l|{LOCAL}"@sender.example',
        f'"x|tcp_intranet|{LOCAL}"@sender.example',
        "x|tcp_intranet|x@mail.example",
        "|@excepted.example",
        '"|tcp_local|"@excepted.example',
        "$Y$E@sender.example",
    ):
        for source in (None, excepted):
            dialogue = RELAY.external(family, ELSEWHERE, sender, source=source)
            yield no_relay(f"sender <{sender}>, {'excepted' if source else 'external'}", dialogue)
        yield no_relay(f"sender <{sender}> to the partner", RELAY.external(family, PARTNER, sender))
    for recipient in (
        "bob|x@remote.example",
        f'"|l|{LOCAL}"@remote.example',
        f'"|tcp_local|{PARTNER}"@remote.example',
        f"|tcp_local|{PARTNER}|@remote.example",
        f'"tcp_intranet|{LOCAL}|tcp_local|bob"@remote.example',
    ):
        for mail_from, source in ((EXTERNAL_SENDER, None), (EXCEPTED_SENDER, excepted)):
            dialogue = RELAY.external(family, recipient, mail_from, source=source)
            yield no_relay(f"{mail_from} to <{recipient}>", dialogue)


CASES = by_name(
    RELAY.to_local_domain,
    RELAY.from_internal_network,
    RELAY.by_exception,
    by_exception,
    authenticated,
    blocked,
    bars,
)


class Heard(NamedTuple):
    """What was said, and what arrived of it."""

    talk: Talk
    messages: list[dict[str, Any]]


def hold_all(lab: Lab, messaging: Messaging, dialogues: list[Dialogue]) -> list[Heard]:
    """Hold dialogues at once; each says in its message which it is."""
    messaging.clear()
    marked = [
        replace(one, message=f"X-Number: {number}\r\n{one.message}" if one.message else None)
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
def test_client_gets_what_policy_wants(heard: dict[str, Heard], name: str) -> None:
    case, (talk, messages) = CASES[name], heard[name]
    wanted = case.outcome
    if wanted is Outcome.NO_RELAY:
        wanted = ("rcpt", f"550 5.7.1 {TEXT}: {case.dialogue.rcpt_to[0]}")
    elif isinstance(wanted, Outcome):
        wanted = CHANNELS[wanted]
    step, line = wanted
    if step in ("connect", "mail", "rcpt"):
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
    assert (message["source_channel"], recipient["destination_channel"]) == wanted


@pytest.mark.parametrize("family", FAMILIES)
def test_two_recipients_only_local_one_accepted(lab: Lab, messaging: Messaging, family: int) -> None:
    ((talk, (message,)),) = hold_all(
        lab, messaging, [RELAY.says(family, "external", EXTERNAL_SENDER, ELSEWHERE, LOCAL)]
    )
    assert talk.codes("rcpt") == [550, 250]
    assert [to["address"] for to in message["recipients"]] == [LOCAL]


@pytest.mark.parametrize("family", FAMILIES)
def test_auth_is_offered_to_external_clients_and_on_submission(lab: Lab, family: int) -> None:
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
    talks = hold(lab, [RELAY.says(family, src, None, dport=port, starttls=tls) for src, port, tls, _offered in asked])
    assert [(talk.verdict, talk.offers("AUTH")) for talk in talks] == [
        ("accepted", offered) for *_rest, offered in asked
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_auth_where_not_offered_is_rejected(lab: Lab, family: int) -> None:
    (talk,) = hold(lab, [RELAY.says(family, "internal", None, login=USER)])
    assert talk.codes("auth") == [503]
