"""`make demo`: hardens a plain mail host over SSH and shows what real packets get afterwards.

The table of expectations stands here, written from the policy's meaning; nothing of the role is asked what it did.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from access import INVENTORY
from addresses import MAILHOST
from engine import PROJECT, STATE, Engine, LabError
from images import HELPER_RELEASE
from lab import known_engine, reset, up
from probes import Craft, Lab, Probe

POLICY = Path(__file__).parent / "inventory" / "demo.yml"
MARKER = STATE / "demo"
"""Holds the id of the mail host that the demo has hardened; another one is made anew first."""

COLOURS = sys.stdout.isatty() and "NO_COLOR" not in os.environ
UNICODE = (sys.stdout.encoding or "").lower().startswith("utf")


@dataclass(frozen=True)
class Flow:
    """One line of the table: who tries what, and whether the policy wants it."""

    name: str
    src: str
    dst: str
    port: int
    wanted: bool
    note: str = ""
    user: str | None = None
    second_address: bool = False
    sport: int | None = None
    lone_ack: bool = False
    greets: bool = True

    def network(self) -> str:
        """Return the network over which the two hosts meet."""
        return "inside" if "inside" in (self.src, self.dst) else "outside"

    def probe(self, lab: Lab, family: int) -> Probe | Craft:
        """Return the packets that find out."""
        target = lab.address(self.dst, self.network(), family)
        if self.lone_ack:
            return Craft(self.src, target, self.port, flags="A")
        host = lab.hosts[self.src]
        source = (host.extra4 if family == 4 else host.extra6)[0] if self.second_address else None
        return Probe(self.src, target, self.port, self.sport, source, self.user, greeting=self.wanted and self.greets)


FLOWS = {
    "From outside to the mail host": (
        Flow("smtp", "outside", "mailhost", 25, wanted=True),
        Flow("smtp", "outside", "mailhost", 25, wanted=False, note="from port 1000", sport=1000),
        Flow("smtp", "outside", "mailhost", 25, wanted=False, note="lone ACK", lone_ack=True),
        Flow("submission", "outside", "mailhost", 587, wanted=False),
        Flow("imap", "outside", "mailhost", 143, wanted=False),
        Flow("imaps", "outside", "mailhost", 993, wanted=False),
        Flow("pop3", "outside", "mailhost", 110, wanted=True, note="the partner"),
        Flow("pop3", "outside", "mailhost", 110, wanted=False, note="its neighbour", second_address=True),
        Flow("pop3s", "outside", "mailhost", 995, wanted=False),
        Flow("ssh", "outside", "mailhost", 22, wanted=True, note="left alone"),
    ),
    "From inside to the mail host": (
        Flow("smtp", "inside", "mailhost", 25, wanted=True),
        Flow("imap", "inside", "mailhost", 143, wanted=True),
        Flow("imaps", "inside", "mailhost", 993, wanted=True, greets=False),
        Flow("pop3", "inside", "mailhost", 110, wanted=False),
        Flow("pop3s", "inside", "mailhost", 995, wanted=False),
    ),
    "From the mail host": (
        Flow("smtp", "mailhost", "remote", 25, wanted=True, note="as postfix", user="postfix"),
        Flow("smtp", "mailhost", "remote", 25, wanted=False, note="as nobody", user="nobody"),
        Flow("smtp", "mailhost", "remote", 25, wanted=False, note="as root", user="root"),
        Flow("pop3", "mailhost", "remote", 110, wanted=True, note="the provider"),
        Flow("pop3", "mailhost", "inside", 110, wanted=False, note="anybody else"),
        Flow("imap", "mailhost", "remote", 143, wanted=False),
    ),
}

SHOWN = {
    "open": "open",
    "silent": "open, no answer",
    "filtered": "refused",
    "rejected": "refused",
    "closed": "port closed",
    None: "refused",
    "eperm": "refused",
}


def shown(verdict: str | None) -> str:
    """Return a verdict in the table's words; what has no word is shown as it is and counts as wrong."""
    return "refused" if verdict and verdict.startswith("icmp") else SHOWN.get(verdict, str(verdict))


def paint(text: str, code: str) -> str:
    """Return coloured text on a terminal, plain text elsewhere."""
    return f"\x1b[{code}m{text}\x1b[0m" if COLOURS else text


def title(number: int, text: str) -> None:
    """Begin a step."""
    print(f"\n{paint(f'{number}. {text}', '1')}", flush=True)


def mailhost_id(engine: Engine) -> str:
    """Return the id of the mail host's container."""
    return engine.run("inspect", "--type=container", "--format={{.Id}}", MAILHOST.container).stdout.strip()


def harden() -> bool:
    """Run the playbook as a user would; a warning is a failure."""
    command = ["ansible-playbook", "--inventory", INVENTORY, "--inventory", POLICY, "mailhost.hardening.harden"]
    shown_paths = " ".join(f"-i {path.relative_to(PROJECT)}" for path in (INVENTORY, POLICY))
    print(f"   $ ansible-playbook {shown_paths} mailhost.hardening.harden\n", flush=True)
    environment = {**os.environ, **({"ANSIBLE_FORCE_COLOR": "1"} if COLOURS else {"ANSIBLE_NOCOLOR": "1"})}
    strict = [sys.executable, str(PROJECT / "scripts" / "strict"), "--", *map(str, command)]
    return subprocess.run(strict, env=environment, timeout=300, check=False).returncode == 0


def show(lab: Lab) -> int:
    """Send the packets, print the table, return how many verdicts are not the policy's."""
    asked = [(flow, family) for flows in FLOWS.values() for flow in flows for family in (4, 6)]
    verdicts = dict(zip(asked, lab.batch([flow.probe(lab, family) for flow, family in asked])))
    wrong = 0
    row = "   {:<12}{:<16}{:<10}{:<10}{:>5}   {:<10} {} {}"
    print(paint(row.format("flow", "", "from", "to", "port", "expected", f"{'IPv4':<17}", "IPv6"), "2"))
    for group, flows in FLOWS.items():
        print(f"\n   {paint(group, '1')}")
        for flow in flows:
            cells = []
            for family in (4, 6):
                verdict = verdicts[flow, family]
                good = shown(verdict) == ("open" if flow.wanted else "refused")
                wrong += not good
                mark = ("\u2713" if good else "\u2717") if UNICODE else ("ok" if good else "NO")
                cells.append(paint(f"{f'{mark} {shown(verdict)}':<17}", "32" if good else "31;1"))
            expected = "open" if flow.wanted else "refused"
            print(row.format(flow.name, flow.note, flow.src, flow.dst, flow.port, expected, *cells).rstrip())
    total = len(asked)
    words = f"{total - wrong} of {total} verdicts match the policy"
    print(f"\n   {paint(words, '32;1' if not wrong else '31;1')}", flush=True)
    return wrong


def main() -> int:
    """Bring the lab up, harden the mail host, show what packets get."""
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    title(1, "The lab: a plain Debian mail host, and hosts around it on two dual-stack networks")
    up()
    engine = known_engine()
    if not MARKER.exists() or MARKER.read_text() != mailhost_id(engine):
        reset(HELPER_RELEASE)
        MARKER.write_text(mailhost_id(engine))
    title(2, "The policy goes onto the mail host, over SSH")
    if not harden():
        print("demo: the playbook failed or warned", file=sys.stderr)
        return 1
    title(3, "What real packets get")
    wrong = show(Lab(engine))
    print("\n   `make demo` again changes nothing; `make clean` removes every trace.")
    return int(wrong > 0)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(f"demo: {error}")
