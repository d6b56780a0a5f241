"""Which client may connect to which port, as server and as client, in both families
(docs/reference/requirements.md#f1 to docs/reference/requirements.md#f5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from mailhost_lab.packets.probes import Probe

if TYPE_CHECKING:
    from mailhost_lab.packets.probes import Lab

BLOCKED = {"filtered", "rejected"}
"""No answer or an ICMP error. `closed` is none of them: the packet has passed, and no server listened."""


@dataclass(frozen=True)
class Try:
    """One attempt; `second` takes the further address of `external` as the source."""

    src: str
    dst: str
    port: int
    user: str | None = None
    second: bool = False
    sport: int | None = None

    def __str__(self) -> str:
        client = f"{self.src}{'.second' if self.second else ''}{f'({self.user})' if self.user else ''}"
        return f"{client}{f':{self.sport}' if self.sport else ''}-{self.dst}:{self.port}"

    def probe(self, lab: Lab, family: int, *, greeting: bool) -> Probe:
        """Return the connection to open."""
        network = "internal" if "internal" in (self.src, self.dst) else "external"
        host = lab.hosts[self.src]
        source = (host.extra4 if family == 4 else host.extra6)[0] if self.second else None
        target = lab.address(self.dst, network, family)
        return Probe(self.src, target, self.port, self.sport, source, self.user, greeting)


TLS = {993, 995}
"""Servers there wait for the client's first words."""

OPEN = [
    # F1: every host may send mail to the server.
    Try("external", "mailhost", 25),
    Try("external", "mailhost", 25, second=True),
    Try("external", "mailhost", 25, sport=1024),
    Try("external", "mailhost", 25, sport=65535),
    Try("remote", "mailhost", 25),
    Try("internal", "mailhost", 25),
    # F2: we deliver to other mail servers.
    Try("mailhost", "remote", 25, user="postfix"),
    # F3, F4: one address fetches mail by POP3.
    Try("external", "mailhost", 110),
    # F5: mail is fetched from one server, by every user.
    Try("mailhost", "remote", 110),
    Try("mailhost", "remote", 110, user="nobody"),
    # A network of peers.
    Try("internal", "mailhost", 143),
    # A port without a name.
    Try("external", "mailhost", 2525),
    Try("internal", "mailhost", 2525),
    Try("mailhost", "remote", 2525, user="nobody"),
    # One of more than fifty peers.
    Try("external", "mailhost", 4190, second=True),
    Try("mailhost", "remote", 4190),
    # Not mail: left to the host, in both directions and whatever the source port.
    *(Try(src, "mailhost", port) for src in ("external", "internal") for port in (22, 8080)),
    *(Try("mailhost", "remote", port) for port in (22, 8080)),
    Try("external", "mailhost", 22, sport=993),
    Try("external", "mailhost", 22, sport=4190),
    Try("external", "mailhost", 22, sport=2525),
]

CLOSED = [
    # F1, F2, F3: clients come from unprivileged ports.
    *(Try("external", "mailhost", port, sport=1023) for port in (25, 110, 2525)),
    # F2: the mail server alone opens connections to port 25.
    Try("mailhost", "remote", 25, user="nobody"),
    Try("mailhost", "remote", 25, user="root"),
    # F4, F5: the peers of a flow alone.
    Try("external", "mailhost", 110, second=True),
    Try("remote", "mailhost", 110),
    Try("internal", "mailhost", 110),
    Try("mailhost", "internal", 110),
    Try("external", "mailhost", 143),
    Try("external", "mailhost", 4190),
    Try("internal", "mailhost", 4190),
    Try("mailhost", "internal", 4190),
    # What is not declared, in both directions.
    *(Try(src, "mailhost", port) for src in ("external", "internal") for port in (465, 587, 993, 995)),
    *(Try("mailhost", "remote", port, user) for port in (143, 465, 587, 993, 995) for user in ("root", "postfix")),
]


@pytest.fixture(scope="module")
def verdicts(lab: Lab) -> dict[tuple[Try, int], str | None]:
    """All connections, opened side by side."""
    asked = [(attempt, family) for attempt in (*OPEN, *CLOSED) for family in (4, 6)]
    probes = [
        attempt.probe(lab, family, greeting=attempt in OPEN and attempt.port not in TLS) for attempt, family in asked
    ]
    return dict(zip(asked, lab.batch(probes)))


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("attempt", OPEN, ids=str)
def test_attempt_of_a_declared_flow_is_open(verdicts: dict[tuple[Try, int], str], attempt: Try, family: int) -> None:
    assert verdicts[attempt, family] == "open"


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("attempt", CLOSED, ids=str)
def test_attempt_beside_the_declared_flows_is_blocked(
    verdicts: dict[tuple[Try, int], str], attempt: Try, family: int
) -> None:
    assert verdicts[attempt, family] in BLOCKED
