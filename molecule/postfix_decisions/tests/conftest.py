"""The role with made-up policies, and sessions with a canary of the files that it left."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mailhost_lab.mail import resolver
from mailhost_lab.paths import PROJECT
from mailhost_lab.runs import plays
from mailhost_lab.scenarios.setup import policy_of

if TYPE_CHECKING:
    from mailhost_lab.mail.postfix import Postfix

HERE = Path(__file__).parent
PLACE = "/opt/lab-collection"
"""Where the host has the collection's code, with which the role starts private instances."""

ANSWERS = "/run/lab-scripted.json"
UNIT = "lab-scripted-dns"

Answer = tuple[str, int, str]


@pytest.fixture(scope="session")
def role() -> Callable[..., plays.Run]:
    """Return what runs the role with a policy."""
    common = policy_of(HERE.parent)
    return lambda **values: plays.harden(playbook=plays.POSTFIX, **(common | values))


@pytest.fixture(scope="session")
def _code(postfix: Postfix) -> None:
    """Put the collection's code on the host."""
    content = io.BytesIO()
    utils = "plugins/module_utils"
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for path in sorted((PROJECT / utils).rglob("*.py")):
            archive.add(path, f"ansible_collections/mailhost/hardening/{path.relative_to(PROJECT)}")
    postfix.run("mkdir", "-p", PLACE)
    target = [postfix.host.container, "tar", "-xz", "-C", PLACE]
    postfix.lab.engine.run("exec", "-i", *target, data=content.getvalue())


@pytest.fixture(scope="session", autouse=True)
def _scripted_dns(postfix: Postfix) -> Iterator[None]:
    """Have a name server that answers what a test says, in place of the lab's."""
    program = f"{PLACE}-dns.py"
    postfix.write(program, (HERE / "scripted_dns.py").read_text())
    postfix.write(ANSWERS, "{}")
    postfix.run("systemctl", "stop", resolver.UNIT)
    postfix.run("systemd-run", f"--unit={UNIT}", "--collect", "python3", program, ANSWERS)
    try:
        yield
    finally:
        postfix.run("systemctl", "stop", UNIT)
        postfix.run("systemctl", "start", resolver.UNIT)


@pytest.fixture(scope="session")
def ask(postfix: Postfix, _code: None) -> Callable[[Sequence[dict[str, Any]]], list[Answer]]:
    """Return what holds sessions with a canary of the live files; for each the stage of a refusal, and why."""
    agent = (HERE / "canary_sessions.py").read_text()

    def run(sessions: Sequence[dict[str, Any]]) -> list[Answer]:
        job = json.dumps({"answers": ANSWERS, "sessions": sessions})
        done = postfix.lab.run(postfix.host.name, ["python3", "-c", agent, PLACE], data=job, timeout=300)
        return [(one[0], one[1], one[2]) for one in json.loads(done.stdout)]

    return run
