"""However a change goes wrong, the host is reachable again by itself, with the rules that it had before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

import pytest

from mailhost_lab.addresses import CONTROLLER4
from mailhost_lab.packets.host_state import (
    PacketFilter,
    add_unmanaged_rules,
    files,
    is_pending,
    packet_filter,
    when_pending,
)
from mailhost_lab.packets.probes import Lab, Probe
from mailhost_lab.runs.plays import Run, start_harden
from mailhost_lab.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

Harden = Callable[..., Run]

TIMEOUT = 15
"""Seconds in which the runs of these tests have to be confirmed."""

CLOSED = ["imap", "imaps", "pop3", "pop3s"]
# More peers than rules are made for, so that the policy needs a set.
MANY = [f"198.18.{number}.0/24" for number in range(60)] + [
    f"2001:db8:{number}::/48" for number in range(0x1000, 0x103C)
]

# What fail2ban does when it starts a jail and bans a client.
LATE_BAN = """
for family in 4 6; do
  case $family in
    4) tables=iptables banned=198.18.8.8 ;;
    6) tables=ip6tables banned=2001:db8:666::8 ;;
  esac
  $tables -I f2b-sshd -s $banned -m comment --comment late -j REJECT
  $tables -N f2b-late
  $tables -A f2b-late -s $banned -m comment --comment late -j REJECT
  $tables -I INPUT -p tcp -m multiport --dports 25 -m comment --comment late -j f2b-late
done
"""
LATE_BAN_GONE = """
for tables in iptables ip6tables; do
  $tables -D f2b-sshd 1
  $tables -D INPUT 1
  $tables -F f2b-late
  $tables -X f2b-late
done
"""

NETWORK_DOWN = """
for tables in iptables ip6tables; do
  $tables -t raw -I PREROUTING -p tcp --dport 22 -j DROP
  $tables -t raw -I OUTPUT -p tcp --sport 22 -j DROP
done
"""


def policy(name: str, *, sets: bool = False) -> dict[str, Any]:
    """Return a policy under which all is well; its rules carry the name."""
    flows: list[dict[str, Any]] = [
        {"service": "smtp", "direction": "server", "comment": name},
        {"service": "smtp", "direction": "client"},
    ]
    if sets:
        flows.append({"service": "submission", "direction": "server", "peers": MANY, "comment": name})
    return {
        "packet_filter_services": flows,
        "packet_filter_close_services": CLOSED,
        "packet_filter_confirm_timeout": TIMEOUT,
    }


def cutting_policy(name: str) -> dict[str, Any]:
    """Return a policy that lets SSH come from a network only in which the controller is not."""
    wanted = policy(name, sets=True)
    wanted["packet_filter_services"].append({"service": 22, "direction": "server", "peers": ["10.0.0.0/8"]})
    return {**wanted, "packet_filter_close_services": [*CLOSED, 22]}


def is_live(name: str) -> list[tuple[str, str]]:
    """Return the signs of a policy that is live in both families."""
    return [("iptables", name), ("ip6tables", name)]


def ssh(lab: Lab) -> list[str | None]:
    """Ask the host's SSH server for its greeting, over IPv4 and IPv6."""
    return lab.batch(
        [Probe("internal", lab.address("mailhost", "internal", family), 22, greeting=True) for family in (4, 6)]
    )


def pop3(lab: Lab) -> list[str | None]:
    """Ask for a port that no policy here opens."""
    return lab.batch([Probe("external", lab.address("mailhost", "external", family), 110) for family in (4, 6)])


@pytest.fixture(scope="module", autouse=True)
def _unmanaged_rules(lab: Lab) -> None:
    add_unmanaged_rules(lab)


@pytest.fixture(autouse=True)
def _leaves_nothing_pending(lab: Lab) -> Iterator[None]:
    yield
    assert not is_pending(lab)


@pytest.fixture(params=["nothing managed", "an older policy"])
def before(request: pytest.FixtureRequest, lab: Lab, harden: Harden) -> PacketFilter:
    """Return the packet filter before the change that goes wrong."""
    if request.param == "an older policy":
        done = harden(**policy("older policy", sets=True))
    else:
        done = harden(packet_filter_state="absent")
    assert done.rc == 0, done
    found = packet_filter(lab)
    assert any("older policy" in line for line in found.managed) == (request.param == "an older policy")
    return found


@pytest.fixture
def older(lab: Lab, harden: Harden) -> PacketFilter:
    """Return the packet filter of an older policy that is live and confirmed."""
    done = harden(**policy("older policy", sets=True))
    assert done.rc == 0, done
    return packet_filter(lab)


def test_rules_that_block_the_controller_stop_the_run(lab: Lab, harden: Harden, before: PacketFilter) -> None:
    on_disk = files(lab)
    run = harden(**cutting_policy("the cut"))
    assert run.rc != 0
    assert f"the new rules would block SSH from the controller {CONTROLLER4} to port 22" in run.message
    assert "nothing was changed" in run.message
    assert not run.changed
    assert packet_filter(lab).all == before.all
    assert files(lab) == on_disk
    checked = harden(check=True, **cutting_policy("the cut"))
    assert (checked.rc, checked.message) == (run.rc, run.message)


def test_unconfirmed_change_is_rolled_back_by_the_host(lab: Lab, before: PacketFilter) -> None:
    closed = pop3(lab)
    run = cutting_policy("the cut") | {"packet_filter_check_controller": False}
    with when_pending(lab, is_live("the cut"), f"sh({LATE_BAN!r})") as moment, start_harden(**run) as running:
        moment.done()
        assert "open" not in ssh(lab)
        until("the previous rules are restored", lambda: not is_pending(lab))
        assert ssh(lab) == ["open", "open"]
        done = running.wait()
    assert done.rc != 0
    assert f"not confirmed over a new connection within {TIMEOUT} seconds" in done.message
    assert "the host has restored the previous rules" in done.message
    after = packet_filter(lab)
    assert after.managed == before.managed
    assert [line for line in after.unmanaged if "late" not in line] == before.unmanaged
    # In each family a chain, its jump and a ban in each of the two chains.
    assert len([line for line in after.unmanaged if "late" in line]) == 8
    assert pop3(lab) == closed
    lab.run("mailhost", ["sh", "-ec", LATE_BAN_GONE])
    after = packet_filter(lab)
    assert after.all == before.all
    assert after.counted == before.counted


def test_change_of_a_killed_controller_is_rolled_back(lab: Lab, harden: Harden, older: PacketFilter) -> None:
    with when_pending(lab, is_live("new policy")) as moment, start_harden(**policy("new policy")) as running:
        moment.done()
        running.kill()
    assert is_pending(lab), "the run was over before it could be killed"
    assert any("new policy" in line for line in packet_filter(lab).managed)
    until("the previous rules are restored", lambda: not is_pending(lab))
    assert packet_filter(lab).all == older.all
    again = harden(**policy("new policy"))
    assert (again.rc, again.changed) == (0, True), again
    assert any("new policy" in line for line in packet_filter(lab).managed)


def test_run_during_a_pending_change_waits_for_its_end(lab: Lab, harden: Harden, older: PacketFilter) -> None:
    with when_pending(lab, is_live("new policy")) as moment, start_harden(**policy("new policy")) as running:
        moment.done()
        running.kill()
    assert is_pending(lab), "the run was over before it could be killed"
    again = harden(**policy("older policy", sets=True))
    assert (again.rc, again.changed) == (0, False), again
    assert packet_filter(lab).all == older.all


def test_change_is_rolled_back_when_the_network_goes_down(lab: Lab, harden: Harden, older: PacketFilter) -> None:
    down = f"sh({NETWORK_DOWN!r})"
    with when_pending(lab, is_live("new policy"), down) as moment, start_harden(**policy("new policy")) as running:
        moment.done()
        try:
            assert "open" not in ssh(lab)
            until("the previous rules are restored", lambda: not is_pending(lab))
            assert packet_filter(lab).managed == older.managed
        finally:
            lab.run("mailhost", ["sh", "-ec", NETWORK_DOWN.replace("-I", "-D")])
        done = running.wait()
    assert done.rc != 0
    assert "the host has restored the previous rules" in done.message
    assert packet_filter(lab).managed == older.managed
    again = harden(**policy("new policy"))
    assert (again.rc, again.changed) == (0, True), again


@pytest.mark.parametrize(
    "signs",
    [
        pytest.param([], id="before the rules"),
        pytest.param([("iptables", "new policy")], id="between the families"),
        pytest.param(is_live("new policy"), id="behind the rules"),
    ],
)
def test_change_is_rolled_back_when_the_module_is_killed(
    lab: Lab, harden: Harden, older: PacketFilter, signs: list[tuple[str, str]]
) -> None:
    with when_pending(lab, signs, "kill_module()") as moment, start_harden(**policy("new policy")) as running:
        moment.done()
        done = running.wait()
    assert done.rc != 0
    assert done.message
    # Either the timer was armed, then it rolls the change back, or nothing was live yet.
    if packet_filter(lab).managed != older.managed:
        until("the previous rules are restored", lambda: packet_filter(lab).managed == older.managed)
    assert packet_filter(lab).all == older.all
    again = harden(**policy("new policy"))
    assert (again.rc, again.changed) == (0, True), again
    assert any("new policy" in line for line in packet_filter(lab).managed)


def test_rule_that_the_kernel_rejects_changes_nothing(lab: Lab, harden: Harden) -> None:
    assert harden(**policy("plain policy")).rc == 0
    before, on_disk = packet_filter(lab), files(lab)
    # Without the program there is no set, which no check of the rules' syntax can notice.
    lab.run("mailhost", ["mv", "/usr/sbin/ipset", "/usr/sbin/ipset.hidden"])
    try:
        checked = harden(check=True, **policy("with a set", sets=True))
        run = harden(**policy("with a set", sets=True))
    finally:
        lab.run("mailhost", ["mv", "/usr/sbin/ipset.hidden", "/usr/sbin/ipset"])
    assert run.rc != 0
    assert "ipset" in run.message
    assert not run.changed
    assert (checked.rc, checked.message) == (run.rc, run.message)
    assert packet_filter(lab).all == before.all
    assert files(lab) == on_disk


READ_ONLY = "mount --bind {0} {0}; mount -o remount,ro,bind {0}"
FULL = "mkdir -p {0}; mount -t tmpfs -o size=64k none {0}"
DISKS = {
    "programs": (READ_ONLY, "/usr/local", "/usr/local/lib/mailhost-hardening is on a read-only file system"),
    "units": (READ_ONLY, "/etc/systemd/system", "/etc/systemd/system is on a read-only file system"),
    "state": (FULL, "/var/lib/mailhost-hardening", "KiB left; free space on /var/lib/mailhost-hardening"),
}


@pytest.mark.parametrize("case", DISKS)
def test_file_system_that_cannot_be_written_stops_the_run(lab: Lab, harden: Harden, case: str) -> None:
    assert harden(packet_filter_state="absent").rc == 0
    command, path, words = DISKS[case]
    before, on_disk = packet_filter(lab), files(lab)
    lab.run("mailhost", ["sh", "-ec", command.format(path)])
    try:
        checked = harden(check=True, **policy("plain policy"))
        run = harden(**policy("plain policy"))
    finally:
        lab.run("mailhost", ["sh", "-ec", f"umount {path}; rmdir --ignore-fail-on-non-empty {path}"])
    assert run.rc != 0
    assert words in run.message
    assert (checked.rc, checked.message) == (run.rc, run.message)
    assert packet_filter(lab).all == before.all
    assert files(lab) == on_disk


def test_full_disk_does_not_keep_a_change_from_being_rolled_back(lab: Lab, harden: Harden, older: PacketFilter) -> None:
    # A file system of its own, of which nothing is left once the change is live.
    state = "/var/lib/mailhost-hardening"
    assert harden(packet_filter_state="absent").rc == 0
    lab.run("mailhost", ["sh", "-ec", f"mkdir -p {state}; mount -t tmpfs -o size=2m none {state}"])
    try:
        assert harden(**policy("older policy", sets=True)).rc == 0
        fill = f"sh('dd if=/dev/zero of={state}/fill bs=1k 2>/dev/null || true')"
        with (
            when_pending(lab, is_live("new policy"), f"{fill}; kill_module()") as moment,
            start_harden(**policy("new policy")) as running,
        ):
            moment.done()
            running.kill()
        until("the previous rules are restored", lambda: not is_pending(lab))
        assert packet_filter(lab).all == older.all
    finally:
        lab.run("mailhost", ["sh", "-ec", f"rm -f {state}/fill"])
        assert harden(packet_filter_state="absent").rc == 0
        lab.run("mailhost", ["sh", "-ec", f"umount {state}; rmdir {state}"])


def test_good_policy_after_failures_goes_live_and_stays(lab: Lab, harden: Harden) -> None:
    first = harden(**policy("last policy", sets=True))
    assert (first.rc, first.changed) == (0, True), first
    live = packet_filter(lab)
    second = harden(**policy("last policy", sets=True))
    assert (second.rc, second.changed) == (0, False), second
    assert packet_filter(lab).all == live.all
    assert live.jumps() == sorted(
        f"{tables} -A {chain} -j {managed}"
        for tables in ("iptables", "ip6tables")
        for chain, managed in (("INPUT", "MAILHOST-IN"), ("OUTPUT", "MAILHOST-OUT"))
    )
    assert not lab.run("mailhost", ["systemctl", "--failed", "--no-legend", "--plain"]).stdout
