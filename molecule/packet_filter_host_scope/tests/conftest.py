"""Servers for every port that the tests probe, and runs with what differs from the scenario's policy."""

from __future__ import annotations

from pathlib import Path

from mailhost_lab.scenarios.setup import harden_fixture, listeners_fixture

LISTENERS = {
    "mailhost": ["tcp:80", "tcp:587", "tcp:2525", "tcp:8080", "udp:53", "udp:5353"],
    "remote": ["tcp:53", "tcp:80", "tcp:443", "tcp:587", "tcp:8080", "udp:53", "udp:123", "udp:5353"],
}

listening = listeners_fixture(LISTENERS)
harden = harden_fixture(Path(__file__).parents[1])
