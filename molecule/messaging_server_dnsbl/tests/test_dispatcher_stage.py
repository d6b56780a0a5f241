"""DNSBLs that the Dispatcher looks up by itself (M8); they work only as long as PORT_ACCESS lets it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from mailhost_lab.mail.messaging_server import USER
from mailhost_lab.scenarios.messaging_server_dnsbl import client, letter

if TYPE_CHECKING:
    from mailhost_lab.mail.dialogues import Talk
    from mailhost_lab.mail.messaging_server import Messaging

LookedUp = Callable[[], "list[tuple[str, str, str]]"]

CODES, GOOD = "codes.dnsbl.example", "good.dnsbl.example"
LISTED = "500 5.7.1 access_control: host 198.51.100.20 found on DNS list and rejected"
"""The vendor's text, which cannot be changed (docs/reference/messaging-server-facts.md#dispatcher-dnsbls)."""


@pytest.fixture(scope="module", autouse=True)
def _policy(deploy: Callable[..., Any]) -> None:
    lists = [{"zone": CODES, "stage": "dispatcher"}, {"zone": GOOD, "stage": "dispatcher"}]
    deploy(mailhost_dnsbls=lists, mailhost_dnsbl_exempt_networks=["198.51.100.21"])


def test_entries_of_other_stages_are_removed(messaging: Messaging) -> None:
    mappings = messaging.read("mappings")
    assert "dns_verify_domain" not in mappings
    assert "dnsbl.example" not in mappings
    options = [line for line in messaging.read("dispatcher.cnf").splitlines() if line.startswith("DNS_VERIFY_DOMAIN")]
    assert options == [f"DNS_VERIFY_DOMAIN={CODES}.", f"DNS_VERIFY_DOMAIN={GOOD}."]


def test_listed_client_gets_the_vendors_text(talk: Callable[..., list[Talk]], looked_up: LookedUp) -> None:
    (one,) = talk(client("198.51.100.20"))
    assert [step.line for step in one.steps] == [LISTED]
    assert looked_up() == [("TXT", "198.51.100.20", CODES)]


def test_unlisted_client_is_accepted(verdicts: Callable[..., dict[str, str]], looked_up: LookedUp) -> None:
    found = verdicts(
        {
            "not listed": letter("198.51.100.30"),
            "the null sender": letter("198.51.100.30", mail_from=""),
            "listed and exempt": letter("198.51.100.21"),
            "listed and internal": letter("198.51.100.84", rcpt_to=("b@remote.example",)),
            "internal over IPv6": letter("2001:db8:200::84"),
            "over IPv6": letter("2001:db8:100::20"),
            "listed, on 587": letter("198.51.100.20", dport=587, login=USER, rcpt_to=("b@remote.example",)),
        }
    )
    assert set(found.values()) == {"accepted"}
    # Two connections of one client; internal, exempt, and clients on 587 are not looked up.
    once = [(kind, "198.51.100.30", zone) for kind in ("A", "TXT") for zone in (CODES, GOOD)]
    assert looked_up() == sorted([*once, *once])


def test_entry_that_accepts_every_client_before_the_dnsbls_stops_the_run(
    verdicts: Callable[..., dict[str, str]], looked_up: LookedUp, other_mappings: Callable[[str, str], None]
) -> None:
    other_mappings("PORT_ACCESS\n\n", "PORT_ACCESS\n\n  *  $YEXTERNAL\n")
    assert verdicts({"listed": letter("198.51.100.20")}) == {"listed": "accepted"}
    assert looked_up() == []


def test_dns_outage_lets_connections_through(messaging: Messaging, verdicts: Callable[..., dict[str, str]]) -> None:
    with messaging.dns_outage():
        assert verdicts({"listed": letter("198.51.100.20")}) == {"listed": "accepted"}
    assert verdicts({"listed": letter("198.51.100.20")}) == {"listed": LISTED}
