"""Open egress, strict reply rules: the host may connect anywhere, but only replies of a flow's peers are accepted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailhost_lab.packets.probes import Probe

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailhost_lab.packets.probes import Lab


@pytest.fixture(scope="module", autouse=True)
def _strict(harden: Callable[..., bool]) -> None:
    harden(packet_filter_reply_rules="strict")


@pytest.mark.parametrize("family", [4, 6])
def test_strict_replies_come_from_peers_alone(lab: Lab, family: int) -> None:
    remote, internal = lab.address("remote", "external", family), lab.address("internal", "internal", family)
    probes = [
        Probe("mailhost", remote, 110, greeting=True),
        Probe("mailhost", remote, 25, user="nobody", greeting=True),
        Probe("mailhost", remote, 8080, greeting=True),
        Probe("mailhost", internal, 110),
    ]
    verdicts = lab.batch(probes)
    assert verdicts[:3] == ["open"] * 3
    assert verdicts[3] in {"filtered", "rejected"}
