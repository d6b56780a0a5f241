"""The playbook verify looks at the host from another one, in both families, before and after the role was there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mailhost_lab.addresses import MESSAGING
from mailhost_lab.runs.verify import Points, deviations, outer
from mailhost_lab.runs.verify import verify as look

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailhost_lab.mail.messaging_server import Messaging
    from mailhost_lab.runs import plays

ADDRESSES = outer(MESSAGING)


def verify(variables: dict[str, Any], **more: Any) -> tuple[plays.Run, Points]:
    """Look at this scenario's host."""
    return look(MESSAGING, variables, **more)


def test_verify_from_external_host_finds_no_deviation(messaging: Messaging, policy: dict[str, Any]) -> None:
    messaging.clear()
    # The role leaves AUTH in the clear, which is the one thing that is seen.
    run, points = verify(policy)
    assert run.rc != 0
    assert deviations(points) == {"auth"}
    accepted, points = verify(policy, mailhost_verify_skip=["auth"])
    assert (accepted.rc, deviations(points)) == (0, set()), accepted
    for address in ADDRESSES:
        for point in ("ports", "tls", "starttls", "banner", "vrfy", "xclient"):
            assert points[address, point][0] == "ok", points[address, point]
        # The stand-in cannot decide about recipients without a domain, and says so by 451.
        assert points[address, "relay"][1].startswith(
            "none of 53 forms was accepted for relaying, 49 were rejected, 4 deferred"
        )
    assert messaging.messages() == []


def test_verify_in_check_mode_sends_the_same_probes(policy: dict[str, Any]) -> None:
    run, points = verify(policy)
    foreseen, again = verify(policy, check=True)
    assert (foreseen.rc, again) == (run.rc, points)


def test_verify_from_internal_host_leaves_relaying_out(policy: dict[str, Any]) -> None:
    inner = MESSAGING.address("internal", 4)
    _run, points = verify(policy, mailhost_verify_from="internal", mailhost_verify_addresses=[inner])
    verdict, detail = points[inner, "relay"]
    assert verdict == "skipped"
    assert detail.startswith(
        "seen from an internal client (198.51.100.84 is in mailhost_internal_networks): shows nothing about"
    )


def test_verify_of_a_fresh_host_finds_deviations(messaging: Messaging, apply: Callable[..., plays.Run]) -> None:
    done = apply(messaging_server_state="absent")
    assert (done.rc, done.changed) == (0, True), done
    messaging.clear()
    # Nothing of the inventory is known, as for a host of another operator.
    run, points = verify({})
    again = apply()
    assert (again.rc, again.changed) == (0, True), again
    assert run.rc != 0
    assert deviations(points) >= {"relay", "auth"}
    assert "forms are accepted (plain, upper case, mixed case and" in points[ADDRESSES[0], "relay"][1]
    assert messaging.messages() == []
