"""Packets that no honest client or server sends get no answer (the SYN and the source ports
of docs/reference/requirements.md#f1)."""

from __future__ import annotations

import pytest

from mailhost_lab.packets.probes import Craft, Lab

MAIL, PLAIN, UNUSED = 25, 8080, 8099
"""A served port of a flow, a served port that is no mail port, an unprivileged port on which no server listens."""

# What is sent: flags, source port (None: any unprivileged one), port.
UNANSWERED = {
    "SYN from a privileged port": ("S", 1023, MAIL),
    "SYN from port 25": ("S", 25, MAIL),
    "SYN from port 53": ("S", 53, MAIL),
    "lone ACK": ("A", None, MAIL),
    "SYN-ACK": ("SA", None, MAIL),
    "FIN": ("F", None, MAIL),
    "FIN-ACK": ("FA", None, MAIL),
    "SYN-FIN": ("SF", None, MAIL),
    "NULL": ("", None, MAIL),
    "XMAS": ("FPU", None, MAIL),
    # As if they were replies to the client flow (F2).
    "SYN from a mail server": ("S", 25, PLAIN),
    "SYN-ACK from a mail server": ("SA", 25, UNUSED),
    "ACK from a mail server": ("A", 25, UNUSED),
    "FIN from a mail server": ("FA", 25, UNUSED),
    # As if they were replies to the flow of a POP3 client (F5); `external` is not even its peer.
    "SYN from a POP3 server": ("S", 110, PLAIN),
    "SYN-ACK from a POP3 server": ("SA", 110, UNUSED),
}

# The same packets get an answer where nothing is in the way: what makes silence mean something.
ANSWERED = {
    "SYN": ("S", None, MAIL, "SA"),
    "SYN from the first unprivileged port": ("S", 1024, MAIL, "SA"),
    "SYN to a plain port": ("S", 1023, PLAIN, "SA"),
    "lone ACK to a plain port": ("A", None, PLAIN, "R"),
    "SYN-ACK to a plain port": ("SA", None, UNUSED, "R"),
    "FIN to an unused port": ("F", None, UNUSED, "RA"),
    "NULL to an unused port": ("", None, UNUSED, "RA"),
    "XMAS to an unused port": ("FPU", None, UNUSED, "RA"),
}


def craft(lab: Lab, family: int, flags: str, sport: int | None, port: int) -> Craft:
    """Return a packet from `external`."""
    return Craft("external", lab.address("mailhost", "external", family), port, sport, flags)


@pytest.mark.parametrize("family", [4, 6])
def test_crafted_packet_is_dropped(lab: Lab, family: int) -> None:
    verdicts = lab.batch([craft(lab, family, *packet) for packet in UNANSWERED.values()])
    assert dict(zip(UNANSWERED, verdicts)) == dict.fromkeys(UNANSWERED)


@pytest.mark.parametrize("family", [4, 6])
def test_crafted_packet_to_unfiltered_port_is_answered(lab: Lab, family: int) -> None:
    verdicts = lab.batch([craft(lab, family, *packet[:3]) for packet in ANSWERED.values()])
    assert dict(zip(ANSWERED, verdicts)) == {name: packet[3] for name, packet in ANSWERED.items()}
