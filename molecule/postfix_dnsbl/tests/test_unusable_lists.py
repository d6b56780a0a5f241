"""Lists that fail the self-test, which each one has to pass before it is put to use."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mailhost_lab.scenarios import dnsbl
from mailhost_lab.scenarios.postfix_dnsbl import KEY, KEYED, letter

if TYPE_CHECKING:
    from mailhost_lab.mail.postfix import Postfix
    from mailhost_lab.runs.plays import Run

NO_ANSWER = "the host's resolver gets no answer from it (time-out or server failure)"
NO_ENTRY = "it does not list its test entry 127.0.0.2 (RFC 5782), as a DNSBL does that has closed or was misspelt"
FAULTS = {
    "typo.dnsbl.example": "it answers 127.255.255.252: the zone's name has a typing error",
    "open.dnsbl.example": "it answers 127.255.255.254: the DNSBL does not answer public or shared resolvers; "
    "use a resolver of your own",
    "limit.dnsbl.example": "it answers 127.255.255.255: this resolver has sent too many queries; "
    "the DNSBL requires an agreement",
    "dead.dnsbl.example": "it lists 127.0.0.1 (127.0.0.2), as a DNSBL does that has closed and lists every address",
    "empty.dnsbl.example": NO_ENTRY,
    "expired.dnsbl.example": NO_ANSWER,
    "silent.dnsbl.example": NO_ANSWER,
    "nosuch.dnsbl.example": NO_ANSWER,
    # Its name is the end of one that is in use.
    "keyed.dnsbl.example": NO_ANSWER,
}
USED = [
    {"zone": KEYED, "stage": "mail", "return_codes": ["127.0.0.2"]},
    {"zone": "codes.dnsbl.example", "stage": "mail", "return_codes": ["127.0.0.4"]},
]


def failing(*without: str) -> list[dict[str, Any]]:
    """Return the lists that are in use and then those that fail, at two stages."""
    return [*USED, *dnsbl.failing(FAULTS, without, return_codes=["127.0.0.2"])]


def test_dnsbls_that_fail_the_self_test_stop_the_run(role: Callable[..., Run], postfix: Postfix) -> None:
    other_key = {"zone": f"x{KEYED}", "stage": "mail", "return_codes": ["127.0.0.2"]}
    lists = failing()
    before = postfix.state()
    done = role(mailhost_dnsbls=[*lists, other_key])
    assert done.rc != 0, str(done)
    assert postfix.state() == before
    hint = (
        "remove it, correct its zone or the host's resolver, or write postfix_unusable_dnsbls: skip to go on without it"
    )
    shown = f'mailhost_dnsbls[{len(lists)}].zone: "keyed.dnsbl.example" cannot be used: {NO_ANSWER}; {hint}'
    said = {line.strip(" -") for line in done.message.splitlines() if "cannot be used" in line}
    assert said == {*dnsbl.problems(FAULTS, hint, lists), shown}
    assert KEY not in done.message


def test_dnsbls_that_fail_the_self_test_are_left_out_with_a_warning(
    role: Callable[..., Run], postfix: Postfix, verdicts: Callable[..., dict[str, str]]
) -> None:
    # A list that does not answer costs each run its time-out.
    lists = failing("silent.dnsbl.example")
    values: dict[str, Any] = {"mailhost_dnsbls": lists, "postfix_unusable_dnsbls": "skip"}
    runs = [role(**values), role(**values)]
    for done in runs:
        assert done.rc == 0, str(done)
        (result,) = [one["result"] for one in done.results if "warnings" in one["result"]]
        assert set(result["warnings"]) == dnsbl.problems(FAULTS, "it is left out", lists)
    assert [done.changed for done in runs] == [True, False]
    used = postfix.read("main.cf")
    assert "codes.dnsbl.example=" in used
    assert not [zone for zone in FAULTS if f" {zone}=" in used]
    found = {"not listed": letter("198.51.100.30"), "listed": letter("198.51.100.21"), "keyed": letter("198.51.100.22")}
    assert verdicts(found) == {
        "not listed": "accepted",
        "listed": "550 5.7.1 Your host 198.51.100.21 is listed by codes.dnsbl.example",
        "keyed": "550 5.7.1 Your host 198.51.100.22 is listed by keyed.dnsbl.example",
    }
