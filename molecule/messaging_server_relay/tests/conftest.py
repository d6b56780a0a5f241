"""The scenario's policy, runs of the role with what differs from it, and the addresses of external clients."""

from __future__ import annotations

from pathlib import Path

from mailhost_lab.runs import plays
from mailhost_lab.scenarios.setup import addresses_fixture, apply_fixture, policy_fixture

# Boundary addresses of the networks in the policy, and their neighbours.
ADDED = ("3", "4", "7", "8", "13", "14", "15"), ("3f", "40", "43", "44", "61", "62", "6f", "70")

addresses = addresses_fixture(*(f"198.51.100.{end}" for end in ADDED[0]), *(f"2001:db8:100::{end}" for end in ADDED[1]))
policy = policy_fixture(Path(__file__).parents[1])
apply = apply_fixture(plays.MESSAGING_SERVER)
