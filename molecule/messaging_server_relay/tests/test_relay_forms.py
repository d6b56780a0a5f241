"""What strangers try in order to have mail passed on, over IPv4 and IPv6, and what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from mailhost_lab.addresses import EXTERNAL, MESSAGING
from mailhost_lab.mail.dialogues import Dialogue, Talk, hold
from mailhost_lab.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailhost_lab.mail.messaging_server import Messaging
    from mailhost_lab.packets.probes import Lab
    from mailhost_lab.runs.plays import Run

STANDIN = PROJECT / "molecule/_lab/standin/root/opt/SUNWmsgsr/config"
EXTERNAL_SENDER = "eve@stranger.example"
MAILBOX = "l"
"""The channel of the mailboxes of this host; a message there goes nowhere else by these files."""

FAMILIES = (4, 6)

# Refused at RCPT with the policy's text, all of them: recipients elsewhere, recipients that name a way through us,
# oddly written hosts, and senders that write to a plain recipient elsewhere.
TO_ELSEWHERE = {
    "plain": "bob@remote.example",
    "upper case": "BOB@REMOTE.EXAMPLE",
    "mixed case": "Bob@rEmOtE.ExAmPlE",
    "detail": "bob+box@remote.example",
    "subdomain": "bob@sub.remote.example",
    "unknown top domain": "bob@remote.zz",
    "our name as a subdomain": "bob@mail.example.remote.example",
    "our name without its dot": "bob@notmail.example",
    "our name and more": "bob@mail.example.com",
    "our name and a hyphen": "bob@mail-example.example",
    "percent at the target": "bob%mail.example@remote.example",
    "percent twice at the target": "bob%mail.example%remote.example@remote.example",
    "bang at the target": "mail.example!bob@remote.example",
    "two domains, ours first": "bob@mail.example@remote.example",
    "quoted, ours first": '"bob@mail.example"@remote.example',
    "quoted blank": '"bob b"@remote.example',
    "quoted percent at the target": '"bob%mail.example"@remote.example',
    "literal": "bob@[198.51.100.30]",
    "literal IPv6": "bob@[IPv6:2001:db8:100::30]",
    "literal mapped": "bob@[IPv6:::ffff:198.51.100.30]",
    "literal without a tag": "bob@[2001:db8:100::30]",
    "literal of a friend": "bob@[198.51.100.21]",
    "address without brackets": "bob@198.51.100.30",
    "number": "bob@3325256734",
    "empty local part": '""@remote.example',
    "slash": "bob/x@remote.example",
    "dollar signs": "$N$Y$E@remote.example",
    "percent of a mailbox at the target": "postmaster%mail.example@remote.example",
    "postmaster of the target": "postmaster@remote.example",
}
TO_US_AND_ON = {
    "percent": "bob%remote.example@mail.example",
    "percent, name of the host": "bob%remote.example@messaging.example",
    "percent, short name of the host": "bob%remote.example@messaging",
    "percent, literal of the host": "bob%remote.example@[198.51.100.11]",
    "percent, IPv6 literal of the host": "bob%remote.example@[IPv6:2001:db8:100::11]",
    "percent, inner address": "bob%remote.example@[198.51.100.75]",
    "percent, inner host": "bob%remote.example@pc.mail.example",
    "percent, localhost": "bob%remote.example@localhost",
    "percent twice": "bob%remote.example%mail.example@mail.example",
    "percent, loopback": "bob%remote.example@[127.0.0.1]",
    "bang": "remote.example!bob@mail.example",
    "bang, literal of the host": "remote.example!bob@[198.51.100.11]",
    "bang, inner host": "remote.example!bob@pc.mail.example",
    "bang and percent": "remote.example!bob%remote.example@mail.example",
    "source route": "@mail.example:bob@remote.example",
    "source route, host": "@messaging.example:bob@remote.example",
    "source route, literal": "@[198.51.100.11]:bob@remote.example",
    "source route, two hops": "@mail.example,@remote.example:bob@remote.example",
    "source route, inner host": "@pc.mail.example:bob@remote.example",
    "source route back": "@remote.example:bob@mail.example",
    "quoted": '"bob@remote.example"@mail.example',
    "quoted, literal of the host": '"bob@remote.example"@[198.51.100.11]',
    "quoted percent": '"bob%remote.example"@mail.example',
    "quoted, inner host": '"bob@remote.example"@pc.mail.example',
    "two domains": "bob@remote.example@mail.example",
    "two domains, inner host": "bob@remote.example@pc.mail.example",
    "channel of inner hosts": "bob%remote.example@tcp_intranet-daemon",
    "channel of inner hosts, quoted": '"bob@remote.example"@tcp_intranet-daemon',
    "channel of inner hosts, plain": "bob@tcp_intranet-daemon",
    "channel of the world": "bob%remote.example@tcp-daemon",
    "channel of logins": "bob%remote.example@tcp_auth-daemon",
    "channel of submission": "bob%remote.example@tcp_submit-daemon",
    "channel of the scanner": "bob%remote.example@scanner-daemon",
    "channel for programs": "bob@pipe-daemon",
    "channel for mailbox files": "bob@native-daemon",
    "channel on hold": "bob@hold-daemon",
    "channel of the store": "bob@ims-ms-daemon",
}
TO_ODD_HOSTS = {
    "quoted, no domain": '"bob@remote.example"',
    "final dot": "bob@remote.example.",
    "two final dots": "bob@mail.example..",
    "our name with a final dot": "bob%remote.example@mail.example.",
    "blank literal": "bob@[]",
    "domain of blanks": "bob@ mail.example",
}
SENDERS = {
    "null sender": "",
    "postmaster of ours": "postmaster@mail.example",
    "postmaster of ours, upper case": "POSTMASTER@MAIL.EXAMPLE",
    "name of the host": "root@messaging.example",
    "literal of the host": "root@[198.51.100.11]",
    "inner host": "root@pc.mail.example",
    "localhost": "root@localhost",
    "the target": "bob@remote.example",
    "route": "@mail.example:eve@stranger.example",
    "percent sender": "eve%stranger.example@mail.example",
    "quoted sender": '"bob@mail.example"@stranger.example',
    "friend": "eve@friend.example",
    "channel": "eve@tcp_intranet-daemon",
    "no domain sender": "root",
    "quoted, no domain sender": '"root@mail.example"',
}


class Form(NamedTuple):
    """What a stranger says."""

    name: str
    mail_from: str
    rcpt_to: str


FORMS = (
    *(Form(name, EXTERNAL_SENDER, path) for name, path in TO_ELSEWHERE.items()),
    *(Form(name, EXTERNAL_SENDER, path) for name, path in TO_US_AND_ON.items()),
    *(Form(name, EXTERNAL_SENDER, path) for name, path in TO_ODD_HOSTS.items()),
    *(Form(f"sender: {name}", path, "bob@remote.example") for name, path in SENDERS.items()),
)
EACH = [(form, family) for family in FAMILIES for form in FORMS]


class Result(NamedTuple):
    """How the server answered, and which channels got the message."""

    talk: Talk
    channels: tuple[str, ...]

    @property
    def leaves(self) -> bool:
        """Whether the message goes on from here."""
        return any(channel != MAILBOX for channel in self.channels)


def try_all(lab: Lab, messaging: Messaging) -> dict[tuple[Form, int], Result]:
    """Hold all dialogues; every message that is taken says in its HELO which it is."""
    messaging.clear()
    talks = hold(
        lab,
        [
            Dialogue(
                EXTERNAL.name,
                MESSAGING.address("external", family),
                helo=f"n{number}.stranger.example",
                mail_from=form.mail_from,
                rcpt_to=(form.rcpt_to,),
                message="Subject: pass it on\r\n\r\nplease",
            )
            for number, (form, family) in enumerate(EACH)
        ],
    )
    arrived: dict[str, list[str]] = {}
    for message in messaging.messages():
        arrived.setdefault(message["helo"], []).extend(to["destination_channel"] for to in message["recipients"])
    found = [Result(talk, tuple(arrived.pop(talk.dialogue.helo, ()))) for talk in talks]
    assert not arrived, "messages that nobody sent"
    return dict(zip(EACH, found))


@pytest.fixture(scope="module")
def results(lab: Lab, messaging: Messaging) -> dict[tuple[Form, int], Result]:
    """Return what became of all forms under the scenario's policy."""
    return try_all(lab, messaging)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_a_stranger_cannot_relay(
    results: dict[tuple[Form, int], Result], policy: dict[str, Any], form: Form, family: int
) -> None:
    talk, channels = results[form, family]
    refusal = f"550 5.7.1 {policy['mailhost_relay_rejection']}: {form.rcpt_to}"
    assert talk.codes("mail") == [250]
    assert talk.lines("rcpt") == [refusal]
    assert channels == ()


@pytest.fixture(scope="module")
def without(lab: Lab, messaging: Messaging, apply: Callable[..., Run]) -> Iterator[dict[tuple[Form, int], Result]]:
    """Return what became of all forms after the role took back what it had done; then it does it again."""
    done = apply(messaging_server_state="absent")
    assert (done.rc, done.changed) == (0, True), done
    yield try_all(lab, messaging)
    again = apply()
    assert (again.rc, again.changed) == (0, True), again


def test_without_the_role_the_same_stranger_relays(
    messaging: Messaging, without: dict[tuple[Form, int], Result]
) -> None:
    for name in ("imta.cnf", "mappings", "dispatcher.cnf"):
        assert messaging.read(name) == (STANDIN / name).read_text(), f"{name} is not the installer's"
    relayed = {form.rcpt_to for (form, family), result in without.items() if result.leaves}
    assert relayed >= set(TO_ELSEWHERE.values())
    assert relayed >= {path for name, path in TO_US_AND_ON.items() if "inner" in name}
    refused = [(form.name, family) for (form, family), result in without.items() if result.talk.verdict != "accepted"]
    assert refused == []
