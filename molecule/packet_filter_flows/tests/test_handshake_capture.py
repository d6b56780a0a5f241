"""The proof by packet trace (docs/reference/requirements.md#f7): which side sends the SYN, on the wire."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mailhost_lab.packets.probes import Lab


def handshake(lab: Lab, client: str, server: str, family: int, user: str) -> list[tuple[str, str]]:
    """Connect to port 25 under a capture on the mail host; return the flags of the first packets and their way."""
    managed, theirs = (lab.address(name, "external", family) for name in (client, server))
    with lab.capture("mailhost", f"host {managed} and host {theirs} and tcp port 25", interface="eth0") as shown:
        assert lab.probe(client, theirs, 25, user=user, greeting=True) == "open"
    ways = {(managed, theirs): "to port 25", (theirs, managed): "from port 25"}
    packets = []
    # The lines between are of the dialogue, which tcpdump shows as well.
    for found in re.finditer(r" IP6? (\S+)\.(\d+) > (\S+)\.(\d+): Flags \[(\S+)\]", "\n".join(shown.lines)):
        source, sport, target, dport, flags = found.groups()
        way = ways[source, target]
        assert (dport if way == "to port 25" else sport) == "25"
        assert int(sport if way == "to port 25" else dport) >= 1024
        packets.append((flags, way))
    return packets[:3]


EXPECTED = [("S", "to port 25"), ("S.", "from port 25"), (".", "to port 25")]


@pytest.mark.parametrize("family", [4, 6])
def test_trace_of_server_flow_shows_the_whole_handshake(lab: Lab, family: int) -> None:
    assert handshake(lab, "external", "mailhost", family, "nobody") == EXPECTED


@pytest.mark.parametrize("family", [4, 6])
def test_trace_of_client_flow_shows_the_whole_handshake(lab: Lab, family: int) -> None:
    assert handshake(lab, "mailhost", "remote", family, "postfix") == EXPECTED
