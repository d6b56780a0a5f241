"""DNSBLs that are an error on the controller, before any host is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mailhost_lab.addresses import UNREACHABLE
from mailhost_lab.scenarios.postfix_dnsbl import KEY, KEYED

if TYPE_CHECKING:
    from mailhost_lab.runs.plays import Run

LISTED = ["127.0.0.2"]


def refusals(role: Callable[..., Run], lists: list[dict[str, Any]]) -> list[str]:
    """Return the errors that are found although the host cannot be reached."""
    done = role(mailhost_dnsbls=lists, ansible_host=UNREACHABLE)
    assert [line["outcome"] for line in done.results[-1:]] == ["failed"], str(done)
    assert KEY not in done.message
    found = [line.strip(" -") for line in done.message.splitlines() if "mailhost_dnsbls[" in line]
    return sorted(line.split(": ")[0] for line in found)


def test_dnsbl_without_return_codes_is_an_error(role: Callable[..., Run]) -> None:
    lists: list[dict[str, Any]] = [
        {"zone": "plain.dnsbl.example", "stage": "mail"},
        {"zone": KEYED, "stage": "connect"},
    ]
    found = refusals(role, lists)
    assert found == ["mailhost_dnsbls[0].return_codes", "mailhost_dnsbls[1].return_codes"]


def test_return_codes_that_include_error_codes_are_an_error(role: Callable[..., Run]) -> None:
    lists: list[dict[str, Any]] = [
        {"zone": KEYED, "stage": "connect", "return_codes": []},
        {"zone": "good.dnsbl.example", "stage": "mail", "return_codes": [*LISTED, "127.255.255.254"]},
        {"zone": "codes.dnsbl.example", "stage": "mail", "return_codes": ["127.0.0.2-127.255.255.252"]},
        {"zone": "plain.dnsbl.example", "stage": "mail", "return_codes": ["127.0.0.0/8"]},
        {"zone": "dnsbl.sorbs.net", "stage": "mail", "return_codes": LISTED},
    ]
    assert refusals(role, lists) == [
        "mailhost_dnsbls[0].return_codes",
        "mailhost_dnsbls[1].return_codes[1]",
        "mailhost_dnsbls[2].return_codes[0]",
        "mailhost_dnsbls[3].return_codes[0]",
        "mailhost_dnsbls[4].zone",
    ]


def test_points_of_a_dnsbl_at_stage_mail_are_an_error(role: Callable[..., Run]) -> None:
    done = role(postfix_dnsbl_weights={"plain.dnsbl.example": 2}, ansible_host=UNREACHABLE)
    assert (
        'postfix_dnsbl_weights["plain.dnsbl.example"]: is no list of mailhost_dnsbls with stage connect' in done.message
    )
