"""Chains that look like managed ones, rules before managed ones, and a table that iptables cannot read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from mailhost_lab.packets.probes import Probe

if TYPE_CHECKING:
    from mailhost_lab.packets.probes import Lab
    from mailhost_lab.runs.plays import Run

CLOSED = {"packet_filter_close_services": ["imap", "imaps", "pop3", "pop3s"]}


@pytest.fixture(autouse=True)
def _policy(new_host: None, harden: Callable[..., Run]) -> None:  # noqa: ARG001
    assert harden(**CLOSED).rc == 0


@pytest.fixture
def unmanaged(lab: Lab) -> Iterator[Callable[..., None]]:
    """Return what runs a command on the mail host now and its counterpart after the test."""
    undo: list[list[str]] = []

    def run(command: str, counterpart: str) -> None:
        lab.run("mailhost", command.split())
        undo.append(counterpart.split())

    yield run
    for command in reversed(undo):
        lab.run("mailhost", command)


def test_chains_with_similar_names_stay_unmanaged(
    lab: Lab, harden: Callable[..., Run], unmanaged: Callable[..., None]
) -> None:
    unmanaged("ipset create mailhost-vip hash:net", "ipset destroy mailhost-vip")
    unmanaged("iptables -N MAILHOST-VIP", "iptables -X MAILHOST-VIP")
    # One that accepts, as the managed jump goes behind those that can only deny.
    unmanaged("iptables -A MAILHOST-VIP -p udp --dport 7 -j ACCEPT", "iptables -F MAILHOST-VIP")
    unmanaged("iptables -A INPUT -j MAILHOST-VIP", "iptables -D INPUT -j MAILHOST-VIP")
    assert not harden(**CLOSED).changed
    assert harden(**CLOSED, packet_filter_new_connections_per_minute=100).changed
    assert not harden(**CLOSED, packet_filter_new_connections_per_minute=100).changed
    assert "mailhost-vip" in lab.run("mailhost", ["ipset", "list", "-name"]).stdout.split()
    assert "-A INPUT -j MAILHOST-VIP" in lab.run("mailhost", ["iptables-save"]).stdout
    assert harden(**CLOSED).changed


def test_unmanaged_jumps_into_managed_chains_stop_run_and_check_mode(
    harden: Callable[..., Run], unmanaged: Callable[..., None]
) -> None:
    unmanaged("iptables -A FORWARD -j MAILHOST-IN", "iptables -D FORWARD -j MAILHOST-IN")
    for check in (True, False):
        run = harden(**CLOSED, check=check)
        assert run.rc != 0
        assert "unmanaged rules jump into managed chains; remove them:\nipv4: -A FORWARD -j MAILHOST-IN" in run.message


def test_managed_jump_stays_above_an_accept_before_a_ban(
    lab: Lab, harden: Callable[..., Run], unmanaged: Callable[..., None]
) -> None:
    assert harden(packet_filter_state="absent").changed
    unmanaged("iptables -N f2b-sshd", "iptables -X f2b-sshd")
    unmanaged("iptables -A INPUT -p tcp --dport 110 -j ACCEPT", "iptables -D INPUT -p tcp --dport 110 -j ACCEPT")
    unmanaged("iptables -A INPUT -p tcp --dport 22 -j f2b-sshd", "iptables -D INPUT -p tcp --dport 22 -j f2b-sshd")
    run = harden(**CLOSED)
    assert run.rc == 0, str(run)
    assert lab.batch([Probe("external", lab.address("mailhost", "external", 4), 110)]) == ["filtered"]
    again = harden(**CLOSED)
    assert not again.changed
    assert "come after the jump to MAILHOST-IN" in again.stdout


# A ban by a set, as fail2ban makes it, and a chain of a program's own, as mailcow makes it.
BANS = """
ipset -exist create f2b-set hash:ip
ipset -exist add f2b-set 198.51.100.21
iptables -N COWS
iptables -A COWS -s 198.51.100.21/32 -j REJECT
iptables {place} INPUT -m comment --comment cows -j COWS
iptables {place} INPUT -p tcp -m multiport --dports 25,465 -m set --match-set f2b-set src -j REJECT
"""
NO_BANS = """
iptables -D INPUT -m comment --comment cows -j COWS
iptables -D INPUT -p tcp -m multiport --dports 25,465 -m set --match-set f2b-set src -j REJECT
iptables -F COWS
iptables -X COWS
ipset destroy f2b-set
"""


@pytest.mark.parametrize("place", ["-I", "-A"])
def test_bans_of_any_form_count_without_being_named(lab: Lab, harden: Callable[..., Run], place: str) -> None:
    if place == "-I":
        assert harden(packet_filter_state="absent").changed
    lab.run("mailhost", ["sh", "-ec", BANS.format(place=place)])
    try:
        if place == "-A":
            foreseen = harden(**CLOSED, check=True)
            assert (foreseen.rc, foreseen.changed) == (0, True), foreseen
        run = harden(**CLOSED)
        assert (run.rc, run.changed) == (0, True), run
        assert run.diff
        target = lab.address("mailhost", "external", 4)
        probes = [Probe("external", target, 25, source="198.51.100.21"), Probe("external", target, 25, greeting=True)]
        assert lab.batch(probes) == ["rejected", "open"]
        again = harden(**CLOSED)
        assert not again.changed
        assert "come before the jump" not in again.stdout
    finally:
        lab.run("mailhost", ["sh", "-ec", NO_BANS])


def test_unmanaged_rules_before_managed_jumps_are_reported(
    harden: Callable[..., Run], unmanaged: Callable[..., None]
) -> None:
    unmanaged("iptables -I INPUT -p tcp --dport 110 -j ACCEPT", "iptables -D INPUT -p tcp --dport 110 -j ACCEPT")
    run = harden(**CLOSED)
    assert not run.changed
    assert "rules in INPUT come before the jump to MAILHOST-IN and can overrule it" in run.stdout


def test_table_that_iptables_cannot_read_stops_the_run(
    harden: Callable[..., Run], unmanaged: Callable[..., None], variant: str
) -> None:
    if variant != "nft":
        pytest.skip("native nftables rules share a table with iptables-nft alone")
    unmanaged("nft add chain ip filter native", "nft delete chain ip filter native")
    unmanaged(
        "nft add rule ip filter native ct state vmap { established : accept, invalid : drop }",
        "nft flush chain ip filter native",
    )
    run = harden(**CLOSED, packet_filter_new_connections_per_minute=100)
    assert "holds native nftables rules that iptables cannot read" in run.message
    assert "nft -a list chain ip filter native" in run.message


NATIVE = """
nft insert rule ip filter INPUT ct state established accept
nft insert rule ip6 filter INPUT ct state established accept
nft add chain ip filter native
nft add rule ip filter native ct state new jump MAILHOST-IN
"""
NATIVE_GONE = """
for family in ip ip6; do
  handle=$(nft -a list chain $family filter INPUT | sed -n 's/.*established.*handle //p')
  nft delete rule $family filter INPUT handle $handle
done
nft flush chain ip filter native
nft delete chain ip filter native
nft delete chain ip filter MAILHOST-IN
"""


def test_managed_rules_can_be_removed_beside_native_ones(lab: Lab, harden: Callable[..., Run], variant: str) -> None:
    if variant != "nft":
        pytest.skip("native nftables rules share a table with iptables-nft alone")
    lab.run("mailhost", ["sh", "-ec", NATIVE])
    try:
        lab.run("mailhost", ["systemctl", "stop", "mailhost-packet-filter"])
        ruleset = lab.run("mailhost", ["nft", "list", "ruleset"]).stdout
        assert "counter packets 0 bytes 0 jump MAILHOST-" not in ruleset
        lab.run("mailhost", ["systemctl", "start", "mailhost-packet-filter"])
        target = lab.address("mailhost", "external", 4)
        assert lab.batch([Probe("external", target, port) for port in (25, 110)]) == ["open", "filtered"]
        removed = harden(packet_filter_state="absent")
        assert (removed.rc, removed.changed) == (0, True), removed
        assert "MAILHOST-IN stays, empty, because unmanaged rules jump there" in removed.stdout
        assert lab.batch([Probe("external", target, 110)]) == ["open"]
        assert not harden(packet_filter_state="absent").changed
        ruleset = lab.run("mailhost", ["nft", "list", "ruleset"]).stdout
        assert ruleset.count("ct state established accept") == 2
        assert ruleset.count("MAILHOST-") == 2, "the empty chain and the jump into it"
    finally:
        lab.run("mailhost", ["sh", "-ec", NATIVE_GONE])
