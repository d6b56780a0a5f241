"""Measurements as ratios: both sides are taken in turns, in one run on one machine, and medians are compared."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable

from mailhost_lab.paths import INVENTORY, PROJECT
from mailhost_lab.runs import plays

HERE = Path(__file__).parent
ROUNDS = 5
CLOSED = ["imap", "imaps", "pop3", "pop3s"]
"""What Debian's dovecot serves beside the policy of the measurements."""


def play(playbook: str, *options: str, inventory: Path = INVENTORY, **variables: Any) -> float:
    """Return the seconds of one run of a playbook; it must succeed."""
    return timed(playbook, *options, inventory=inventory, **variables)[0]


def timed(playbook: str, *options: str, inventory: Path = INVENTORY, **variables: Any) -> tuple[float, str]:
    """Return the seconds of one run of a playbook and what it printed; it must succeed."""
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        str(HERE / playbook),
        *("--inventory", str(inventory), "--extra-vars", json.dumps(variables), *options),
    ]
    started = time.monotonic()
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=600, cwd=PROJECT, check=False, env=environment()
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return time.monotonic() - started, done.stdout


def environment() -> dict[str, str]:
    return {**os.environ, "ANSIBLE_CONFIG": str(PROJECT / "molecule/_lab/ansible.cfg")}


def role(changed: bool, **variables: Any) -> float:
    """Return the seconds of one run of the role, which must have changed the host or not, as said."""
    run = plays.harden(timeout=600, packet_filter_close_services=CLOSED, **variables)
    assert run.rc == 0, str(run)
    assert run.changed is changed, str(run)
    return run.seconds


def server_role(
    *options: str,
    changed: bool,
    hosts: int = 1,
    inventory: Path = INVENTORY,
    playbook: str = "messaging_server.yml",
    **variables: Any,
) -> float:
    """Return the seconds of one run of a mail server's role, which must have changed all hosts or none."""
    seconds, printed = timed(playbook, *options, inventory=inventory, **variables)
    counts = re.findall(r" ok=\d+ +changed=(\d+)", printed)
    assert counts == ["1" if changed else "0"] * hosts, printed
    return seconds


def median(measured: Callable[[], float], rounds: int = ROUNDS) -> float:
    return statistics.median(measured() for _round in range(rounds))


def report(name: str, figure: float, limit: float, unit: str = "") -> None:
    """Print a figure beside its limit; a missed limit fails the measurement."""
    print(f"\n  {name}: {figure:.2f}{unit} (limit {limit:g}{unit})", end="")
    assert figure <= limit, f"{name}: {figure:.2f}{unit} is over {limit:g}{unit}"


def networks(count: int, seed: int = 1) -> list[str]:
    """Return distinct networks, half of them IPv4 addresses and half IPv6 prefixes, in no order."""
    chance = random.Random(seed)  # noqa: S311 (no secret)
    half = count // 2
    ipv4 = chance.sample(range(0x0B000000, 0xC0000000), half)
    ipv6 = chance.sample(range(1 << 32), count - half)
    found = [f"{n >> 24}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}" for n in ipv4]
    found += [f"2001:db8:{n >> 16:x}:{n & 0xFFFF:x}::/64" for n in ipv6]
    chance.shuffle(found)
    return found


def as_tasks(saved: str, family: str) -> list[dict[str, Any]]:
    """Return rules of iptables-save as arguments of ansible.builtin.iptables, as far as it has words for them."""
    words_of = {
        "-s": "source",
        "-p": "protocol",
        "-j": "jump",
        "-i": "in_interface",
        "-o": "out_interface",
        "--sport": "source_port",
        "--dport": "destination_port",
        "--comment": "comment",
        "--limit": "limit",
        "--log-prefix": "log_prefix",
        "--reject-with": "reject_with",
        "--uid-owner": "uid_owner",
    }
    tasks = []
    for line in saved.splitlines():
        if not line.startswith("-A MAILHOST"):
            continue
        words = shlex.split(line)
        task: dict[str, Any] = {"chain": "BENCH" + words[1].removeprefix("MAILHOST"), "ip_version": family}
        for option, value in zip(words[2:], words[3:]):
            if option in words_of:
                task[words_of[option]] = value.replace("MAILHOST", "BENCH").replace(":", ":", 1)
            elif option == "--ctstate":
                task["ctstate"] = value.split(",")
            elif option == "--dports":
                task["destination_ports"] = value.split(",")
        if task.get("jump") == "LOG":
            task["log_level"] = "warning"
        tasks.append(task)
    return tasks
