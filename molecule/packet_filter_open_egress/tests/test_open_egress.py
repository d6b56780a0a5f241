"""What comes in is held to the policy; what goes out is not filtered (docs/reference/requirements.md#f6)."""

from __future__ import annotations

import pytest

from mailhost_lab.packets.probes import Craft, Lab, Probe

REFUSED = {"filtered", "rejected"}


@pytest.mark.parametrize("family", [4, 6])
def test_anybody_on_the_host_may_connect(lab: Lab, family: int) -> None:
    remote = lab.address("remote", "external", family)
    users = ("postfix", "nobody", "root")
    probes = [Probe("mailhost", remote, port, user=user, greeting=True) for port in (25, 8080) for user in users]
    assert set(lab.batch(probes)) == {"open"}


@pytest.mark.parametrize("family", [4, 6])
def test_peers_of_a_client_flow_are_held_to(lab: Lab, family: int) -> None:
    probes = [
        Probe("mailhost", lab.address("remote", "external", family), 110, greeting=True),
        Probe("mailhost", lab.address("internal", "internal", family), 110),
    ]
    verdicts = lab.batch(probes)
    assert verdicts[0] == "open"
    assert verdicts[1] in REFUSED


@pytest.mark.parametrize("family", [4, 6])
def test_servers_are_held_to_the_policy(lab: Lab, family: int) -> None:
    managed = lab.address("mailhost", "external", family)
    second = (lab.hosts["external"].extra4 if family == 4 else lab.hosts["external"].extra6)[0]
    opened = [Probe("external", managed, port, greeting=True) for port in (22, 25, 110, 8080)]
    closed = [Probe("external", managed, port) for port in (143, 587, 993, 995)]
    closed += [Probe("external", managed, 110, source=second), Probe("external", managed, 25, sport=1023)]
    verdicts = lab.batch([*opened, *closed])
    assert verdicts[: len(opened)] == ["open"] * len(opened)
    assert set(verdicts[len(opened) :]) <= REFUSED


@pytest.mark.parametrize("family", [4, 6])
def test_no_packet_passes_for_a_reply(lab: Lab, family: int) -> None:
    managed = lab.address("mailhost", "external", family)
    packets = [Craft("external", managed, 25, flags=flags) for flags in ("A", "SA", "F", "FPU", "")]
    packets += [Craft("external", managed, 8099, sport=25, flags=flags) for flags in ("A", "SA")]
    packets += [Craft("external", managed, 8080, sport=25)]
    assert lab.batch(packets) == [None] * len(packets)
