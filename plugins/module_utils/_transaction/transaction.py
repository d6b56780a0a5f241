# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A change of a mail server's configuration files as one transaction, with what is compiled from them.

Private to the collection: other collections must not import it.

Backup, journal, staged files, swap, check, build, activate, the service answers:
only then is the change final, by one rename. Whatever fails, or is killed, before
that restores the previous files and the previous built files, byte for byte, and
to a service that was activated with them: by the run itself, by its watchdog when
it was killed, by the next run when both were killed or the power was lost.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from .._policy.dnsbl import hide_keys
from .._policy.errors import ReportedError
from . import backup
from .command import UNTOUCHED, Runner, StepError, clear_register, end_orphan, run_tool
from .files import (
    SPARE,
    STAGED,
    Attributes,
    beside,
    decode,
    digest,
    new_attributes,
    read_attributes,
    read_file,
    remove,
    sync_folder,
    write_copy,
)
from .watchdog import Watchdog

LOCK_SECONDS = 10.0
"""How long to wait for another run: the watchdog of a killed run needs a few seconds."""
ALIVE_SECONDS = 60.0
"""How long a service may take to answer again after its activation."""
END_SECONDS = 2.0
"""How long a service may take to end that cannot use its new files."""
POLL = 0.1
ENDED = "has ended after its activation"
RESTORED = "the previous files and what is built from them are live again, and the service was activated with them"


class Change(NamedTuple):
    """One file: what it contained when it was read and what it is to contain, None for no file.

    ``attributes`` are for a file that does not exist yet, else it keeps its own; without them the folder's owner
    and mode 0644. ``age`` in seconds: how old the new file is to look, for a program that waits for a file to settle.
    """

    path: str
    before: bytes | None
    after: bytes | None
    attributes: Attributes | None = None
    age: int = 0

    def diff(self) -> dict[str, str]:
        """The change as Ansible shows it, and as it stands in the logs of a pipeline: without the keys of lists."""
        before, after = (hide_keys(decode(content or b"")) for content in (self.before, self.after))
        return {"before_header": self.path, "after_header": self.path, "before": before, "after": after}


class Driver(Protocol):
    """What a product brings along.

    Its steps run tools through the Runner they are given, and through nothing else. ``details`` say which parts of
    the service a change is about, in plain data; they are kept with the backup, for a restore after a kill.
    """

    @property
    def name(self) -> str:
        """The product's name, for messages and the manifest."""

    def built(self, details: Mapping[str, Any]) -> Sequence[str]:
        """Return the files that ``build`` writes, whether they exist or not."""

    def check(self, run: Runner) -> None:
        """Have the product read its live files without using them."""

    def build(self, run: Runner, details: Mapping[str, Any]) -> None:
        """Have the product write the built files."""

    def activate(self, run: Runner, details: Mapping[str, Any]) -> None:
        """Have the running service use the files; may be repeated."""

    def start(self, run: Runner) -> None:
        """Start the service, which does not answer."""

    def alive(self) -> bool:
        """Whether the service answers now; takes a few seconds at most."""

    def runs(self) -> bool | None:
        """Whether the service runs, be it that it answers or not; None where that is not certain."""


Confirm = Callable[[], None]
_Work = tuple[Sequence[Change], Mapping[str, Any], "Confirm | None"]

# What the module calls


def apply(
    state: str, driver: Driver, changes: Sequence[Change], details: Mapping[str, Any], confirm: Confirm | None = None
) -> str:
    """Make all changes or none; returns the folder of the backup, nothing where there was nothing to do.

    ``confirm`` tries whether the service, where it answered before, does what it should; StepError where not.
    """
    wanted = [
        change._replace(path=os.path.realpath(change.path)) for change in changes if change.before != change.after
    ]
    if not wanted:
        return ""
    with locked(state) as lock:
        _settle(state, driver)
        return _guarded(state, driver, (wanted, details, confirm), lock)


def recover(state: str, driver: Driver) -> str:
    """Restore what a killed run left, and return the sentence about it, or about what a watchdog restored."""
    if not os.path.exists(state):
        return ""
    with locked(state):
        _settle(state, driver)
        return backup.take_notice(state)


def interrupted(state: str) -> bool:
    """Whether a killed run's change is still to be rolled back; changes nothing, for check mode."""
    return backup.read_journal(state) is not None


def plan_rollback(state: str) -> tuple[Change, ...]:
    """Return the changes that restore the files of the newest backup; StepError where that is not possible.

    Applied as a change like any other, so that a second rollback leads forward again, and so that the product builds
    anew: its previous built files may hold other files of the product as they were then.
    """
    names = backup.committed(state)
    if not names:
        raise StepError("rollback", f"there is no backup in {backup.backups_folder(state)}")
    changes, edited = [], []
    try:
        for entry in backup.read_manifest(state, names[-1]).entries:
            if entry.built:
                continue
            live = read_file(entry.path)
            # Files of the state folder may be written between two changes.
            kept = os.path.dirname(entry.path) == os.path.realpath(state)
            if digest(live) not in (entry.after, entry.before) and not kept:
                edited.append(entry.path)
            old = backup.stored_content(state, names[-1], entry)
            changes.append(Change(entry.path, live, old, entry.attributes))
    except OSError as error:
        raise StepError("rollback", f"the backup {names[-1]} cannot be used: {error}") from error
    if edited:
        raise StepError(
            "rollback",
            f"edited since the backup {names[-1]} was made, and the edits would be lost: {', '.join(edited)}; "
            f"the previous files are in {backup.backup_folder(state, names[-1])}",
        )
    return tuple(changes)


# The steps


def _guarded(state: str, driver: Driver, work: _Work, lock: int) -> str:
    watchdog = Watchdog(functools.partial(_rescue, state, driver), [lock])
    watchdog.start()
    try:
        return _apply(state, driver, work)
    finally:
        watchdog.dismiss()


def _apply(state: str, driver: Driver, work: _Work) -> str:
    wanted, details, confirm = work
    run = _runner(state)
    name = backup.next_name(state)
    journal = backup.Journal(name, backup.STAGING)
    step = "read"
    try:
        _refuse_changed(wanted)
        step = "backup"
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        empty = backup.Manifest(made, driver.name, details, driver.alive(), (), driver.runs() is True)
        contents = {change.path: change.after for change in wanted}
        built = list(dict.fromkeys(os.path.realpath(path) for path in driver.built(details)))
        manifest = backup.write_backup(state, name, empty, contents, built)
        step = "stage"
        backup.write_journal(state, journal)
        _stage(state, name, manifest, wanted)
        step = "swap"
        backup.write_journal(state, journal._replace(phase=backup.SWAPPING))
        _swap(wanted)
        step = "check"
        driver.check(run)
        step = "build"
        driver.build(run, details)
        step = "activate"
        driver.activate(run, details)
        step = "answer"
        _wait_alive(driver, manifest.alive, until_ended=True)
        if confirm is not None and manifest.alive:
            confirm()
        _watch(driver, manifest)
        step = "commit"
        backup.commit(state, journal)
    except BaseException as error:
        restored = _restore_now(state, driver)
        if not isinstance(error, (ReportedError, OSError)):
            raise
        failed, output = (error.step, error.output) if isinstance(error, StepError) else (step, str(error))
        raise StepError(failed, output, restored) from error
    with contextlib.suppress(OSError):
        backup.remove_copies(manifest)
        backup.sweep(state)
    return backup.backup_folder(state, name)


def _refuse_changed(wanted: Sequence[Change]) -> None:
    paths = [change.path for change in wanted]
    if len(set(paths)) != len(paths):
        raise StepError("read", f"two of the files are the same file: {', '.join(sorted(paths))}")
    for change in wanted:
        _refuse_edited(change)


def _refuse_edited(change: Change) -> None:
    if read_file(change.path) != change.before:
        raise StepError("read", f"{change.path} was edited during the run; run again")


def _stage(state: str, name: str, manifest: backup.Manifest, wanted: Sequence[Change]) -> None:
    """Write all that the swap and a restore need, so that neither can meet a full disk."""
    for entry in manifest.entries:
        data = backup.stored_content(state, name, entry)
        if data is not None and entry.attributes is not None:
            write_copy(beside(entry.path, SPARE), data, entry.attributes)
    for change in wanted:
        if change.after is not None:
            attributes = read_attributes(change.path) or change.attributes or new_attributes(change.path)
            modified = time.time_ns() - change.age * 10**9 if change.age else 0
            write_copy(beside(change.path, STAGED), change.after, attributes._replace(modified=modified))
    for entry in manifest.entries:
        if os.path.isdir(os.path.dirname(entry.path)):
            sync_folder(entry.path)


def _swap(wanted: Sequence[Change]) -> None:
    """New files first, removed ones last: wherever the power fails, no file names another that is not there."""
    for change in sorted(wanted, key=lambda one: (one.after is None, one.before is not None)):
        _refuse_edited(change)
        if change.after is None:
            remove(change.path)
        else:
            os.replace(beside(change.path, STAGED), change.path)
        sync_folder(change.path)


def _wait_alive(driver: Driver, was_alive: bool, *, until_ended: bool = False) -> None:
    """Wait for an answer. A restore is patient: what starts the service anew may not have begun yet."""
    deadline = time.monotonic() + ALIVE_SECONDS
    while was_alive and not driver.alive():
        if until_ended and driver.runs() is False:
            raise StepError("answer", f"{driver.name} {ENDED}")
        if time.monotonic() > deadline:
            raise StepError("answer", f"{driver.name} does not answer any more after its activation")
        time.sleep(POLL)


def _watch(driver: Driver, manifest: backup.Manifest) -> None:
    """What ran has to run on, be it that it answers or not. Without an answer to wait for, it gets time to end."""
    deadline = time.monotonic() + (0 if manifest.alive else END_SECONDS)
    while manifest.ran:
        if driver.runs() is False:
            raise StepError("answer", f"{driver.name} {ENDED}")
        if time.monotonic() > deadline:
            return
        time.sleep(POLL)


# Restoring


def _settle(state: str, driver: Driver) -> None:
    """Restore what a killed run left, and sweep up."""
    end_orphan(backup.register_path(state))
    clear_register(backup.register_path(state))
    restored = _restore(state, driver) if interrupted(state) else UNTOUCHED
    backup.sweep(state)
    if restored != UNTOUCHED:
        backup.leave_notice(state, f"an earlier run was killed in the middle of its change: {restored}")


def _rescue(state: str, driver: Driver) -> None:
    """Do what the killed run can no longer do; called by the watchdog, which holds the lock."""
    _settle(state, driver)


def _restore_now(state: str, driver: Driver) -> str:
    """Restore after a failure; returns the sentence about it, also where that fails."""
    try:
        end_orphan(backup.register_path(state))
        restored = _restore(state, driver)
        backup.sweep(state)
        return restored
    except Exception as error:  # whatever it is, the failure that led here is the one to report
        return f"and NOT everything could be restored ({error}); the next run tries it again"


def _restore(state: str, driver: Driver) -> str:
    """Lead back to the state before the change that the journal names. May be repeated, and killed at any point."""
    journal = backup.read_journal(state)
    if journal is None:
        return UNTOUCHED
    manifest = backup.read_manifest(state, journal.backup)
    if journal.phase == backup.STAGING:
        backup.remove_copies(manifest)
        backup.abandon(state, journal)
        return UNTOUCHED
    edited, problems = [], []
    for entry in sorted(manifest.entries, key=lambda one: (not one.stored, os.path.exists(one.path))):  # as in _swap
        try:
            if not _restore_file(state, journal.backup, entry):
                edited.append(entry.path)
        except OSError as error:
            problems.append(str(error))
    run = _runner(state)
    try:
        if (manifest.alive and not driver.alive()) or (manifest.ran and driver.runs() is False):
            driver.start(run)  # a service that is down cannot read its files again
        driver.activate(run, manifest.details)
        _wait_alive(driver, manifest.alive)
    except StepError as error:
        problems.append(f"{error.step}: {error.output}")
    except OSError as error:
        problems.append(str(error))
    if problems:
        raise StepError("restore", "; ".join(problems), "")
    backup.remove_copies(manifest)
    backup.abandon(state, journal)
    if edited:
        return (
            f"{RESTORED}, except for files that were edited in the meantime and stay as they are: {', '.join(edited)}"
        )
    return RESTORED


def _restore_file(state: str, name: str, entry: backup.Entry) -> bool:
    """Restore one file; False where it was edited since. A rename where possible: it needs no space."""
    live = read_file(entry.path)
    if not entry.built and digest(live) not in (entry.before, entry.after):
        return False
    if not entry.stored:
        remove(entry.path)
    elif digest(live) != entry.before or read_attributes(entry.path) != entry.attributes:
        spare = beside(entry.path, SPARE)
        if digest(read_file(spare)) != entry.before:
            data = backup.stored_content(state, name, entry)
            if data is None or entry.attributes is None:
                raise OSError(f"the backup {name} of {entry.path} cannot be used")
            write_copy(spare, data, entry.attributes)
        os.replace(spare, entry.path)
    if os.path.isdir(os.path.dirname(entry.path)):
        sync_folder(entry.path)
    return True


# Tools and lock


def _runner(state: str) -> Runner:
    return lambda step, command: run_tool(step, command, backup.register_path(state))


@contextlib.contextmanager
def locked(state: str) -> Iterator[int]:
    """Hold the lock of the state folder. A watchdog holds the same lock, so closing it here does not release it."""
    os.makedirs(state, mode=0o700, exist_ok=True)
    handle = os.open(os.path.join(state, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StepError("lock", f"another run is changing this host (it holds {state}/lock)") from None
                time.sleep(POLL)
        yield handle
    finally:
        os.close(handle)
