"""Runs of the playbook verify: what a host of the lab sees of a mail host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mailhost_lab.runs import plays

if TYPE_CHECKING:
    from mailhost_lab.addresses import Host

SECONDS = 1200
"""For a run: so long at most it waits for the answers of two addresses, and then its report says which were missing."""
WAIT = 10
"""Seconds for one answer; postscreen takes six for its greeting."""

Points = dict[tuple[str, str], tuple[str, str]]
"""By address and point the verdict with its text."""


def outer(host: Host) -> list[str]:
    """The addresses that external clients see, of both families."""
    return [host.address("external", family) for family in (4, 6)]


def verify(host: Host, variables: dict[str, Any], **more: Any) -> tuple[plays.Run, Points]:
    """Look at a host from `external`, unless ``more`` says otherwise; nothing may change."""
    own = {
        "mailhost_hosts": host.group,
        "mailhost_verify_from": "external",
        "mailhost_verify_addresses": outer(host),
        "mailhost_verify_timeout": WAIT,
    }
    run = plays.harden(playbook="mailhost.hardening.verify", timeout=SECONDS, **{**variables, **own, **more})
    points = next(line["result"]["points"] for line in run.results if "points" in line["result"])
    assert not run.changed
    return run, {(one["address"], one["point"]): (one["verdict"], one["detail"]) for one in points}


def deviations(points: Points) -> set[str]:
    """The points that deviate at any address."""
    return {point for (_address, point), (verdict, _detail) in points.items() if verdict == "deviation"}
