# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run that is killed before its Nth call that the outside can see, for every N: the host is in order afterwards."""

from __future__ import annotations

import fcntl
import functools
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._transaction import backup, transaction
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._messaging_server.installation_stub import (
    DETAILS,
    Installation,
)

WATCHED = ["open", "write", "fsync", "replace", "rename", "unlink", "mkdir", "fork", "rmdir", "waitpid"]
PAUSE = 0.02
MOST = 2000
SHARES = 4
"""The calls are dealt out to so many tests, which run side by side."""


class Killer:
    """Counts calls of this process and kills it before the Nth, its watchdog first where ``both`` are to die."""

    def __init__(self, at: int, both: bool) -> None:
        self.at, self.both, self.count = at, both, 0
        self.process, self.watchdog = os.getpid(), 0

    def point(self) -> None:
        if os.getpid() != self.process:
            return
        self.count += 1
        if self.count == self.at:
            if self.both and self.watchdog:
                os.kill(self.watchdog, signal.SIGKILL)
            os.kill(self.process, signal.SIGKILL)

    def watch(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **options: Any) -> Any:
            self.point()
            result = call(*args, **options)
            if call.__name__ == "fork" and result:
                self.watchdog = result
            return result

        return watched

    def install(self) -> None:
        for name in WATCHED:
            setattr(os, name, self.watch(getattr(os, name)))
        popen, killer = subprocess.Popen, self

        class Watched(popen):  # type: ignore[misc, valid-type]
            def __init__(self, *args: Any, **options: Any) -> None:
                killer.point()
                super().__init__(*args, **options)
                killer.point()  # the tool runs, and is an orphan

            def wait(self, timeout: float | None = None) -> int:
                code = super().wait(timeout)
                killer.point()
                return int(code)

        subprocess.Popen = Watched  # type: ignore[misc]


def run_killed(step: Callable[[], object], at: int, both: bool) -> bool:
    """Do a step in a process that dies before its Nth call; whether it came to that."""
    process = os.fork()
    if not process:
        try:
            Killer(at, both).install()
            step()
            os._exit(0)
        except BaseException:
            os._exit(1)
    status = os.waitpid(process, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def wait_for_watchdog(state: str) -> None:
    """Wait until the lock is free."""
    deadline = time.monotonic() + 60
    while os.path.exists(f"{state}/lock"):
        with open(f"{state}/lock", "rb+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                assert time.monotonic() < deadline, "the watchdog does not end"
        time.sleep(0.005)


def check_order(host: Installation, old: dict[str, Any], where: str) -> bool:
    """The old state or the new one is in force, and nothing lies about; whether it is the new one."""
    assert not transaction.interrupted(host.state), where
    if backup.committed(host.state):
        assert host.is_new(), where
        return True
    assert host.snapshot() == old, where
    assert backup._names(host.state) == [], where
    return False


@pytest.mark.parametrize("first", range(1, SHARES + 1))
@pytest.mark.parametrize("both", [False, True], ids=["watchdog", "next run"])
def test_a_killed_run_leaves_the_old_state_or_the_new_one(tmp_path: Path, both: bool, first: int) -> None:
    outcomes = set()
    notices = 0
    for number in range(first, MOST, SHARES):
        where = f"killed before call {number}"
        host = Installation(tmp_path / str(number), PAUSE)
        old = host.snapshot()
        driver = host.driver()
        step = functools.partial(transaction.apply, host.state, driver, host.changes(), DETAILS)
        if not run_killed(step, number, both):
            assert host.is_new()
            break
        wait_for_watchdog(host.state)
        if not both:
            outcomes.add(check_order(host, old, where))
        notice = transaction.recover(host.state, driver)
        notices += "killed" in notice
        assert transaction.recover(host.state, driver) == ""
        new = check_order(host, old, where)
        outcomes.add(new)
        if not new:
            assert transaction.apply(host.state, driver, host.changes(), DETAILS), where
        assert host.is_new(), where
        assert len(backup.committed(host.state)) == 1, where
    assert number > 100
    assert outcomes == {False, True}
    assert notices > 20 / SHARES


def test_a_rescue_that_is_killed_is_done_by_the_next_run(tmp_path: Path) -> None:
    """Every point of a restore, after a kill at a late point of the change."""
    for number in range(1, MOST):
        host = Installation(tmp_path / str(number))
        old, driver = host.snapshot(), host.driver()
        host.fault("restart dispatcher", "fail")
        with pytest.raises(transaction.StepError, match="NOT everything"):
            transaction.apply(host.state, driver, host.changes(), DETAILS)
        assert transaction.interrupted(host.state)
        (host.root / "fault" / "restart_dispatcher").unlink()
        (host.root / "running").write_bytes(b"new")
        killed = run_killed(functools.partial(transaction.recover, host.state, driver), number, True)
        transaction.recover(host.state, driver)
        assert check_order(host, old, f"killed before call {number}") is False
        if not killed:
            break
    assert number > 20
