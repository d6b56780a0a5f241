"""What each class of clients may send, in both families: the answers, and the mailboxes it came to."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import pytest

from mailhost_lab.mail.dialogues import Dialogue, Talk, hold
from mailhost_lab.mail.postfix import ANN, Mail
from mailhost_lab.scenarios.postfix_relay import RELAY
from mailhost_lab.scenarios.relay import (
    ELSEWHERE,
    EVASIVE_RECIPIENTS,
    EXTERNAL_SENDER,
    FAMILIES,
    LOCAL,
    PREFIX,
    TEXT,
    Case,
    Outcome,
    by_name,
    client_address,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhost_lab.mail.postfix import Postfix
    from mailhost_lab.packets.probes import Lab

LOGIN_FIRST = "530 5.7.0"


def rejected(line: str) -> tuple[str, str]:
    """Return the outcome of a dialogue whose first rejection begins so."""
    return "rejected", line


def authenticated(family: int) -> Iterator[Case]:
    """Authenticated clients relay from everywhere; on these ports others may not even send to local addresses."""
    ports: tuple[tuple[int, dict[str, bool]], ...] = ((587, {"starttls": True}), (465, {"tls": True}))
    for port, secure in ports:
        for src in ("external", "internal"):
            for mechanism in ("PLAIN", "LOGIN"):
                login = {"dport": port, "login": ANN, "mechanism": mechanism, **secure}
                dialogue = RELAY.says(family, src, ANN[0], ELSEWHERE, **login)
                yield Case(f"login at {port}, {src}, {mechanism}", dialogue, Outcome.RELAYED_AUTHENTICATED)
            for recipient in (ELSEWHERE, LOCAL):
                none = RELAY.says(family, src, ANN[0], recipient, dport=port, **secure)
                yield Case(f"no login at {port}, {src} to {recipient}", none, rejected(LOGIN_FIRST))
        bad = RELAY.external(family, ELSEWHERE, ANN[0], dport=port, login=(ANN[0], "wrong"), **secure)
        yield Case(f"bad login at {port}", bad, rejected("535 5.7.8"))


def evasive(family: int) -> Iterator[Case]:
    """The relay exception does not hold for addresses that name a way on; Postfix has its own texts for them."""
    for recipient in EVASIVE_RECIPIENTS:
        yield Case(f"excepted to <{recipient}>", RELAY.excepted(family, rcpt_to=recipient), rejected("5"))


def blocked(family: int) -> Iterator[Case]:
    """A blocked network gets one line, whatever it wants."""
    for end in RELAY.blocked.first_and_last[family]:
        address = PREFIX[family] + end
        dialogue = RELAY.external(family, LOCAL, source=address)
        yield Case(f"blocked {end}", dialogue, rejected("521 5.3.2 Service currently unavailable"))
        login = {"dport": 587, "starttls": True, "login": ANN}
        at_587 = RELAY.external(family, ELSEWHERE, ANN[0], source=address, **login)
        line = f"554 5.7.1 <unknown[{address}]>: Client host rejected"
        yield Case(f"blocked {end} at 587", at_587, rejected(line))


CASES = by_name(RELAY.to_local_domain, RELAY.from_internal_network, RELAY.by_exception, authenticated, evasive, blocked)


class Heard(NamedTuple):
    """What was said, and what arrived of it, by its place."""

    talk: Talk
    local: list[Mail]
    relayed: list[Mail]


def hold_all(lab: Lab, postfix: Postfix, dialogues: list[Dialogue]) -> list[Heard]:
    """Hold dialogues at once, each with a message that says which it is, and wait for the mail."""
    postfix.clear()
    talks = hold(
        lab, [replace(one, message=f"Subject: n{number}\r\n\r\nhello") for number, one in enumerate(dialogues)]
    )
    postfix.drain()
    local, relayed = [*postfix.mailbox("ann"), *postfix.mailbox("bob")], postfix.collected()

    def of(number: int, mails: list[Mail]) -> list[Mail]:
        return [mail for mail in mails if mail.message["Subject"] == f"n{number}"]

    heard = [Heard(talk, of(number, local), of(number, relayed)) for number, talk in enumerate(talks)]
    assert sum(len(one.local) + len(one.relayed) for one in heard) == len(local) + len(relayed), (
        "mail that no dialogue sent"
    )
    return heard


@pytest.fixture(scope="module")
def heard(lab: Lab, postfix: Postfix) -> dict[str, Heard]:
    """Hold all dialogues of all classes at once."""
    return dict(zip(CASES, hold_all(lab, postfix, [case.dialogue for case in CASES.values()])))


@pytest.mark.parametrize("name", CASES)
def test_client_gets_what_policy_wants(heard: dict[str, Heard], name: str) -> None:
    case, (talk, local, relayed) = CASES[name], heard[name]
    wanted = case.outcome
    if wanted is Outcome.NO_RELAY:
        wanted = rejected(f"550 5.7.1 <{case.dialogue.rcpt_to[0]}>: Recipient address rejected: {TEXT}")
    if not isinstance(wanted, Outcome):
        assert talk.verdict.startswith(wanted[1])
        assert (local, relayed) == ([], [])
        return
    assert talk.verdict == "accepted"
    delivered = wanted in (Outcome.DELIVERED, Outcome.DELIVERED_FROM_INTERNAL)
    assert (len(local), len(relayed)) == ((1, 0) if delivered else (0, 1))
    (mail,) = local or relayed
    assert mail.mail_from.lower() == (case.dialogue.mail_from or "").lower()
    assert mail.rcpt_to.lower() == case.dialogue.rcpt_to[0].lower()
    # The server must have seen the client as it is, or the case proves nothing; a user's address is kept private.
    assert (f"{client_address(case.dialogue)}])" in mail.text) == (case.dialogue.login is None)


@pytest.mark.parametrize("family", FAMILIES)
def test_two_recipients_only_local_one_accepted(lab: Lab, postfix: Postfix, family: int) -> None:
    two = RELAY.says(family, "external", EXTERNAL_SENDER, ELSEWHERE, LOCAL)
    ((talk, (mail,), relayed),) = hold_all(lab, postfix, [two])
    assert talk.codes("rcpt") == [550, 250]
    assert (mail.rcpt_to, relayed) == (LOCAL, [])
