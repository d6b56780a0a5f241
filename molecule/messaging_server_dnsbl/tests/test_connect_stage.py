"""DNSBLs that are looked up for every connection to port 25 (M9, M11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from mailhost_lab.mail.messaging_server import USER
from mailhost_lab.scenarios.messaging_server_dnsbl import client, letter

if TYPE_CHECKING:
    from mailhost_lab.mail.dialogues import Talk
    from mailhost_lab.mail.messaging_server import Messaging
    from mailhost_lab.runs.plays import Run

LookedUp = Callable[[], "list[tuple[str, str, str]]"]

PLAIN = {"zone": "plain.dnsbl.example", "stage": "connect", "text": "No mail from {client} - see http://mail.example/"}
CODES = {"zone": "codes.dnsbl.example", "stage": "connect"}
OUR_TEXT = "500 5.7.1 No mail from 198.51.100.20 - see http://mail.example/"
CLIENTS = {
    "our text": (client("198.51.100.20"), OUR_TEXT),
    "the list's text": (client("198.51.100.21"), "500 5.7.1 exploited host"),
    "not listed": (letter("198.51.100.30"), "accepted"),
    "not listed, null sender": (letter("198.51.100.30", mail_from=""), "accepted"),
    "over IPv6": (letter("2001:db8:100::20"), "accepted"),
    "internal": (letter("198.51.100.84", rcpt_to=("b@remote.example",)), "accepted"),
    "on 587": (letter("198.51.100.20", dport=587, login=USER, rcpt_to=("b@remote.example",)), "accepted"),
}


@pytest.fixture(scope="module", autouse=True)
def _policy(deploy: Callable[..., Any]) -> None:
    deploy(mailhost_dnsbls=[PLAIN, CODES])


def test_entries_of_other_stages_are_removed(messaging: Messaging) -> None:
    assert "ORIG_MAIL_ACCESS" not in messaging.read("mappings")
    assert "DNS_VERIFY_DOMAIN" not in messaging.read("dispatcher.cnf")


def test_listed_client_gets_one_line(talk: Callable[..., list[Talk]]) -> None:
    talks = talk(*(dialogue for dialogue, _answer in CLIENTS.values()))
    found = dict(zip(CLIENTS, talks))
    assert {name: one.verdict for name, one in found.items()} == {name: text for name, (_who, text) in CLIENTS.items()}
    for name in ("our text", "the list's text"):
        assert [step.name for step in found[name].steps] == ["connect"]


def test_connection_looks_up_each_dnsbl_once(
    talk: Callable[..., list[Talk]], looked_up: LookedUp, other_mappings: Callable[[str, str], None]
) -> None:
    once = [(kind, "198.51.100.30", zone) for kind in ("A", "TXT") for zone in (CODES["zone"], PLAIN["zone"])]
    talk(letter("198.51.100.30", rcpt_to=("user@mail.example", "other@mail.example")))
    assert looked_up() == once
    # The server asks PORT_ACCESS as well. Without our flag that costs the look-ups again, so the above can fail.
    other_mappings("$C$:A$[", "$C$[")
    talk(letter("198.51.100.30"))
    assert looked_up() == sorted([*once, *once])


def test_internal_clients_587_and_listed_clients_cost_no_look_up(
    talk: Callable[..., list[Talk]], looked_up: LookedUp
) -> None:
    talk(
        client("198.51.100.20"),
        client("198.51.100.21", dport=587),
        letter("198.51.100.84"),
        letter("2001:db8:200::84"),
    )
    assert looked_up() == [("A", "198.51.100.20", PLAIN["zone"]), ("TXT", "198.51.100.20", PLAIN["zone"])]


@pytest.fixture(scope="module")
def exempt(deploy: Callable[..., Any]) -> dict[str, Any]:
    """Have an exempt client, and one DNSBL looked up later; returns the policy."""
    values = {
        "mailhost_dnsbls": [CODES, {"zone": "plain.dnsbl.example", "stage": "mail"}],
        "mailhost_dnsbl_exempt_networks": ["198.51.100.21", "198.51.100.30-198.51.100.39"],
    }
    deploy(**values)
    return values


@pytest.mark.usefixtures("exempt")
def test_exempt_client_is_never_looked_up(verdicts: Callable[..., dict[str, str]], looked_up: LookedUp) -> None:
    numbers = ("20", "21", "30")
    assert verdicts({number: letter(f"198.51.100.{number}") for number in numbers}) == {
        "20": "500 5.7.1 dynamic address",
        "21": "accepted",
        "30": "accepted",
    }
    assert looked_up() == [("TXT", "198.51.100.20", CODES["zone"])]


def test_dns_outage_lets_mail_through(
    messaging: Messaging,
    verdicts: Callable[..., dict[str, str]],
    role: Callable[..., Run],
    exempt: dict[str, Any],
) -> None:
    listed = {"listed": letter("198.51.100.20")}
    with messaging.dns_outage():
        # Asked by both lists, one at each stage, and for the domain of the sender.
        found = verdicts({**listed, "no domain": letter("198.51.100.20", mail_from="a@nosuch.example")})
        again = role(**exempt)
    assert set(found.values()) == {"accepted"}
    assert (again.rc, again.changed) == (0, False), "a list that is in use is not tested again"
    assert verdicts(listed) == {"listed": "500 5.7.1 dynamic address"}
