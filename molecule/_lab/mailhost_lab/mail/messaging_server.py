"""What tests do with the stand-in for Messaging Server: its calls, faults and messages, and the lab's DNS.

The product itself is not in the lab; molecule/_lab/standin is a stand-in for it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from mailhost_lab.addresses import MESSAGING
from mailhost_lab.mail import resolver

if TYPE_CHECKING:
    import subprocess
    from contextlib import AbstractContextManager

    from mailhost_lab.packets.probes import Lab

ROOT = "/opt/SUNWmsgsr"
CONFIG = f"{ROOT}/config"
IMAGE = f"{ROOT}/imta/lib/config_data"
STATE = "/var/lib/messaging-standin"
SPOOL = "/var/spool/messaging-standin"
USER = ("user@mail.example", "correct horse")
"""The user that may log in."""


class Call(NamedTuple):
    """One call of imsimta; `rc` and `seconds` are None where it did not come to its end."""

    line: str
    rc: int | None
    seconds: float | None


class Messaging:
    """The host with the stand-in."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.host = MESSAGING

    def run(self, *command: str, check: bool = True, data: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command on the host."""
        return self.lab.run(self.host.name, command, check=check, data=data)

    def imsimta(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Call the product's tool."""
        return self.run(f"{ROOT}/sbin/imsimta", *arguments, check=check)

    # Files

    def read(self, name: str) -> str:
        """A file of the product's folder config, or one with its full path."""
        return self.run("cat", name if name.startswith("/") else f"{CONFIG}/{name}").stdout

    def write(self, name: str, text: str) -> None:
        """Put a text into a file of the folder config; owner and mode of one that is there stay."""
        self.run("sh", "-c", 'cat > "$1"', "sh", name if name.startswith("/") else f"{CONFIG}/{name}", data=text)

    def install(self, **files: str) -> None:
        """Make another installation of it: files by name (`imta_cnf`, `mappings`, ...), compiled and in force."""
        for name, text in files.items():
            stem, underscore, end = name.rpartition("_")
            self.write(f"{stem}.{end}" if underscore and end in ("cnf", "dat", "txt", "rules") else name, text)
        self.imsimta("refresh")
        self.clear()

    def state(self) -> dict[str, str]:
        """Digests of all files of the folder config and of the compiled image, with owner and mode."""
        show = 'stat -c "%n %U:%G %a" "$f"; sha256sum < "$f"'
        script = f'for f in "$0"/* "$0"/.[!.]* "$1"; do if [ -f "$f" ]; then {show}; fi; done'
        lines = self.run("sh", "-c", script, CONFIG, IMAGE).stdout.splitlines()
        return {
            head.split(" ")[0]: f"{head.split(' ', 1)[1]} {digest}" for head, digest in zip(lines[::2], lines[1::2])
        }

    def image_digest(self) -> str:
        """Tells one compiled image from another."""
        return hashlib.sha256(self.read(IMAGE).encode()).hexdigest()

    # Calls and faults

    def calls(self) -> list[Call]:
        """The calls of imsimta since `clear`, in the order they began."""
        found: dict[int, Call] = {}
        for line in self.run("sh", "-c", f"cat {STATE}/calls 2>/dev/null || :").stdout.splitlines():
            entry = json.loads(line)
            found[entry["pid"]] = Call(" ".join(entry["argv"]), entry.get("rc"), entry.get("seconds"))
        return list(found.values())

    def seconds(self) -> float:
        """The time that the stand-in itself has taken since `clear`."""
        return sum(call.seconds or 0 for call in self.calls())

    def set_faults(self, faults: dict[str, dict[str, Any]]) -> None:
        """Have calls fail: {"cnbuild": {"do": "fail", "text": "no room in"}}; the README lists what can be done."""
        self.run("sh", "-c", f"rm -f {STATE}/fault-counts.json; cat > {STATE}/faults.json", data=json.dumps(faults))

    def clear_faults(self) -> None:
        """Have every call do its work again."""
        self.run("rm", "-f", f"{STATE}/faults.json", f"{STATE}/fault-counts.json")

    def clear(self) -> None:
        """Forget the calls, the messages and the questions of the DNS, and take the faults away."""
        self.clear_faults()
        self.run("sh", "-c", f"rm -f {STATE}/calls {SPOOL}/*.json")
        resolver.forget(self.lab, self.host.name)

    # Messages

    def messages(self) -> list[dict[str, Any]]:
        """The messages that arrived, with their envelopes, oldest first."""
        shown = self.run("python3", "-c", LIST_MESSAGES, SPOOL)
        return list(json.loads(shown.stdout))

    # DNS

    def queries(self) -> list[tuple[str, str]]:
        """What was asked of the host's resolver since `clear`: (type, name)."""
        return resolver.queries(self.lab, self.host.name)

    def dns_outage(self) -> AbstractContextManager[None]:
        """Have no resolver while the block runs."""
        return resolver.outage(self.lab, self.host.name)


LIST_MESSAGES = """
import json, pathlib, sys
print(json.dumps([json.loads(path.read_text()) for path in sorted(pathlib.Path(sys.argv[1]).glob("*.json"))]))
"""
