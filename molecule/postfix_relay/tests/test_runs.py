"""Runs of the role: the second changes nothing, check mode foresees, what leaves the inventory leaves the server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

from mailhost_lab.scenarios.postfix_relay import RELAY
from mailhost_lab.scenarios.relay import ELSEWHERE, EXTERNAL_SENDER, LOCAL, TEXT, verdicts

if TYPE_CHECKING:
    from mailhost_lab.mail.postfix import Postfix
    from mailhost_lab.packets.probes import Lab
    from mailhost_lab.runs.plays import Run

Apply = Callable[..., "Run"]

NO_RELAY = f"550 5.7.1 <{ELSEWHERE}>: Recipient address rejected: {TEXT}"
UNAVAILABLE = "521 5.3.2 Service currently unavailable"


def texts(postfix: Postfix) -> dict[str, str]:
    """Our tables, and what stands in the two files, whose order means nothing."""
    found = {name: postfix.read(name) for name in postfix.state() if "/mailhost/" in name}
    found["main.cf"] = postfix.run("postconf", "-n").stdout
    found["master.cf"] = "\n".join(sorted(postfix.run("postconf", "-M").stdout.splitlines()))
    return found


def test_a_second_run_changes_nothing(postfix: Postfix, apply: Apply) -> None:
    before = postfix.state()
    done = apply()
    assert (done.rc, done.changed, done.diff) == (0, False, []), done
    assert postfix.state() == before, "a file was written or the daemon was started again"


def test_failed_policy_test_stops_the_run(lab: Lab, postfix: Postfix, apply: Apply, policy: dict[str, Any]) -> None:
    before = postfix.state()
    wrong = {
        "client": "198.51.100.20",
        "mail_from": "sales@agency.example",
        "rcpt_to": ELSEWHERE,
        "expect": "accept",
        "comment": "the agency sends for us",
    }
    variables = {
        "mailhost_policy_tests": [*policy["mailhost_policy_tests"], wrong],
        "mailhost_relay_rejection": "Another text",
    }
    foreseen, done = apply(check=True, **variables), apply(**variables)
    assert done.rc != 0, done
    assert not done.changed
    assert (foreseen.rc, foreseen.message) == (done.rc, done.message)
    path = f"mailhost_policy_tests[{len(policy['mailhost_policy_tests'])}]"
    assert done.message.startswith(f"canary: {path} (the agency sends for us): 198.51.100.20, port 25, ")
    assert "; the test expects: accept\n" in done.message
    assert "Another text" in done.message
    assert done.message.count("mailhost_policy_tests[") == 1, "those that pass are named too"
    assert postfix.state() == before
    assert verdicts(lab, RELAY.external(4, ELSEWHERE)) == [NO_RELAY]


def test_entries_dropped_from_the_inventory_are_removed(
    lab: Lab, postfix: Postfix, apply: Apply, policy: dict[str, Any]
) -> None:
    first, state = texts(postfix), postfix.state()
    asked = [
        *(RELAY.says(family, "internal", EXTERNAL_SENDER, ELSEWHERE) for family in (4, 6)),
        *(RELAY.excepted(family) for family in (4, 6)),
        RELAY.external(4, LOCAL, source="198.51.100.24"),
        RELAY.external(6, LOCAL, source="2001:db8:100::c0"),
    ]
    before = ["accepted"] * 4 + [UNAVAILABLE] * 2
    assert verdicts(lab, *asked) == before
    kept = [one for one in policy["mailhost_internal_networks"] if one != "198.51.100.64/26"]
    less: dict[str, Any] = {
        "mailhost_internal_networks": kept,
        "mailhost_relay_exceptions": [],
        "postfix_blocked_networks": [],
        "mailhost_policy_tests": [],
    }
    foreseen = apply(check=True, **less)
    assert (foreseen.rc, foreseen.changed) == (0, True), foreseen
    assert postfix.state() == state
    assert verdicts(lab, *asked) == before
    done = apply(**less)
    assert (done.rc, done.changed, done.diff) == (0, True, foreseen.diff), done
    to_partner = NO_RELAY.replace(ELSEWHERE, "pat@partner.example")
    assert verdicts(lab, *asked) == [NO_RELAY, "accepted", to_partner, to_partner, "accepted", "accepted"]
    for name, text in texts(postfix).items():
        for gone in ("198.51.100.64", "198.51.100.24/", "2001:db8:100::c0", "excepted"):
            assert gone not in text, f"{gone} is still in {name}"
    # What comes into it again comes back.
    back = apply()
    assert (back.rc, back.changed) == (0, True), back
    assert texts(postfix) == first
    assert verdicts(lab, *asked) == before
