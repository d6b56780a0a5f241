# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in for Sun Java System Messaging Server: its tools note each call, and fail on demand.

A fault is written for a command line as it is called, `cnbuild` say or `restart dispatcher`; a command line that ends
in ` *` stands for all that begin so. molecule/_lab/README.md has the list.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from product import STATE

FAULTS = STATE / "faults.json"
COUNTS = STATE / "fault-counts.json"
CALLS = STATE / "calls"
HANG_SECONDS = 600


def age() -> float:
    """Seconds since this process began, with the start of Python, to a hundredth."""
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


class Call:
    """One call of imsimta, from its beginning to its end."""

    def __init__(self, arguments: list[str]) -> None:
        self.arguments = arguments
        self.fault = self._find()
        self._note(event="begin", fault=self.fault.get("do", ""))

    def _find(self) -> dict[str, Any]:
        line = " ".join(self.arguments)
        faults = json.loads(FAULTS.read_text()) if FAULTS.exists() else {}
        for key, fault in faults.items():
            if line == key or (key.endswith(" *") and line.startswith(key[:-1])):
                counts = json.loads(COUNTS.read_text()) if COUNTS.exists() else {}
                counts[key] = counts.get(key, 0) + 1
                COUNTS.write_text(json.dumps(counts))
                if fault.get("call", counts[key]) == counts[key]:
                    return dict(fault)
        return {}

    def _note(self, **values: Any) -> None:
        with CALLS.open("a") as file:
            file.write(json.dumps({"pid": os.getpid(), "argv": self.arguments, **values}) + "\n")

    def end(self, code: int) -> int:
        """Note the end of the call and return its exit status."""
        self._note(event="end", rc=code, seconds=round(age(), 3))
        return code

    def fail(self, when: str) -> bool:
        """Do what the fault says for this moment, `before` or `after` the work; whether the call has failed."""
        do = self.fault.get("do")
        if do is None or self.fault.get("when", "before") != when:
            return False
        if do == "kill-parent":
            os.kill(os.getppid(), signal.SIGKILL)
        elif do == "kill-self":
            os.kill(os.getpid(), signal.SIGKILL)
        elif do == "hang":
            time.sleep(self.fault.get("seconds", HANG_SECONDS))
        else:
            sys.stderr.write(self.fault.get("text", "fails on demand") + "\n")
            return True
        return False
