# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a change of Messaging Server's files takes away or opens is found by sessions with both."""

from __future__ import annotations

from typing import Any

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping_edit import (
    set_table,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.compose import Texts
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.effects import named_by
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.evaluation import compare
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.live import Live
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.record import NOTHING
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.wanted import present
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._messaging_server.test_plan import (
    DISPATCHER,
    IMTA,
)

POLICY: dict[str, Any] = {"domains": ["example.com"], "internal_networks": ["192.0.2.0/24", "10.1.0.0/16"]}
SITE = "FROM_ACCESS\n\n  *|*|*|*|spam@sender.example|*  $N\n  TCP|*|*|*|*|*|tcp_local|a@b.example|*  $N\n"


def live(**texts: str) -> Live:
    files = Texts(**{"imta_cnf": IMTA, "mappings": "", "dispatcher_cnf": DISPATCHER, "general": "", **texts})
    return Live(files, False, {}, {}, NOTHING)


def effects(before: Live, policy: dict[str, Any] | None = None, **settings: Any) -> dict[str, tuple[str, str]]:
    """Return before and reason of each effect of the policy, by its entry."""
    arguments = {"policy": policy or POLICY, "settings": settings, "policy_tests": []}
    found, gaps = compare(present(arguments, before), before)
    assert gaps == []
    return {one.entry: (one.before, one.reason) for one in found}


def test_first_run_lists_what_the_policy_asks_for() -> None:
    found = effects(live())
    assert all(reason for _before, reason in found.values())
    assert found["rejected port 25, external client, to other domains"] == (
        "was relayed to channel tcp_local",
        "relay block",
    )


def test_second_run_has_no_effects() -> None:
    wanted = present({"policy": POLICY, "settings": {}, "policy_tests": []}, live())
    done = live(**wanted.composed.texts._asdict())._replace(record=wanted.composed.record)
    assert effects(done) == {}


def test_client_that_an_unmanaged_entry_keeps_out_stays_out() -> None:
    mappings = set_table("", "PORT_ACCESS", [("TCP|*|25|198.51.100.7|*", "$N500$ no"), ("*", "$YEXTERNAL")])
    found = effects(live(mappings=mappings), unknown_entries="replace")
    assert not [entry for entry in found if "198.51.100.7" in entry]


def test_entry_that_is_replaced_on_demand_is_an_effect_with_that_reason() -> None:
    mappings = set_table("", "ORIG_SEND_ACCESS", [("*|*|*|closed@example.com", "$NThis$ office$ is$ closed")])
    found = effects(live(mappings=mappings), unknown_entries="replace")
    before, reason = found["opened port 25, external client, recipient closed@example.com"]
    assert (before.startswith("was rejected at RCPT TO with "), "This office is closed" in before) == (True, True)
    assert reason == "messaging_server_unknown_entries: replace"


def test_client_that_may_no_longer_relay_is_an_effect_of_the_replaced_entry() -> None:
    before = live(mappings=set_table("", "INTERNAL_IP", [("$(198.51.100.7/32)", "$Y"), ("*", "$N")]))
    found = effects(before, unknown_entries="replace")
    entry = "rejected port 25, client 198.51.100.7, which an entry names, to other domains"
    assert found[entry][1] == "messaging_server_unknown_entries: replace"


def test_entries_that_leave_with_the_inventory_have_no_effect_of_their_own() -> None:
    first = live()
    policy = {**POLICY, "internal_networks": ["192.0.2.0/24", "198.51.100.7"], "blocked_networks": ["198.51.100.4"]}
    wanted = present({"policy": policy, "settings": {}, "policy_tests": []}, first)
    done = live(**wanted.composed.texts._asdict())._replace(record=wanted.composed.record)
    found = effects(done)
    assert not [entry for entry, (_before, reason) in found.items() if not reason]


def test_network_that_is_blocked_no_longer_has_the_policy_as_reason() -> None:
    policy = {**POLICY, "blocked_networks": ["203.0.113.0/24"]}
    wanted = present({"policy": policy, "settings": {}, "policy_tests": []}, live())
    done = live(**wanted.composed.texts._asdict())._replace(record=wanted.composed.record)
    found = effects(done)
    assert all(reason for _before, reason in found.values())
    assert found == {} or "opened port 25, external client, to managed domains" in found


def test_network_that_becomes_internal_has_the_policy_as_reason() -> None:
    wanted = present({"policy": {**POLICY, "internal_networks": []}, "settings": {}, "policy_tests": []}, live())
    done = live(**wanted.composed.texts._asdict())._replace(record=wanted.composed.record)
    assert effects(done)["opened port 25, internal client, to other domains"][1] == "mailhost_internal_networks"


def test_entries_of_other_tables_name_addresses_and_clients() -> None:
    text = set_table(SITE, "PORT_ACCESS", [("TCP|*|25|198.51.100.7|*", "$N"), ("TCP|*|25|999.1.1.1|*", "$N")])
    assert named_by(text, {}) == (("spam@sender.example", "a@b.example"), ("198.51.100.7",))


def test_live_files_that_cannot_be_evaluated_are_a_named_gap() -> None:
    before = live()
    wanted = present({"policy": POLICY, "settings": {}, "policy_tests": []}, before)
    broken = before._replace(texts=before.texts._replace(mappings="  *  $Y\n"))
    found, gaps = compare(wanted, broken)
    assert found == []
    assert gaps[0].startswith("the live files cannot be evaluated, so the effects of this run are not known: ")
