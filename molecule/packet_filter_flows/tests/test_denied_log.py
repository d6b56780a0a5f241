"""Refusals are logged under the name of the flow, and not more of them than the limit allows.

By default the kernel writes no log lines for the network namespace of a container, so the limit is read from how many
packets its logging has taken, by the prefix that the interface promises; one test has the kernel write, where it may.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from mailhost_lab.containers.engine import LabError
from mailhost_lab.packets.probes import Craft

if TYPE_CHECKING:
    from mailhost_lab.packets.probes import Lab

PER_MINUTE = 10
PACKETS = 60
PORT = 465
PREFIX = "mailhost submissions-in:"


def logged(lab: Lab, family: int) -> int:
    """Return how many packets were logged with the flow's prefix."""
    saved = lab.run("mailhost", ["iptables-save" if family == 4 else "ip6tables-save", "-c"]).stdout
    counts = re.findall(rf'^\[(\d+):\d+\] .*--log-prefix "{PREFIX} *"', saved, re.MULTILINE)
    assert counts, "nothing logs under the name of the flow"
    return sum(map(int, counts))


@pytest.mark.parametrize("family", [4, 6])
def test_denied_packets_are_logged_within_the_limit(lab: Lab, family: int) -> None:
    target = lab.address("mailhost", "external", family)
    before = logged(lab, family)
    started = time.monotonic()
    # Other tests may have used the allowance up; it grows by one in six seconds.
    while logged(lab, family) == before and time.monotonic() < started + 15:
        assert lab.craft("external", target, PORT, timeout=0.2) is None
    first = logged(lab, family)
    assert first > before
    assert lab.batch([Craft("external", target, PORT, timeout=0.2)] * PACKETS) == [None] * PACKETS
    minutes = (time.monotonic() - started) / 60
    assert logged(lab, family) - before <= PER_MINUTE * (1 + minutes)


@pytest.mark.parametrize("family", [4, 6])
def test_accepted_packets_are_not_logged(lab: Lab, family: int) -> None:
    target = lab.address("mailhost", "internal", family)
    before = logged(lab, family)
    assert set(lab.batch([Craft("internal", target, 25)] * 5)) == {"SA"}
    assert logged(lab, family) == before


@pytest.mark.parametrize("family", [4, 6])
def test_kernel_log_has_the_name_of_the_flow(lab: Lab, family: int) -> None:
    target = lab.address("mailhost", "external", family)
    before = logged(lab, family)
    started = time.monotonic()
    try:
        with lab.kernel_log() as log:
            while logged(lab, family) == before and time.monotonic() < started + 15:
                lab.craft("external", target, PORT, timeout=0.2)
    except LabError as error:
        pytest.skip(str(error))
    found = [line for line in log.lines if PREFIX in line]
    assert found
    assert all(f"DPT={PORT}" in line for line in found)
