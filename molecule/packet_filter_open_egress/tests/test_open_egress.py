"""What comes in is held to the policy; what goes out is not filtered (docs/reference/requirements.md#f6)."""

from __future__ import annotations

import pytest

from mailhost_lab.packets.probes import Craft, Lab, Probe

BLOCKED = {"filtered", "rejected"}


@pytest.mark.parametrize("family", [4, 6])
def test_every_user_may_connect_with_open_egress(lab: Lab, family: int) -> None:
    remote = lab.address("remote", "external", family)
    users = ("postfix", "nobody", "root")
    probes = [Probe("mailhost", remote, port, user=user, greeting=True) for port in (25, 8080) for user in users]
    assert set(lab.batch(probes)) == {"open"}


@pytest.mark.parametrize("family", [4, 6])
def test_client_flow_with_peers_reaches_them_alone(lab: Lab, family: int) -> None:
    probes = [
        Probe("mailhost", lab.address("remote", "external", family), 110, greeting=True),
        Probe("mailhost", lab.address("internal", "internal", family), 110),
    ]
    verdicts = lab.batch(probes)
    assert verdicts[0] == "open"
    assert verdicts[1] in BLOCKED


@pytest.mark.parametrize("family", [4, 6])
def test_server_flows_are_filtered_with_open_egress(lab: Lab, family: int) -> None:
    managed = lab.address("mailhost", "external", family)
    second = (lab.hosts["external"].extra4 if family == 4 else lab.hosts["external"].extra6)[0]
    opened = [Probe("external", managed, port, greeting=True) for port in (22, 25, 110, 8080)]
    closed = [Probe("external", managed, port) for port in (143, 587, 993, 995)]
    closed += [Probe("external", managed, 110, source=second), Probe("external", managed, 25, sport=1023)]
    verdicts = lab.batch([*opened, *closed])
    assert verdicts[: len(opened)] == ["open"] * len(opened)
    assert set(verdicts[len(opened) :]) <= BLOCKED


@pytest.mark.parametrize("family", [4, 6])
def test_crafted_reply_is_dropped(lab: Lab, family: int) -> None:
    managed = lab.address("mailhost", "external", family)
    packets = [Craft("external", managed, 25, flags=flags) for flags in ("A", "SA", "F", "FPU", "")]
    packets += [Craft("external", managed, 8099, sport=25, flags=flags) for flags in ("A", "SA")]
    packets += [Craft("external", managed, 8080, sport=25)]
    assert lab.batch(packets) == [None] * len(packets)
