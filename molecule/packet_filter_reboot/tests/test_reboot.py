"""What the packet filter is after a restart of the host: the same as before, and closed where it cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

import pytest

from mailhost_lab.addresses import MAILHOST
from mailhost_lab.containers.access import close_connections
from mailhost_lab.packets.host_state import (
    STATE,
    PacketFilter,
    add_unmanaged_rules,
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

UNIT = "mailhost-packet-filter.service"
LISTENING = {"smtp": 25, "pop3": 110, "imap": 143, "imaps": 993, "pop3s": 995}
SOURCES = ["external", "internal"]
MANY = [f"198.18.{number}.0/24" for number in range(60)] + [
    f"2001:db8:{number}::/48" for number in range(0x1000, 0x103C)
]
INTERNAL = ["198.51.100.64/26", "2001:db8:200::/64"]

READY = """
case $(systemctl is-system-running --wait) in running|degraded) ;; *) exit 1 ;; esac
[ -z "$(ip -6 address show tentative)" ]
[ -n "$(ss -Hltn sport = :22)" ]
[ -n "$(ss -Hltn sport = :25)" ]
[ -n "$(ss -Hltn sport = :143)" ]
"""


def policy(name: str) -> dict[str, Any]:
    """Return a policy with sets, whose rules carry the name: SMTP for all, IMAP for the internal network and many."""
    return {
        "packet_filter_services": [
            {"service": "smtp", "direction": "server", "comment": name},
            {"service": "smtp", "direction": "client"},
            {"service": "imap", "direction": "server", "peers": [*INTERNAL, *MANY]},
        ],
        "packet_filter_close_services": ["pop3", "imaps", "pop3s"],
    }


def restart(lab: Lab) -> None:
    """Restart the host: its files stay, its processes, packet filter and sets are gone. A failed unit is no error."""
    # They would hang on a host that is not the same any more.
    close_connections(MAILHOST)
    lab.engine.run("restart", "--time=5", MAILHOST.container)
    until("the host is up", lambda: lab.run("mailhost", ["sh", "-ec", READY], check=False).returncode == 0)


def all_verdicts(lab: Lab) -> dict[tuple[str, int, str], str | None]:
    """Try everything that listens, from everywhere."""
    asked = [(source, family, name) for source in SOURCES for family in (4, 6) for name in [*LISTENING, "ssh"]]
    # Over TLS no banner is read.
    greets = {"smtp", "pop3", "imap", "ssh"}
    probes = [
        Probe(source, lab.address("mailhost", source, family), LISTENING.get(name, 22), greeting=name in greets)
        for source, family, name in asked
    ]
    return dict(zip(asked, lab.batch(probes)))


def opened(found: dict[tuple[str, int, str], str | None]) -> set[tuple[str, int, str]]:
    """Return what was open."""
    return {asked for asked, verdict in found.items() if verdict == "open"}


def open_by_policy() -> set[tuple[str, int, str]]:
    """Return what the policy of this module opens, written down once more."""
    everywhere = {(source, family, name) for source in SOURCES for family in (4, 6) for name in ("smtp", "ssh")}
    return everywhere | {("internal", family, "imap") for family in (4, 6)}


def unit(lab: Lab, name: str = UNIT) -> dict[str, str]:
    """Return what systemd knows of a unit."""
    shown = lab.run("mailhost", ["systemctl", "show", name]).stdout
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


@pytest.fixture(scope="module", autouse=True)
def _hardened(harden: Harden, lab: Lab) -> None:
    done = harden(**policy("confirmed"))
    assert done.rc == 0, done
    assert opened(all_verdicts(lab)) == open_by_policy()


@pytest.fixture(scope="module")
def restarted(lab: Lab, _hardened: None) -> tuple[PacketFilter, PacketFilter]:
    """Restart the host as it is and return its packet filter before and after."""
    before = packet_filter(lab)
    restart(lab)
    return before, packet_filter(lab)


def test_reboot_restores_rules_sets_and_jumps(restarted: tuple[PacketFilter, PacketFilter]) -> None:
    before, after = restarted
    assert any("confirmed" in line for line in before.managed)
    assert any(line.startswith("add mailhost-") for line in before.managed)
    assert after.managed == before.managed
    assert after.jumps() == before.jumps()
    assert len(after.jumps()) == 4


@pytest.mark.usefixtures("restarted")
def test_reboot_restores_mail_flows(lab: Lab) -> None:
    assert opened(all_verdicts(lab)) == open_by_policy()
    remote = [lab.address("remote", "external", family) for family in (4, 6)]
    probes = [Probe("mailhost", address, 25, user="postfix", greeting=True) for address in remote]
    assert lab.batch(probes) == ["open", "open"]


@pytest.mark.usefixtures("restarted")
def test_boot_loads_rules_before_network_and_daemons(lab: Lab) -> None:
    managed = unit(lab)
    assert (managed["ActiveState"], managed["UnitFileState"]) == ("active", "enabled")
    assert "network-pre.target" in managed["Before"].split()
    ready = int(managed["ExecMainExitTimestampMonotonic"])
    assert 0 < ready <= int(unit(lab, "network-pre.target")["ActiveEnterTimestampMonotonic"])
    for daemon in ("ssh.service", "postfix.service", "dovecot.service"):
        assert ready <= int(unit(lab, daemon)["InactiveExitTimestampMonotonic"]), daemon


@pytest.mark.usefixtures("restarted")
def test_run_after_a_reboot_changes_nothing(harden: Harden) -> None:
    done = harden(**policy("confirmed"))
    assert (done.rc, done.changed) == (0, False), done


@pytest.fixture(scope="module")
def saved(lab: Lab) -> str:
    """Return where a copy of the confirmed state lies."""
    lab.run("mailhost", ["cp", "-a", STATE, "/root/saved-state"])
    return "/root/saved-state"


DAMAGE = {
    "sets cut in a line": "truncate --size=100 sets",
    "sets cut behind a line": "sed -i '5,$d' sets",
    "sets lack a line": "sed -i '$d' sets",
    "sets are garbage": "head -c 2000 /dev/urandom > sets",
    "sets are empty": "truncate --size=0 sets",
    "ipv6 is garbage": "head -c 2000 /dev/urandom > ipv6",
    "ipv6 cut in a line": "truncate --size=300 ipv6",
    "ipv6 cut behind a line": "sed -i '/-j DROP/,$d' ipv6",
    "ipv6 is empty": "truncate --size=0 ipv6",
    "ipv4 is gone": "rm ipv4",
    "state.json is broken": "echo '{\"backend\": ' > state.json",
    "current is gone": "rm ../current",
}


@pytest.fixture
def repaired(lab: Lab, harden: Harden, saved: str) -> Iterator[None]:
    """Begin with a sound state, whatever the test before left, and see after the test that the role repairs it."""
    lab.run("mailhost", ["sh", "-ec", f"rm -r {STATE}; cp -a {saved} {STATE}"])
    yield
    done = harden(**policy("confirmed"))
    assert (done.rc, done.changed) == (0, True), done
    assert unit(lab)["ActiveState"] == "active"
    assert opened(all_verdicts(lab)) == open_by_policy()


@pytest.mark.usefixtures("repaired")
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_boot_with_damaged_state_closes_mail_ports(lab: Lab, damage: str) -> None:
    lab.run("mailhost", ["sh", "-ec", f"cd -P {STATE}/current && {damage}"])
    restart(lab)
    remote = lab.address("remote", "external", 4), lab.address("remote", "external", 6)
    outgoing = lab.batch([Probe("mailhost", address, 25, user="postfix") for address in remote])
    assert opened(all_verdicts(lab)) == {(source, family, "ssh") for source in SOURCES for family in (4, 6)}
    assert "open" not in outgoing
    assert unit(lab)["ActiveState"] == "failed"
    said = lab.run("mailhost", ["journalctl", "--boot", "--unit", UNIT, "--output=cat"]).stdout
    assert f"the packet filter in {STATE}/current did not load, the mail ports are closed instead: " in said


def test_unconfirmed_change_is_rolled_back_by_a_reboot(lab: Lab, harden: Harden) -> None:
    before = packet_filter(lab)
    signs = [("iptables", "unconfirmed"), ("ip6tables", "unconfirmed")]
    wanted = policy("unconfirmed") | {"packet_filter_confirm_timeout": 120}
    with when_pending(lab, signs) as moment, start_harden(**wanted) as running:
        moment.done()
        running.kill()
    assert is_pending(lab), "the run was over before it could be killed"
    restart(lab)
    assert packet_filter(lab).managed == before.managed
    assert not is_pending(lab)
    done = harden(**policy("confirmed"))
    assert (done.rc, done.changed) == (0, False), done


def test_unconfirmed_removal_is_rolled_back_by_a_reboot(lab: Lab) -> None:
    before = packet_filter(lab)
    with (
        when_pending(lab) as moment,
        start_harden(packet_filter_state="absent", packet_filter_confirm_timeout=120) as running,
    ):
        moment.done()
        running.kill()
    assert is_pending(lab), "the run was over before it could be killed"
    restart(lab)
    assert packet_filter(lab).managed == before.managed
    assert not is_pending(lab)


# What restores whole tables at boot: before us, by the name that EL uses, by a name of its own, and as a script.
OTHERS = """
iptables -A INPUT -p udp -m udp --dport 7 -j DROP
mkdir -p /etc/iptables
iptables-save > /etc/iptables/rules.v4
iptables-save | grep -v -i mailhost- > /etc/iptables.rules
ip6tables-save | grep -v -i mailhost- > /etc/ip6tables.rules
cat > /etc/systemd/system/netfilter-persistent.service << END
[Unit]
DefaultDependencies=no
Before=network-pre.target
Wants=network-pre.target
After=local-fs.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'iptables-restore < /etc/iptables/rules.v4 && touch /run/restored'
[Install]
WantedBy=multi-user.target
END
cat > /etc/systemd/system/iptables.service << END
[Unit]
Before=network-pre.target
Wants=network-pre.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/iptables-restore /etc/iptables.rules
ExecReload=/usr/sbin/iptables-restore /etc/iptables.rules
[Install]
WantedBy=multi-user.target
END
cat > /etc/systemd/system/a-firewall.service << END
[Unit]
After=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/ip6tables-restore /etc/ip6tables.rules
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl enable netfilter-persistent iptables a-firewall
"""
OTHERS_GONE = """
systemctl disable netfilter-persistent iptables a-firewall
rm /etc/systemd/system/netfilter-persistent.service /etc/systemd/system/iptables.service
rm /etc/systemd/system/a-firewall.service /etc/iptables.rules /etc/ip6tables.rules /etc/iptables/rules.v4
systemctl daemon-reload
iptables -D INPUT -p udp -m udp --dport 7 -j DROP
"""


@pytest.fixture(scope="module")
def _others(lab: Lab) -> Iterator[None]:
    lab.run("mailhost", ["sh", "-ec", OTHERS])
    restart(lab)
    yield
    lab.run("mailhost", ["sh", "-ec", OTHERS_GONE])


@pytest.mark.usefixtures("_others")
def test_policy_is_live_after_a_boot_in_which_others_replace_whole_tables(lab: Lab, harden: Harden) -> None:
    assert opened(all_verdicts(lab)) == open_by_policy()
    lab.run("mailhost", ["test", "-e", "/run/restored"])  # the saved rules name a set, and did load
    assert "-A INPUT -p udp -m udp --dport 7 -j DROP" in lab.run("mailhost", ["iptables-save"]).stdout
    assert unit(lab)["ActiveState"] == "active"
    done = harden(**policy("confirmed"))
    assert (done.rc, done.changed) == (0, False), done
    assert "/etc/iptables/rules.v4: holds managed chains" in done.stdout


@pytest.mark.usefixtures("_others")
@pytest.mark.parametrize("how", ["restart", "reload"])
def test_policy_comes_back_when_others_replace_whole_tables(lab: Lab, how: str) -> None:
    before = packet_filter(lab).managed
    lab.run("mailhost", ["systemctl", how, "iptables"])
    until("the policy is loaded again", lambda: packet_filter(lab).managed == before)


@pytest.mark.usefixtures("_others")
def test_run_that_repairs_says_since_when_and_who(lab: Lab, harden: Harden) -> None:
    lab.run("mailhost", ["sh", "-ec", "iptables -F; iptables -X"])
    done = harden(**policy("confirmed"))
    assert (done.rc, done.changed) == (0, True), done
    assert "the managed chains of ipv4 were gone" in done.stdout


def test_stopping_the_unit_removes_managed_rules_and_nothing_else(lab: Lab) -> None:
    add_unmanaged_rules(lab)
    before = packet_filter(lab)
    lab.run("mailhost", ["systemctl", "stop", UNIT])
    stopped = packet_filter(lab)
    assert stopped.unmanaged == before.unmanaged
    assert stopped.managed == []
    everything = {(source, family, name) for source in SOURCES for family in (4, 6) for name in [*LISTENING, "ssh"]}
    assert opened(all_verdicts(lab)) == everything
    lab.run("mailhost", ["systemctl", "start", UNIT])
    # The jump is behind ADMIN now, which can only deny.
    started = packet_filter(lab)
    assert (started.managed, started.unmanaged) == (before.managed, before.unmanaged)
    assert opened(all_verdicts(lab)) == open_by_policy()
