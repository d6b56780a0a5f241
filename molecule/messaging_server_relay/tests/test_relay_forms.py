"""What external clients try in order to have mail passed on, over IPv4 and IPv6, and what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from mailhost_lab.addresses import EXTERNAL, MESSAGING
from mailhost_lab.mail.dialogues import Dialogue, Talk, hold
from mailhost_lab.paths import LAB
from mailhost_lab.scenarios.relay import FAMILIES
from mailhost_lab.scenarios.relay_forms import EXTERNAL_SENDER, TO_ELSEWHERE, Form, forms, through

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailhost_lab.mail.messaging_server import Messaging
    from mailhost_lab.packets.probes import Lab
    from mailhost_lab.runs.plays import Run

STANDIN = LAB / "standin/root/opt/SUNWmsgsr/config"
MAILBOX = "l"
"""The channel of the mailboxes of this host; a message there goes nowhere else by these files."""

CHANNELS = {
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
"""Recipients that name a channel of Messaging Server."""

FORMS = (
    *forms(MESSAGING),
    *(Form(name, EXTERNAL_SENDER, path) for name, path in CHANNELS.items()),
    Form("sender: channel", "eve@tcp_intranet-daemon", "bob@remote.example"),
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
    """Hold all dialogues; every message that is accepted says in its HELO which it is."""
    messaging.clear()
    talks = hold(
        lab,
        [
            Dialogue(
                EXTERNAL.name,
                MESSAGING.address("external", family),
                helo=f"n{number}.sender.example",
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
    assert not arrived, "messages that no dialogue sent"
    return dict(zip(EACH, found))


@pytest.fixture(scope="module")
def results(lab: Lab, messaging: Messaging) -> dict[tuple[Form, int], Result]:
    """Return what became of all forms under the scenario's policy."""
    return try_all(lab, messaging)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_external_client_cannot_relay_by_any_form(
    results: dict[tuple[Form, int], Result], policy: dict[str, Any], form: Form, family: int
) -> None:
    talk, channels = results[form, family]
    refusal = f"550 5.7.1 {policy['mailhost_relay_rejection']}: {form.rcpt_to}"
    assert talk.codes("mail") == [250]
    assert talk.lines("rcpt") == [refusal]
    assert channels == ()


@pytest.fixture(scope="module")
def without(lab: Lab, messaging: Messaging, apply: Callable[..., Run]) -> Iterator[dict[tuple[Form, int], Result]]:
    """Return what became of all forms after the role was removed; then it is applied again."""
    done = apply(messaging_server_state="absent")
    assert (done.rc, done.changed) == (0, True), done
    yield try_all(lab, messaging)
    again = apply()
    assert (again.rc, again.changed) == (0, True), again


def test_external_client_relays_when_role_is_removed(
    messaging: Messaging, without: dict[tuple[Form, int], Result]
) -> None:
    for name in ("imta.cnf", "mappings", "dispatcher.cnf"):
        assert messaging.read(name) == (STANDIN / name).read_text(), f"{name} is not the installer's"
    relayed = {form.rcpt_to for (form, family), result in without.items() if result.leaves}
    assert relayed >= set(TO_ELSEWHERE.values())
    assert relayed >= {path for name, path in through(MESSAGING).items() if "internal" in name}
    rejected = [(form.name, family) for (form, family), result in without.items() if result.talk.verdict != "accepted"]
    assert rejected == []
