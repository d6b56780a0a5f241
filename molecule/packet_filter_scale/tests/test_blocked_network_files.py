"""Long files of blocked networks: they load, they count, a change of the list is a change, and nothing else is."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from mailhost_lab.packets.probes import Lab, Probe
from mailhost_lab.runs.plays import Run

CLOSED = ["imap", "imaps", "pop3", "pop3s"]


def block_list(path: Path, count: int, *members: str) -> list[str]:
    """Write a list of networks in no order with these among them; returns it as the role's variable."""
    chance = random.Random(7)  # noqa: S311 - no secret
    half = (count - len(members)) // 2
    found = [
        f"{n >> 24}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"
        for n in chance.sample(range(0x0B000000, 0xC0000000), half)
    ]
    found += [f"2001:db8:{n >> 16:x}:{n & 0xFFFF:x}::/64" for n in chance.sample(range(0x10000000, 1 << 32), half)]
    found += members
    chance.shuffle(found)
    path.write_text("# a list\n" + "\n".join(found) + "\n")
    return [str(path)]


@pytest.fixture(scope="module")
def blocked(lab: Lab) -> tuple[str, str]:
    """Return an IPv4 and an IPv6 address of the host `external` that the lists name."""
    return lab.hosts["external"].extra4[0], lab.hosts["external"].extra6[0]


def verdicts(lab: Lab, sources: tuple[str, str]) -> list[str | None]:
    """Say what a connection to port 25 gets from these addresses, and from the host's own ones."""
    targets = [lab.address("mailhost", "external", family) for family in (4, 6)]
    probes = [Probe("external", target, 25, source=source) for target, source in zip(targets, sources)]
    return lab.batch([*probes, *(Probe("external", target, 25) for target in targets)])


def test_file_of_100_000_networks_is_loaded(
    lab: Lab, harden: Callable[..., Run], tmp_path: Path, blocked: tuple[str, str]
) -> None:
    assert verdicts(lab, blocked) == ["open"] * 4
    files = block_list(tmp_path / "list", 100_000, *blocked)
    check = harden(check=True, packet_filter_close_services=CLOSED, packet_filter_blocked_network_files=files)
    assert check.rc == 0, str(check)
    assert check.changed
    assert verdicts(lab, blocked) == ["open"] * 4
    first = harden(packet_filter_close_services=CLOSED, packet_filter_blocked_network_files=files)
    assert first.rc == 0, str(first)
    assert first.changed
    assert verdicts(lab, blocked) == ["filtered", "filtered", "open", "open"]
    again = harden(packet_filter_close_services=CLOSED, packet_filter_blocked_network_files=files)
    assert not again.changed, str(again)

    shorter = block_list(tmp_path / "list", 100_000, blocked[1])
    assert harden(packet_filter_close_services=CLOSED, packet_filter_blocked_network_files=shorter).changed
    assert verdicts(lab, blocked) == ["open", "filtered", "open", "open"]
    again = harden(packet_filter_close_services=CLOSED, packet_filter_blocked_network_files=shorter)
    assert not again.changed, str(again)

    names = lab.run("mailhost", ["ipset", "list", "-name"]).stdout.split()
    assert len(names) == 2, "the sets of the former list have gone"


def test_file_of_a_million_networks_is_loaded(
    lab: Lab, harden: Callable[..., Run], tmp_path: Path, blocked: tuple[str, str]
) -> None:
    files = block_list(tmp_path / "list", 1_000_000, *blocked)
    run = harden(timeout=900, packet_filter_close_services=CLOSED, packet_filter_blocked_network_files=files)
    assert run.rc == 0, str(run)
    assert verdicts(lab, blocked) == ["filtered", "filtered", "open", "open"]
    assert harden(packet_filter_close_services=CLOSED).changed
    assert verdicts(lab, blocked) == ["open"] * 4


def test_bad_line_in_a_file_stops_the_run_with_its_number(lab: Lab, harden: Callable[..., Run], tmp_path: Path) -> None:
    before = lab.run("mailhost", ["iptables-save"]).stdout
    path = tmp_path / "bad"
    path.write_text("192.0.2.1\n10.0.0.5/8\n")
    run = harden(packet_filter_close_services=CLOSED, packet_filter_blocked_network_files=[str(path)])
    assert run.rc != 0
    assert f'{path}:2: "10.0.0.5/8" has host bits set; write "10.0.0.0/8" or "10.0.0.5/32"' in run.message
    assert rules(lab.run("mailhost", ["iptables-save"]).stdout) == rules(before)


def rules(saved: str) -> list[str]:
    return [line for line in saved.splitlines() if line.startswith("-A")]
