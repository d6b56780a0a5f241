"""After the first activation: what others insert, reload and restore, native rules, and a disk that is read-only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

import pytest

from mailhost_lab.addresses import MAILHOST
from mailhost_lab.containers import lifecycle
from mailhost_lab.packets.host_state import files, packet_filter
from mailhost_lab.packets.probes import Lab
from mailhost_lab.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhost_lab.runs.plays import Run

Harden = Callable[..., "Run"]
FLOWS = {
    "mailhost_services": [{"service": "smtp", "direction": "server"}, {"service": "smtp", "direction": "client"}],
    "packet_filter_close_services": ["imap", "imaps", "pop3", "pop3s"],
}
BANNED = "198.51.100.21"
LATER = f"""
iptables -N COWS
iptables -A COWS -s {BANNED} -j REJECT
iptables -A INPUT -j COWS
"""
LATER_GONE = "iptables -D INPUT -j COWS; iptables -F COWS; iptables -X COWS"
NATIVE = "nft insert rule ip filter INPUT ct state established accept"
NATIVE_GONE = """
handle=$(nft -a list chain ip filter INPUT | sed -n 's/.*established.*handle //p')
nft delete rule ip filter INPUT handle $handle
"""
# As iptables-services of EL has it: the whole table, as it was before the role.
RESTORER = """
iptables-save | grep -v -i mailhost- > /etc/iptables.rules
cat > /etc/systemd/system/iptables.service << END
[Unit]
Before=network-pre.target
Wants=network-pre.target
[Service]
Type=oneshot
RemainAfterExit=yes
RemainAfterExit=yes
ExecStart=/usr/sbin/iptables-restore /etc/iptables.rules
ExecReload=/usr/sbin/iptables-restore /etc/iptables.rules
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl enable --now iptables
"""
RESTORER_GONE = """
systemctl disable --now iptables
rm /etc/systemd/system/iptables.service /etc/iptables.rules
systemctl daemon-reload
"""


@pytest.fixture(autouse=True)
def _in_force(lab: Lab, harden: Harden) -> Iterator[None]:
    """Have the policy in force before each test, and nothing of it after all."""
    assert lab
    assert harden(**FLOWS).rc == 0
    yield
    assert harden(packet_filter_state="absent").rc == 0


def verdicts(lab: Lab) -> list[str]:
    """What port 25 gives to a banned client and to any other, and an undeclared port to any."""
    target = lab.address("mailhost", "external", 4)
    return [
        str(lab.probe("external", target, 25, source=BANNED)),
        *(str(lab.probe("external", target, port)) for port in (25, 110)),
    ]


def test_jump_moves_behind_a_ban_that_is_inserted_later(lab: Lab, harden: Harden) -> None:
    """P2: the run lists that the ban counts again, and no later run has anything to say."""
    lab.run("mailhost", ["sh", "-ec", LATER])
    try:
        assert verdicts(lab) == ["open", "open", "filtered"]
        done = harden(**FLOWS)
        assert (done.rc, done.changed) == (0, True), done
        assert verdicts(lab) == ["rejected", "open", "filtered"]
        again = harden(**FLOWS)
        assert (again.rc, again.changed, again.warned) == (0, False, False), again
    finally:
        lab.run("mailhost", ["sh", "-ec", LATER_GONE])


def test_managed_part_can_be_removed_beside_native_rules(lab: Lab, harden: Harden) -> None:
    """P7: a rule that iptables cannot read stands in its table."""
    lab.run("mailhost", ["sh", "-ec", NATIVE])
    try:
        removed = harden(packet_filter_state="absent")
        assert (removed.rc, removed.changed) == (0, True), removed
        assert verdicts(lab)[1:] == ["open", "open"]
        assert "MAILHOST" not in lab.run("mailhost", ["nft", "list", "ruleset"]).stdout
    finally:
        lab.run("mailhost", ["sh", "-ec", NATIVE_GONE])


def test_policy_is_live_after_boot_and_reload_of_a_program_that_restores_whole_tables(lab: Lab) -> None:
    """P8: the late unit of the role looks again."""
    lab.run("mailhost", ["sh", "-ec", RESTORER])
    try:
        lifecycle.restart(MAILHOST.name)
        until("the policy is in force", lambda: verdicts(lab)[1:] == ["open", "filtered"])
        before = packet_filter(lab).managed
        lab.run("mailhost", ["systemctl", "reload", "iptables"])
        until("the policy is in force again", lambda: packet_filter(lab).managed == before)
        assert verdicts(lab)[1:] == ["open", "filtered"]
    finally:
        lab.run("mailhost", ["sh", "-ec", RESTORER_GONE])


def test_read_only_file_system_stops_the_run_with_its_path(lab: Lab, harden: Harden) -> None:
    """P9: in check mode as well."""
    assert harden(packet_filter_state="absent").rc == 0
    before = files(lab)
    lab.run("mailhost", ["sh", "-ec", "mount --bind /usr/local /usr/local; mount -o remount,ro,bind /usr/local"])
    try:
        checked, done = (harden(check=check, **FLOWS) for check in (True, False))
    finally:
        lab.run("mailhost", ["umount", "/usr/local"])
    assert done.rc != 0
    assert "/usr/local/lib/mailhost-hardening is on a read-only file system" in done.message
    assert (checked.rc, checked.message) == (done.rc, done.message)
    assert files(lab) == before
