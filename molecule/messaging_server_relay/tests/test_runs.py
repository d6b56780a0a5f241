"""Runs that change the policy: what would open the relay stops, and what leaves the inventory leaves the server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Callable

import pytest

from mailhost_lab.scenarios.messaging_server_relay import BLOCKED, RELAY
from mailhost_lab.scenarios.relay import ELSEWHERE, EXTERNAL_SENDER, LOCAL, TEXT, verdicts

if TYPE_CHECKING:
    from mailhost_lab.mail.messaging_server import Messaging
    from mailhost_lab.packets.probes import Lab
    from mailhost_lab.runs.plays import Run

Apply = Callable[..., "Run"]

NO_RELAY = f"550 5.7.1 {TEXT}: {ELSEWHERE}"

# Calls that leave the image and the running server alone.
HARMLESS = ("test", "version", "cnbuild -noimage_file")


@pytest.fixture
def stopped(messaging: Messaging, apply: Apply) -> Apply:
    """Return a run that must stop, in check mode with the same words, and leave everything as it was."""

    def run(**variables: Any) -> Run:
        before = messaging.state()
        messaging.clear()
        foreseen, done = apply(check=True, **variables), apply(**variables)
        assert done.rc != 0, done
        assert not done.changed
        assert (foreseen.rc, foreseen.message) == (done.rc, done.message)
        assert messaging.state() == before
        assert [call.line for call in messaging.calls() if not call.line.startswith(HARMLESS)] == []
        return done

    return run


def test_failed_policy_test_stops_the_run(lab: Lab, stopped: Apply, policy: dict[str, Any]) -> None:
    wrong = {
        "client": "198.51.100.20",
        "mail_from": "sales@agency.example",
        "rcpt_to": ELSEWHERE,
        "expect": "accept",
        "comment": "the agency sends for us",
    }
    done = stopped(
        mailhost_policy_tests=[*policy["mailhost_policy_tests"], wrong], mailhost_relay_rejection="Another text"
    )
    path = f"mailhost_policy_tests[{len(policy['mailhost_policy_tests'])}]"
    name = f"{path} (the agency sends for us): 198.51.100.20, port 25, from <sales@agency.example> to <{ELSEWHERE}>"
    assert (
        f"{name}: rejected at RCPT TO with '550 5.7.1 Another text: {ELSEWHERE}'; the test expects: accept\n"
        in done.message
    )
    assert done.message.count("mailhost_policy_tests[") == 1, "those that pass are named too"
    # The trace has the probe and the entry that decided.
    assert f"tcp_local|sales@agency.example|tcp_local|{ELSEWHERE}" in done.message
    assert "ORIG_SEND_ACCESS" in done.message
    assert verdicts(lab, RELAY.external(4, ELSEWHERE)) == [NO_RELAY]


def test_entry_that_opens_the_relay_stops_the_run(lab: Lab, stopped: Apply) -> None:
    entry = ["tcp_local|*|tcp_local|*", "$Y"]
    # The relay exceptions have a second lock, in ORIG_MAIL_ACCESS: without them this entry opens everything.
    done = stopped(
        mailhost_relay_exceptions=[], messaging_server_extra_entries={"ORIG_SEND_ACCESS": {"before": [entry]}}
    )
    assert re.search("external client [0-9.]+: plain: relayed to channel tcp_local; the policy says: ", done.message)
    # The trace has the entry to blame.
    assert entry[0] in done.message
    assert verdicts(lab, RELAY.external(4, ELSEWHERE)) == [NO_RELAY]


@pytest.fixture(scope="module")
def first(messaging: Messaging) -> dict[str, str]:
    """Return the files as the scenario's policy made them."""
    return {name: messaging.read(name) for name in ("mappings", "general.txt", "imta.cnf", "dispatcher.cnf")}


def test_long_lists_are_written_to_the_general_database(
    lab: Lab, messaging: Messaging, apply: Apply, first: dict[str, str]
) -> None:
    internal, blocked = ([f"{net}.{last}" for last in range(1, 240, 2)] for net in ("192.0.2", "203.0.113"))
    done = apply(
        mailhost_internal_networks=[*internal, "198.51.100.84", "2001:db8:200::84"],
        messaging_server_blocked_networks=[*blocked, "198.51.100.4"],
        mailhost_policy_tests=[
            {"client": internal[-1], "mail_from": LOCAL, "rcpt_to": ELSEWHERE, "expect": "accept"},
            {"client": "192.0.2.2", "mail_from": LOCAL, "rcpt_to": ELSEWHERE, "expect": "reject"},
            {"client": blocked[-1], "mail_from": LOCAL, "rcpt_to": LOCAL, "expect": "reject"},
        ],
    )
    assert (done.rc, done.changed) == (0, True), done
    general, mappings = messaging.read("general.txt"), messaging.read("mappings")
    assert general.startswith(first["general.txt"]), "what others had in the file is there no more"
    own = general[len(first["general.txt"]) :].split()
    for address in (*internal, *blocked, "198.51.100.84", "198.51.100.4"):
        assert sum(word.endswith(f"|{address}") for word in own) == 1
    for start in ("192.0.2.", "203.0.113.", "198.51.100.84", "198.51.100.4"):
        assert start not in mappings
    assert verdicts(
        lab,
        RELAY.says(4, "internal", EXTERNAL_SENDER, ELSEWHERE),
        RELAY.says(6, "internal", EXTERNAL_SENDER, ELSEWHERE),
        RELAY.external(4, LOCAL, source="198.51.100.4"),
        # What the lists have no more.
        RELAY.external(4, ELSEWHERE, source="198.51.100.13"),
        RELAY.external(4, LOCAL, source="198.51.100.7"),
        RELAY.external(6, LOCAL, source="2001:db8:100::40"),
    ) == ["accepted", "accepted", BLOCKED, NO_RELAY, "accepted", "accepted"]


def test_entries_dropped_from_the_inventory_are_removed(
    lab: Lab, messaging: Messaging, apply: Apply, policy: dict[str, Any], first: dict[str, str]
) -> None:
    asked = [
        *(RELAY.says(family, "internal", EXTERNAL_SENDER, ELSEWHERE) for family in (4, 6)),
        *(RELAY.excepted(family) for family in (4, 6)),
        RELAY.external(4, LOCAL, source="198.51.100.4"),
        RELAY.external(6, LOCAL, source="2001:db8:100::40"),
    ]
    kept = [one for one in policy["mailhost_internal_networks"] if one != "198.51.100.64/26"]
    done = apply(
        mailhost_internal_networks=kept,
        mailhost_relay_exceptions=[],
        messaging_server_blocked_networks=[],
        mailhost_policy_tests=[],
    )
    assert (done.rc, done.changed) == (0, True), done
    to_partner = f"550 5.7.1 {TEXT}: pat@partner.example"
    assert verdicts(lab, *asked) == [NO_RELAY, "accepted", to_partner, to_partner, "accepted", "accepted"]
    left = messaging.read("mappings")
    for gone in ("198.51.100.64", "198.51.100.4", "2001:db8:100::40", "excepted.example", "ORIG_MAIL_ACCESS"):
        assert gone not in left
    assert messaging.read("general.txt") == first["general.txt"]
    # What comes into it again comes back, every file to the byte.
    back = apply()
    assert (back.rc, back.changed) == (0, True), back
    assert {name: messaging.read(name) for name in first} == first
    assert verdicts(lab, *asked) == ["accepted"] * 4 + [BLOCKED] * 2
