# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules of the host, called by a task of a user's own: one sentence, never a traceback."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize(
    ("module", "arguments", "sentence"),
    [
        ("packet_filter", {"step": "inspect"}, "step is inspect but all of the following are missing: question"),
        ("packet_filter", {"step": "inspect", "question": {}}, "question: is not what the action makes"),
        ("packet_filter", {"step": "prove", "change": {"texts": 1}}, "change: is not what the action makes"),
        (
            "packet_filter",
            {"step": "apply", "token": "x"},
            "step is apply but all of the following are missing: change",
        ),
        ("packet_filter", {"step": "confirm"}, "step is confirm but all of the following are missing: token"),
        ("postfix", {"step": "apply"}, "arguments are missing: state, policy, settings, policy_tests; call mailhost."),
        ("messaging_server", {"step": "apply"}, "policy_tests; call mailhost.hardening.messaging_server instead"),
    ],
)
def test_module_with_missing_or_odd_arguments_says_so(module: str, arguments: dict[str, Any], sentence: str) -> None:
    name = f"ansible_collections.mailhost.hardening.plugins.modules.{module}_transaction"
    done = subprocess.run(
        [sys.executable, "-m", name, json.dumps({"ANSIBLE_MODULE_ARGS": arguments})],
        cwd=ROOT / ".venv" / "collections",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert sentence in json.loads(done.stdout)["msg"]
