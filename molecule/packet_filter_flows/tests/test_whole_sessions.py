"""Not the handshake alone: a large message goes in and out by SMTP and is fetched by POP3, in both families."""

from __future__ import annotations

import hashlib
import json
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhost_lab.packets.probes import Lab

USER, SECRET = "reader", "lab-only"  # a mailbox that exists during these tests
LINES = [f"{number} {hashlib.sha256(str(number).encode()).hexdigest()}" for number in range(3000)]
"""The message: more than 200 kB, many segments in one direction."""

SEND = """
import smtplib, sys
server, recipient = sys.argv[1:]
with smtplib.SMTP(server, 25, "external.example", timeout=60) as session:
    rejected = session.sendmail("tester@external.example", [recipient], sys.stdin.read())
print(len(rejected), "rejected")
"""

FETCH = """
import json, poplib, ssl, sys
server, user, secret = sys.argv[1:]
session = poplib.POP3(server, 110, timeout=60)
session.stls(ssl._create_unverified_context())
session.user(user)
session.pass_(secret)
messages = [session.retr(number + 1)[1] for number in range(session.stat()[0])]
session.quit()
json.dump([[line.decode() for line in message] for message in messages], sys.stdout)
"""


@pytest.fixture(scope="module", autouse=True)
def _mailboxes(lab: Lab) -> Iterator[None]:
    add = f"useradd --create-home --shell /usr/sbin/nologin {USER} && echo {USER}:{SECRET} | chpasswd"
    for host in ("mailhost", "remote"):
        lab.run(host, ["sh", "-ec", f"id {USER} >/dev/null 2>&1 || {{ {add}; }}"])
    yield
    for host in ("mailhost", "remote"):
        lab.run(host, ["sh", "-c", f"userdel --force --remove {USER} >/dev/null 2>&1"], check=False)


def letter(subject: str) -> str:
    """Return the message under a subject."""
    return "\n".join([f"Subject: {subject}", "From: tester@external.example", "", *LINES, ""])


def literal(address: str) -> str:
    """Return the recipient's address at a server without any name."""
    return f"{USER}@[{'IPv6:' if ':' in address else ''}{address}]"


def fetched(lab: Lab, client: str, server: str, subject: str) -> list[str]:
    """Fetch mail by POP3 until the message is there; return its lines."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        answer = lab.run(client, ["python3", "-c", FETCH, server, USER, SECRET]).stdout
        for message in json.loads(answer):
            if f"Subject: {subject}" in message:
                return list(message[message.index("") + 1 :])
        time.sleep(0.1)
    pytest.fail(f"no message {subject!r} at {server} within 60 s")


@pytest.mark.parametrize("family", [4, 6])
def test_incoming_mail_arrives_and_is_fetched(lab: Lab, family: int) -> None:
    managed, subject = lab.address("mailhost", "external", family), f"in by IPv{family}"
    sent = lab.run("external", ["python3", "-c", SEND, managed, literal(managed)], data=letter(subject))
    assert sent.stdout.strip() == "0 rejected"
    assert fetched(lab, "external", managed, subject) == LINES


@pytest.mark.parametrize("family", [4, 6])
def test_outgoing_mail_arrives_at_remote(lab: Lab, family: int) -> None:
    theirs, subject = lab.address("remote", "external", family), f"out by IPv{family}"
    lab.run("mailhost", ["sendmail", "-f", "root@mail.example", literal(theirs)], data=letter(subject))
    assert fetched(lab, "mailhost", theirs, subject) == LINES
