"""The check that a sender's domain exists (M7), in both forms; in the mapping it comes after the DNSBLs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from mailhost_lab.mail.messaging_server import USER
from mailhost_lab.scenarios.messaging_server_dnsbl import KEYED, KEYED_POLICY, letter

if TYPE_CHECKING:
    from mailhost_lab.mail.dialogues import Dialogue
    from mailhost_lab.mail.messaging_server import Messaging

POLICIES: dict[str, dict[str, Any]] = {"keyword": {}, "mapping": KEYED_POLICY}
"""By the form of the check: what differs from the policy of the first run."""

REFUSALS = {
    "keyword": "550 5.1.8 unknown host or domain: a@nosuch.example",
    "mapping": "550 5.7.1 Invalid sender domain nosuch.example: user@mail.example",
}


@pytest.fixture(scope="module", params=POLICIES)
def form(deploy: Callable[..., Any], request: pytest.FixtureRequest) -> str:
    """Return the form of the check that is in force."""
    deploy(**POLICIES[request.param])
    return str(request.param)


def sender(domain: str, **values: Any) -> Dialogue:
    """Return the dialogue of an external client, listed nowhere, with a sender of a domain."""
    return letter("2001:db8:100::20", mail_from=f"a@{domain}" if domain else "", **values)


def test_sender_domains_that_exist_or_do_not_resolve_are_accepted(
    form: str, verdicts: Callable[..., dict[str, str]], messaging: Messaging
) -> None:
    domains = ["sender.example", "aonly.example", "Sender.EXAMPLE", "silent.example", "broken.example", ""]
    if form == "keyword":
        domains.append("mxonly.example")
    assert verdicts({domain: sender(domain) for domain in domains}) == dict.fromkeys(domains, "accepted")
    assert {name.lower() for _kind, name in messaging.queries()} == {domain.lower() for domain in domains if domain}


def test_sender_domains_that_do_not_exist_are_rejected(form: str, verdicts: Callable[..., dict[str, str]]) -> None:
    assert verdicts(
        {
            "external": sender("nosuch.example"),
            "internal": letter("198.51.100.84", mail_from="a@nosuch.example"),
            "logged in": sender("nosuch.example", dport=587, login=USER),
            "logged in on 25": sender("nosuch.example", login=USER, rcpt_to=("b@remote.example",)),
        }
    ) == {"external": REFUSALS[form], "internal": "accepted", "logged in": "accepted", "logged in on 25": "accepted"}


@pytest.mark.parametrize("form", ["mapping"], indirect=True)
@pytest.mark.usefixtures("form")
def test_dnsbls_decide_before_the_domain_check_and_no_key_is_shown(
    verdicts: Callable[..., dict[str, str]], looked_up: Callable[[], list[tuple[str, str, str]]]
) -> None:
    listed = "550 5.7.1 198.51.100.20 is listed, see http://good.dnsbl.example/: user@mail.example"
    found = {
        "listed": (letter("198.51.100.20"), listed),
        "listed, and no domain": (letter("198.51.100.20", mail_from="a@nosuch.example"), listed),
        "by the list of a paying user": (
            letter("198.51.100.21"),
            "550 5.7.1 Your host 198.51.100.21 is listed by lists.example: user@mail.example",
        ),
        "exempt": (letter("198.51.100.30"), "accepted"),
        "exempt, and no domain": (letter("198.51.100.30", mail_from="a@nosuch.example"), "accepted"),
        "internal, and listed": (letter("198.51.100.84", rcpt_to=("b@remote.example",)), "accepted"),
    }
    answers = verdicts({name: dialogue for name, (dialogue, _answer) in found.items()})
    assert answers == {name: answer for name, (_dialogue, answer) in found.items()}
    # Nothing about exempt and internal clients.
    assert {(address, zone) for _kind, address, zone in looked_up()} == {
        ("198.51.100.20", KEYED),
        ("198.51.100.20", "good.dnsbl.example"),
        ("198.51.100.21", KEYED),
    }
