"""Whatever fails or is killed, the old policy serves mail afterwards, and the next run leads forward."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailhost_lab.containers import lifecycle
from mailhost_lab.mail.postfix import CONFIG, STATE
from mailhost_lab.runs.mishaps import full_disk, kill_holders
from mailhost_lab.scenarios.postfix_faults import NEW, OLD, SETTINGS, TABLE, WAITS

if TYPE_CHECKING:
    from mailhost_lab.scenarios.postfix_faults import Host

RESTORED = "the previous files and what is built from them are live again, and the service was activated with them"
UNTOUCHED = "nothing was changed"
TEXT = "the disk of the lab burns"
CHECK, STATUS, RELOAD = (f"postfix -c {CONFIG} {word}" for word in ("check", "status", "reload"))
POSTMAP = f"postmap -c {CONFIG} hash:{TABLE}"


# How the transaction deals with tools that fail, disks and power does not depend on Postfix.


@pytest.mark.any_release
@pytest.mark.parametrize(
    ("line", "step"), [(CHECK, "postfix check"), (POSTMAP, "postmap"), (RELOAD, "postfix reload")], ids=lambda one: one
)
def test_failed_step_is_rolled_back(host: Host, line: str, step: str) -> None:
    host.set_fault("before", "fail", line)
    failed = host.fail(NEW)
    assert failed["step"] == step
    assert failed["msg"] == f"{step}: {TEXT}\n(exit status 7)\n{RESTORED}"
    host.assert_in_force(OLD)


def test_canary_that_cannot_be_made_changes_nothing(host: Host) -> None:
    host.set_fault("before", "fail", "postmap -c /run/*")
    failed = host.fail(NEW)
    assert TEXT in failed["msg"]
    assert failed["msg"].endswith(f"\n{UNTOUCHED}")
    assert host.calls() == []
    host.assert_in_force(OLD)


@pytest.mark.parametrize("when", ["before", pytest.param("after", marks=pytest.mark.any_release)])
def test_watchdog_rolls_back_a_run_killed_at_any_step(host: Host, when: str) -> None:
    former, wanted = OLD, NEW
    for line in (CHECK, POSTMAP, RELOAD):
        host.set_fault(when, "kill", line)
        assert host.run(wanted).code == 137, line
        if line == CHECK:  # each of them leads back by the same steps
            host.assert_in_force(former)
        assert not host.differences(former)
    again = host.succeed(wanted)
    assert RESTORED in str(again["warnings"])
    host.assert_in_force(wanted)


def test_next_run_restores_when_run_and_watchdog_are_killed(host: Host) -> None:
    host.set_fault("before", "hang", POSTMAP)
    host.start(NEW)
    kill_holders(host.postfix.run, f"{STATE}/lock", 2)
    # Half of the change is on disk, and Postfix still works by what it has read.
    assert TABLE in host.differences(OLD)
    again = host.succeed(OLD)
    assert not again["changed"]
    assert RESTORED in str(again["warnings"])
    host.assert_in_force(OLD)


@pytest.mark.any_release
def test_next_run_restores_after_a_power_failure(host: Host) -> None:
    host.set_fault("after", "hang", POSTMAP)
    host.start(NEW)
    host.postfix.lab.engine.run("kill", host.postfix.host.container)
    lifecycle.restart(host.postfix.host.name)
    assert {TABLE, f"{TABLE}.db"} <= host.differences(OLD)
    again = host.succeed(OLD)
    assert not again["changed"]
    assert RESTORED in str(again["warnings"])
    host.assert_in_force(OLD)


@pytest.mark.any_release
@pytest.mark.parametrize(("folder", "free"), [(STATE, 8192), (f"{CONFIG}/mailhost", 4096)])
def test_full_disk_leaves_the_former_policy(host: Host, folder: str, free: int) -> None:
    with full_disk(host.postfix.run, folder, free) as make_room:
        failed = host.fail(NEW)
        make_room()
        assert "No space left on device" in failed["msg"]
        assert RELOAD not in host.calls() or failed["msg"].endswith(f"\n{RESTORED}")
        host.assert_in_force(OLD)


def test_postfix_that_ends_at_its_reload_is_rolled_back_and_started(host: Host) -> None:
    """It is back as soon as it can be started: no run waits for an answer that cannot come."""
    host.set_fault("after", "stop", RELOAD)
    failed = host.fail(NEW)
    assert failed["msg"] == f"answer: Postfix has ended after its activation\n{RESTORED}"
    host.assert_in_force(OLD)


def test_live_relay_is_rolled_back(host: Host) -> None:
    """The relay is opened in the moment of the reload, where no canary could have seen it."""
    main = host.postfix.read("main.cf")
    host.set_fault("after", "open", RELOAD)
    failed = host.fail(NEW)
    try:
        assert failed["step"] == "confirm"
        assert f"an external client ({host.postfix.host.address('external', 4)}) may relay: plain" in failed["msg"]
        assert RESTORED in failed["msg"]
    finally:
        host.postfix.write("main.cf", main)
        host.postfix.run("touch", "--date=10 seconds ago", f"{CONFIG}/main.cf")
        host.postfix.run("postfix", "reload")
    host.assert_in_force(OLD)


def test_milter_that_is_not_there_is_rolled_back(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The canary does not use it, and the live Postfix would defer every sender."""
    monkeypatch.setitem(SETTINGS, "extra_settings", {"smtpd_milters": "inet:127.0.0.1:8891"})
    failed = host.fail(NEW)
    # 3.10 rejects the connection itself, and so it does not answer at all.
    expected = {
        "confirm": "port 25 defers mail, as a milter does not answer: 451 4.7.1 Service unavailable",
        "answer": "Postfix does not answer any more after its activation",
    }
    assert expected[failed["step"]] in failed["msg"]
    assert RESTORED in failed["msg"]
    host.assert_in_force(OLD)


def test_queued_message_is_delivered_after_all_faults(host: Host) -> None:
    host.succeed(NEW)
    host.assert_in_force(NEW)
    host.remote_takes_it(True)
    host.postfix.run("postqueue", "-f")
    host.postfix.drain()
    assert [mail.rcpt_to for mail in host.postfix.collected()] == [WAITS]
