"""Runs of ansible-playbook from a test: the harden playbook against the lab's mail host, over SSH, as users run it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailhost_lab.addresses import MAILHOST
from mailhost_lab.containers.engine import LabError
from mailhost_lab.paths import INVENTORY, LAB, PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

HARDEN = "mailhost.hardening.harden"
MESSAGING_SERVER, POSTFIX = (str(LAB / f"playbooks/role_{name}.yml") for name in ("messaging_server", "postfix"))
"""Playbooks with the role of a mail server alone: the packet filter stays as it is."""


@dataclass
class Run:
    """What came of a run of the playbook."""

    rc: int
    stdout: str
    seconds: float
    results: list[dict[str, Any]] = field(default_factory=list)
    """Of every task, in their order: `outcome` (ok, failed, unreachable), `task`, `result`."""

    @property
    def changed(self) -> bool:
        """Whether any task changed the host, or in check mode would have."""
        return any(line["result"].get("changed") for line in self.results)

    @property
    def warned(self) -> bool:
        """Whether Ansible warned of anything."""
        return "[WARNING]" in self.stdout

    @property
    def message(self) -> str:
        """What the task said that failed, or nothing."""
        return "\n".join(str(line["result"].get("msg", "")) for line in self.results if line["outcome"] != "ok")

    @property
    def diff(self) -> list[dict[str, str]]:
        """The diffs of all tasks, without what is empty and without the table of effects."""
        found: list[dict[str, str]] = []
        for line in self.results:
            diffs = line["result"].get("diff") or []
            found += diffs if isinstance(diffs, list) else [diffs]
        return [diff for diff in found if diff and "prepared" not in diff]

    @property
    def effects(self) -> list[dict[str, str]]:
        """The effects of all tasks."""
        return [effect for line in self.results for effect in line["result"].get("effects") or ()]

    def __str__(self) -> str:
        return f"rc {self.rc} after {self.seconds:.1f} s\n{self.stdout}"


class Running:
    """A run that is under way; use `start_harden`, which ends it with its block."""

    def __init__(
        self, playbook: str, variables: dict[str, Any], check: bool, environment: dict[str, str], folder: Path
    ) -> None:
        values, self.results, self.output = folder / "vars.json", folder / "results", folder / "output"
        # The playbook's own default is the group that mailhost is in.
        chosen = {} if MAILHOST.group == "mailhosts" else {"mailhost_hosts": MAILHOST.group}
        values.write_text(json.dumps({**chosen, **variables}))
        self.started = time.monotonic()
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    str(Path(sys.executable).with_name("ansible-playbook")),
                    playbook,
                    *("--inventory", str(INVENTORY), "--diff", "--extra-vars", f"@{values}"),
                    *(["--check"] if check else []),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**_environment(self.results), **environment},
                cwd=PROJECT,
                start_new_session=True,  # no terminal, at which SSH would ask
            )

    def kill(self) -> None:
        """Kill the controller at once, with no chance to tidy up.

        Ansible's workers have sessions of their own, so the group is not enough. The shared SSH connection, which has
        no parent, lives on, as it does when a user kills a run.
        """
        self.process.send_signal(signal.SIGSTOP)
        for number in [*_descendants(self.process.pid), self.process.pid]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self.process.wait(timeout=60)

    def wait(self, timeout: float = 360) -> Run:
        """Wait for the end of the run and return what came of it."""
        try:
            rc = self.process.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise LabError(f"the play did not end within {timeout:g} s:\n{self.output.read_text()}") from None
        lines = self.results.read_text().splitlines() if self.results.exists() else []
        seconds = time.monotonic() - self.started
        return Run(rc, self.output.read_text(), seconds, [json.loads(line) for line in lines])


def _descendants(parent: int) -> list[int]:
    """Return the processes that a process started, and those that they started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                number = int(path.parent.name)
                found += [*_descendants(number), number]
    return found


def _environment(results: Path) -> dict[str, str]:
    """Return the environment of `make` without what Molecule adds for its own runs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "MOLECULE_"))}
    own = {
        "ANSIBLE_CONFIG": str(LAB / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / ".venv/collections"),
        "ANSIBLE_HOME": str(PROJECT / ".cache/ansible"),
        "ANSIBLE_CALLBACK_PLUGINS": str(LAB / "callbacks"),
        "ANSIBLE_CONNECTION_PLUGINS": str(LAB / "connections"),
        "ANSIBLE_CALLBACKS_ENABLED": "lab_results",
        "ANSIBLE_NOCOLOR": "1",
        "LAB_RESULTS": str(results),
        "MOLECULE_PROJECT_DIRECTORY": str(PROJECT),
    }
    return {**kept, **own}


@contextlib.contextmanager
def start_harden(
    *, playbook: str = HARDEN, check: bool = False, environment: dict[str, str] | None = None, **variables: Any
) -> Iterator[Running]:
    """Start a run with these variables; it is killed if the block ends before it does."""
    with tempfile.TemporaryDirectory(prefix="mailhost-lab-") as folder:
        running = Running(playbook, variables, check, environment or {}, Path(folder))
        try:
            yield running
        finally:
            if running.process.poll() is None:
                running.kill()


def harden(*, timeout: float = 360, **options: Any) -> Run:
    """Run the playbook as `start_harden` does and return what came of it, also where it failed."""
    with start_harden(**options) as running:
        return running.wait(timeout)
