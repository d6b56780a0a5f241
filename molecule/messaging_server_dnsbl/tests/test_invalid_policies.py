"""DNSBLs that are an error on the controller, before any host is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mailhost_lab.addresses import UNREACHABLE

if TYPE_CHECKING:
    from mailhost_lab.runs.plays import Run

CLOSED = {
    "relays.maps.vix.com": "closed in 2001-07; MAPS left these zones",
    "dnsbl.sorbs.net": "closed in 2024-06; SORBS was shut down and its zones are empty",
    "dnsbl.ahbl.org": "closed in 2015; AHBL was shut down and lists everything",
}


def refusals(role: Callable[..., Run], lists: list[Any]) -> list[str]:
    """Return the errors of lists that are found although the host cannot be reached."""
    done = role(mailhost_dnsbls=lists, ansible_host=UNREACHABLE)
    assert [line["outcome"] for line in done.results[-1:]] == ["failed"], str(done)
    return [line.strip(" -") for line in done.message.splitlines() if "mailhost_dnsbls[" in line]


def test_closed_dnsbls_are_an_error_with_their_dates(role: Callable[..., Run]) -> None:
    lists = [
        {"zone": "plain.dnsbl.example", "stage": "mail"},
        *({"zone": zone, "stage": "mail"} for zone in CLOSED),
        {"zone": "Plain.dnsbl.example.", "stage": "connect"},
        {"zone": "codes.dnsbl.example", "stage": "data"},
        {"zone": "good.dnsbl.example", "stage": "mail", "return_codes": ["127.0.0.2", "127.255.255.254"]},
    ]
    found = refusals(role, lists)
    for number, (zone, why) in enumerate(CLOSED.items(), 1):
        assert f'mailhost_dnsbls[{number}].zone: "{zone}" {why}; remove it' in found
    rest = [line.split(":")[0] for line in found[len(CLOSED) :]]
    assert rest == ["mailhost_dnsbls[4].zone", "mailhost_dnsbls[5].stage", "mailhost_dnsbls[6].return_codes[1]"]


def test_options_that_the_dispatcher_lacks_are_an_error(role: Callable[..., Run]) -> None:
    six = [{"zone": f"{letter}.dnsbl.example", "stage": "dispatcher"} for letter in "abcdef"]
    six[1]["text"] = "Go away"
    connect = {"zone": "plain.dnsbl.example", "stage": "connect"}
    found = refusals(role, [connect, *six])
    assert [line.split(":")[0] for line in found] == [
        "mailhost_dnsbls[6].stage",
        "mailhost_dnsbls[2].text",
        "mailhost_dnsbls[0].stage",
    ]
    assert found[0].endswith(
        '"f.dnsbl.example" is list number 6 of the dispatcher, which queries 5; write connect or mail'
    )
    assert found[1].endswith("the dispatcher has its own text; leave it out, or write stage connect")
    assert "an entry of PORT_ACCESS that matches every external client" in found[2]
    assert found[2].endswith("then the dispatcher does not query mailhost_dnsbls[1]; write one stage for both")
