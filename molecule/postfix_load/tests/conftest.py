"""Runs of the role with the scenario's policy, and senders that say everything at once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mailhost_lab.addresses import find_host
from mailhost_lab.runs import plays
from mailhost_lab.scenarios.setup import policy_of

if TYPE_CHECKING:
    from mailhost_lab.mail.postfix import Postfix
    from mailhost_lab.packets.probes import Lab

SECONDS = 180
"""For one load."""

GO_ON = "/run/lab-load"
Load = Callable[..., AbstractContextManager["Sending"]]


@pytest.fixture(scope="session")
def start_role() -> Callable[..., AbstractContextManager[plays.Running]]:
    """Return what starts the role with the scenario's policy and other values."""
    policy = policy_of(Path(__file__).parents[1])
    return lambda **values: plays.start_harden(playbook=plays.POSTFIX, **(policy | values))


@pytest.fixture(scope="session", autouse=True)
def _whole_log(postfix: Postfix) -> None:
    """Have the journal keep every line of a load."""
    postfix.run("mkdir", "-p", "/run/systemd/journald.conf.d")
    postfix.write("/run/systemd/journald.conf.d/load.conf", "[Journal]\nRateLimitIntervalSec=0\n")
    postfix.run("systemctl", "restart", "systemd-journald")


class Sending:
    """Messages on their way: `count` in 20 sessions, and as many again until `enough` is said."""

    def __init__(self, lab: Lab, src: str, command: str) -> None:
        self.lab, self.src = lab, src
        pipe = subprocess.PIPE
        whole = [lab.engine.name, "exec", find_host(src).container, "sh", "-c", command]
        self.process = subprocess.Popen(whole, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)

    def enough(self) -> int:
        """Send no more than what is begun, and wait for its end; how often the count was accepted as a whole."""
        self.lab.run(self.src, ["rm", "-f", GO_ON])
        out, errors = self.process.communicate(timeout=SECONDS)
        assert (self.process.returncode, errors) == (0, "")
        return out.count("sent")


@pytest.fixture
def load(lab: Lab, postfix: Postfix) -> Load:
    """Return what sends messages from a host while a block runs; Debian's smtp-source does it."""
    postfix.clear()

    @contextmanager
    def run(src: str, target: str, count: int, sender: str, recipient: str) -> Iterator[Sending]:
        routes = json.loads(lab.run(src, ["ip", "-j", "route", "get", target]).stdout)
        assert len(routes) == 1
        assert "gateway" not in routes[0], f"{target} is not reached within the lab: {routes}"
        source = f"smtp-source -s 20 -m {count} -f {sender} -t {recipient} -M {src}.example {target}:25"
        again = f"timeout {SECONDS} {source} && echo sent && test -e {GO_ON}"
        lab.run(src, ["touch", GO_ON])
        sending = Sending(lab, src, f"while {again}; do :; done; ! test -e {GO_ON}")
        try:
            yield sending
        finally:
            lab.run(src, ["rm", "-f", GO_ON])
            sending.process.kill()
            sending.process.wait(SECONDS)

    return run
