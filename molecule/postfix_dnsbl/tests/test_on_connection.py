"""DNSBLs that postscreen looks up for every connection, with points."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from mailhost_lab.mail.postfix import ANN
from mailhost_lab.scenarios.postfix_dnsbl import INNER, KEYED, client, letter

if TYPE_CHECKING:
    from mailhost_lab.mail.dialogues import Dialogue, Talk
    from mailhost_lab.mail.postfix import Postfix

LookedUp = Callable[[], "list[tuple[str, str, str]]"]

LISTS: list[dict[str, Any]] = [
    {"zone": "wrong.dnsbl.example", "return_codes": ["127.0.0.0-127.255.254.255"]},
    {"zone": "failing.dnsbl.example", "return_codes": ["127.0.0.2"]},
    {"zone": "slow.dnsbl.example", "return_codes": ["127.0.0.2"]},
    {"zone": "codes.dnsbl.example", "return_codes": ["127.0.0.3-127.0.0.9"]},
    {"zone": "plain.dnsbl.example", "return_codes": ["127.0.0.2"]},
    {"zone": "good.dnsbl.example", "return_codes": ["127.0.0.2"], "text": "see http://mail.example/ for {client}"},
    {"zone": KEYED, "return_codes": ["127.0.0.2"]},
]
ZONES = sorted(one["zone"] for one in LISTS)
VALUES: dict[str, Any] = {
    "mailhost_dnsbls": [{**one, "stage": "connect"} for one in LISTS],
    "postfix_dnsbl_threshold": 3,
    "postfix_dnsbl_weights": {"codes.dnsbl.example": 2, "plain.dnsbl.example": 1, "good.dnsbl.example": 2},
    # No client is remembered, and external ones wait three seconds instead of six, also for answers of lists.
    "postfix_extra_settings": {"max_use": 1, "postscreen_greet_wait": "3s", "postscreen_cache_map": ""},
}

BLOCKED = "550 5.7.1 Service unavailable; client [{}] blocked using {}"
GOOD = BLOCKED.format("198.51.100.20", "good.dnsbl.example; see http://mail.example/ for at this address")
CLIENTS = {
    "two lists together": (letter("198.51.100.20"), GOOD),
    "two lists together, to postmaster": (letter("198.51.100.20", rcpt_to=("postmaster@mail.example",)), GOOD),
    "too few points": (letter("198.51.100.21"), "accepted"),
    "a list without points of its own": (
        letter("198.51.100.22"),
        BLOCKED.format("198.51.100.22", "keyed.dnsbl.example"),
    ),
    "over IPv6": (letter("2001:db8:100::22"), BLOCKED.format("2001:db8:100::22", "keyed.dnsbl.example")),
    "errors, failure and time-out": (
        letter("198.51.100.30", rcpt_to=("post@mail.example", "bob@mail.example")),
        "accepted",
    ),
    "not listed, over IPv6": (letter("2001:db8:100::20"), "accepted"),
}


@pytest.fixture(scope="module", autouse=True)
def _policy(deploy: Callable[..., None]) -> None:
    deploy(**VALUES)


def test_points_of_dnsbls_decide_and_errors_have_none(talk: Callable[..., list[Talk]], looked_up: LookedUp) -> None:
    found = dict(zip(CLIENTS, talk(*(dialogue for dialogue, _answer in CLIENTS.values()))))
    assert {name: one.verdict for name, one in found.items()} == {name: text for name, (_who, text) in CLIENTS.items()}
    asked = [(address, zone) for kind, address, zone in looked_up() if kind == "A"]
    assert set(asked) == {(dialogue.source, zone) for dialogue, _answer in CLIENTS.values() for zone in ZONES}
    # A connection costs one question to each list, however many recipients it has.
    assert [zone for address, zone in asked if address == "198.51.100.30"] == ZONES


def never_asked() -> dict[str, Dialogue]:
    """Return the dialogues of internal, exempt and authenticated clients."""
    away: dict[str, Any] = {"login": ANN, "mail_from": ANN[0], "rcpt_to": ("b@remote.example",)}
    return {
        "internal": letter(INNER[4], rcpt_to=("b@remote.example",)),
        "internal over IPv6": letter(INNER[6]),
        "exempt": letter("198.51.100.23"),
        "exempt over IPv6": letter("2001:db8:100::23"),
        "logged in on 587": letter("198.51.100.20", dport=587, starttls=True, **away),
        "logged in on 465": letter("198.51.100.22", dport=465, tls=True, **away),
    }


def test_internal_exempt_and_authenticated_clients_are_never_looked_up(
    verdicts: Callable[..., dict[str, str]], looked_up: LookedUp
) -> None:
    assert set(verdicts(never_asked()).values()) == {"accepted"}
    assert looked_up() == []


def test_dns_outage_lets_mail_through(verdicts: Callable[..., dict[str, str]], postfix: Postfix) -> None:
    silent = {"listed": letter("198.51.100.20", mail_from=""), "greeting alone": client("198.51.100.22")}
    with postfix.dns_outage():
        assert verdicts(silent) == dict.fromkeys(silent, "accepted")
