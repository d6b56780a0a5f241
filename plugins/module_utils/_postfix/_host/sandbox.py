# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private folders, and the Postfix that runs from one: neither is there afterwards.

Source: proc(5).

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Iterator

from ..._transaction.command import END_SECONDS, process_fields

PARENT = "/run"
"""Private folders lie here: in memory, and only root can write beside them."""

PREFIX = "mailhost-canary-"

_ABANDONED = 300
"""Seconds after which a private folder without a lock is abandoned."""


@contextlib.contextmanager
def private_folder() -> Iterator[str]:
    """A folder that is gone afterwards, with whatever runs from it. Those that killed runs left are swept first."""
    parent = _parent()
    sweep(parent)
    folder = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
    handle = os.open(f"{folder}/new", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        # A run that sweeps finds a lock that is held, or none yet.
        os.rename(f"{folder}/new", f"{folder}/lock")
        os.chmod(folder, 0o711)  # noqa: S103 (Postfix's own user has to get to its files)
        yield folder
    finally:
        _remove(folder)
        os.close(handle)


def _parent() -> str:
    return PARENT if os.access(PARENT, os.W_OK) else tempfile.gettempdir()


def sweep(parent: str = "") -> None:
    """End and remove what killed runs left; a run that lives holds the lock of its folder."""
    parent = parent or _parent()
    for name in os.listdir(parent):
        folder = os.path.join(parent, name)
        if not name.startswith(PREFIX) or not _is_own_folder(folder):
            continue
        try:
            handle = os.open(f"{folder}/lock", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            with contextlib.suppress(OSError):
                if os.stat(folder).st_mtime < time.time() - _ABANDONED:
                    _remove(folder)
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(folder)
        except OSError:
            pass  # its run goes on
        finally:
            os.close(handle)


def _is_own_folder(folder: str) -> bool:
    with contextlib.suppress(OSError):
        found = os.lstat(folder)
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    return False


def _remove(folder: str) -> None:
    end_processes(folder)
    shutil.rmtree(folder, ignore_errors=True)


def end_processes(folder: str) -> None:
    """End the Postfix that runs from a private folder, and wait for END_SECONDS at most until it is gone."""
    end = time.monotonic() + END_SECONDS
    ended: set[int] = set()
    while True:
        found = processes(folder)
        # A stopped process starts no other meanwhile.
        for number in (signal.SIGSTOP, signal.SIGKILL):
            ended.update(found)
            for process in found:
                with contextlib.suppress(OSError):
                    os.kill(process, number)
            found = processes(folder)
        left = [process for process in ended if process_fields(process)]
        if not left or time.monotonic() > end:
            return
        time.sleep(0.01)


def processes(folder: str) -> list[int]:
    """The master of a private folder and all that it has started; some of those leave its session."""
    parents = {}
    found = []
    for name in os.listdir("/proc"):
        words = process_fields(int(name)) if name.isdigit() else []
        if len(words) > 1:
            parents[int(name)] = int(words[1])
            with contextlib.suppress(OSError), open(f"/proc/{name}/cmdline", "rb") as file:
                # A test's or a shell's own command line has the name as well; a master has it behind -c.
                if f"\0-c\0{folder}/".encode() in file.read():
                    found.append(int(name))
    for process in found:
        found += [child for child, parent in parents.items() if parent == process and child not in found]
    return found
