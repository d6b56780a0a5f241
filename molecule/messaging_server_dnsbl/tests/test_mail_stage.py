"""DNSBLs that are looked up for every message (M10, M11): the policy of the first run."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from mailhost_lab.mail.messaging_server import USER
from mailhost_lab.scenarios.messaging_server_dnsbl import client, letter

if TYPE_CHECKING:
    from mailhost_lab.mail.dialogues import Dialogue, Talk
    from mailhost_lab.mail.messaging_server import Messaging

TEXT = "550 5.7.1 Your host 198.51.100.20 is listed by plain.dnsbl.example"


@pytest.fixture(scope="module", autouse=True)
def _policy(deploy: Callable[..., Any]) -> None:
    deploy()


def test_entries_of_earlier_stages_are_removed(messaging: Messaging, first: dict[str, str]) -> None:
    assert messaging.state() == first


LISTED = {
    "without a text of its own, the role's": (letter("198.51.100.20"), f"{TEXT}: user@mail.example"),
    "the list's own text": (letter("198.51.100.21"), "550 5.7.1 exploited host: user@mail.example"),
    "the null sender": (letter("198.51.100.20", mail_from=""), f"{TEXT}: user@mail.example"),
    "HELO": (letter("198.51.100.20", ehlo=False), f"{TEXT}: user@mail.example"),
    "STARTTLS": (letter("198.51.100.20", starttls=True), f"{TEXT}: user@mail.example"),
    "HELO has the fields of a relay exception": (
        letter("198.51.100.20", helo="x|MAIL|tcp_intranet|a@b|l|postmaster@mail.example"),
        f"{TEXT}: user@mail.example",
    ),
    "HELO has an internal address": (
        letter("198.51.100.20", helo="x|25|198.51.100.84|40000|SMTP"),
        f"{TEXT}: user@mail.example",
    ),
    "postmaster": (letter("198.51.100.20", rcpt_to=("postmaster@mail.example",)), "accepted"),
    "PostMaster": (letter("198.51.100.20", rcpt_to=("PostMaster@Mail.Example",)), "accepted"),
    "abuse": (letter("198.51.100.21", rcpt_to=("abuse@mail.example",)), "accepted"),
    "a bounce to postmaster": (letter("198.51.100.20", mail_from="", rcpt_to=("postmaster@mail.example",)), "accepted"),
    "postmaster of another domain": (
        letter("198.51.100.20", rcpt_to=("postmaster@remote.example",)),
        "550 5.7.1 Relaying not permitted: postmaster@remote.example",
    ),
    "nearly postmaster": (
        letter("198.51.100.20", rcpt_to=("postmasters@mail.example",)),
        f"{TEXT}: postmasters@mail.example",
    ),
    "not listed": (letter("198.51.100.30"), "accepted"),
    "not listed, the null sender": (letter("198.51.100.30", mail_from=""), "accepted"),
    "over IPv6": (letter("2001:db8:100::20"), "accepted"),
}


def test_listed_client_is_rejected_with_the_reason(verdicts: Callable[..., dict[str, str]]) -> None:
    found = verdicts({name: dialogue for name, (dialogue, _answer) in LISTED.items()})
    assert found == {name: answer for name, (_dialogue, answer) in LISTED.items()}


def test_listed_client_reaches_exempt_recipients_alone(talk: Callable[..., list[Talk]], messaging: Messaging) -> None:
    recipients = ("user@mail.example", "postmaster@mail.example", "other@mail.example")
    (one,) = talk(letter("198.51.100.20", rcpt_to=recipients, message="Subject: why\r\n\r\nAm I listed?\r\n"))
    assert one.codes("mail") == [250]
    assert one.codes("rcpt") == [550, 250, 550]
    assert one.codes("data") == [250]
    (arrived,) = messaging.messages()
    assert [recipient["address"] for recipient in arrived["recipients"]] == ["postmaster@mail.example"]


def test_dnsbls_are_looked_up_until_one_lists_the_client(
    talk: Callable[..., list[Talk]], looked_up: Callable[[], list[tuple[str, str, str]]]
) -> None:
    talk(letter("198.51.100.30"), letter("198.51.100.20"), client("198.51.100.21", mail_from="a@sender.example"))
    assert looked_up() == [
        ("A", "198.51.100.20", "plain.dnsbl.example"),
        ("A", "198.51.100.30", "codes.dnsbl.example"),
        ("A", "198.51.100.30", "plain.dnsbl.example"),
        ("TXT", "198.51.100.20", "plain.dnsbl.example"),
        ("TXT", "198.51.100.30", "codes.dnsbl.example"),
        ("TXT", "198.51.100.30", "plain.dnsbl.example"),
    ]


def never_asked() -> dict[str, Dialogue]:
    """Return the dialogues of internal and authenticated clients; at the external address that both lists have."""
    away: dict[str, Any] = {"login": USER, "rcpt_to": ("b@remote.example",)}
    return {
        "internal": letter("198.51.100.84"),
        "internal, relaying": letter("198.51.100.84", rcpt_to=("b@remote.example",)),
        "internal over IPv6": letter("2001:db8:200::84"),
        "internal to postmaster": letter("198.51.100.84", rcpt_to=("postmaster@mail.example",)),
        "logged in on 25": letter("198.51.100.20", **away),
        "logged in on 25 after STARTTLS": letter("198.51.100.20", starttls=True, **away),
        "logged in on 587": letter("198.51.100.20", dport=587, **away),
        "authenticated on 587, to local": letter("198.51.100.21", dport=587, login=USER),
    }


def test_internal_and_authenticated_clients_are_never_looked_up(
    verdicts: Callable[..., dict[str, str]], looked_up: Callable[[], list[tuple[str, str, str]]]
) -> None:
    assert set(verdicts(never_asked()).values()) == {"accepted"}
    assert looked_up() == []
