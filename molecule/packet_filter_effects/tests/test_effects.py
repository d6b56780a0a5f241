"""A ban, a limit and a declared flow that a run would lose stop it before anything is live, by real packets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Callable

import pytest

from mailhost_lab.packets.host_state import files, packet_filter
from mailhost_lab.packets.probes import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhost_lab.runs.plays import Run

Harden = Callable[..., "Run"]

SMTP = [{"service": "smtp", "direction": "server"}, {"service": "smtp", "direction": "client"}]
IMAPS = {"service": "imaps", "direction": "server"}
CLOSED = ["imap", "imaps", "pop3", "pop3s"]

BAN = """
ipset -exist create f2b-postfix hash:ip
ipset -exist add f2b-postfix 198.51.100.21
iptables -A INPUT -p tcp --dport 22 -j ACCEPT
iptables -A INPUT -p tcp -m multiport --dports 25,465 -m set --match-set f2b-postfix src -j REJECT
"""
LIMIT = """
for tables in iptables ip6tables; do
  $tables -A INPUT -p tcp --dport 22 -j ACCEPT
  new="-p tcp --dport 25 -m conntrack --ctstate NEW -m recent --name SMTP"
  $tables -A INPUT $new --set
  $tables -A INPUT $new --update --seconds 60 --hitcount 4 -j DROP
done
"""
NOTRACK = """
for tables in iptables ip6tables; do
  $tables -t raw -A PREROUTING -p tcp --dport 25 -j CT --notrack
  $tables -t raw -A OUTPUT -p tcp --sport 25 -j CT --notrack
done
"""
NATIVE_NOTRACK = """
nft add table inet quick
nft add chain inet quick pre '{ type filter hook prerouting priority -300; }'
nft add rule inet quick pre tcp dport 25 notrack
"""
OTHER_VARIANT = "iptables-legacy -A INPUT -p tcp --dport 993 -j DROP"

GONE = """
for tables in iptables ip6tables; do
  $tables -F INPUT
  $tables -t raw -F PREROUTING
  $tables -t raw -F OUTPUT
done
iptables-legacy -F INPUT
nft delete table inet quick 2> /dev/null || true
ipset destroy f2b-postfix 2> /dev/null || true
"""


@pytest.fixture(autouse=True)
def _first_run(lab: Lab, harden: Harden) -> Iterator[None]:
    """Have each test begin on a host without the role, and leave none of its rules."""
    assert harden(packet_filter_state="absent").rc == 0
    yield
    assert harden(packet_filter_state="absent").rc == 0
    lab.run("mailhost", ["sh", "-ec", GONE])


def stopped(lab: Lab, harden: Harden, **variables: Any) -> list[str]:
    """Run the role, which has to stop and to change nothing, also in check mode; the lines of its message."""
    before, on_disk = packet_filter(lab).all, files(lab)
    checked, done = (harden(check=check, packet_filter_close_services=CLOSED, **variables) for check in (True, False))
    assert (checked.rc, checked.message) == (done.rc, done.message)
    assert done.rc != 0, done
    assert not done.changed
    assert packet_filter(lab).all == before
    assert files(lab) == on_disk
    assert done.message.startswith("this change has effects that the policy does not ask for; nothing was changed:\n")
    return list(done.message.splitlines())


def smtp(lab: Lab, source: str | None = None) -> str:
    return str(lab.probe("external", lab.address("mailhost", "external", 4), 25, source=source))


def test_lost_ban_stops_the_run_until_it_is_accepted(lab: Lab, harden: Harden) -> None:
    lab.run("mailhost", ["sh", "-ec", BAN])
    assert (smtp(lab), smtp(lab, "198.51.100.21")) == ("open", "rejected")
    lines = stopped(lab, harden, mailhost_services=SMTP)
    assert lines[1].startswith("  opened tcp 25 from members of set f2b-postfix: was rejected by iptables")
    assert "--match-set f2b-postfix src -j REJECT" in lines[1]
    assert lines[-2:] == ["mailhost_accepted_effects:", '  - "opened tcp 25 from members of set f2b-postfix"']
    accepted = {"mailhost_accepted_effects": ["opened tcp 25 from members of set f2b-postfix"]}
    done = harden(mailhost_services=SMTP, packet_filter_close_services=CLOSED, **accepted)
    assert (done.rc, done.changed) == (0, True), done
    assert "effects on twin:" in done.stdout
    assert (smtp(lab), smtp(lab, "198.51.100.21")) == ("open", "open"), "the effect was true"
    again = harden(mailhost_services=SMTP, packet_filter_close_services=CLOSED)
    assert (again.rc, again.changed) == (0, False), again
    assert "effects on twin:" not in again.stdout


def test_ban_whose_chain_stays_before_the_jump_is_no_effect(lab: Lab, harden: Harden) -> None:
    lab.run("mailhost", ["sh", "-ec", BAN.replace("iptables -A INPUT -p tcp --dport 22 -j ACCEPT", "")])
    done = harden(mailhost_services=SMTP, packet_filter_close_services=CLOSED)
    assert (done.rc, done.changed) == (0, True), done
    assert (smtp(lab), smtp(lab, "198.51.100.21")) == ("open", "rejected")


def test_lost_limit_stops_the_run(lab: Lab, harden: Harden) -> None:
    lab.run("mailhost", ["sh", "-ec", LIMIT])
    target = lab.address("mailhost", "external", 4)
    verdicts = [lab.probe("external", target, 25) for _each in range(6)]
    assert verdicts[-1] == "filtered"
    lines = stopped(lab, harden, mailhost_services=SMTP)
    assert lines[1].startswith("  opened tcp 25 from anywhere, a burst: 3 of 20 connections at once were open, ")
    assert "-m recent --update --seconds 60 --hitcount 4" in lines[1]


def test_declared_flow_without_connection_tracking_stops_the_run(lab: Lab, harden: Harden) -> None:
    lab.run("mailhost", ["sh", "-ec", NOTRACK])
    assert smtp(lab) == "open"
    lines = stopped(lab, harden, mailhost_services=SMTP)
    # The variant is named where both have tables.
    found = r"  closed tcp 25 from anywhere: was open, would be dropped by iptables(-nft)? -t raw -A PREROUTING .*"
    assert re.fullmatch(found, lines[1])
    assert lines[1].endswith("-j CT --notrack")
    assert smtp(lab) == "open"


def test_declared_flow_that_a_native_rule_keeps_closed_stops_the_run(lab: Lab, harden: Harden) -> None:
    lab.run("mailhost", ["sh", "-ec", NATIVE_NOTRACK])
    lines = stopped(lab, harden, mailhost_services=SMTP)
    assert lines[1] == (
        "  closed tcp 25 from anywhere: was open, would be dropped by a rule of nftables table inet quick"
    )


def test_declared_flow_that_the_other_variant_drops_stops_the_run(lab: Lab, harden: Harden) -> None:
    lab.run("mailhost", ["sh", "-ec", OTHER_VARIANT])
    lines = stopped(lab, harden, mailhost_services=[*SMTP, IMAPS], packet_filter_backend="nft")
    assert lines[1] == (
        "  closed tcp 993 from anywhere over IPv4: stays dropped by "
        "iptables-legacy -A INPUT -p tcp -m tcp --dport 993 -j DROP"
    )
    assert lines[2].startswith("    flow imaps-in is declared and would stay closed; ")
