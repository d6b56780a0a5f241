"""A change of the policy: management moves, sessions live on, the rules of others stay as they are."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from mailhost_lab.packets import endpoints
from mailhost_lab.packets.probes import Probe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailhost_lab.packets.probes import Lab

PROGRAMS = {4: "iptables", 6: "ip6tables"}
UNMANAGED = """
{0} -N f2b-sshd
{0} -A f2b-sshd -j RETURN
{0} -I INPUT 1 -p tcp -m multiport --dports 22 -j f2b-sshd
{0} -N DOCKER-USER
{0} -A FORWARD -m comment --comment "another program's: don't touch" -j DOCKER-USER
{0} -A INPUT -p tcp --dport 9999 -j DROP
{0} -t mangle -A PREROUTING -p tcp --dport 9998 -j MARK --set-mark 0x1
"""
TIDY = """
{0} -D INPUT -p tcp -m multiport --dports 22 -j f2b-sshd
{0} -D INPUT -p tcp --dport 9999 -j DROP
{0} -F FORWARD
{0} -X DOCKER-USER
{0} -F f2b-sshd
{0} -X f2b-sshd
{0} -t mangle -F PREROUTING
"""


def unmanaged_lines(lab: Lab, family: int) -> list[str]:
    """Return what others have put into the packet filter, in its order."""
    saved = lab.run("mailhost", [f"{PROGRAMS[family]}-save"]).stdout.splitlines()
    return [line.split(" [")[0] for line in saved if not line.startswith("#") and "MAILHOST" not in line]


@pytest.fixture
def _unmanaged_rules(lab: Lab) -> Iterator[None]:
    for text in (UNMANAGED, TIDY):
        script = "\n".join(text.format(program) for program in PROGRAMS.values())
        lab.run("mailhost", ["sh", "-ec" if text is UNMANAGED else "-c", script])
        if text is UNMANAGED:
            yield


@pytest.mark.usefixtures("_unmanaged_rules")
def test_change_of_all_lists_keeps_unmanaged_rules_and_sessions(lab: Lab, harden: Callable[..., bool]) -> None:
    before = {family: unmanaged_lines(lab, family) for family in PROGRAMS}
    managed = {family: lab.address("mailhost", "external", family) for family in PROGRAMS}
    second = {4: lab.hosts["external"].extra4[0], 6: lab.hosts["external"].extra6[0]}
    changed = {
        "packet_filter_management_networks": list(second.values()),
        "packet_filter_host_flows": [
            {"service": "dns", "direction": "client"},
            {"service": 8080, "direction": "server"},
            {"service": 8080, "direction": "client"},
        ],
    }
    with ExitStack() as stack:
        stay = [stack.enter_context(endpoints.session(lab, "external", managed[family], 25)) for family in PROGRAMS]
        assert harden(**changed)
        assert ["250" in session.say("NOOP") for session in stay] == [True, True]
    assert {family: unmanaged_lines(lab, family) for family in PROGRAMS} == before
    for family in PROGRAMS:
        remote = lab.address("remote", "external", family)
        probes = [
            Probe("external", managed[family], 22, source=second[family], greeting=True),
            Probe("external", managed[family], 8080, greeting=True),
            Probe("mailhost", remote, 8080, greeting=True),
            Probe("mailhost", remote, 53, greeting=True),
            Probe("external", managed[family], 22),
            Probe("mailhost", remote, 80),
            Probe("mailhost", remote, 443),
        ]
        verdicts = lab.batch(probes)
        assert verdicts[:4] == ["open"] * 4
        assert set(verdicts[4:]) <= {"filtered", "rejected"}
    # The controller is still let in, and nothing is left to do.
    assert not harden(**changed)
