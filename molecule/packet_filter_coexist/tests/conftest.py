"""The variant of iptables that the host uses, and a new host that uses it too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

import pytest

from mailhost_lab.addresses import MAILHOST
from mailhost_lab.containers.hosts import release_of
from mailhost_lab.containers.lifecycle import reset
from mailhost_lab.packets.host_state import PacketFilter, files, packet_filter

if TYPE_CHECKING:
    from mailhost_lab.packets.probes import Lab
    from mailhost_lab.runs.plays import Run

Step = Callable[..., "Run"]


@pytest.fixture(scope="session")
def variant(lab: Lab) -> str:
    """Return which variant the command iptables is; the scenario has chosen it before."""
    return "legacy" if "legacy" in lab.run("mailhost", ["iptables", "--version"]).stdout else "nft"


@pytest.fixture(scope="module")
def new_host(lab: Lab, variant: str) -> None:
    """Make the mail host anew: the role has never run there."""
    reset(release_of(lab.engine, MAILHOST))
    for tables in ("iptables", "ip6tables"):
        lab.run("mailhost", ["update-alternatives", "--set", tables, f"/usr/sbin/{tables}-{variant}"])
    assert not packet_filter(lab).managed


@pytest.fixture
def step(lab: Lab, harden: Step) -> Step:
    """Return a run of the role that is preceded by one in check mode, which must foresee it and leave no trace."""

    def run(*, changed: bool, **variables: object) -> Run:
        before, on_disk = packet_filter(lab), files(lab, times=True)
        foreseen = harden(check=True, **variables)
        assert foreseen.rc == 0, foreseen
        assert packet_filter(lab).all == before.all
        assert files(lab, times=True) == on_disk
        done = harden(**variables)
        assert done.rc == 0, done
        assert (foreseen.changed, done.changed) == (changed, changed), done
        assert foreseen.diff == done.diff
        return done

    return run


@pytest.fixture
def stopped(lab: Lab, harden: Step) -> Step:
    """Return a run of the role that must fail, in check mode with the same words, and change nothing."""

    def run(**variables: object) -> Run:
        before: tuple[PacketFilter, object] = packet_filter(lab), files(lab)
        foreseen, done = harden(check=True, **variables), harden(**variables)
        assert done.rc != 0, done
        assert not done.changed
        assert (foreseen.rc, foreseen.message) == (done.rc, done.message)
        assert packet_filter(lab).all == before[0].all
        assert files(lab) == before[1]
        return done

    return run
