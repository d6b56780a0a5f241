"""The tests that postscreen makes before it hands an external client to the mail server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from mailhost_lab.addresses import POSTFIX
from mailhost_lab.mail import raw_smtp
from mailhost_lab.packets import endpoints
from mailhost_lab.scenarios.postfix_dnsbl import INNER, letter

if TYPE_CHECKING:
    from mailhost_lab.mail.dialogues import Dialogue
    from mailhost_lab.packets.probes import Lab

VALUES: dict[str, Any] = {
    "mailhost_dnsbls": [{"zone": "plain.dnsbl.example", "stage": "connect", "return_codes": ["127.0.0.2"]}],
    "mailhost_dnsbl_exempt_networks": [],
    "postfix_postscreen_tests": ["pregreet", "pipelining", "non_smtp_command", "bare_newline"],
    "postfix_extra_settings": {"postscreen_greet_wait": "2s"},
}

EARLY, PIPELINED, BROWSER, BARE, PATIENT = (f"198.51.100.{last}" for last in (16, 17, 18, 19, 27))
"""External addresses that no DNSBL lists, one for each; postscreen remembers them."""

EHLO, MAIL, RCPT = "EHLO client.example\r\n", "MAIL FROM:<a@sender.example>\r\n", "RCPT TO:<bob@mail.example>\r\n"
SESSIONS: dict[str, tuple[tuple[str, int], ...]] = {
    EARLY: ((EHLO, 1), (MAIL, 1), (RCPT, 1)),
    PIPELINED: ((EHLO, 1), (MAIL + RCPT, 2)),
    BROWSER: (("GET / HTTP/1.1\r\n", 1), (EHLO, 1), (MAIL, 1), (RCPT, 1)),
    BARE: (("EHLO client.example\n", 1), (MAIL, 1), (RCPT, 1)),
}


@pytest.fixture(scope="module", autouse=True)
def _policy(deploy: Callable[..., None], lab: Lab) -> Iterator[None]:
    deploy(**VALUES)
    with endpoints.addresses(lab, "external", *SESSIONS, PATIENT):
        yield


def test_client_that_breaks_the_protocol_is_rejected(lab: Lab) -> None:
    sessions = [
        raw_smtp.Raw(
            "external", POSTFIX.address("external", 4), pieces, source=source, early=EHLO if source == EARLY else ""
        )
        for source, pieces in SESSIONS.items()
    ]
    last = {one.source: said for one, said in zip(sessions, raw_smtp.send(lab, sessions))}
    assert {source: said[-1] for source, said in last.items()} == dict.fromkeys(SESSIONS, "550 5.5.1 Protocol error")


def test_client_that_keeps_to_the_protocol_is_deferred_once_then_accepted(
    verdicts: Callable[..., dict[str, str]],
) -> None:
    """As docs/postfix.md warns: the tests end after the banner, so no client can be handed over in the same session."""
    patient: dict[str, Dialogue] = {"patient": letter(PATIENT)}
    assert verdicts(patient)["patient"].startswith("450 4.3.2 ")
    assert verdicts(patient) == {"patient": "accepted"}


def test_internal_client_is_accepted_at_once(verdicts: Callable[..., dict[str, str]]) -> None:
    internal = {"IPv4": letter(INNER[4]), "IPv6": letter(INNER[6])}
    assert verdicts(internal) == dict.fromkeys(internal, "accepted")
