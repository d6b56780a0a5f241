"""Lists that fail the self-test, which each one has to pass before it is put to use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from mailhost_lab.scenarios import dnsbl
from mailhost_lab.scenarios.messaging_server_dnsbl import KEY, KEYED, KEYED_LISTS, KEYED_POLICY, letter

if TYPE_CHECKING:
    from mailhost_lab.mail.messaging_server import Messaging
    from mailhost_lab.runs.plays import Run

WOULD_REJECT = "Messaging Server would take that for a listing and reject all mail"
NO_ANSWER = "the host's resolver gets no answer from it (time-out or server failure)"
NO_ENTRY = "it does not list its test entry 127.0.0.2 (RFC 5782), as a DNSBL does that has closed or was misspelt"
FAULTS = {
    "typo.dnsbl.example": f"it answers 127.255.255.252: the zone's name has a typing error. {WOULD_REJECT}",
    "open.dnsbl.example": "it answers 127.255.255.254: the DNSBL does not answer public or shared resolvers; "
    f"use a resolver of your own. {WOULD_REJECT}",
    "limit.dnsbl.example": "it answers 127.255.255.255: this resolver has sent too many queries; "
    f"the DNSBL requires an agreement. {WOULD_REJECT}",
    "dead.dnsbl.example": "it lists 127.0.0.1 (127.0.0.2), as a DNSBL does that has closed and lists every address",
    "empty.dnsbl.example": NO_ENTRY,
    "expired.dnsbl.example": NO_ANSWER,
    "silent.dnsbl.example": NO_ANSWER,
    "nosuch.dnsbl.example": NO_ANSWER,
    # Its name is the end of one that is in use.
    "lists.example": NO_ENTRY,
}


def failing(*without: str) -> list[dict[str, Any]]:
    """Return the lists that are in use and then those that fail, at two stages."""
    return [*KEYED_LISTS, *dnsbl.failing(FAULTS, without)]


@pytest.fixture(scope="module", autouse=True)
def _usable(deploy: Callable[..., Any]) -> None:
    deploy(**KEYED_POLICY)


def test_dnsbls_that_fail_the_self_test_stop_the_run(stopped: Callable[..., str]) -> None:
    lists = failing()
    other_key = {"zone": f"x{KEYED}", "stage": "mail"}
    message = stopped(**{**KEYED_POLICY, "mailhost_dnsbls": [*lists, other_key]})
    hint = (
        "remove it, correct its zone or the host's resolver, "
        "or write messaging_server_unusable_dnsbls: skip to go on without it"
    )
    shown = f'mailhost_dnsbls[{len(lists)}].zone: "lists.example" cannot be used: {NO_ENTRY}; {hint}'
    said = {line.strip(" -") for line in message.splitlines() if "cannot be used" in line}
    assert said == {*dnsbl.problems(FAULTS, hint, lists), shown}
    assert KEY not in message


def test_dnsbls_that_fail_the_self_test_are_left_out_with_a_warning(
    role: Callable[..., Run], messaging: Messaging, verdicts: Callable[..., dict[str, str]]
) -> None:
    lists = [*failing("silent.dnsbl.example"), {"zone": "codes.dnsbl.example", "stage": "mail"}]
    values = {**KEYED_POLICY, "mailhost_dnsbls": lists, "messaging_server_unusable_dnsbls": "skip"}
    runs = [role(**values), role(**values)]
    for done in runs:
        assert done.rc == 0, str(done)
        (result,) = [one["result"] for one in done.results if "warnings" in one["result"]]
        assert set(result["warnings"]) == dnsbl.problems(FAULTS, "it is left out", lists)
        assert " ".join(done.stdout.split()).count("cannot be used") == len(FAULTS) - 1
    assert [done.changed for done in runs] == [True, False]
    used = messaging.read("mappings") + messaging.read("dispatcher.cnf")
    assert "codes.dnsbl.example." in used
    assert not [zone for zone in FAULTS if f",{zone}." in used]
    assert verdicts({"not listed": letter("2001:db8:100::20"), "listed": letter("198.51.100.21")}) == {
        "not listed": "accepted",
        "listed": "550 5.7.1 Your host 198.51.100.21 is listed by lists.example: user@mail.example",
    }
