"""One source opens a burst of new connections, then has to wait; other sources do not notice."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from mailhost_lab.packets import endpoints

if TYPE_CHECKING:
    from mailhost_lab.packets.probes import Lab

LIMITED, UNLIMITED, BURST = 2526, 2525, 3


def in_turn(lab: Lab, family: int, sources: list[str], port: int = LIMITED) -> list[str]:
    """Connect to a port from one source after the other."""
    target = lab.address("mailhost", "external", family)
    return [lab.probe("external", target, port, source=source) for source in sources]


def test_rate_limit_counts_each_ipv4_address(lab: Lab) -> None:
    # New ones for every run: the host remembers for longer than a run lasts.
    greedy, modest = (f"198.51.100.{number}" for number in random.sample(range(45, 63), 2))
    with endpoints.addresses(lab, "external", greedy, modest):
        verdicts = in_turn(lab, 4, [greedy] * (BURST + 1) + [modest])
        assert verdicts == ["open"] * BURST + ["filtered", "open"]
        # The other flows have no such limit.
        assert set(in_turn(lab, 4, [greedy] * (2 * BURST), UNLIMITED)) == {"open"}


def test_rate_limit_counts_each_ipv6_prefix(lab: Lab) -> None:
    greedy, modest = (f"2001:db8:100:{number:x}" for number in random.sample(range(0x1000, 0xFFFF), 2))
    routes = [f"ip -6 route replace {prefix}::/64 dev eth0" for prefix in (greedy, modest)]
    sources = [f"{greedy}::{number}" for number in range(1, BURST + 3)]
    with endpoints.addresses(lab, "external", *sources, f"{modest}::1"):
        lab.run("mailhost", ["sh", "-ec", "\n".join(routes)])
        try:
            verdicts = in_turn(lab, 6, [*sources, f"{modest}::1"])
        finally:
            lab.run("mailhost", ["sh", "-ec", "\n".join(routes).replace("replace", "delete")])
    assert verdicts == ["open"] * BURST + ["filtered", "filtered", "open"]
