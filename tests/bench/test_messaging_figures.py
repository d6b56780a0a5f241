"""The figures of the role messaging_server; `make bench` prints them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from measure import play, report, server_role
from yaml import safe_dump, safe_load

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping import (
    parse_mappings,
)
from mailhost_lab.addresses import MESSAGING
from mailhost_lab.containers.access import socket_folder
from mailhost_lab.containers.lifecycle import reset
from mailhost_lab.mail.messaging_server import Messaging
from mailhost_lab.packets.probes import Lab
from mailhost_lab.paths import INVENTORY

PING = {"bench_hosts": "messaging_hosts"}
OWN = ["198.51.100.64/26", "2001:db8:200::/64"]
POLICY: dict[str, Any] = {
    "mailhost_domains": ["mail.example"],
    "mailhost_internal_networks": OWN,
    "mailhost_blocked_networks": ["203.0.113.0/28"],
    "mailhost_dnsbls": [{"zone": "good.dnsbl.example", "stage": "mail"}],
    "mailhost_sender_domain_check": True,
    "messaging_server_unknown_entries": "replace",
}
BIG = 5_000
FORKS = 10


@pytest.fixture(autouse=True)
def server(lab: Lab) -> Messaging:
    """A new host with the stand-in for Messaging Server."""
    reset("bookworm", MESSAGING)
    return Messaging(lab)


def apart(count: int) -> list[str]:
    """Networks that cannot be joined to fewer."""
    return [f"10.{n >> 7}.{(n & 127) * 2}.0/24" for n in range(count)]


def entries(text: str) -> list[tuple[str, str, str]]:
    return [(table.name, one.pattern, one.template) for table in parse_mappings(text).tables for one in table.entries]


def middle(found: list[float]) -> float:
    return sorted(found)[len(found) // 2]


def test_second_run() -> None:
    server_role(changed=True, **POLICY)
    pings, roles = [], []
    for _round in range(7):
        pings.append(play("ping.yml", **PING))
        roles.append(server_role(changed=False, **POLICY))
    report("messaging_server, second run / ping play", middle(roles) / middle(pings), 1.6)


@pytest.mark.parametrize("whose", ["managed", "unmanaged"])
def test_change_of_one_network(server: Messaging, whose: str) -> None:
    """A network more in a mapping file of 5,000 entries; the time of the stand-in's own processes is taken off."""
    networks = [*OWN, *(apart(BIG) if whose == "managed" else [])]
    if whose == "unmanaged":
        lines = "".join(f"  tcp_local|user{n}@domain{n}.example  $Y\n" for n in range(BIG))
        server.install(mappings=f"{server.read('mappings')}\nX-SENDERS\n\n{lines}")
    server_role(changed=True, **{**POLICY, "mailhost_internal_networks": networks})
    before = entries(server.read("mappings"))
    assert len(before) > BIG
    pings, changes = [], []
    for number in range(5):
        pings.append(play("ping.yml", **PING))
        networks.append(f"192.0.2.{number * 2}")
        server.clear()
        seconds = server_role(changed=True, **{**POLICY, "mailhost_internal_networks": networks})
        assert "cnbuild" in [call.line for call in server.calls()]
        changes.append(seconds - server.seconds())
        after = entries(server.read("mappings"))
        assert set(after) - set(before) == {("INTERNAL_IP", f"$(192.0.2.{number * 2}/32)", "$Y")}
        assert len(after) == len(before) + 1
        before = after
    name = f"one network more beside {BIG:,} entries ({whose}), without the stand-in / ping play"
    report(name, middle(changes) / middle(pings), 3)


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """An inventory in which the lab's one host has 20 names, each with an SSH connection of its own."""
    known = safe_load(INVENTORY.read_text())["all"]["children"]["messaging_hosts"]["hosts"]["messaging"]
    hosts = {
        f"copy{n:02}": {**known, "ansible_control_path": f"{socket_folder()}/copy{n:02}"} for n in range(2 * FORKS)
    }
    path = tmp_path / "copies.yml"
    path.write_text(safe_dump({"copies": {"hosts": hosts}}))
    return path


def test_twenty_hosts(copies: Path) -> None:
    """With 10 forks 20 hosts take at most twice as long as 10, for runs that change nothing and for check mode.

    There is one host with a Messaging Server in the lab, so it stands for all of them under 20 names. What is
    measured is the controller's part and twenty modules at work, which share this machine's cores with it, so the
    absolute times say little. A run that changes twenty hosts cannot be made this way, as a host is changed by one
    run at a time. The check of a change comes near it: it evaluates everything and asks the product's own tool, but
    compiles and activates nothing.
    """
    server_role(changed=True, **POLICY)
    changing = {**POLICY, "mailhost_internal_networks": [*OWN, "192.0.2.0/24"]}

    def run(count: int, *options: str, changed: bool, policy: dict[str, Any]) -> float:
        return server_role(
            *options,
            *("--forks", str(FORKS), "--limit", ",".join(f"copy{n:02}" for n in range(count))),
            changed=changed,
            hosts=count,
            inventory=copies,
            bench_hosts="copies",
            **policy,
        )

    run(2 * FORKS, changed=False, policy=POLICY)  # opens the connections
    figures = {}
    for name, options, changed, policy in (
        ("second run", (), False, POLICY),
        ("check of a change", ("--check",), True, changing),
    ):
        one = run(1, *options, changed=changed, policy=policy)
        ten, twenty = [], []
        for _round in range(2 if changed else 3):
            ten.append(run(FORKS, *options, changed=changed, policy=policy))
            twenty.append(run(2 * FORKS, *options, changed=changed, policy=policy))
        # The quicker of each: what else the machine does only ever adds.
        figures[name] = min(twenty) / min(ten)
        print(f"\n  {name}: 1 host {one:.1f} s, 10 hosts {min(ten):.1f} s, 20 hosts {min(twenty):.1f} s", end="")
    for name, figure in figures.items():
        report(f"{name}, 20 hosts / 10 hosts, {FORKS} forks", figure, 2.2)
