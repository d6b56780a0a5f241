"""What the role put on a host leaves it again, and nothing else does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

import pytest

from mailhost_lab.packets.host_state import add_unmanaged_rules, files, packet_filter
from mailhost_lab.packets.probes import Lab, Probe

if TYPE_CHECKING:
    from mailhost_lab.runs.plays import Run

Step = Callable[..., "Run"]

POLICY = {
    "packet_filter_services": [
        {"service": "smtp", "direction": "server"},
        {"service": "smtp", "direction": "client"},
        {"service": "imap", "direction": "server", "peers": [f"198.18.{number}.0/24" for number in range(60)]},
    ],
    "packet_filter_close_services": ["imaps", "pop3", "pop3s"],
}

# What another role of the collection, or the administrator, has beside the files of this one.
NEIGHBOURS = """
mkdir -p /var/lib/mailhost-hardening/postfix /usr/local/lib/mailhost-hardening
echo theirs > /var/lib/mailhost-hardening/postfix/state
echo theirs > /usr/local/lib/mailhost-hardening/other.py
"""


@pytest.fixture(scope="module", autouse=True)
def _new_host(new_host: None) -> None:
    """Give this module a host on which the role has never run."""


def units(lab: Lab) -> str:
    """Return what systemd knows of units with the managed name, running or not."""
    listed = "systemctl list-units --all --no-legend --plain; systemctl list-unit-files --no-legend"
    return "\n".join(
        line for line in lab.run("mailhost", ["sh", "-c", listed]).stdout.splitlines() if "mailhost-" in line
    )


def test_absent_on_a_fresh_host_changes_nothing(step: Step) -> None:
    step(changed=False, packet_filter_state="absent")


def test_absent_removes_all_that_is_managed_and_nothing_else(lab: Lab, harden: Step, step: Step) -> None:
    add_unmanaged_rules(lab)
    before, on_disk = packet_filter(lab), files(lab)
    assert harden(**POLICY).rc == 0
    assert packet_filter(lab).managed
    assert files(lab) != on_disk
    assert "mailhost-packet-filter.service" in units(lab)
    step(changed=True, packet_filter_state="absent")
    assert packet_filter(lab).all == before.all
    assert packet_filter(lab).counted == before.counted
    assert files(lab) == on_disk
    assert units(lab) == ""
    step(changed=False, packet_filter_state="absent")
    assert lab.batch([Probe("external", lab.address("mailhost", "external", f), 143) for f in (4, 6)]) == [
        "open",
        "open",
    ]


def test_absent_keeps_unmanaged_files_beside_managed_ones(lab: Lab, harden: Step) -> None:
    lab.run("mailhost", ["sh", "-ec", NEIGHBOURS])
    on_disk = files(lab)
    assert harden(**POLICY).rc == 0
    done = harden(packet_filter_state="absent")
    assert (done.rc, done.changed) == (0, True), done
    assert files(lab) == on_disk
