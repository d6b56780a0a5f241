"""DNSBLs that are looked up for every message: the policy of the first run."""

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

PLAIN = "550 5.7.1 Your host 198.51.100.20 is listed by plain.dnsbl.example"
CODES = "550 5.7.1 No mail from 198.51.100.21 - see http://mail.example/"
KEYED_TEXT = "550 5.7.1 Your host {} is listed by keyed.dnsbl.example"
MESSAGE = "Subject: why\r\n\r\nAm I listed?\r\n"
ZONES = (
    "wrong.dnsbl.example",
    "failing.dnsbl.example",
    "codes.dnsbl.example",
    "plain.dnsbl.example",
    KEYED,
    "good.dnsbl.example",
    "slow.dnsbl.example",
)
"""In the order in which they are asked."""


@pytest.fixture(scope="module", autouse=True)
def _policy(deploy: Callable[..., None]) -> None:
    deploy()


LISTED = {
    "an address alone": (letter("198.51.100.20"), PLAIN),
    "a code that counts, and our text": (letter("198.51.100.21"), CODES),
    "by the list of a paying user": (letter("198.51.100.22"), KEYED_TEXT.format("198.51.100.22")),
    "over IPv6": (letter("2001:db8:100::22"), KEYED_TEXT.format("2001:db8:100::22")),
    "the null sender": (letter("198.51.100.20", mail_from=""), PLAIN),
    "HELO": (letter("198.51.100.20", ehlo=False), PLAIN),
    "STARTTLS": (letter("198.51.100.20", starttls=True), PLAIN),
    "a local sender": (letter("198.51.100.20", mail_from="ann@mail.example"), PLAIN),
    "upper case": (letter("198.51.100.20", rcpt_to=("POST@MAIL.EXAMPLE",)), PLAIN),
    "postmaster": (letter("198.51.100.20", rcpt_to=("postmaster@mail.example",)), "accepted"),
    "PostMaster": (letter("198.51.100.20", rcpt_to=("PostMaster@Mail.Example",)), "accepted"),
    "postmaster alone": (letter("198.51.100.20", rcpt_to=("postmaster",)), "accepted"),
    "abuse": (letter("198.51.100.21", rcpt_to=("abuse@mail.example",)), "accepted"),
    "a bounce to postmaster": (letter("198.51.100.20", mail_from="", rcpt_to=("postmaster@mail.example",)), "accepted"),
    "postmaster of another domain": (
        letter("198.51.100.20", rcpt_to=("postmaster@remote.example",)),
        "550 5.7.1 <postmaster@remote.example>: Recipient address rejected: Relaying not permitted",
    ),
    "nearly postmaster": (letter("198.51.100.20", rcpt_to=("postmaster+ann@mail.example",)), PLAIN),
    "errors of all kinds, 127.255.255.255 too": (letter("198.51.100.30"), "accepted"),
    "not listed, the null sender": (letter("198.51.100.30", mail_from=""), "accepted"),
    "not listed, over IPv6": (letter("2001:db8:100::20"), "accepted"),
}


def test_listed_client_is_rejected_with_the_reason(
    verdicts: Callable[..., dict[str, str]], looked_up: LookedUp
) -> None:
    found = verdicts({name: dialogue for name, (dialogue, _answer) in LISTED.items()})
    assert found == {name: answer for name, (_dialogue, answer) in LISTED.items()}
    # The errors were really there: .20 has 127.255.255.252 and is rejected by another list alone, .21 has .254.
    asked = {(address, zone) for _kind, address, zone in looked_up()}
    assert {(f"198.51.100.{end}", "wrong.dnsbl.example") for end in ("20", "21", "30")} <= asked


def test_listed_client_reaches_exempt_recipients_alone(talk: Callable[..., list[Talk]], postfix: Postfix) -> None:
    recipients = ("post@mail.example", "abuse@mail.example", "bob@mail.example")
    listed, other = talk(
        letter("198.51.100.20", rcpt_to=recipients, message=MESSAGE), letter("198.51.100.30", message=MESSAGE)
    )
    assert (listed.codes("mail"), listed.codes("rcpt"), listed.codes("data")) == ([250], [550, 250, 550], [250])
    assert other.verdict == "accepted"
    postfix.drain()
    assert [one.rcpt_to for one in postfix.mailbox("ann")] == ["post@mail.example"]
    assert postfix.mailbox("bob") == []


def test_dnsbls_are_looked_up_until_one_lists_the_client(talk: Callable[..., list[Talk]], looked_up: LookedUp) -> None:
    talk(letter("198.51.100.30"), letter("198.51.100.20"), client("198.51.100.21", mail_from="a@sender.example"))
    found = looked_up()
    assert [one for one in found if one[0] == "A"] == sorted(
        [
            *(("A", "198.51.100.30", zone) for zone in ZONES),
            *(("A", "198.51.100.20", zone) for zone in ZONES[: ZONES.index("plain.dnsbl.example") + 1]),
        ]
    )
    # Postfix asks for the text of any answer, also of one that does not count; it is not shown.
    answers = [*(("20", zone) for zone in ("codes", "plain", "wrong")), ("30", "wrong")]
    texts = [("TXT", f"198.51.100.{end}", f"{zone}.dnsbl.example") for end, zone in answers]
    assert [one for one in found if one[0] != "A"] == texts


def never_asked() -> dict[str, Dialogue]:
    """Return the dialogues of internal, exempt and authenticated clients, and to a postmaster; most are listed."""
    away: dict[str, Any] = {"login": ANN, "mail_from": ANN[0], "rcpt_to": ("b@remote.example",)}
    return {
        "internal": letter(INNER[4]),
        "internal, relaying": letter(INNER[4], rcpt_to=("b@remote.example",)),
        "internal over IPv6": letter(INNER[6]),
        "internal, the null sender": letter(INNER[4], mail_from=""),
        "exempt": letter("198.51.100.23"),
        "exempt over IPv6": letter("2001:db8:100::23"),
        "to postmaster": letter("198.51.100.20", rcpt_to=("postmaster@mail.example",)),
        "to abuse": letter("198.51.100.22", rcpt_to=("Abuse@mail.example",)),
        "logged in on 587": letter("198.51.100.20", dport=587, starttls=True, **away),
        "logged in on 465": letter("198.51.100.22", dport=465, tls=True, **away),
        "authenticated, to local": letter(
            "198.51.100.21", dport=587, starttls=True, **{**away, "rcpt_to": ("post@mail.example",)}
        ),
    }


def test_internal_exempt_and_authenticated_clients_are_never_looked_up(
    verdicts: Callable[..., dict[str, str]], looked_up: LookedUp
) -> None:
    assert set(verdicts(never_asked()).values()) == {"accepted"}
    assert looked_up() == []


def test_dnsbls_that_do_not_answer_let_mail_through(
    verdicts: Callable[..., dict[str, str]], postfix: Postfix, role: Callable[..., Any]
) -> None:
    with postfix.dns_outage():
        found = verdicts({"listed": letter("198.51.100.20", mail_from="", message=MESSAGE)})
        again = role()
    assert found == {"listed": "accepted"}
    assert (again.rc, again.changed) == (0, False), "a list that is in use is not tested again"
    postfix.drain()
    assert len(postfix.mailbox("ann")) == 1
