"""The check that a sender's domain exists."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from mailhost_lab.mail.postfix import ANN
from mailhost_lab.scenarios.postfix_dnsbl import INNER, letter

if TYPE_CHECKING:
    from mailhost_lab.mail.dialogues import Dialogue
    from mailhost_lab.mail.postfix import Postfix

REJECTED = {
    "nosuch.example": "550 5.1.8 <a@nosuch.example>: Sender address rejected: Domain not found",
    # Server failure and refusal: the sender may come again.
    "x.expired.dnsbl.example": "450 4.1.8 <a@x.expired.dnsbl.example>: Sender address rejected: Domain not found",
    "broken.example": "450 4.1.8 <a@broken.example>: Sender address rejected: Domain not found",
}
EXISTING = ("sender.example", "Sender.EXAMPLE", "mxonly.example", "aonly.example", "remote.example", "mail.example")


@pytest.fixture(scope="module", autouse=True)
def _policy(deploy: Callable[..., None]) -> None:
    deploy()


def sender(domain: str, address: str = "198.51.100.23") -> Dialogue:
    """Return the dialogue of an external client, exempt from the lists, with a sender of a domain."""
    return letter(address, mail_from=f"a@{domain}" if domain else "")


def test_sender_domains_are_accepted_if_they_exist(verdicts: Callable[..., dict[str, str]]) -> None:
    found = verdicts({domain: sender(domain) for domain in (*EXISTING, "", *REJECTED)})
    assert found == {**dict.fromkeys((*EXISTING, ""), "accepted"), **REJECTED}


def test_internal_senders_and_the_null_sender_cost_no_look_up(
    verdicts: Callable[..., dict[str, str]], postfix: Postfix
) -> None:
    login = {"login": ANN, "mail_from": ANN[0]}
    found = verdicts(
        {
            "internal": sender("nosuch.example", INNER[4]),
            "internal over IPv6": sender("silent.example", INNER[6]),
            "null sender": sender(""),
            "logged in": letter("198.51.100.20", dport=587, starttls=True, **login),
        }
    )
    assert set(found.values()) == {"accepted"}
    assert not {name for _kind, name in postfix.queries()} & {"nosuch.example", "silent.example"}
