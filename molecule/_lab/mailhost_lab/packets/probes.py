"""Probes for tests and for the demo: what real packets between the lab's hosts get."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import IO, TYPE_CHECKING, Any

from mailhost_lab.addresses import HOSTS, find_host
from mailhost_lab.containers.engine import Engine, LabError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

AGENT = Path(__file__).with_name("agent.py")
LOG_SETTING = Path("/proc/sys/net/netfilter/nf_log_all_netns")


@dataclass(frozen=True)
class Probe:
    """A real TCP connection from a host of the lab to an address and port.

    The verdict is `open` (handshake done), `closed` (reset), `rejected` (ICMP error) or `filtered` (no answer within
    `timeout`; a kernel answers at once, also on a busy machine). With `greeting` the server's banner must arrive as
    well, else the verdict is `silent`.
    """

    src: str
    dst: str
    dport: int
    sport: int | None = None
    source: str | None = None
    user: str | None = None
    greeting: bool = False
    timeout: float = 1.0


@dataclass(frozen=True)
class Craft:
    """One crafted TCP segment; the verdict is what came back first, as on the wire.

    Flags such as `SA`, `RA` or `R`, an ICMP error such as `icmp:3/13` or `icmp6:1/1`, `eperm` if the sending host's
    own packet filter held it, or None. `source` may be any address of the lab's prefixes, also one that no host has.
    """

    src: str
    dst: str
    dport: int
    sport: int | None = None
    flags: str = "S"
    source: str | None = None
    seq: int | None = None
    ack: int = 0
    timeout: float = 0.8


class Capture:
    """The packets that tcpdump saw in a `with` block; `lines` is complete when the block has ended."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __contains__(self, text: str) -> bool:
        return any(text in line for line in self.lines)


class Lab:
    """The running lab."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.hosts = HOSTS

    def run(
        self, host: str, command: Sequence[str], *, check: bool = True, timeout: float = 180, data: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on a host through the engine, which no packet filter can get in the way of."""
        container = find_host(host).container
        return self.engine.run(
            "exec", "-i", container, *command, check=check, timeout=timeout, data=(data or "").encode()
        )

    def address(self, host: str, network: str, family: int) -> str:
        """Return an address of a host: `lab.address("mailhost", "external", 6)`."""
        return find_host(host).address(network, family)

    def probe(
        self,
        src: str,
        dst: str,
        dport: int,
        *,
        sport: int | None = None,
        source: str | None = None,
        user: str | None = None,
        greeting: bool = False,
        timeout: float = 1.0,
    ) -> str:
        """Open one connection; `batch` is the quicker way for more than one."""
        return str(self.batch([Probe(src, dst, dport, sport, source, user, greeting, timeout)])[0])

    def craft(self, src: str, dst: str, dport: int, **options: Any) -> str | None:
        """Send one crafted segment; `batch` is the quicker way for more than one."""
        return self.batch([Craft(src, dst, dport, **options)])[0]

    def batch(self, probes: Sequence[Probe | Craft]) -> list[str | None]:
        """Run many probes side by side and return the verdicts in their order."""
        ports = random.sample(range(40000, 60000), len(probes))
        by_host: dict[str, list[int]] = {}
        for number, probe in enumerate(probes):
            by_host.setdefault(probe.src, []).append(number)
        verdicts: list[str | None] = [None] * len(probes)

        def ask(host: str, numbers: list[int]) -> list[str | None]:
            jobs = [_job(probes[number], ports[number]) for number in numbers]
            limit = 90 + sum(probes[number].timeout + 15 for number in numbers)
            answer = self.run(host, ["python3", "-c", AGENT.read_text()], data=json.dumps(jobs), timeout=limit)
            return list(json.loads(answer.stdout))

        with ThreadPoolExecutor(max_workers=max(len(by_host), 1)) as pool:
            for numbers, answers in zip(by_host.values(), pool.map(ask, by_host, by_host.values())):
                for number, verdict in zip(numbers, answers):
                    if verdict and verdict.startswith("error:"):
                        raise LabError(f"{probes[number]}: {verdict}")
                    verdicts[number] = verdict
        return verdicts

    @contextlib.contextmanager
    def capture(self, host: str, expression: str, *, interface: str = "any") -> Iterator[Capture]:
        """Run tcpdump on a host while the block runs; start the block when it really captures."""
        tcpdump = f'tcpdump -n -l -tt --immediate-mode -i "{interface}" "$0" & p=$!; read _; kill -INT $p; wait $p'
        command = [self.engine.name, "exec", "-i", find_host(host).container, "sh", "-c", tcpdump, expression]
        shown = Capture()
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
            said: Queue[str] = Queue()
            reader = threading.Thread(target=_listen, args=(process.stderr, said), daemon=True)
            reader.start()
            try:
                heard = ""
                while "listening on" not in heard:
                    heard += said.get(timeout=30)
                yield shown
            except Empty:
                raise LabError(f"tcpdump on {host} does not capture: {heard}") from None
            finally:
                shown.lines = _finish(process).splitlines()

    @contextlib.contextmanager
    def kernel_log(self) -> Iterator[Capture]:
        """Collect what the kernel logs of the hosts' packet filters while the block runs.

        A container's LOG rules are silent unless a setting of the whole machine says otherwise; it is set for the block
        alone, which needs root. LabError says where that is not possible.
        """
        shown = Capture()
        try:
            before = LOG_SETTING.read_text()
            LOG_SETTING.write_text("1")
            log = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise LabError(f"this machine does not show what containers log: {error}") from error
        try:
            os.lseek(log, 0, os.SEEK_END)
            yield shown
            with contextlib.suppress(BlockingIOError):
                while True:
                    # One record a read: "level,number,time,flags;text".
                    shown.lines.append(os.read(log, 8192).decode(errors="replace").partition(";")[2].splitlines()[0])
        finally:
            os.close(log)
            LOG_SETTING.write_text(before)


def _listen(stream: IO[str] | None, said: Queue[str]) -> None:
    """Hand on what tcpdump says about itself; a thread, as reading blocks."""
    for line in stream or ():
        said.put(line)


def _finish(process: subprocess.Popen[str]) -> str:
    """End tcpdump by the end of its input and return what it printed."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    killer = threading.Timer(30, process.kill)
    killer.start()
    try:
        return process.stdout.read()
    finally:
        killer.cancel()


def _job(probe: Probe | Craft, port: int) -> dict[str, Any]:
    """Return a probe as the agent wants it."""
    job = {key: value for key, value in asdict(probe).items() if value is not None and key != "src"}
    if isinstance(probe, Craft):
        return {"kind": "craft", "sport": port, **job}
    return {"kind": "connect", **job}
