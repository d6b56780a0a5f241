"""SMTP sessions byte by byte, for what smtplib would not send: odd line ends, commands that do not wait."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailhost_lab.packets.probes import Lab


@dataclass(frozen=True)
class Raw:
    """What a client sends, each piece at once, when all replies to the one before have come.

    A piece is its bytes, as a text of latin-1, and the number of replies to wait for. At the end whatever else the
    server says within `quiet` seconds is heard as well. `starttls` is said and done before the first piece, with EHLO
    before and behind it; `tls` is TLS from the start, with EHLO. `early` is said without waiting for the greeting.
    """

    src: str
    dst: str
    pieces: tuple[tuple[str, int], ...]
    dport: int = 25
    source: str | None = None
    starttls: bool = False
    tls: bool = False
    early: str = ""
    quiet: float = 1
    timeout: float = 30


def send(lab: Lab, sessions: Sequence[Raw]) -> list[list[str]]:
    """Hold sessions side by side; return the replies of each, the greeting first, each with its last line's end.

    The end of the connection is the reply `closed`, a reply that did not come `none`.
    """
    by_host: dict[str, list[int]] = {}
    for number, one in enumerate(sessions):
        by_host.setdefault(one.src, []).append(number)
    replies: dict[int, list[str]] = {}

    def ask(host: str) -> None:
        numbers = by_host[host]
        jobs = json.dumps([asdict(sessions[number]) for number in numbers])
        shown = lab.run(host, ["python3", "-c", AGENT], data=jobs, timeout=600).stdout
        replies.update(zip(numbers, json.loads(shown)))

    with ThreadPoolExecutor(max_workers=max(len(by_host), 1)) as pool:
        list(pool.map(ask, by_host))
    return [replies[number] for number in range(len(sessions))]


AGENT = r"""
import json, re, socket, ssl, sys
from concurrent.futures import ThreadPoolExecutor

REPLY = re.compile(rb"(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\n")

class Session:
    def __init__(self, job):
        self.job, self.rest, self.replies = job, b"", []

    def hear(self, count, seconds):
        self.wire.settimeout(seconds)
        for _ in range(count):
            while not (found := REPLY.match(self.rest)):
                try:
                    more = self.wire.recv(65536)
                except TimeoutError:
                    self.replies.append("none")
                    return False
                except OSError:
                    more = b""
                if not more:
                    self.replies.append("closed")
                    return False
                self.rest += more
            self.replies.append(found.group().decode("latin-1").rstrip("\r\n"))
            self.rest = self.rest[found.end():]
        return True

    def say(self, text, count=1):
        try:
            self.wire.sendall(text.encode("latin-1"))
        except OSError:
            pass
        return self.hear(count, self.job["timeout"])

    def secure(self):
        context = ssl._create_unverified_context()
        self.wire = context.wrap_socket(self.wire)

    def hold(self):
        job = self.job
        source = (job["source"], 0) if job["source"] else None
        self.wire = socket.create_connection((job["dst"], job["dport"]), job["timeout"], source)
        try:
            if job["tls"]:
                self.secure()
            self.wire.sendall(job["early"].encode("latin-1"))
            going = self.hear(1, job["timeout"])
            if going and (job["starttls"] or job["tls"]):
                going = self.say("EHLO client.example\r\n")
            if going and job["starttls"]:
                going = self.say("STARTTLS\r\n")
                self.secure()
                going = self.say("EHLO client.example\r\n")
            for text, count in job["pieces"]:
                going = going and self.say(text, count)
            while going and self.hear(1, job["quiet"]):
                pass
            if self.replies[-1] == "none" and going:
                self.replies.pop()
        finally:
            self.wire.close()
        return self.replies

def held(job):
    try:
        return Session(job).hold()
    except OSError as error:
        return [f"broken: {error}"]

with ThreadPoolExecutor(32) as pool:
    json.dump(list(pool.map(held, json.load(sys.stdin))), sys.stdout)
"""
