"""Blocked networks reach no mail port, whether they were given inline or in a file; their neighbours do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailhost_lab.packets import endpoints
from mailhost_lab.packets.probes import Probe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhost_lab.packets.probes import Lab

BLOCKED = {
    4: ("198.51.100.32", "198.51.100.39", "198.51.100.40", "198.51.100.43"),
    6: ("2001:db8:100:0:b::5", "2001:db8:100:0:b:ffff:ffff:ffff", "2001:db8:100:0:c::5"),
}
NEIGHBOURS = {4: ("198.51.100.31", "198.51.100.44"), 6: ("2001:db8:100:0:a::5", "2001:db8:100:0:d::5")}


@pytest.fixture(scope="module", autouse=True)
def _sources(lab: Lab) -> Iterator[None]:
    every = [address for table in (BLOCKED, NEIGHBOURS) for family in (4, 6) for address in table[family]]
    with endpoints.addresses(lab, "external", *every):
        yield


def verdicts(lab: Lab, family: int, sources: tuple[str, ...], port: int) -> list[str | None]:
    """Connect from each source."""
    target = lab.address("mailhost", "external", family)
    return lab.batch([Probe("external", target, port, source=source) for source in sources])


@pytest.mark.parametrize("port", [25, 2525])
@pytest.mark.parametrize("family", [4, 6])
def test_blocked_networks_reach_no_mail_port(lab: Lab, family: int, port: int) -> None:
    assert set(verdicts(lab, family, BLOCKED[family], port)) <= {"filtered", "rejected"}
    assert set(verdicts(lab, family, NEIGHBOURS[family], port)) == {"open"}


@pytest.mark.parametrize("family", [4, 6])
def test_blocked_networks_reach_other_ports(lab: Lab, family: int) -> None:
    assert set(verdicts(lab, family, BLOCKED[family], 8080)) == {"open"}
