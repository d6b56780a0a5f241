"""What the scope host closes besides mail is compared as well: servers for UDP, other ports, connections to others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailhost_lab.packets.endpoints import ask_udp
from mailhost_lab.runs import plays
from mailhost_lab.scenarios.setup import policy_of

if TYPE_CHECKING:
    from mailhost_lab.packets.probes import Lab

POLICY = policy_of(Path(__file__).parents[1])


def foreseen(**variables: Any) -> dict[str, str]:
    """Return the reasons of the effects of a change, by their entries."""
    done = plays.harden(check=True, **{**POLICY, **variables})
    assert (done.rc, done.changed) == (0, True), done
    return {f"{one['kind']} {one['subject']}": one["reason"] for one in done.effects}


def test_scope_that_is_given_up_lists_what_opens(lab: Lab) -> None:
    target = lab.address("mailhost", "external", 4)
    assert ask_udp(lab, "external", [(target, 5353, 0)]) == ["blocked"]
    assert str(lab.probe("external", target, 8080)) != "open"
    found = foreseen(packet_filter_scope="mail", packet_filter_management_networks=[])
    for entry in (
        "opened udp 5353 from anywhere",
        "opened tcp 8080 from anywhere",
        "opened tcp 22 to anywhere as root",
    ):
        assert found[entry] == "packet_filter_scope"


def test_declared_server_for_udp_is_the_reason_of_its_opening() -> None:
    flows = [{"service": "dns", "direction": "client"}, {"service": "dns", "direction": "server"}]
    found = foreseen(packet_filter_host_flows=flows)
    assert found["opened udp 53 from anywhere"] == "flow dns-in"
    assert found["closed udp 123 to anywhere as root"] == "no flow declared, scope host"
