"""A configuration that a site has run for years, what is on the host byte by byte, and runs of the role alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailhost_lab.addresses import POSTFIX
from mailhost_lab.mail.dialogues import Dialogue, hold
from mailhost_lab.mail.postfix import ANN, CONFIG, STATE
from mailhost_lab.paths import LAB
from mailhost_lab.runs import plays
from mailhost_lab.runs.on_disk import Snapshot, look

if TYPE_CHECKING:
    from mailhost_lab.mail.postfix import Postfix

SCENARIO = LAB.parent / "postfix_adopt"
ROLLBACK = "mailhost.hardening.rollback"
ELSEWHERE = "/srv/mail/main.cf.site"
"""Where the symbolic link leads that the site has in the place of its main.cf."""

MAIN, MASTER = f"{CONFIG}/main.cf", f"{CONFIG}/master.cf"
TABLES = f"{CONFIG}/mailhost"
MARKS = (f"{STATE}/lock", f"{STATE}/tool")

POLICY: dict[str, Any] = {
    "mailhost_mail_server": "postfix",
    "mailhost_hosts": "postfix_hosts",
    "mailhost_domains": ["mail.example"],
    "mailhost_internal_networks": ["198.51.100.64/26", "2001:db8:200::/64"],
}

PUT = """
import json, os, shutil, subprocess, sys, time
files, (elsewhere, state) = json.load(sys.stdin), sys.argv[1:]
config, folder = "/etc/postfix", os.path.dirname(elsewhere)
for path in (state, folder, f"{config}/mailhost"):
    shutil.rmtree(path, ignore_errors=True)
os.makedirs(folder)
for name, text in files.items():
    path = elsewhere if name == "main.cf" else f"{config}/{name}"
    if os.path.lexists(f"{config}/{name}"):
        os.unlink(f"{config}/{name}")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    # Postfix waits two seconds for a file that has just been written.
    os.utime(path, (time.time() - 10,) * 2)
os.symlink(os.path.relpath(elsewhere, config), f"{config}/main.cf")
with open(f"{folder}/greylist", "w") as file:
    file.write("while read -r line; do [ -n \\"$line\\" ] || printf 'action=DUNNO\\\\n\\\\n'; done\\n")
shutil.chown(elsewhere, "root", "mail")
os.chmod(elsewhere, 0o444)
os.chmod(f"{config}/master.cf", 0o600)
os.chmod(f"{config}/header_checks", 0o640)
subprocess.run(["postmap", f"{config}/access"], check=True)
try:
    os.setxattr(f"{config}/master.cf", "user.site.ticket", b"4711")
    os.setxattr(elsewhere, "user.site.note", b"ask the post office")
    print("xattrs")
except OSError:
    print("no xattrs")
"""

FILTER = """
systemctl is-active --quiet lab-filter.socket || systemd-run --quiet --unit=lab-filter \
    --socket-property=ListenStream=127.0.0.1:10024 /lib/systemd/systemd-socket-proxyd 127.0.0.1:10025
"""
"""Passes what the content filter is given on to the service that takes its answer."""


class Site:
    """The host with the site's configuration on it."""

    def __init__(self, postfix: Postfix) -> None:
        self.postfix = postfix
        self.has_xattrs = False

    def install(self) -> Snapshot:
        """Put the configuration in force; nothing managed is left on the host. Return what is then there."""
        files = {path.name: path.read_text(encoding="utf-8") for path in sorted((SCENARIO / "installation").iterdir())}
        done = self.postfix.run("python3", "-c", PUT, ELSEWHERE, STATE, data=json.dumps(files))
        self.has_xattrs = done.stdout.strip() == "xattrs"
        self.postfix.run("sh", "-c", FILTER)
        self.postfix.run("systemctl", "restart", "postfix")
        self.postfix.clear()
        return self.look()

    def look(self) -> Snapshot:
        """Everything of the configuration and of the role's state on the host, but for what marks a run."""
        found = look(self.postfix.run, CONFIG, str(Path(ELSEWHERE).parent), STATE)
        return {path: one for path, one in found.items() if path not in MARKS}

    def edit(self, path: str, old: str, new: str) -> None:
        """Edit a file as an administrator does, with an editor that keeps owner and mode."""
        text = self.postfix.read(path)
        assert text.count(old) == 1, text
        self.write(path, text.replace(old, new))

    def write(self, path: str, text: str) -> None:
        """Write a file, some time ago."""
        self.postfix.write(path, text)
        self.postfix.run("touch", "--date=10 seconds ago", path)

    def activations(self) -> int:
        """How often Postfix was reloaded since it was started."""
        log = self.postfix.log()
        started = max(number for number, line in enumerate(log) if "daemon started" in line)
        return sum("reload -- version" in line for line in log[started:])

    def verdicts(self) -> dict[str, str]:
        """What becomes of one mail of each kind."""
        talks = hold(self.postfix.lab, list(MAILS.values()))
        return {name: re.sub("^broken: .*", "broken", talk.verdict) for name, talk in zip(MAILS, talks)}


def mail(source: str, rcpt_to: str, mail_from: str = "", **more: Any) -> Dialogue:
    """A mail from an internal or external client to an address."""
    sender = mail_from or ("clerk@mail.example" if source == "internal" else "a@remote.example")
    address = POSTFIX.address(source, 4)
    return Dialogue(source, address, mail_from=sender, rcpt_to=(rcpt_to,), **more)


LOGIN: dict[str, Any] = {"dport": 465, "tls": True, "login": ANN}
MAILS = {
    "relay": mail("external", "victim@remote.example"),
    "to local": mail("external", "ann@mail.example"),
    "to the branch": mail("external", "ann@branch.mail.example"),
    "closed": mail("external", "closed@mail.example"),
    "spam": mail("external", "ann@mail.example", "a@spam.example"),
    "outward": mail("internal", "victim@remote.example"),
    "login": mail("internal", "victim@remote.example", ANN[0], **LOGIN),
    "login, another sender": mail("internal", "victim@remote.example", "bob@mail.example", **LOGIN),
    "submission": Dialogue("internal", POSTFIX.address("internal", 4), dport=587),
}

BEFORE = {
    **dict.fromkeys(MAILS, "accepted"),
    "relay": "454 4.7.1 <victim@remote.example>: Relay access denied",
    "closed": "554 5.7.1 <closed@mail.example>: Recipient address rejected: this office is closed",
    "spam": "554 5.7.1 <a@spam.example>: Sender address rejected: no, thank you",
    "submission": "broken",
}
AFTER = {
    **BEFORE,
    "relay": "550 5.7.1 <victim@remote.example>: Recipient address rejected: Relaying not permitted",
    "login, another sender": "553 5.7.1 <bob@mail.example>: Sender address rejected: "
    "not owned by user ann@mail.example",
    "submission": "accepted",
}


def run(name: str = plays.POSTFIX, *, check: bool = False, **variables: Any) -> plays.Run:
    """Run the role alone, or the playbook of that name, with the site's policy and these variables."""
    return plays.harden(playbook=name, check=check, **{**POLICY, **variables})
