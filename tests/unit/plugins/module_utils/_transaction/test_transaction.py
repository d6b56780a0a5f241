# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The transaction of configuration files: every failing step, edits by others, full disks, locks, and rollback."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._transaction import backup, transaction
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction import command as tool
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.command import StepError
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.transaction import Change
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._messaging_server.installation_stub import (
    DETAILS,
    NEW,
    OLD,
    Installation,
    Stub,
)


@pytest.fixture
def host(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def apply(host: Installation, driver: Stub | None = None) -> str:
    return transaction.apply(host.state, driver or host.driver(), host.changes(), DETAILS)


def rejected(host: Installation, driver: Stub | None = None) -> StepError:
    """Apply, which must fail and leave all as it was, with nothing lying about."""
    old = host.snapshot()
    with pytest.raises(StepError) as caught:
        apply(host, driver)
    assert host.snapshot() == old
    assert not transaction.interrupted(host.state)
    assert backup._names(host.state) == []
    return caught.value


def test_a_change_goes_live_keeps_what_files_have_and_leaves_a_backup(host: Installation) -> None:
    old = host.snapshot()
    folder = apply(host)
    assert host.is_new()
    new = host.snapshot()
    assert new["mappings"][1] == old["mappings"][1]
    assert new["general.txt"][1][0] == 0o644
    assert os.path.basename(folder) in backup.committed(host.state)
    assert Path(folder, "0").read_bytes() == OLD["mappings"]
    assert os.stat(host.state).st_mode & 0o777 == 0o700
    assert host.calls() == ["cnbuild -noimage_file", "cnbuild", "reload", "restart dispatcher"]


def test_no_difference_touches_nothing(host: Installation) -> None:
    path = str(host.root / "config" / "mappings")
    same = [Change(path, OLD["mappings"], OLD["mappings"])]
    assert transaction.apply(host.state, host.driver(), same, DETAILS) == ""
    assert not os.path.exists(host.state)
    assert transaction.recover(host.state, host.driver()) == ""
    assert host.calls() == []


def test_a_file_can_be_taken_away_and_comes_back(host: Installation) -> None:
    apply(host)
    path = str(host.root / "config" / "general.txt")
    old = host.snapshot()
    host.fault("reload", "fail")
    gone = [Change(path, NEW["general.txt"], None)]
    with pytest.raises(StepError, match="NOT everything"):
        transaction.apply(host.state, host.driver(), gone, {"parts": ["general.txt"]})
    (host.root / "fault" / "reload").unlink()
    assert "killed" in transaction.recover(host.state, host.driver())
    assert host.snapshot() == old
    transaction.apply(host.state, host.driver(), gone, {"parts": ["general.txt"]})
    assert not os.path.exists(path)


@pytest.mark.parametrize("kind", ["fail", "half"])
@pytest.mark.parametrize("command", ["cnbuild -noimage_file", "cnbuild"])
def test_a_failing_build_restores_everything(host: Installation, command: str, kind: str) -> None:
    host.fault(command, kind)
    error = rejected(host)
    assert error.step == f"imsimta {command}"
    assert ("no such keyword" if kind == "fail" else "no room in pool") in error.output
    assert error.restored == transaction.RESTORED
    assert str(error).splitlines()[0].startswith(f"imsimta {command}: imsimta:")


@pytest.mark.parametrize("command", ["reload", "restart dispatcher"])
def test_a_failing_activation_restores_files_and_the_next_run_activates(host: Installation, command: str) -> None:
    old = host.snapshot()
    host.fault(command, "fail")
    with pytest.raises(StepError, match="no such keyword") as caught:
        apply(host)
    assert caught.value.step == f"imsimta {command}"
    assert "NOT everything could be restored" in caught.value.restored
    found = host.snapshot()
    for name, content in old.items():
        assert found[name] == content or name == "running"
    (host.root / "fault" / command.replace(" ", "_")).unlink()
    apply(host)
    assert host.is_new()


@pytest.mark.parametrize("fails", [False, True])
def test_no_file_names_another_that_is_not_there(
    host: Installation, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """Wherever the power fails: what reads these files when the host boots finds all that they name."""
    main, old, new = (host.root / name for name in ("main", "old", "new"))
    main.write_text(str(old))
    old.touch()
    seen: list[tuple[str, bool, bool]] = []

    def looked_at(work: Callable[..., None]) -> Callable[..., None]:
        def done(*paths: str) -> None:
            work(*paths)
            assert Path(main.read_text()).exists()
            seen.append((main.read_text(), old.exists(), new.exists()))

        return done

    monkeypatch.setattr(os, "replace", looked_at(os.replace))
    monkeypatch.setattr(transaction, "remove", looked_at(transaction.remove))
    changes = [
        Change(str(main), str(old).encode(), str(new).encode()),
        Change(str(old), b"", None),
        Change(str(new), None, b""),
    ]
    found = host.driver()
    driver = FailsOnce(found.root, found.imsimta, found.tailor) if fails else found
    if fails:
        with pytest.raises(StepError):
            transaction.apply(host.state, driver, changes, DETAILS)
    else:
        transaction.apply(host.state, driver, changes, DETAILS)
    assert list(dict.fromkeys(seen))[:4] == [
        (str(old), True, False),
        (str(old), True, True),
        (str(new), True, True),
        (str(new), False, True),
    ]
    assert seen[-1] == ((str(old), True, False) if fails else (str(new), False, True))


class FailsOnce(Stub):
    """The activation of the new state fails, that of the old one works."""

    failures = 1

    def activate(self, run: tool.Runner, details: Any) -> None:
        super().activate(run, details)
        if self.failures:
            self.failures -= 1
            raise StepError("imsimta reload", "does not work today")


def test_a_failed_activation_activates_the_previous_state(host: Installation) -> None:
    found = host.driver()
    error = rejected(host, FailsOnce(found.root, found.imsimta, found.tailor))
    assert error.restored == transaction.RESTORED
    assert host.calls()[-2:] == ["reload", "restart dispatcher"]


@pytest.mark.parametrize("command", ["cnbuild -noimage_file", "cnbuild"])
def test_a_tool_that_hangs_is_ended_with_all_it_started(
    host: Installation, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(transaction, "run_tool", lambda *args: tool.run_tool(*args, seconds=0.3))
    host.fault(command, "hang")
    error = rejected(host)
    assert "waiting" in error.output
    assert "no end after 0.3 seconds" in error.output
    assert host.sleepers() == set()


def test_a_service_that_does_not_answer_any_more(host: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "ALIVE_SECONDS", 0.2)

    class Deaf(Stub):
        def alive(self) -> bool:
            return b"EXTERNAL" not in Path(self.root, "running").read_bytes()

    found = host.driver()
    error = rejected(host, Deaf(found.root, found.imsimta, found.tailor))
    assert error.step == "answer"
    assert error.restored == transaction.RESTORED


def test_a_service_that_has_ended_is_started_with_the_previous_files_at_once(host: Installation) -> None:
    answers = host.root / "answers"

    class Dies(Stub):
        def runs(self) -> bool | None:
            return self.alive()

        def activate(self, run: tool.Runner, details: Any) -> None:
            if not self.alive():
                raise StepError("imsimta reload", "no server is running")
            super().activate(run, details)
            if b"EXTERNAL" in Path(self.root, "running").read_bytes():
                answers.unlink()

        def start(self, run: tool.Runner) -> None:
            super().start(run)
            answers.touch()

    found = host.driver()
    error = rejected(host, Dies(found.root, found.imsimta, found.tailor))
    assert (error.step, error.restored) == ("answer", transaction.RESTORED)
    assert error.output.endswith(" has ended after its activation")
    assert answers.exists()
    assert b"EXTERNAL" not in (host.root / "running").read_bytes()


@pytest.mark.parametrize("answering", [True, False])
def test_a_service_that_ran_has_to_run_on(host: Installation, monkeypatch: pytest.MonkeyPatch, answering: bool) -> None:
    """Also where it never answered, and where it answers once more before it ends."""
    monkeypatch.setattr(transaction, "END_SECONDS", 0.2)
    process = host.root / "process"
    process.touch()

    class Dies(Stub):
        def alive(self) -> bool:
            if not answering:
                return False
            was_running = process.exists()
            if b"EXTERNAL" in Path(self.root, "running").read_bytes():
                process.unlink(missing_ok=True)
            return was_running

        def runs(self) -> bool | None:
            if not answering and b"EXTERNAL" in Path(self.root, "running").read_bytes():
                process.unlink(missing_ok=True)
            return process.exists()

        def start(self, run: tool.Runner) -> None:
            super().activate(run, DETAILS)
            process.touch()

    found = host.driver()
    error = rejected(host, Dies(found.root, found.imsimta, found.tailor))
    assert (error.step, error.restored) == ("answer", transaction.RESTORED)
    assert error.output.endswith(" has ended after its activation")
    assert process.exists()


def test_a_service_that_did_not_run_need_not_run(host: Installation) -> None:
    class Stopped(Stub):
        def alive(self) -> bool:
            return False

        def runs(self) -> bool | None:
            return False

    found = host.driver()
    apply(host, Stopped(found.root, found.imsimta, found.tailor))
    assert host.is_new()


def test_a_service_that_did_not_answer_before_need_not_answer(host: Installation) -> None:
    (host.root / "answers").unlink()
    apply(host)
    assert host.is_new()


def test_a_build_that_writes_nothing_is_a_failure(host: Installation) -> None:
    host.imsimta.write_text(f"#!/bin/sh\n[ \"$*\" != cnbuild ] || rm -f '{host.image}'\n")
    old = host.snapshot()
    with pytest.raises(StepError, match="it wrote none of"):
        apply(host)
    assert host.snapshot() == old


# Edits by others


def test_a_file_that_changed_since_it_was_read(host: Installation) -> None:
    changes, driver = host.changes(), host.driver()
    (host.root / "config" / "imta.cnf").write_bytes(b"! edited\n")
    old = host.snapshot()
    with pytest.raises(StepError, match=r"imta\.cnf was edited during the run; run again"):
        transaction.apply(host.state, driver, changes, DETAILS)
    assert host.snapshot() == old
    assert host.calls() == []


def test_a_file_that_changes_between_staging_and_swap_keeps_the_edit(
    host: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, path = transaction._stage, host.root / "config" / "imta.cnf"

    def edited(*args: Any) -> None:
        stage(*args)
        path.write_bytes(b"! edited\n")

    monkeypatch.setattr(transaction, "_stage", edited)
    old = host.snapshot()
    with pytest.raises(StepError, match="run again") as caught:
        apply(host)
    assert "edited in the meantime" in caught.value.restored
    found = host.snapshot()
    assert found.pop("imta.cnf")[0] == b"! edited\n"
    old.pop("imta.cnf")
    assert found == old


def test_a_symbolic_link_stays_and_its_file_changes(host: Installation, tmp_path: Path) -> None:
    path, real = host.root / "config" / "mappings", tmp_path / "elsewhere" / "mappings"
    real.parent.mkdir()
    path.rename(real)
    path.symlink_to(real)
    host.fault("cnbuild", "fail")
    rejected(host)
    assert path.is_symlink()
    (host.root / "fault" / "cnbuild").unlink()
    apply(host)
    assert path.is_symlink()
    assert real.read_bytes() == NEW["mappings"]
    assert os.listdir(real.parent) == ["mappings"]


def test_one_file_by_two_names_is_refused(host: Installation) -> None:
    other = host.root / "config" / "other"
    other.symlink_to(host.root / "config" / "mappings")
    changes = [*host.changes(), Change(str(other), OLD["mappings"], b"x")]
    with pytest.raises(StepError, match="the same file"):
        transaction.apply(host.state, host.driver(), changes, DETAILS)


# A full disk


def test_a_disk_that_is_full_at_any_point_changes_nothing(host: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    write, place = os.write, host.root.parent
    driver, old = host.driver(), host.snapshot()
    for number in range(1, 200):
        count = 0

        def full(handle: int, data: bytes, number: int = number) -> int:
            nonlocal count
            path = os.readlink(f"/proc/self/fd/{handle}")
            if path.startswith(str(place)) and ".journal" not in path:
                count += 1
                if count >= number:  # half of it still fits, then nothing does, for ever
                    if len(data) > 1 and count == number:
                        return write(handle, bytes(data[: len(data) // 2]))
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(handle, data)

        monkeypatch.setattr(os, "write", full)
        try:
            transaction.apply(host.state, driver, host.changes(), DETAILS)
            break
        except StepError as error:
            assert "No space left" in error.output
            assert error.restored == tool.UNTOUCHED
        finally:
            monkeypatch.setattr(os, "write", write)
        assert host.snapshot() == old
        assert backup._names(host.state) == []
        assert host.calls() == []
    assert host.is_new()
    assert number > 10


def test_restore_needs_no_space(host: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk fills up while the product compiles."""
    write, place = os.write, host.root.parent

    def full(handle: int, data: bytes) -> int:
        if os.readlink(f"/proc/self/fd/{handle}").startswith(str(place)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(handle, data)

    class Fills(Stub):
        def build(self, run: tool.Runner, details: Any) -> None:
            monkeypatch.setattr(os, "write", full)
            super().build(run, details)
            raise StepError("imsimta cnbuild", "no space")

    found = host.driver()
    error = rejected(host, Fills(found.root, found.imsimta, found.tailor))
    assert error.restored == transaction.RESTORED


# Locks and processes


def test_two_runs_at_once(host: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "LOCK_SECONDS", 0.1)

    class Second(Stub):
        def build(self, run: tool.Runner, details: Any) -> None:
            with pytest.raises(StepError, match="another run is changing this host"):
                transaction.recover(host.state, self)
            super().build(run, details)

    found = host.driver()
    apply(host, Second(found.root, found.imsimta, found.tailor))
    assert host.is_new()
    assert transaction.recover(host.state, found) == ""


SESSION = """
import sys
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction import transaction
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._messaging_server.installation_stub import *
root, state = sys.argv[1:]
found = product.discover(root)
config = os.path.join(root, "config")
changes = [Change(os.path.join(config, name), OLD.get(name), NEW[name]) for name in NEW]
print("begins", flush=True)
transaction.apply(state, Stub(found.root, found.imsimta, found.tailor), changes, DETAILS)
"""


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def session(host: Installation) -> Iterator[subprocess.Popen[bytes]]:
    """A run in a session of its own that hangs while the product compiles."""
    host.fault("cnbuild", "hang")
    command = [sys.executable, "-c", SESSION, str(host.root), host.state]
    collections = str(Path(transaction.__file__).parents[6])
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": collections},
    ) as run:
        try:
            wait_until(lambda: len(host.sleepers()) == 2)
            yield run
        finally:
            run.kill()
    wait_until(lambda: not transaction.interrupted(host.state))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_the_end_of_the_whole_session_leads_back(
    host: Installation, session: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    """Also the tool that hangs is ended, and nothing keeps the output of the run open while the watchdog works."""
    os.killpg(session.pid, number)
    output, _errors = session.communicate(timeout=60)
    assert b"begins" in output
    wait_until(lambda: not transaction.interrupted(host.state))
    wait_until(lambda: not host.sleepers())
    assert {name: (host.root / "config" / name).read_bytes() for name in OLD} == OLD
    assert sorted(os.listdir(host.root / "config")) == sorted(OLD)
    assert host.image.read_bytes() == OLD["mappings"] + OLD["imta.cnf"]
    assert host.calls()[-1] == "restart dispatcher"
    (host.root / "fault" / "cnbuild").unlink()
    notice = transaction.recover(host.state, host.driver())
    assert ("killed" in notice) == (number != signal.SIGINT)
    apply(host)
    assert host.is_new()


def test_the_watchdog_holds_nothing_of_the_run(host: Installation, session: subprocess.Popen[bytes]) -> None:
    children = Path(f"/proc/{session.pid}/task/{session.pid}/children").read_text().split()
    watchdog = next(child for child in children if b"python" in Path(f"/proc/{child}/cmdline").read_bytes())
    held = {os.readlink(path) for path in Path(f"/proc/{watchdog}/fd").iterdir()}
    assert {name for name in held if not name.startswith("pipe:")} == {"/dev/null", f"{host.state}/lock"}
    assert len([name for name in held if name.startswith("pipe:")]) == 1
    assert os.getsid(int(watchdog)) == int(watchdog)
    assert os.readlink(f"/proc/{watchdog}/cwd") == "/"
    session.kill()
    wait_until(lambda: not transaction.interrupted(host.state))


def test_a_number_that_belongs_to_another_process_is_not_ended(host: Installation) -> None:
    with subprocess.Popen(["sleep", "301"], start_new_session=True) as other:
        register = host.root / "tool"
        register.write_text(f"{other.pid} 1")
        tool.end_orphan(str(register))
        assert other.poll() is None
        register.write_text(f"{other.pid} {tool._started(other.pid)}")
        tool.end_orphan(str(register))
        assert other.wait(60) == -signal.SIGKILL


def test_output_is_bounded_and_both_ends_are_kept(tmp_path: Path) -> None:
    with pytest.raises(StepError) as caught:
        tool.run_tool("talk", ["sh", "-c", "echo begin; seq 1 100000; echo end; exit 1"])
    assert caught.value.output.startswith("begin")
    assert "\nend\n" in caught.value.output
    assert len(caught.value.output) < 9000
    with pytest.raises(StepError, match="cannot be run"):
        tool.run_tool("talk", [str(tmp_path / "missing")])


def test_tool_that_starts_a_service_ends_while_the_service_runs() -> None:
    service = int(tool.run_tool("start", ["sh", "-c", "sleep 300 & echo $!"]))
    assert Path(f"/proc/{service}").exists()
    os.kill(service, signal.SIGKILL)


def test_tools_do_not_inherit_ignored_signals_from_the_watchdog(host: Installation) -> None:
    """Services that the watchdog restarts would not end when they are asked to."""
    host.imsimta.write_text(f"#!/bin/sh\ngrep SigIgn /proc/self/status >> {host.root}/signals\nsleep 300\n")
    host.imsimta.chmod(0o755)
    process = os.fork()
    if not process:
        apply(host)
        os._exit(0)
    signals = host.root / "signals"
    wait_until(lambda: signals.exists() and signals.read_text().endswith("\n"))
    host.imsimta.write_text(f"#!/bin/sh\ngrep SigIgn /proc/self/status >> {host.root}/signals\n")
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    wait_until(lambda: not transaction.interrupted(host.state))
    lines = signals.read_text().splitlines()
    assert len(lines) == 3
    blocked = sum(1 << (number - 1) for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT))
    assert not any(int(line.split()[1], 16) & blocked for line in lines)


# Backups and rollback


def rollback(host: Installation) -> str:
    return transaction.apply(host.state, host.driver(), transaction.plan_rollback(host.state), DETAILS)


def test_ten_backups_are_kept(host: Installation) -> None:
    path, driver = str(host.root / "config" / "imta.cnf"), host.driver()
    text = OLD["imta.cnf"]
    for number in range(13):
        after = b"! %d\n" % number
        transaction.apply(host.state, driver, [Change(path, text, after)], {"parts": ["imta.cnf"]})
        text = after
    names = backup.committed(host.state)
    assert len(names) == len(os.listdir(backup.backups_folder(host.state))) == backup.KEPT
    assert names[0].startswith("000004-")
    assert Path(backup.backup_folder(host.state, names[-1]), "0").read_bytes() == b"! 11\n"


def test_rollback_leads_back_and_a_second_one_forward(host: Installation) -> None:
    old = {name: content[0] for name, content in host.snapshot().items()}
    apply(host)
    assert rollback(host)
    assert {name: content[0] for name, content in host.snapshot().items()} == old
    assert rollback(host)
    assert host.is_new()


def test_rollback_does_not_lose_what_others_wrote_since(host: Installation) -> None:
    apply(host)
    path = host.root / "config" / "mappings"
    path.write_bytes(path.read_bytes() + b"! mine\n")
    with pytest.raises(StepError, match=r"would be lost: .*/mappings"):
        rollback(host)
    assert path.read_bytes() == NEW["mappings"] + b"! mine\n"
    path.write_bytes(NEW["mappings"])
    assert rollback(host)
    assert path.read_bytes() == OLD["mappings"]


def test_rollback_without_a_backup_and_with_a_damaged_one(host: Installation) -> None:
    with pytest.raises(StepError, match="there is no backup"):
        rollback(host)
    folder = apply(host)
    Path(folder, "0").write_bytes(b"x")
    with pytest.raises(StepError, match="is damaged or gone"):
        rollback(host)
    assert host.is_new()


def test_a_failing_rollback_keeps_what_is_there(host: Installation) -> None:
    apply(host)
    now = host.snapshot()
    host.fault("cnbuild", "half")
    with pytest.raises(StepError, match="no room in pool"):
        rollback(host)
    assert host.snapshot() == now
    assert len(backup.committed(host.state)) == 1


@pytest.mark.parametrize("text", ['{"backup": null, "phase": "staging"}', "[" * 200_000, "5", "{}"])
def test_journal_that_cannot_be_read_is_an_error_with_its_path(tmp_path: Path, text: str) -> None:
    (tmp_path / "journal.json").write_text(text)
    with pytest.raises(OSError, match=r"journal\.json cannot be read"):
        backup.read_journal(str(tmp_path))
