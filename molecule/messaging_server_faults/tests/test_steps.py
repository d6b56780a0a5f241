"""A step that fails, or at which the run is killed, leads back to the former policy, and the next run forward."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailhost_lab.scenarios.messaging_server_faults import CHECKED, NEW, OLD, OTHER, RESTORED, STATE, UNTOUCHED, Policy

if TYPE_CHECKING:
    from mailhost_lab.scenarios.messaging_server_faults import Host

TEXT = "the disk of the stand-in burns"

FAILURES = [
    # Step, when it fails, policy that is wanted, what is restored.
    ("test -mapping *", "before", NEW, UNTOUCHED),
    ("cnbuild -noimage_file", "before", NEW, RESTORED),
    ("cnbuild", "after", OTHER, RESTORED),
    ("reload", "after", OTHER, RESTORED),
    ("restart dispatcher", "after", OTHER, RESTORED),
    ("restart smtp", "after", CHECKED, RESTORED),
]
KILLS = [("cnbuild -noimage_file", "before"), ("cnbuild -noimage_file", "after")]
KILLS += [(step, when) for step in ("cnbuild", "reload", "restart dispatcher") for when in ("before", "after")]


@pytest.mark.parametrize(("line", "when", "wanted", "put_back"), FAILURES, ids=[one[0] for one in FAILURES])
def test_failed_step_is_rolled_back(host: Host, line: str, when: str, wanted: Policy, put_back: str) -> None:
    # The first call: the way back needs the same tools.
    host.messaging.set_faults({line: {"do": "fail", "text": TEXT, "when": when, "rc": 7, "call": 1}})
    failed = host.fail(wanted)
    step = f"imsimta {line.removesuffix(' *')}"
    assert failed["step"] == step
    assert failed["msg"].startswith(f"{step}: {TEXT}\n(exit status 7)")
    assert failed["msg"].endswith(f"\n{put_back}")
    host.assert_in_force(OLD)
    assert not host.left()


def test_next_run_after_failures_succeeds(host: Host) -> None:
    host.messaging.set_faults({"restart dispatcher": {"do": "fail", "when": "after", "call": 1}})
    host.fail(NEW)
    # The fault was for one call, so the same run again meets none.
    again = host.succeed(NEW)
    assert again["changed"]
    assert "warnings" not in again
    host.assert_in_force(NEW)


def test_watchdog_rolls_back_a_run_killed_at_any_step(host: Host) -> None:
    former, wanted = OLD, OTHER
    for line, when in KILLS:
        host.messaging.set_faults({line: {"do": "kill-parent", "when": when, "call": 1}})
        assert host.run(wanted).code == 137, (line, when)
        host.assert_in_force(former)
        again = host.succeed(wanted)
        assert RESTORED in str(again["warnings"]), (line, when)
        former, wanted = wanted, former
    host.assert_in_force(former)
    assert not host.left()


@pytest.mark.parametrize("when", ["before", "after"])
def test_watchdog_rolls_back_a_run_killed_when_smtp_restarts(host: Host, when: str) -> None:
    host.messaging.set_faults({"restart smtp": {"do": "kill-parent", "when": when, "call": 1}})
    assert host.run(CHECKED).code == 137
    host.assert_in_force(OLD)
    again = host.succeed(CHECKED)
    assert RESTORED in str(again["warnings"])
    host.assert_in_force(CHECKED)


def test_run_killed_during_the_evaluation_changes_nothing(host: Host) -> None:
    host.messaging.set_faults({"test -mapping *": {"do": "kill-parent", "call": 2}})
    assert host.run(NEW).code == 137
    assert [call.line.split()[0] for call in host.messaging.calls()].count("test") == 2
    host.assert_in_force(OLD)
    assert not host.left()
    again = host.succeed(NEW)
    # Nothing was live yet, so there is nothing to tell.
    assert "warnings" not in again
    host.assert_in_force(NEW)


def test_watchdog_completes_a_rollback_whose_run_is_killed(host: Host) -> None:
    host.messaging.set_faults({"reload": {"do": "fail", "call": 1}, "restart dispatcher": {"do": "kill-parent"}})
    # The one restart is that of the way back, as the reload before it failed. The watchdog's is killed as well.
    assert host.run(OTHER).code == 137
    assert not host.differences(OLD)
    assert f"{STATE}/journal.json" in host.left()
    host.messaging.clear_faults()
    again = host.succeed(OTHER)
    assert RESTORED in str(again["warnings"])
    host.assert_in_force(OTHER)
