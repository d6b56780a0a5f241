"""Servers for every port that the tests probe, and runs with what differs from the scenario's policy."""

from __future__ import annotations

from pathlib import Path

from mailhost_lab.scenarios.setup import harden_fixture, listeners_fixture

LISTENERS = {"mailhost": ["tcp:587", "tcp:8080"], "remote": ["tcp:8080"], "internal": ["tcp:110"]}

listening = listeners_fixture(LISTENERS)
harden = harden_fixture(Path(__file__).parents[1])
