# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process that outlives a killed run and puts the host in order.

Private to the collection: other collections must not import it.

The run holds one end of a pipe and says ``done`` when all is settled. A run that
dies closes the pipe without that, at whatever point, and the watchdog acts.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable

TRIES, PAUSE = 3, 1.0
"""How often the watchdog tries, and seconds between; after that it is left to the next run."""
WATCHED_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE)


class Watchdog:
    """Calls ``rescue`` when this process dies before ``dismiss``; ``keep`` are descriptors that it holds as well."""

    def __init__(self, rescue: Callable[[], None], keep: Iterable[int]) -> None:
        self._rescue, self._keep = rescue, tuple(keep)
        self._process, self._pipe = 0, -1

    def start(self) -> None:
        """Fork the watchdog; returns when it can no longer be hit by the end of this session."""
        ready, ready_end = os.pipe()
        watched, self._pipe = os.pipe()
        self._process = os.fork()
        if not self._process:
            try:
                _stand_alone({watched, ready_end, *self._keep})
                os.write(ready_end, b"r")
                os.close(ready_end)
                self._watch(watched)
            finally:
                os._exit(0)
        os.close(watched)
        os.close(ready_end)
        try:
            if os.read(ready, 1) != b"r":
                raise OSError("the process that guards the change could not be started")
        finally:
            os.close(ready)

    def dismiss(self) -> None:
        """Say that all is settled, and wait until the watchdog has gone."""
        with contextlib.suppress(OSError):  # it may have been killed
            os.write(self._pipe, b"done")
        os.close(self._pipe)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._process, 0)

    def _watch(self, watched: int) -> None:
        if os.read(watched, 4) == b"done":
            return
        for attempt in range(TRIES):
            if attempt:
                time.sleep(PAUSE)
            with contextlib.suppress(Exception):  # there is nowhere to report it; the next run finds the journal
                self._rescue()
                return


def _stand_alone(keep: set[int]) -> None:
    # Functions that do nothing, rather than SIG_IGN: tools, and the services they start, would inherit that.
    for number in WATCHED_SIGNALS:
        signal.signal(number, lambda _number, _frame: None)
    os.setsid()
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(null, standard)
    # What waits for the end of the run's output waits for all its descriptors.
    for handle in _open_handles():
        if handle > 2 and handle not in keep:
            with contextlib.suppress(OSError):
                os.close(handle)


def _open_handles() -> list[int]:
    with contextlib.suppress(OSError):
        return [int(name) for name in os.listdir("/dev/fd") if name.isdigit()]
    return list(range(3, 1024))
