"""What tests do in the lab beside probing: listen, hold sessions open, add addresses."""

from __future__ import annotations

import json
import os
import select
import subprocess
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from mailhost_lab.addresses import find_host
from mailhost_lab.containers.engine import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailhost_lab.packets.probes import Lab

SERVER = """
import contextlib, socket, socketserver, sys, threading
class Greeter(socketserver.BaseRequestHandler):
    def handle(self):
        with contextlib.suppress(OSError):
            self.answer()
    def answer(self):
        if isinstance(self.request, tuple):
            self.request[1].sendto(b"here " + self.request[0], self.client_address)
        else:
            self.request.sendall(b"220 here\\r\\n")
            while self.request.recv(4096): self.request.sendall(b"250 still here\\r\\n")
def family(base):
    options = {"address_family": socket.AF_INET6, "allow_reuse_address": True, "daemon_threads": True}
    return type(base.__name__ + "6", (base,), options)
kinds = {"tcp": family(socketserver.ThreadingTCPServer), "udp": family(socketserver.ThreadingUDPServer)}
for text in sys.argv[1:]:
    kind, _, port = text.partition(":")
    server = kinds[kind](("::", int(port)), Greeter)
    threading.Thread(target=server.serve_forever, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""
"""Greets on TCP ports, answers on UDP ports, in both families, until its input ends."""

ASK = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def verdict(question):
    target, port, source = question
    with socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(3)
        try:
            asker.bind(("", source))
            asker.connect((target, port))
            asker.send(b"?")
            return "open" if asker.recv(100) == b"here ?" else "other"
        except OSError:
            return "blocked"
with ThreadPoolExecutor(16) as pool:
    json.dump(list(pool.map(verdict, json.loads(sys.argv[1]))), sys.stdout)
"""


class Session:
    """An open TCP connection of a host of the lab, by netcat in its container."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process = process
        self.input: IO[bytes] = process.stdin
        self.output: IO[bytes] = process.stdout

    def heard(self, timeout: float = 15) -> str:
        """Return what the other side says next, or nothing if it stays silent."""
        if not select.select([self.output], [], [], timeout)[0]:
            return ""
        return os.read(self.output.fileno(), 65536).decode(errors="replace")

    def tell(self, line: str) -> None:
        """Send one line; a connection that has ended already takes none."""
        with suppress(BrokenPipeError):
            self.input.write(f"{line}\r\n".encode())
            self.input.flush()

    def say(self, line: str) -> str:
        """Send one line and return the answer, or nothing if none comes."""
        self.tell(line)
        return self.heard()


@contextmanager
def session(lab: Lab, src: str, dst: str, port: int, *options: str, user: str = "root") -> Iterator[Session]:
    """Connect, wait for the greeting, and hold the connection open while the block runs."""
    netcat = ["runuser", "-u", user, "--", "nc", "-q", "0", *options, dst, str(port)]
    with _started(lab, src, netcat) as process:
        opened = Session(process)
        if not opened.heard():
            raise LabError(f"no greeting from {dst} port {port} to {src}")
        yield opened


@contextmanager
def listening(lab: Lab, host: str, *ports: str) -> Iterator[None]:
    """Listen while the block runs: `listening(lab, "remote", "tcp:2525", "udp:53")`."""
    with _started(lab, host, ["python3", "-c", SERVER, *ports]) as process:
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], 60)[0] or not process.stdout.readline():
            raise LabError(f"no server listens on {host}, ports {' '.join(ports)}")
        yield


@contextmanager
def _started(lab: Lab, host: str, command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command on a host that ends by itself when its input does."""
    pipe = subprocess.PIPE
    whole = [lab.engine.name, "exec", "-i", find_host(host).container, *command]
    with subprocess.Popen(whole, stdin=pipe, stdout=pipe) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            try:
                process.stdin.close()
                process.wait(timeout=3)
            except (BrokenPipeError, subprocess.TimeoutExpired):
                process.kill()


@contextmanager
def addresses(lab: Lab, host: str, *added: str) -> Iterator[None]:
    """Give a host further addresses on its first leg, for use as a source only."""
    _each_address(lab, host, "replace", added)
    try:
        yield
    finally:
        _each_address(lab, host, "delete", added)


def _each_address(lab: Lab, host: str, action: str, added: Sequence[str]) -> None:
    lines = []
    for address in added:
        length, options = (64, " nodad preferred_lft 0") if ":" in address else (26, "")
        lines.append(f"ip address {action} {address}/{length} dev eth0{options if action == 'replace' else ''}")
    lab.run(host, ["sh", "-ec", "\n".join(lines)])


def ask_udp(lab: Lab, src: str, questions: Sequence[tuple[str, int, int]]) -> list[str]:
    """Send datagrams (address, port, source port or 0) and return for each whether an answer came."""
    return list(json.loads(lab.run(src, ["python3", "-c", ASK, json.dumps(questions)]).stdout))
