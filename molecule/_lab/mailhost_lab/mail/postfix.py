"""What tests do with the host that has Postfix: its files, its queue and log, and the mail that came somewhere."""

from __future__ import annotations

import email
import json
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from mailhost_lab.addresses import POSTFIX, REMOTE, Host
from mailhost_lab.containers.hosts import COLLECTED
from mailhost_lab.mail import resolver
from mailhost_lab.waiting import until

if TYPE_CHECKING:
    import subprocess
    from contextlib import AbstractContextManager
    from email.message import Message

    from mailhost_lab.packets.probes import Lab

CONFIG = "/etc/postfix"
STATE = "/var/lib/mailhost-hardening/postfix"
PASSWORD = "correct horse"  # noqa: S105 - of a lab without a way in
ANN, BOB = ("ann@mail.example", PASSWORD), ("bob@mail.example", PASSWORD)
"""The users that may log in."""


class Mail(NamedTuple):
    """A message that arrived, with its envelope."""

    mail_from: str
    rcpt_to: str
    text: str

    @property
    def message(self) -> Message:
        """The message, its header taken apart."""
        return email.message_from_string(self.text)


class Postfix:
    """A host with Postfix."""

    def __init__(self, lab: Lab, host: Host = POSTFIX) -> None:
        self.lab = lab
        self.host = host
        self.marks = [f"[{host.address('external', 4)}]", f"[IPv6:{host.address('external', 6)}]"]
        """What `remote` writes into the mail that comes from here."""

    def run(self, *command: str, check: bool = True, data: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command on the host."""
        return self.lab.run(self.host.name, command, check=check, data=data)

    def version(self) -> tuple[int, int]:
        """Major and minor number of the installed Postfix."""
        major, minor, *_rest = self.run("postconf", "-h", "-d", "mail_version").stdout.split(".")
        return int(major), int(minor)

    # Files

    def read(self, name: str) -> str:
        """A file of /etc/postfix, or one with its full path."""
        return self.run("cat", name if name.startswith("/") else f"{CONFIG}/{name}").stdout

    def write(self, name: str, text: str) -> None:
        """Put a text into a file; owner and mode of one that is there stay."""
        self.run("sh", "-c", 'cat > "$1"', "sh", name if name.startswith("/") else f"{CONFIG}/{name}", data=text)

    def state(self) -> dict[str, str]:
        """Digest, owner, mode and time of change of every file of /etc/postfix, and the number of the daemon."""
        show = 'stat -c "%n %U:%G %a %Y" "$f"; sha256sum < "$f"'
        script = f'find "$0" -type f -o -type l | sort | while read -r f; do {show}; done; cat "$1"'
        shown = self.run("sh", "-c", script, CONFIG, "/var/spool/postfix/pid/master.pid").stdout.splitlines()
        lines = shown[:-1]
        found = {head.split(" ")[0]: f"{head.split(' ', 1)[1]} {text}" for head, text in zip(lines[::2], lines[1::2])}
        return {**found, "daemon": shown[-1].strip()}

    # Queue and log

    def queue(self, host: str = "") -> list[dict[str, Any]]:
        """The messages in the queue here, or of another host, as `postqueue -j` shows them."""
        shown = self.lab.run(host or self.host.name, ["postqueue", "-j"]).stdout
        return [json.loads(line) for line in shown.splitlines()]

    def drain(self, seconds: float = 180) -> None:
        """Wait until the queue is empty here, and then at `remote`."""
        for host in (self.host.name, REMOTE.name):
            try:
                until(f"the queue of {host} is empty", partial(self._has_no_queue, host), seconds)
            except AssertionError as error:
                raise AssertionError(f"{error}: {self.queue(host)}") from None

    def _has_no_queue(self, host: str) -> bool:
        return not self.queue(host)

    def log(self) -> list[str]:
        """What the host's programs of mail have logged, oldest first: `postfix/smtpd: connect from ...`."""
        shown = self.run("journalctl", "--facility=mail", "--output=json", "--output-fields=SYSLOG_IDENTIFIER,MESSAGE")
        entries = (json.loads(line) for line in shown.stdout.splitlines())
        return [f"{one.get('SYSLOG_IDENTIFIER', '')}: {one['MESSAGE']}" for one in entries]

    # Mail

    def mailbox(self, user: str) -> list[Mail]:
        """What came into the mailbox of a user of this host, oldest first."""
        return _mails(self.run("python3", "-c", READ_MAILBOX, f"/var/mail/{user}").stdout)

    def collected(self) -> list[Mail]:
        """What came from here to `remote` for any address of its domains, oldest first."""
        return _mails(self.lab.run(REMOTE.name, ["python3", "-c", READ_MAILBOX, str(COLLECTED), *self.marks]).stdout)

    def clear(self) -> None:
        """Forget the mail that came here, and from here to `remote`, the queue, and what the resolver was asked."""
        self.run("sh", "-c", "postsuper -d ALL 2>/dev/null; rm -f /var/mail/ann /var/mail/bob")
        forget = 'folder=$1; shift; grep -rlF "$@" "$folder" | xargs -r rm -f'
        marks = [word for mark in self.marks for word in ("-e", mark)]
        self.lab.run(REMOTE.name, ["sh", "-c", forget, "sh", str(COLLECTED), *marks])
        resolver.forget(self.lab, self.host.name)

    # DNS

    def queries(self) -> list[tuple[str, str]]:
        """What was asked of the host's resolver since `clear`: (type, name)."""
        return resolver.queries(self.lab, self.host.name)

    def dns_outage(self) -> AbstractContextManager[None]:
        """Have no resolver while the block runs."""
        return resolver.outage(self.lab, self.host.name)


def _mails(shown: str) -> list[Mail]:
    return [Mail(*one) for one in json.loads(shown)]


READ_MAILBOX = """
import json, mailbox, os, sys
path, marks, found = sys.argv[1], sys.argv[2:], []
if os.path.exists(path):
    box = mailbox.Maildir(path, create=False) if os.path.isdir(path) else mailbox.mbox(path, create=False)
    for key in sorted(box.keys()):
        text, parsed = box.get_bytes(key).decode("latin-1"), box[key]
        if marks and not any(mark in parsed["Received"] for mark in marks):
            continue
        found.append([parsed["Return-Path"].strip("<>"), parsed["X-Original-To"], text])
print(json.dumps(found))
"""
