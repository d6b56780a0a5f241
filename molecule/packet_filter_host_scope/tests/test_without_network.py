"""Runs over a connection that no packet filter cuts: their confirmation does not show that SSH is open."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mailhost_lab.addresses import MAILHOST
from mailhost_lab.packets.endpoints import session
from mailhost_lab.runs import plays
from mailhost_lab.scenarios.setup import policy_of
from mailhost_lab.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailhost_lab.packets.probes import Lab

POLICY = policy_of(Path(__file__).parents[1])
WRONG = ["203.0.113.0/24"]
"""Networks from which nobody manages the host."""


@pytest.fixture
def run(lab: Lab) -> Callable[..., plays.Run]:
    """Return what runs the playbook by a process in the container."""
    command = [lab.engine.name, "exec", "-i", MAILHOST.container]

    def harden(**variables: Any) -> plays.Run:
        own = {"ansible_connection": "lab_exec", "ansible_pipelining": True, "lab_exec_command": shlex.join(command)}
        return plays.harden(**{**POLICY, **own, **variables})

    return harden


def rules(lab: Lab) -> str:
    """Everything that decides about packets, without counters and dates."""
    return lab.run("mailhost", ["sh", "-c", "(iptables-save; ip6tables-save) | grep -v '^[#:]'; ipset save"]).stdout


def end_ssh_sessions(lab: Lab) -> None:
    """End those of earlier runs, which Ansible keeps open for a while."""
    lab.run("mailhost", ["pkill", "-f", "^sshd: root"], check=False)
    until(
        "no session is left",
        lambda: not lab.run("mailhost", ["ss", "-tnH", "state", "established", "sport", "22"]).stdout,
    )


def test_run_is_refused_that_could_close_ssh_without_showing_it(lab: Lab, run: Callable[..., plays.Run]) -> None:
    end_ssh_sessions(lab)
    before = rules(lab)
    done = run(packet_filter_management_networks=WRONG)
    assert done.rc != 0, done
    assert done.message == (
        'packet_filter_scope: "host" can close SSH to everybody, and this run comes over the connection plugin '
        '"lab_exec", so that its confirmation would not show it; run over SSH from another host, or check '
        "packet_filter_management_networks and write packet_filter_confirm_without_network: true"
    )
    assert rules(lab) == before
    assert str(lab.probe("external", lab.address("mailhost", "external", 4), 22)) == "open"


def test_run_stops_where_an_open_session_of_ssh_would_be_cut(lab: Lab, run: Callable[..., plays.Run]) -> None:
    before = rules(lab)
    with session(lab, "external", lab.address("mailhost", "external", 4), 22):
        done = run(packet_filter_management_networks=WRONG, packet_filter_confirm_without_network=True)
    assert done.rc != 0, done
    assert "packet_filter_management_networks" in done.message
    assert "198.51.100.20" in done.message
    assert rules(lab) == before


def test_run_with_consent_says_what_its_confirmation_did_not_show(lab: Lab, run: Callable[..., plays.Run]) -> None:
    end_ssh_sessions(lab)
    others = [*POLICY["packet_filter_management_networks"], "198.51.100.24/29"]
    done = run(packet_filter_management_networks=others, packet_filter_confirm_without_network=True)
    assert (done.rc, done.changed) == (0, True), done
    assert "does not show that the host can be reached over the network" in done.stdout.replace("\n", " ")
    assert str(lab.probe("external", lab.address("mailhost", "external", 4), 22)) == "open"
    # It did not know of the controller, whose network it would have had to name.
    inside = [*others, "198.51.100.64/26"]
    assert run(packet_filter_management_networks=inside, packet_filter_confirm_without_network=True).rc == 0
    assert plays.harden(**POLICY).rc == 0
