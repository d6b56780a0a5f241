"""The container engine: which one is here, how it wants to be called, and calls with a time limit."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import lru_cache
from typing import IO, Any

LABEL = "mailhost.hardening.lab"
"""Everything that the lab makes in the engine carries this label, whose value is the kind of thing it is."""


class LabError(Exception):
    """Something that the person in front of the terminal has to know; shown without a traceback."""


@dataclass
class Engine:
    """Podman or Docker."""

    name: str
    runtime: list[str] = field(default_factory=list)
    """Options that choose a runtime other than the default one; found by `choose_runtime`."""

    @property
    def podman(self) -> bool:
        """Whether the engine is Podman."""
        return self.name == "podman"

    def run(
        self,
        *arguments: str,
        timeout: float = 360,
        check: bool = True,
        data: bytes | None = None,
        stdin: IO[Any] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Call the engine, never longer than `timeout` seconds; with `check` a failure is a LabError."""
        command = [self.name, *arguments]
        try:
            done = subprocess.run(
                command,
                input=data,
                stdin=stdin or (None if data is not None else subprocess.DEVNULL),
                capture_output=True,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise LabError(f"no end after {timeout:g} s: {' '.join(command)[:300]}") from error
        result = subprocess.CompletedProcess(
            command, done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        )
        if check and result.returncode != 0:
            raise LabError(f"{' '.join(command)[:300]}\nfailed with {result.returncode}: {result.stderr.strip()}")
        return result

    def lines(self, *arguments: str) -> list[str]:
        """Return what the engine prints, line by line."""
        return self.run(*arguments).stdout.split()

    def choose_runtime(self, image: str) -> None:
        """Find a runtime that can start a container here.

        Podman's default, crun, does not start on hosts with hybrid control groups (v1), where runc works. Only a
        trial can tell, so a container is started.
        """
        trial = ["--rm", "--network=none", f"--label={LABEL}=trial", "--entrypoint=/bin/true"]
        candidates: list[list[str]] = [[]]
        candidates += [["--runtime", name] for name in ("crun", "runc") if self.podman and shutil.which(name)]
        complaints = []
        for candidate in candidates:
            result = self.run(*candidate, "run", *trial, *limits(), image, check=False)
            if result.returncode == 0:
                self.runtime = candidate
                return
            complaints.append(f"{' '.join(candidate) or 'default runtime'}: {result.stderr.strip()}")
        raise LabError("no container can be started here:\n" + "\n".join(complaints))


def limits() -> list[str]:
    """Say every limit, as the engine's defaults may be above what this host may give away."""
    return ["--ulimit=nofile=4096:4096", "--ulimit=nproc=4000:4000"]


@lru_cache(maxsize=1)
def find_engine() -> Engine:
    """Return the engine that works here; LAB_ENGINE=docker or LAB_ENGINE=podman decides if both do."""
    wanted = os.environ.get("LAB_ENGINE")
    for name in [wanted] if wanted else ["podman", "docker"]:
        if shutil.which(name):
            engine = Engine(name)
            # Docker's client is often installed without a daemon: only an answer counts.
            if engine.run("ps", check=False, timeout=180).returncode == 0:
                return engine
    raise LabError("no working container engine (podman or docker); `scripts/lab-engine` helps")
