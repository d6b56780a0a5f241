"""Run Molecule's scenarios, each on the releases that it is for.

Those that try different hosts of the lab run side by side, and each shows its output when it has ended; one lane alone
shows it as it comes. The Makefile sets the environment. Warnings that Ansible is meant to print stand in the scenario's
file expected-warnings.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import yaml

from mailhost_lab.addresses import HOSTS, MAILHOST
from mailhost_lab.containers.engine import LabError
from mailhost_lab.paths import PROJECT
from mailhost_lab.releases import releases_of

CACHE = PROJECT / ".cache" / "molecule"
LANES = 4
"""How many hosts are tried at a time; more would make each other wait on a machine with two processors."""
PAIR_SECONDS = 2700
GRACE_SECONDS = 60
"""How long a scenario that is interrupted may take to put away what it has begun."""
TROUBLE = re.compile(r"^(FAILED|ERROR) |fatal: \[|^strict: unexpected |^CRITICAL ")
"""What pytest, Ansible and Molecule write where they fail."""
TROUBLES = 4
TROUBLE_WIDTH = 240


class Pair(NamedTuple):
    """A scenario and a release that it is for."""

    scenario: str
    release: str

    def __str__(self) -> str:
        return f"{self.scenario} ({self.release})"

    @property
    def state(self) -> Path:
        """Folder of what Molecule remembers of it."""
        return CACHE / f"{self.scenario}-{self.release}"

    @property
    def log(self) -> Path:
        """File with its output where several run."""
        return CACHE / "logs" / f"{self.scenario}-{self.release}.log"

    def host(self) -> str:
        """Return the host that the scenario gets anew."""
        found: Any = yaml.safe_load((PROJECT / "molecule" / self.scenario / "molecule.yml").read_text())
        for key in ("provisioner", "inventory", "group_vars", "all", "lab_host"):
            found = found.get(key) if isinstance(found, dict) else None
        return str(found or MAILHOST.name)

    def troubles(self) -> list[str]:
        """Return the first lines that say why it failed: a reader of a CI record may see its end alone."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return [line[:TROUBLE_WIDTH] for line in lines if TROUBLE.search(line)][:TROUBLES]


class Lane(threading.Thread):
    """Pairs one after another, in a thread of their own."""

    showing = threading.Lock()
    running = threading.Semaphore(LANES)
    stopping = threading.Event()

    def __init__(self, pairs: list[Pair], *, aside: bool) -> None:
        super().__init__()
        self.pairs = pairs
        self.aside = aside
        """Whether others show their output as well, so that each is shown as a whole."""
        self.results: dict[Pair, tuple[bool, float]] = {}
        self.process: subprocess.Popen[bytes] | None = None

    def run(self) -> None:
        """Wait for a turn, and run them all."""
        with self.running:
            self.run_all()

    def run_all(self) -> None:
        """Run them all, also after one that failed."""
        for pair in self.pairs:
            if self.stopping.is_set():
                return
            started = time.monotonic()
            if self.aside:
                self.show(f"--- scenario {pair} begins\n".encode())
                pair.log.parent.mkdir(parents=True, exist_ok=True)
                with pair.log.open("wb") as output:
                    passed = self.test(pair, output)
                if self.stopping.is_set():
                    return
                self.show(f"\n=== scenario {pair}\n".encode() + pair.log.read_bytes())
            else:
                self.show(f"\n=== scenario {pair}\n".encode())
                passed = self.test(pair, None)
            self.results[pair] = passed, time.monotonic() - started

    def show(self, text: bytes) -> None:
        """Write without anybody in between."""
        with self.showing:
            sys.stdout.buffer.write(text)
            sys.stdout.buffer.flush()

    def test(self, pair: Pair, output: Any) -> bool:
        """Run one pair; whether it passed."""
        # A state of its own and a new one, whatever an interrupted run has left.
        shutil.rmtree(pair.state, ignore_errors=True)
        warnings = PROJECT / "molecule" / pair.scenario / "expected-warnings"
        allowed = ["--allow-file", str(warnings)] if warnings.exists() else []
        command = ["scripts/strict", *allowed, "--", "molecule", "test", "--destroy", "never"]
        own = {
            "MOLECULE_EPHEMERAL_DIRECTORY": str(pair.state),
            "LAB_RELEASE": pair.release,
            "LAB_HOST": pair.host(),
        }
        self.process = subprocess.Popen(
            [*command, "--scenario-name", pair.scenario],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            env={**os.environ, **own},
            cwd=PROJECT,
            start_new_session=True,  # a group that can be ended as a whole
        )
        try:
            return self.process.wait(PAIR_SECONDS) == 0
        except subprocess.TimeoutExpired:
            self.show(f"molecule: {pair} did not end within {PAIR_SECONDS} s\n".encode())
            self.end()
            return False

    def end(self) -> None:
        """End the scenario that runs: Ansible and pytest put things away when they are interrupted."""
        process = self.process
        if process is None or process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):  # all have ended
            for number in (signal.SIGINT, signal.SIGKILL):
                os.killpg(process.pid, number)
                deadline = time.monotonic() + GRACE_SECONDS
                while time.monotonic() < deadline:
                    process.poll()
                    os.killpg(process.pid, 0)
                    time.sleep(0.1)


def interrupt(*_arguments: object) -> NoReturn:
    """What a signal does."""
    raise KeyboardInterrupt


def run(lanes: list[Lane]) -> bool:
    """Run all lanes; whether they came to their ends. A signal ends what runs, and what would come is left out."""
    # Also where a shell has them ignored in the background: the scenarios would ignore them as well.
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in signals:
        signal.signal(number, interrupt)
    try:
        for lane in lanes:
            lane.start()
        for lane in lanes:
            lane.join()
    except KeyboardInterrupt:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        Lane.stopping.set()
        print("molecule: interrupted; ending the scenarios that run", file=sys.stderr)
        enders = [threading.Thread(target=lane.end) for lane in lanes]
        for ender in enders:
            ender.start()
        for thread in [*enders, *lanes]:
            if thread.ident is not None:
                thread.join()
        return False
    return True


def summary(results: dict[Pair, tuple[bool, float]]) -> int:
    """Show how long each took and why some failed; the number of those that failed."""
    print("\n=== scenarios")
    for pair, (passed, seconds) in sorted(results.items()):
        print(f"{pair!s:<36} {'passed' if passed else 'FAILED':<8} {seconds:4.0f} s")
    failed = [pair for pair, (passed, _seconds) in sorted(results.items()) if not passed]
    print(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    for pair in failed:
        print(f"{pair}:", *pair.troubles(), sep="\n  ")
    return len(failed)


def choose(names: list[str], release: str | None) -> list[Pair]:
    """Return the pairs of these scenarios, or of all, on the release, or on every one that they are for."""
    there = sorted(path.parent.name for path in PROJECT.glob("molecule/*/molecule.yml"))
    for name in names:
        if name not in there:
            raise LabError(f"there is no scenario molecule/{name}")
    pairs = [Pair(name, one) for name in names or there for one in releases_of(name) if release in (None, one)]
    if not pairs:
        raise LabError(f"none of these scenarios is for {release}; mailhost_lab/releases.py says which are")
    return pairs


def test(pairs: list[Pair]) -> int:
    """Run the pairs and return an exit code; the lab is up."""
    os.chdir(PROJECT)
    by_host = {host: [pair for pair in pairs if pair.host() == host] for host in HOSTS}
    # What takes longest begins first.
    chosen = sorted((lane for lane in by_host.values() if lane), key=len, reverse=True)
    # Frames would break Ansible's lines apart, and a file needs no colours.
    os.environ["MOLECULE_COMMAND_BORDERS"] = "false"
    if len(chosen) > 1 or not sys.stdout.isatty():
        os.environ.update(NO_COLOR="1", PY_COLORS="0", ANSIBLE_FORCE_COLOR="0", ANSIBLE_NOCOLOR="1")
    lanes = [Lane(lane, aside=len(chosen) > 1) for lane in chosen]
    if not run(lanes):
        return 130
    return int(summary({pair: result for lane in lanes for pair, result in lane.results.items()}) > 0)
