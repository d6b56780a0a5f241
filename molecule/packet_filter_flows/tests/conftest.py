"""Servers for every port that the tests probe, and runs with what differs from the scenario's policy."""

from __future__ import annotations

from pathlib import Path

from mailhost_lab.scenarios.setup import harden_fixture, listeners_fixture

# Postfix and dovecot listen on the other mail ports of the mail host and of remote.
LISTENERS = {
    "mailhost": [f"tcp:{port}" for port in (465, 587, 2525, 2526, 4190, 8080)],
    "remote": [f"tcp:{port}" for port in (465, 587, 2525, 4190, 8080)],
    "internal": ["tcp:110", "tcp:4190"],
}

listening = listeners_fixture(LISTENERS)
harden = harden_fixture(Path(__file__).parents[1])
