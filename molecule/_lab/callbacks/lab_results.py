"""Writes the result of every task as a line of JSON into the file $LAB_RESULTS, for mailhost_lab/runs/plays.py."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: lab_results
type: notification
short_description: Results of tasks as lines of JSON
description: Writes what a task returned into the file that the environment names, so that tests need not read a screen.
"""


class CallbackModule(CallbackBase):
    """Notes what each task returned."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "lab_results"
    CALLBACK_NEEDS_ENABLED = True

    def note(self, outcome: str, result: Any) -> None:
        """Append one result; a run that is killed leaves what it had so far."""
        line = {"host": result.host.name, "outcome": outcome, "task": result.task_name, "result": result.result}
        with open(os.environ["LAB_RESULTS"], "a", encoding="utf-8") as file:
            file.write(json.dumps(line, default=str) + "\n")

    def v2_runner_on_ok(self, result: Any) -> None:
        """Note a task that went well."""
        self.note("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:  # noqa: ARG002 - the interface
        """Note a task that failed."""
        self.note("failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Note a host that was not reached."""
        self.note("unreachable", result)
