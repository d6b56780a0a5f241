"""With the whole host in scope nothing passes but what is declared: TCP and UDP, in and out, both families."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailhost_lab.packets import endpoints
from mailhost_lab.packets.probes import Craft, Probe

if TYPE_CHECKING:
    from mailhost_lab.packets.probes import Lab

BLOCKED_VERDICTS = {"filtered", "rejected"}

# Source, whether its further address is meant, port of the mail host.
OPEN_IN = [
    ("external", False, 25),
    ("external", True, 25),
    ("internal", False, 25),
    ("internal", False, 143),
    ("external", False, 22),  # a management network
]
CLOSED_IN = [
    ("external", True, 22),
    ("remote", False, 22),
    *(("external", False, port) for port in (80, 110, 143, 587, 993, 995, 2525, 8080)),
    *(("internal", False, port) for port in (80, 110, 587, 993, 8080)),
]

# User, port of remote.
OPEN_OUT = [("postfix", 25), ("root", 53), ("nobody", 80), ("root", 443)]
CLOSED_OUT = [("root", 25), ("nobody", 25), *(("root", port) for port in (22, 110, 143, 587, 993, 8080))]


def verdicts_in(lab: Lab, family: int, table: list[tuple[str, bool, int]], *, greeting: bool) -> list[str | None]:
    """Connect to the mail host."""
    probes = []
    for src, second, port in table:
        target = lab.address("mailhost", "internal" if src == "internal" else "external", family)
        extra = lab.hosts[src].extra4 if family == 4 else lab.hosts[src].extra6
        probes.append(Probe(src, target, port, source=extra[0] if second else None, greeting=greeting))
    return lab.batch(probes)


def verdicts_out(lab: Lab, family: int, table: list[tuple[str, int]], *, greeting: bool) -> list[str | None]:
    """Connect to the remote host."""
    remote = lab.address("remote", "external", family)
    return lab.batch([Probe("mailhost", remote, port, user=user, greeting=greeting) for user, port in table])


@pytest.mark.parametrize("family", [4, 6])
def test_declared_services_are_open_to_their_peers(lab: Lab, family: int) -> None:
    verdicts = verdicts_in(lab, family, OPEN_IN, greeting=True)
    assert dict(zip(OPEN_IN, verdicts)) == dict.fromkeys(OPEN_IN, "open")


@pytest.mark.parametrize("family", [4, 6])
def test_undeclared_services_are_blocked(lab: Lab, family: int) -> None:
    verdicts = verdicts_in(lab, family, CLOSED_IN, greeting=False)
    assert {entry: verdict for entry, verdict in zip(CLOSED_IN, verdicts) if verdict not in BLOCKED_VERDICTS} == {}


@pytest.mark.parametrize("family", [4, 6])
def test_declared_client_flows_connect(lab: Lab, family: int) -> None:
    verdicts = verdicts_out(lab, family, OPEN_OUT, greeting=True)
    assert dict(zip(OPEN_OUT, verdicts)) == dict.fromkeys(OPEN_OUT, "open")


@pytest.mark.parametrize("family", [4, 6])
def test_undeclared_client_flows_are_blocked(lab: Lab, family: int) -> None:
    verdicts = verdicts_out(lab, family, CLOSED_OUT, greeting=False)
    assert {entry: verdict for entry, verdict in zip(CLOSED_OUT, verdicts) if verdict not in BLOCKED_VERDICTS} == {}


@pytest.mark.parametrize("family", [4, 6])
def test_udp_flows_follow_the_policy(lab: Lab, family: int) -> None:
    managed, remote = (lab.address(name, "external", family) for name in ("mailhost", "remote"))
    outgoing = endpoints.ask_udp(lab, "mailhost", [(remote, port, 0) for port in (53, 123, 5353)])
    incoming = endpoints.ask_udp(lab, "external", [(managed, port, 0) for port in (53, 5353)])
    # As if they were answers to the client flows.
    answers = endpoints.ask_udp(lab, "external", [(managed, 5353, port) for port in (53, 123)])
    assert outgoing == ["open", "open", "blocked"]
    assert incoming == answers == ["blocked", "blocked"]
    # What was blocked is served: the serving host itself gets an answer.
    assert endpoints.ask_udp(lab, "remote", [(remote, 5353, 0)]) == ["open"]


@pytest.mark.parametrize("family", [4, 6])
def test_crafted_packets_are_not_answered(lab: Lab, family: int) -> None:
    managed = lab.address("mailhost", "external", family)
    flags = ["A", "SA", "F", "FPU", ""]
    packets = [Craft("external", managed, port, flags=kind) for port in (25, 8080, 8099) for kind in flags]
    packets += [Craft("external", managed, 8080, sport=port) for port in (25, 53, 80, 443)]
    packets += [Craft("external", managed, 8099, sport=port, flags="SA") for port in (25, 53, 80, 443)]
    verdicts = lab.batch([*packets, Craft("external", managed, 25)])
    assert verdicts == [None] * len(packets) + ["SA"]


@pytest.mark.parametrize("family", [4, 6])
def test_loopback_is_not_filtered(lab: Lab, family: int) -> None:
    targets = ["127.0.0.1" if family == 4 else "::1", lab.address("mailhost", "external", family)]
    probes = [Probe("mailhost", target, port, greeting=True) for target in targets for port in (25, 8080)]
    assert set(lab.batch(probes)) == {"open"}


@pytest.mark.parametrize(
    ("family", "blocked", "neighbour"),
    [
        (4, "198.51.100.33", "198.51.100.31"),
        (6, "2001:db8:100:0:b::5", "2001:db8:100:0:a::5"),
    ],
)
def test_blocked_network_reaches_no_port(lab: Lab, family: int, blocked: str, neighbour: str) -> None:
    managed = lab.address("mailhost", "external", family)
    with endpoints.addresses(lab, "external", blocked, neighbour):
        probes = [Probe("external", managed, port, source=blocked) for port in (25, 22, 8080)]
        verdicts = lab.batch([*probes, Probe("external", managed, 25, source=neighbour)])
    assert verdicts[-1] == "open"
    assert set(verdicts[:-1]) <= BLOCKED_VERDICTS
