"""An installation that a site has run for years, what is on the host byte by byte, and runs of the role alone."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailhost_lab.addresses import MESSAGING
from mailhost_lab.mail.dialogues import Dialogue, hold
from mailhost_lab.mail.messaging_server import CONFIG, IMAGE
from mailhost_lab.paths import LAB
from mailhost_lab.runs import plays
from mailhost_lab.runs.on_disk import Snapshot, look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailhost_lab.mail.messaging_server import Messaging

SCENARIO = LAB.parent / "messaging_server_adopt"
ROLLBACK = "mailhost.hardening.rollback"
STATE = "/var/lib/mailhost-hardening"
ELSEWHERE = "/srv/mail/mappings.site"
"""Where the symbolic link leads that the site has in the place of its mapping file."""

TEXTS = ("mappings", "imta.cnf", "dispatcher.cnf", "general.txt")
OWNED = ("INTERNAL_IP", "ORIG_SEND_ACCESS", "ORIG_MAIL_ACCESS")

POLICY = {
    "mailhost_mail_server": "messaging_server",
    "mailhost_hosts": "messaging_hosts",
    "mailhost_domains": ["mail.example"],
    "mailhost_internal_networks": ["198.51.100.64/26", "2001:db8:200::/64"],
    "mailhost_dnsbls": [{"zone": "good.dnsbl.example", "stage": "mail"}],
    "messaging_server_channels": {"internal": "tcp_lan", "authenticated": "tcp_login"},
}


PUT = """
import base64, json, os, shutil, sys
for path, text in json.load(sys.stdin).items():
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        os.unlink(path)
    open(path, "wb").write(base64.b64decode(text))
config, elsewhere, state = sys.argv[1:]
shutil.rmtree(state, ignore_errors=True)
if os.path.lexists(f"{config}/mappings"):
    os.unlink(f"{config}/mappings")
os.symlink(os.path.relpath(elsewhere, config), f"{config}/mappings")
for path, owner, group, mode in (
    (elsewhere, "mailsrv", "mail", 0o640),
    (f"{config}/imta.cnf", "mailsrv", "mailsrv", 0o600),
    (f"{config}/dispatcher.cnf", "root", "mail", 0o464),
    (f"{config}/general.txt", "daemon", "daemon", 0o664),
    (f"{config}/site.mappings", "root", "root", 0o444),
):
    shutil.chown(path, owner, group)
    os.chmod(path, mode)
try:
    os.setxattr(f"{config}/dispatcher.cnf", "user.site.ticket", b"4711")
    os.setxattr(elsewhere, "user.site.note", b"ask the post office")
    print("xattrs")
except OSError:
    print("no xattrs")
"""


class Site:
    """The host with the site's installation on it."""

    def __init__(self, messaging: Messaging) -> None:
        self.messaging = messaging
        self.has_xattrs = False

    def install(self) -> Snapshot:
        """Put the installation in force; nothing managed is left on the host. Return what is then there."""
        files = {
            (ELSEWHERE if path.name == "mappings" else f"{CONFIG}/{path.name}"): as_shipped(path)
            for path in sorted((SCENARIO / "installation").iterdir())
        }
        data = json.dumps({path: base64.b64encode(content).decode() for path, content in files.items()})
        done = self.messaging.run("python3", "-c", PUT, CONFIG, ELSEWHERE, f"{STATE}/messaging-server", data=data)
        self.has_xattrs = done.stdout.strip() == "xattrs"
        self.messaging.imsimta("refresh")
        self.messaging.clear()
        return self.look()

    def look(self) -> Snapshot:
        """Everything of the product and of the role's state that is on the host."""
        return look(self.messaging.run, CONFIG, str(Path(IMAGE).parent), str(Path(ELSEWHERE).parent), STATE)

    def texts(self, snapshot: Snapshot | None = None) -> dict[str, bytes]:
        """The contents of the product's text files."""
        found = snapshot or self.look()
        return {name: found[ELSEWHERE if name == "mappings" else f"{CONFIG}/{name}"].content for name in TEXTS}

    def edit(self, name: str, old: bytes, new: bytes) -> None:
        """Edit a file as an administrator does, with an editor that keeps owner and mode."""
        path = ELSEWHERE if name == "mappings" else f"{CONFIG}/{name}"
        content = self.texts()[name]
        assert content.count(old) == 1
        data = base64.b64encode(content.replace(old, new)).decode()
        self.messaging.run("sh", "-c", 'base64 -d > "$1"', "sh", path, data=data)

    def activations(self) -> list[str]:
        """What has been activated since `messaging.clear`."""
        return [call.line for call in self.messaging.calls() if call.line.startswith(("reload", "restart", "refresh"))]

    def verdicts(self) -> dict[str, str]:
        """What becomes of one mail of each kind."""
        talks = hold(self.messaging.lab, list(MAILS.values()))
        return {name: re.sub("^broken: .*", "broken", talk.verdict) for name, talk in zip(MAILS, talks)}


def as_shipped(path: Path) -> bytes:
    """A file of the installation as it is on the host: in Latin-1, and one of them with the line ends of a PC."""
    text = path.read_text(encoding="utf-8")
    return (text.replace("\n", "\r\n") if path.name == "dispatcher.cnf" else text).encode("latin-1")


def _mail(source: str, rcpt_to: str) -> Dialogue:
    if source == "internal":
        return Dialogue(
            "internal", MESSAGING.address("internal", 4), mail_from="clerk@mail.example", rcpt_to=(rcpt_to,)
        )
    address = {"external": "198.51.100.21", "listed": "198.51.100.20"}[source]
    return Dialogue(
        "external",
        MESSAGING.address("external", 4),
        source=address,
        mail_from="a@sender.example",
        rcpt_to=(rcpt_to,),
    )


MAILS = {
    "relay": _mail("external", "victim@remote.example"),
    "partner": _mail("external", "buyer@factory.example"),
    "to local": _mail("external", "user@mail.example"),
    "listed": _mail("listed", "user@mail.example"),
    "press": _mail("external", "press-old@mail.example"),
    "closed": _mail("internal", "all@gone.mail.example"),
    "outward": _mail("internal", "victim@remote.example"),
    "submission": Dialogue("internal", MESSAGING.address("internal", 4), dport=587),
}

BEFORE = {
    "relay": "accepted",
    "partner": "accepted",
    "to local": "accepted",
    "listed": "accepted",
    "press": "550 5.7.1 Write to press@mail.example: press-old@mail.example",
    "closed": "550 5.7.1 This office is closed: all@gone.mail.example",
    "outward": "accepted",
    "submission": "broken",
}
AFTER = {
    **BEFORE,
    "relay": "550 5.7.1 Relaying not permitted: victim@remote.example",
    "partner": "550 5.7.1 Relaying not permitted: buyer@factory.example",
    "listed": "550 5.7.1 198.51.100.20 is listed, see http://good.dnsbl.example/: user@mail.example",
    "submission": "accepted",
}
BLOCKED = {**AFTER, **dict.fromkeys(("relay", "partner", "to local", "press"), "500 5.7.1 Access denied")}
"""With the external address blocked."""


# Runs


def run(name: str = plays.MESSAGING_SERVER, *, check: bool = False, **variables: Any) -> plays.Run:
    """Run the role alone, or the playbook of that name, with the site's policy and these variables."""
    return plays.harden(playbook=name, check=check, **{**POLICY, **variables})


# The files, read by other means than the role's


def sections(text: bytes) -> list[tuple[str, list[bytes]]]:
    """The physical lines of a mapping file by table, in their order; what stands in front of all tables under ""."""
    found: list[tuple[str, list[bytes]]] = [("", [])]
    continued = False
    for line in text.splitlines(keepends=True):
        if not continued and line[:1] not in (b" ", b"\t", b"!", b"<", b"\r", b"\n"):
            found.append((line.split()[0].decode("latin-1").upper(), []))
        found[-1][1].append(line)
        continued = line.rstrip(b"\r\n").endswith(b"\\") and line[:1] != b"!"
    return found


def entries(lines: Sequence[bytes]) -> list[bytes]:
    """The entries of a table, each with all its physical lines, as they are written."""
    found: list[bytes] = []
    continued = False
    for line in lines[1:]:
        if continued:
            found[-1] += line
        elif line.strip() and line[:1] not in (b"!", b"<"):
            found.append(line)
        continued = line.rstrip(b"\r\n").endswith(b"\\") and line[:1] != b"!"
    return found


def words(entry: bytes) -> tuple[str, ...]:
    """Pattern and template of an entry that has no blank in its pattern."""
    text = entry.decode("latin-1").replace("\\\n", "").replace("\\\r\n", "")
    pattern, template = text.split(None, 1)
    return pattern, template.strip()
