"""`make demo`: hardens three mail hosts over SSH and shows what real packets and real mail get afterwards."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailhost_lab.addresses import MAILHOST, MESSAGING, POSTFIX, TWIN
from mailhost_lab.containers.engine import Engine
from mailhost_lab.containers.lifecycle import known_engine, reset, up
from mailhost_lab.demo.display import COLOURS, before, title
from mailhost_lab.demo.effects import show_ban, show_effects, show_login_port
from mailhost_lab.demo.mail import MESSAGING_SERVER, POSTFIX_SERVER, mail_verdicts, show_mail
from mailhost_lab.demo.mistake import show_mistake
from mailhost_lab.demo.packets import packet_verdicts, show_packets
from mailhost_lab.packets.probes import Lab
from mailhost_lab.paths import INVENTORY, LAB, PROJECT, STATE
from mailhost_lab.releases import HELPER_RELEASE

if TYPE_CHECKING:
    from mailhost_lab.addresses import Host

POLICY = LAB / "inventory" / "demo.yml"
LOGIN_PORT_POLICY = "molecule/_lab/inventory/login_port.yml"
"""Of the last run of the demo, which is for Postfix alone."""
PLAYBOOK = "mailhost.hardening.harden"
MARKER = "demo-"
"""Begins the files that hold the id of a host that the demo has hardened; another one is made anew first."""

EXPECTED = "table CONVERSIONS, line .*, names tcp_local"
"""The installation comes with an entry that is worth a look, and the role says so."""


def renew(engine: Engine, host: Host) -> bool:
    """Make a host anew unless it is the one that the demo has hardened before; whether it is new."""
    marker = STATE / f"{MARKER}{host.name}"
    if marker.exists() and marker.read_text() == _identity(engine, host):
        return False
    reset(HELPER_RELEASE, host)
    marker.write_text(_identity(engine, host))
    return True


def _identity(engine: Engine, host: Host) -> str:
    shown = engine.run("inspect", "--type=container", "--format={{.Id}}", host.container, check=False)
    return shown.stdout.strip() or "none"


def harden(results: Path) -> bool:
    """Run the playbook as a user would; a warning is a failure. ``results``: the file for what the tasks return."""
    command = ["ansible-playbook", "--inventory", INVENTORY, "--inventory", POLICY, PLAYBOOK]
    shown_paths = " ".join(f"-i {path.relative_to(PROJECT)}" for path in (INVENTORY, POLICY))
    print(f"   $ ansible-playbook {shown_paths} {PLAYBOOK}\n", flush=True)
    colours = {"ANSIBLE_FORCE_COLOR": "1"} if COLOURS else {"ANSIBLE_NOCOLOR": "1"}
    environment = {**os.environ, **colours, **_noted(results)}
    strict = [sys.executable, str(PROJECT / "scripts" / "strict"), "--allow", EXPECTED, "--", *map(str, command)]
    return subprocess.run(strict, env=environment, timeout=900, check=False).returncode == 0


def _noted(results: Path) -> dict[str, str]:
    """Return the environment in which what the tasks return is noted."""
    enabled = {"ANSIBLE_CALLBACKS_ENABLED": "lab_results", "ANSIBLE_CALLBACK_PLUGINS": str(LAB / "callbacks")}
    return {**enabled, "LAB_RESULTS": str(results)}


def _read(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []


def failed_run(*arguments: str) -> str:
    """Run the playbook with these arguments, and return the message of the task that failed."""
    words = ["ansible-playbook", "--inventory", INVENTORY, "--inventory", POLICY, PLAYBOOK, *arguments]
    print(f"   $ ansible-playbook ... {PLAYBOOK} {' '.join(arguments)}\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="mailhost-lab-") as folder:
        results = Path(folder, "results")
        environment = {**os.environ, **_noted(results)}
        subprocess.run(
            [*map(str, words)], env=environment, capture_output=True, stdin=subprocess.DEVNULL, timeout=900, check=False
        )
        lines = _read(results)
    return "\n".join(str(line["result"].get("msg", "")) for line in lines if line["outcome"] != "ok")


def demo() -> int:
    """Bring the lab up, harden the mail hosts, show what packets and mail get."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    title(1, "The lab: Debian mail hosts, one of them with a stand-in for Messaging Server, and hosts around them")
    up()
    engine = known_engine()
    lab = Lab(engine)
    new = [renew(engine, host) for host in (MAILHOST, MESSAGING, POSTFIX)]
    if all(new):
        # What follows would be no news if it were so already.
        before("packets to the mail host", packet_verdicts(lab))
        before("mail at Messaging Server", mail_verdicts(lab, MESSAGING_SERVER))
        before("mail at Postfix", mail_verdicts(lab, POSTFIX_SERVER))
    title(2, "The policy goes onto all of them, over SSH")
    with tempfile.TemporaryDirectory(prefix="mailhost-lab-") as folder:
        results = Path(folder, "results")
        if not harden(results):
            print("demo: the playbook failed or warned", file=sys.stderr)
            return 1
        show_effects(_read(results))
    title(3, "What real packets get at the mail host")
    wrong = show_packets(lab)
    title(4, "What real mail gets at Messaging Server (a stand-in)")
    wrong += show_mail(lab, MESSAGING_SERVER)
    title(5, "What real mail gets at Postfix, by the same policy")
    wrong += show_mail(lab, POSTFIX_SERVER)
    title(6, "What a mistake gets: a port opened by hand that relays for every client")
    wrong += show_mistake(lab, lambda: failed_run("--limit", "postfix"))
    title(7, "What runs say that would lose something: a host without the role, with a ban and a login port of its own")
    reset(HELPER_RELEASE, TWIN)
    wrong += show_ban(lab, lambda: failed_run("-e", "mailhost_hosts=twin_hosts"))
    print()
    wrong += show_login_port(
        lab, lambda: failed_run("-e", "mailhost_hosts=twin_hosts", "--tags", "postfix", "-e", f"@{LOGIN_PORT_POLICY}")
    )
    print("\n   `make demo` again changes nothing; `make clean` removes every trace.")
    return int(wrong > 0)
