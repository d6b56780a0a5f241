"""Unmanaged rules stay as they are, through everything that the role does; managed ones are repaired."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Callable

import pytest

from mailhost_lab.packets.host_state import PacketFilter, add_unmanaged_rules, packet_filter
from mailhost_lab.packets.probes import Lab, Probe

if TYPE_CHECKING:
    from mailhost_lab.runs.plays import Run

Step = Callable[..., "Run"]

CLOSED = ["imap", "imaps", "pop3", "pop3s", "submission"]
MANY = [f"198.18.{number}.0/24" for number in range(60)] + [
    f"2001:db8:{number}::/48" for number in range(0x1000, 0x103C)
]
SMTP = [{"service": "smtp", "direction": "server"}, {"service": "smtp", "direction": "client"}]


def policy(*flows: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a policy with SMTP and further flows."""
    return {"packet_filter_services": [*SMTP, *flows], "packet_filter_close_services": CLOSED, **more}


SUBMISSION = policy({"service": "submission", "direction": "server", "peers": MANY})
FEWER = policy({"service": "submission", "direction": "server", "peers": MANY[1:]})
GOOD = SUBMISSION

JUMPS = sorted(
    f"{tables} -A {chain} -j {managed}"
    for tables in ("iptables", "ip6tables")
    for chain, managed in (("INPUT", "MAILHOST-IN"), ("OUTPUT", "MAILHOST-OUT"))
)


@pytest.fixture(scope="module")
def unmanaged(lab: Lab, new_host: None) -> PacketFilter:  # noqa: ARG001 - the rules go onto that host
    """Return the packet filter of the others, before the role has ever run."""
    add_unmanaged_rules(lab)
    return packet_filter(lab)


CASES = {
    "first activation": (True, policy()),
    "the same again": (False, policy()),
    "a new flow": (True, policy({"service": "pop3", "direction": "server", "peers": ["10.0.0.0/8"]})),
    "a flow with sets": (True, SUBMISSION),
    "one peer less": (True, FEWER),
    "open egress": (True, policy(packet_filter_egress="open")),
    "the whole host": (True, policy(packet_filter_scope="host")),
    "the mail ports again": (True, policy()),
    "absent": (True, {"packet_filter_state": "absent"}),
    "absent again": (False, {"packet_filter_state": "absent"}),
    "activation after that": (True, GOOD),
}


@pytest.mark.parametrize("case", CASES)
def test_unmanaged_rules_survive_every_run(
    lab: Lab, unmanaged: PacketFilter, step: Step, variant: str, case: str
) -> None:
    changed, variables = CASES[case]
    done = step(changed=changed, **variables)
    assert done.results[-1]["result"]["backend"] == variant
    after = packet_filter(lab)
    assert after.unmanaged == unmanaged.unmanaged
    assert after.counted == unmanaged.counted
    if "packet_filter_state" in variables:
        assert after.managed == []
        return
    other = "nft" if variant == "legacy" else "legacy"
    assert not any(f"-{other}-save" in line for line in after.managed)
    wanted = [jump for jump in JUMPS if "OUTPUT" not in jump or variables.get("packet_filter_egress") != "open"]
    assert after.jumps(variant) == wanted


def test_unmanaged_bans_win_over_managed_rules(lab: Lab) -> None:
    for family, banned in ((4, "198.51.100.21"), (6, "2001:db8:100::21")):
        target = lab.address("mailhost", "external", family)
        probes = [Probe("external", target, 25, source=banned), Probe("external", target, 25, greeting=True)]
        assert lab.batch(probes) == ["rejected", "open"]


DRIFT = {
    "a managed chain is flushed": "iptables -F MAILHOST-IN",
    "a jump is gone": "ip6tables -D OUTPUT -j MAILHOST-OUT",
    "a jump is there twice": "iptables -A INPUT -j MAILHOST-IN",
    "a rule is gone": "ip6tables -D MAILHOST-OUT-MAIL 1",
    "a rule was put into a managed chain": "iptables -I MAILHOST-IN-MAIL -p tcp --dport 110 -j ACCEPT",
    "a member of a set is gone": "ipset del $(ipset list -name | grep ^mailhost-.*4- | head -n 1) 198.18.5.0/24",
    "a set has a member more": "ipset add $(ipset list -name | grep ^mailhost-.*6- | head -n 1) 2001:db8:7777::/48",
}


@pytest.fixture(scope="module")
def wanted(lab: Lab, harden: Step, unmanaged: PacketFilter) -> PacketFilter:
    """Return the packet filter that the policy wants."""
    assert harden(**GOOD).rc == 0
    found = packet_filter(lab)
    assert found.unmanaged == unmanaged.unmanaged
    return found


@pytest.fixture
def good(lab: Lab, harden: Step, wanted: PacketFilter) -> PacketFilter:
    """Begin with what the policy wants, whatever the test before has left."""
    if packet_filter(lab).all != wanted.all:
        assert harden(packet_filter_state="absent").rc == 0
        assert harden(**GOOD).rc == 0
        assert packet_filter(lab).all == wanted.all
    return wanted


@pytest.mark.parametrize("damage", DRIFT)
def test_drift_is_reported_and_repaired(lab: Lab, good: PacketFilter, step: Step, damage: str) -> None:
    lab.run("mailhost", ["sh", "-ec", DRIFT[damage]])
    assert packet_filter(lab).all != good.all
    done = step(changed=True, **GOOD)
    assert done.diff, "a repair shows what it repairs"
    after = packet_filter(lab)
    assert after.managed == good.managed
    assert after.unmanaged == good.unmanaged
    assert after.entrances == good.entrances, "the managed jump is where it was"
    assert after.counted == good.counted


def test_flushed_tables_get_managed_rules_back(lab: Lab, good: PacketFilter, step: Step) -> None:
    lab.run("mailhost", ["sh", "-ec", "for tables in iptables ip6tables; do $tables -F; $tables -X; done"])
    flushed = packet_filter(lab)
    assert not any("MAILHOST" in line for line in flushed.lines)
    step(changed=True, **GOOD)
    after = packet_filter(lab)
    assert after.managed == good.managed
    assert after.unmanaged == flushed.unmanaged
    step(changed=False, **GOOD)
    assert not [line for line in after.lines if re.search("DOCKER|f2b", line)], "what others lost is theirs to repair"
