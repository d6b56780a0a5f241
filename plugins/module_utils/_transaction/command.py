# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the tools of a mail server: for a bounded time, without a shell, and ended with the run.

Private to the collection: other collections must not import it.

A tool runs in a session of its own. Before it becomes the tool, the child itself
notes its process in a file (the register), so that what takes over from a
killed run knows what may still be writing, and ends that first.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import IO

from .._policy.errors import ReportedError

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin", "LC_ALL": "C", "HOME": "/"}
"""What every tool runs with, whatever the environment of this program is."""
TOOL_SECONDS = 300
"""After that a tool hangs: compiling a mapping file of some thousand entries takes seconds."""
CALL_SECONDS = 60
"""The same for a tool that changes nothing; an index of a million entries takes some."""
END_SECONDS = 10
"""How long to wait for killed processes to be gone."""
SHOWN_HEAD, SHOWN_TAIL = 2000, 6000
"""Bytes of a tool's output that are kept."""
REGISTER_SIZE = 64
UNTOUCHED = "nothing was changed"
"""What a step restored that failed before anything was live."""

Runner = Callable[[str, Sequence[str]], str]
"""Runs one tool: name of the step and command in, output out; StepError unless it returns 0 in time."""


class StepError(ReportedError):
    """A step of a change that failed: its name, the tool's own output, and what was restored."""

    def __init__(self, step: str, output: str, restored: str = UNTOUCHED) -> None:
        self.step, self.output, self.restored = step, output.strip(), restored
        super().__init__(f"{step}: {self.output or 'failed without output'}" + (f"\n{restored}" if restored else ""))


def run_tool(
    step: str, command: Sequence[str], register: str = "", seconds: float = TOOL_SECONDS, *, whole: bool = False
) -> str:
    """Run a command without input and return what it printed; StepError unless it returns 0 in time.

    Of a long output the middle is left out, unless ``whole``.
    """
    with _scratch() as output:
        code = _run(step, command, (output, output), register, seconds)
        text = _read(output, whole=whole and not code)
    if code:
        raise StepError(step, f"{text.rstrip()}\n(exit status {code})" if text.strip() else f"exit status {code}")
    return text


def call(step: str, command: Sequence[str], seconds: float = CALL_SECONDS) -> tuple[int, str, str]:
    """Run a command without input; returns its status and what it wrote to both outputs. Raises StepError."""
    with _scratch() as output, _scratch() as errors:
        code = _run(step, command, (output, errors), "", seconds)
        return code, _read(output, whole=True), _read(errors, whole=True)


def _run(step: str, command: Sequence[str], outputs: tuple[IO[bytes], IO[bytes]], register: str, seconds: float) -> int:
    """Run a command; returns its status. Outputs are files, not pipes: services that a tool starts keep them open."""

    def announce() -> None:
        with contextlib.suppress(OSError):
            _write_register(register, f"{os.getpid()} {_started(os.getpid())}")

    try:
        # The watchdog runs tools as well, and has no AnsibleModule whose run_command could be used.
        tool = subprocess.Popen(  # noqa: S603 (a list, no shell) # pylint: disable=ansible-bad-function,subprocess-popen-preexec-fn
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=outputs[0],
            stderr=outputs[1],
            env=ENVIRONMENT,
            cwd="/",
            start_new_session=True,
            preexec_fn=announce if register else None,  # noqa: PLW1509 (no threads here)
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise StepError(step, f"{command[0]} cannot be run: {error}") from error
    try:
        return tool.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        _end_session(tool.pid)
        tool.wait()
        raise StepError(step, f"{_read(outputs[1])}\n{command[0]}: no end after {seconds:g} seconds") from None
    except BaseException:
        _end_session(tool.pid)
        raise
    finally:
        if register:
            clear_register(register)


def clear_register(register: str) -> None:
    """Note that no tool is running. The file keeps its size, so that a full disk cannot prevent it later."""
    with contextlib.suppress(OSError):
        _write_register(register, "")


def end_orphan(register: str) -> None:
    """End the tool that a killed run left behind, with all it started."""
    try:
        with open(register, encoding="ascii") as file:
            words = file.read().split()
    except (OSError, ValueError):
        return
    if len(words) == 2 and words[0].isdigit():
        process = int(words[0])
        # The number may belong to another process by now; then the leader of its session began later.
        if _started(process) in (words[1], ""):
            _end_session(process)
    clear_register(register)


def _end_session(session: int) -> None:
    deadline = time.monotonic() + END_SECONDS
    while True:
        members = _members(session)
        for process in members:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        if not members or time.monotonic() > deadline:
            return
        time.sleep(0.01)


def _members(session: int) -> list[int]:
    """Return the living processes of a session; the leader's group where the system has no /proc of this kind."""
    if not os.path.exists("/proc/self/stat"):
        with contextlib.suppress(OSError):
            os.killpg(session, signal.SIGKILL)
        return []
    fields = {int(name): process_fields(int(name)) for name in os.listdir("/proc") if name.isdigit()}
    return [process for process, words in fields.items() if len(words) > 3 and words[3] == str(session)]


def _started(process: int) -> str:
    words = process_fields(process)
    return words[19] if len(words) > 19 else ""


def process_fields(process: int) -> list[str]:
    """Return the fields of /proc/PID/stat behind the name: state, parent, group, session, ...; nothing for a dead one.

    Source: proc(5).
    """
    try:
        with open(f"/proc/{process}/stat", encoding="ascii", errors="replace") as file:
            words = file.read().rpartition(")")[2].split()
    except OSError:
        return []
    return [] if words[:1] in (["Z"], ["X"]) else words


def _write_register(register: str, text: str) -> None:
    handle = os.open(register, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(handle, text.ljust(REGISTER_SIZE).encode("ascii"), 0)
    finally:
        os.close(handle)


def _scratch() -> IO[bytes]:
    # In memory where the system can: the previous state must be restored on a full disk as well.
    if hasattr(os, "memfd_create"):
        with contextlib.suppress(OSError):
            return os.fdopen(os.memfd_create("mailhost-output"), "w+b")
    return tempfile.TemporaryFile()


def _read(output: IO[bytes], *, whole: bool = False) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(0)
    if whole or size <= SHOWN_HEAD + SHOWN_TAIL:
        data = output.read()
    else:
        data = output.read(SHOWN_HEAD) + b"\n[...]\n"
        output.seek(size - SHOWN_TAIL)
        data += output.read(SHOWN_TAIL)
    return data.decode("utf-8", "replace")
