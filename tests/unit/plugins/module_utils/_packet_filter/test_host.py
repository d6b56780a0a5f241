# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report of a host and the change, as they travel, and how they differ."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter import host, loader
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.host import (
    ConflictError,
    Question,
    has_net_admin,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.probe_plan import plan_probes
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.sockets import (
    Endpoint,
    SocketsInUse,
    SshConnection,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.transaction import PacketFilterChange
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.effects import AcceptedEffects
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.packet_filter import (
    read_packet_filter_policy,
)

RULES = "*filter\n:MAILHOST-IN - [0:0]\n-A MAILHOST-IN -i lo -j RETURN\nCOMMIT\n"
TEXTS = {"sets": "create s hash:net\nadd s 10.0.0.0/8\n", "ipv4": RULES, "ipv6": ""}
STATE = loader.State("nft", ("f2b-*",), (25, 110))
SSH = SshConnection("198.51.100.7", "192.0.2.1", 22)
PLAN = plan_probes(read_packet_filter_policy({}), 101, limited=True)
ACCEPTED = AcceptedEffects("mailhost_accepted_effects", ["opened tcp 25 from anywhere"])
CHANGE = PacketFilterChange(TEXTS, STATE, False, SSH, 30, PLAN, ACCEPTED)
REMOVAL = PacketFilterChange(dict.fromkeys(TEXTS, ""), STATE, True, None, 30, PLAN, ACCEPTED)
ENDPOINT = Endpoint("192.0.2.1", 25, "198.51.100.9", 40000)


def report(**changes: Any) -> host.HostReport:
    """A host that is in the state of CHANGE."""
    found = host.HostReport(
        backend="nft",
        absent=False,
        first=False,
        shown={
            "sets": "# set s\nadd s 10.0.0.0/8\n",
            "ipv4": RULES.replace("COMMIT", "-A INPUT -j MAILHOST-IN"),
            "ipv6": "",
        },
        live="digest",
        passed={},
        warnings=[],
        connection=SSH,
        uids=[0],
        unknown_users=[],
        owner_match=True,
        boot_ready=True,
        installed=STATE._replace(live="digest", texts=loader.texts_digest(TEXTS)),
        in_use=None,
        widened=False,
    )
    return found._replace(**changes)


@pytest.mark.parametrize(
    "changes", [{}, {"connection": None, "installed": None, "in_use": SocketsInUse([ENDPOINT], [], [ENDPOINT], [])}]
)
def test_report_survives_its_way_through_json(changes: dict[str, Any]) -> None:
    found = report(**changes)
    assert host.HostReport.from_dict(json.loads(json.dumps(found.to_dict()))) == found


@pytest.mark.parametrize("change", [CHANGE, REMOVAL])
def test_change_survives_its_way_through_json(change: PacketFilterChange) -> None:
    assert PacketFilterChange.from_dict(json.loads(json.dumps(change.to_dict()))) == change


@pytest.mark.parametrize(
    ("changes", "differs"),
    [
        ({}, False),
        ({"live": "another"}, True),
        ({"boot_ready": False}, True),
        ({"installed": None}, True),
        ({"installed": STATE}, True),
        ({"passed": {"ipv4": {"INPUT": ["-j BANS"]}}}, True),
    ],
)
def test_report_differs_unless_live_state_files_and_boot_are_those_of_the_change(
    changes: dict[str, Any], differs: bool
) -> None:
    assert report(**changes).differs(CHANGE) is differs


@pytest.mark.parametrize("absent", [True, False])
def test_removal_differs_while_anything_managed_is_on_the_host(absent: bool) -> None:
    assert report(absent=absent).differs(REMOVAL) is not absent


def test_diff_shows_the_texts_that_change() -> None:
    assert report().diff(CHANGE) == []
    shown = {"sets": "", "ipv4": report().shown["ipv4"], "ipv6": ""}
    assert report(shown=shown).diff(CHANGE) == [
        {
            "before_header": "sets (live)",
            "after_header": "sets (policy)",
            "before": "",
            "after": "# set s\nadd s 10.0.0.0/8\n",
        }
    ]


def test_diff_shows_the_rules_that_a_managed_jump_moves_behind() -> None:
    jump, bans = "-A INPUT -j MAILHOST-IN\n", "-A INPUT -j BANS\n"
    rules = RULES.replace("COMMIT\n", "")
    shown = {**report().shown, "ipv4": rules + jump + bans}
    (diff,) = report(shown=shown, passed={"ipv4": {"INPUT": ["-j BANS"]}}).diff(CHANGE)
    assert (diff["before"], diff["after"]) == (rules + jump + bans, rules + bans + jump)


def test_native_rules_stop_a_run_and_name_their_chains() -> None:
    live = loader.parse_save("")._replace(native={"INPUT": [5], "MAILHOST-IN": [6]})
    with pytest.raises(host.ConflictError, match="nft delete rule") as caught:
        host.check_native_rules({"ipv6": live})
    assert str(caught.value).splitlines()[1:] == ["ipv6: nft -a list chain ip6 filter INPUT"]
    host.check_native_rules({"ipv6": live._replace(native={"MAILHOST-IN": [6]})})


def test_find_users_returns_ids_and_unknown_names() -> None:
    assert host.find_users(["root", 101, "no-such-user"], []) == ([0, 101], ["no-such-user"])
    assert host.find_users("auto", ["no-such-user", "root"]) == ([0], [])


def test_misplaced_warns_of_rules_before_the_jump_and_of_bans_after_it() -> None:
    saved = "-A INPUT -j ACCEPT\n-A INPUT -j MAILHOST-IN\n-A INPUT -p udp -j ACCEPT\n-A INPUT -j f2b-sshd\n"
    before, after = host.misplaced({"ipv4": loader.parse_save(saved)}, ["f2b-*"])
    assert before.startswith("ipv4: rules in INPUT come before the jump to MAILHOST-IN and can overrule it (1 found)")
    assert "come after the jump to MAILHOST-IN (1 found)" in after
    assert host.misplaced({"ipv4": loader.parse_save("-A INPUT -j f2b-x\n-A INPUT -j MAILHOST-IN\n")}, ["f2b-*"]) == []


@pytest.mark.parametrize(
    "saved",
    [
        "-A INPUT -p tcp -m set --match-set f2b-x src -j REJECT\n-A INPUT -j MAILHOST-IN\n",
        ":MAILCOW - [0:0]\n-A INPUT -j MAILCOW\n-A INPUT -j MAILHOST-IN\n-A MAILCOW -s 198.51.100.21/32 -j DROP\n",
        "-A INPUT -j MAILHOST-IN\n-A INPUT -j f2b-x\n",
    ],
)
def test_misplaced_does_not_warn_of_rules_that_can_only_deny(saved: str) -> None:
    assert host.misplaced({"ipv4": loader.parse_save(saved)}, ["f2b-*"]) == []


@pytest.mark.parametrize(
    ("status", "has"),
    [
        ("Name:\tx\nCapEff:\t000001ffffffffff\n", True),
        ("CapEff:\t0000000000001000\n", True),
        # A container as podman makes it: CapBnd is what it could have.
        ("CapEff:\t00000000800405fb\nCapBnd:\t000001ffffffffff\n", False),
        ("", True),
    ],
)
def test_capability_is_read_from_the_status_of_the_process(status: str, has: bool) -> None:
    assert has_net_admin(status) is has


def test_root_without_the_capability_gets_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.os, "geteuid", lambda: 0)
    monkeypatch.setattr(host, "has_net_admin", lambda _status: False)
    with pytest.raises(ConflictError) as caught:
        host.inspect(Question("auto", (), "mail", False, (), ()), check_mode=True)
    assert str(caught.value) == (
        "root has no capability CAP_NET_ADMIN on this host, so that nobody can change its packet filter from here; start "
        "the container with it (podman run --cap-add NET_ADMIN), or harden the host that the container is on"
    )
