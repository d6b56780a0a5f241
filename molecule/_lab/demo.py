"""`make demo`: hardens three mail hosts over SSH and shows what real packets and real mail get afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from access import INVENTORY
from addresses import MAILHOST, MESSAGING, POSTFIX
from demo_display import COLOURS, title
from demo_mail import MESSAGING_SERVER, POSTFIX_SERVER, show_mail
from demo_packets import show_packets
from engine import PROJECT, STATE, Engine, LabError
from images import HELPER_RELEASE
from lab import known_engine, reset, up
from probes import Lab

if TYPE_CHECKING:
    from addresses import Host

POLICY = Path(__file__).parent / "inventory" / "demo.yml"
MARKER = "demo-"
"""Begins the files that hold the id of a host that the demo has hardened; another one is made anew first."""

EXPECTED = "table CONVERSIONS, line .*, names tcp_local"
"""The installation comes with an entry that is worth a look, and the role says so."""


def renew(engine: Engine, host: Host) -> None:
    """Make a host anew unless it is the one that the demo has hardened before."""
    marker = STATE / f"{MARKER}{host.name}"
    if not marker.exists() or marker.read_text() != _identity(engine, host):
        reset(HELPER_RELEASE, host)
        marker.write_text(_identity(engine, host))


def _identity(engine: Engine, host: Host) -> str:
    shown = engine.run("inspect", "--type=container", "--format={{.Id}}", host.container, check=False)
    return shown.stdout.strip() or "none"


def harden() -> bool:
    """Run the playbook as a user would; a warning is a failure."""
    command = ["ansible-playbook", "--inventory", INVENTORY, "--inventory", POLICY, "mailhost.hardening.harden"]
    shown_paths = " ".join(f"-i {path.relative_to(PROJECT)}" for path in (INVENTORY, POLICY))
    print(f"   $ ansible-playbook {shown_paths} mailhost.hardening.harden\n", flush=True)
    environment = {**os.environ, **({"ANSIBLE_FORCE_COLOR": "1"} if COLOURS else {"ANSIBLE_NOCOLOR": "1"})}
    strict = [sys.executable, str(PROJECT / "scripts" / "strict"), "--allow", EXPECTED, "--", *map(str, command)]
    return subprocess.run(strict, env=environment, timeout=300, check=False).returncode == 0


def main() -> int:
    """Bring the lab up, harden the mail hosts, show what packets and mail get."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    title(1, "The lab: Debian mail hosts, one of them with a stand-in for Messaging Server, and hosts around them")
    up()
    engine = known_engine()
    for host in (MAILHOST, MESSAGING, POSTFIX):
        renew(engine, host)
    title(2, "The policy goes onto all of them, over SSH")
    if not harden():
        print("demo: the playbook failed or warned", file=sys.stderr)
        return 1
    lab = Lab(engine)
    title(3, "What real packets get at the mail host")
    wrong = show_packets(lab)
    title(4, "What real mail gets at Messaging Server (a stand-in)")
    wrong += show_mail(lab, MESSAGING_SERVER)
    title(5, "What real mail gets at Postfix, by the same policy")
    wrong += show_mail(lab, POSTFIX_SERVER)
    print("\n   `make demo` again changes nothing; `make clean` removes every trace.")
    return int(wrong > 0)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(f"demo: {error}")
