"""The scenario's policy, and runs of the playbook with what differs from it."""

from __future__ import annotations

from pathlib import Path

from mailhost_lab.runs import plays
from mailhost_lab.scenarios.setup import apply_fixture, policy_fixture

policy = policy_fixture(Path(__file__).parents[1])
apply = apply_fixture(plays.HARDEN, mailhost_hosts="postfix_hosts")
