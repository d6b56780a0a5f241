"""What a test sees of the mail host by itself: its packet filter, its files, and the moment of a change."""

from __future__ import annotations

import json
import re
import subprocess
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, Queue
from typing import IO, TYPE_CHECKING

from mailhost_lab.addresses import MAILHOST
from mailhost_lab.containers.engine import LabError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mailhost_lab.packets.probes import Lab

STATE = "/var/lib/mailhost-hardening/packet_filter"
PENDING = f"{STATE}/pending.json"
SAVES = [f"{program}-{variant}-save" for variant in ("nft", "legacy") for program in ("iptables", "ip6tables")]
COUNTERS = re.compile(r"\[\d+:\d+\] ?")


# The packet filter


@dataclass(frozen=True)
class PacketFilter:
    """What iptables-save -c prints of both families and variants, and ipset save.

    `rules` and `sets` say which lines are the collection's and which are not.
    """

    lines: tuple[str, ...]
    members: tuple[str, ...]

    @property
    def unmanaged(self) -> list[str]:
        """Return all that is not the collection's, in its order, without counters."""
        rules = [COUNTERS.sub("", line) for line in self.lines if "MAILHOST-" not in line]
        return rules + [line for line in self.members if line.split()[1][:9] != "mailhost-"]

    @property
    def managed(self) -> list[str]:
        """Return what is the collection's, each chain and set in its order."""
        rules = [COUNTERS.sub("", line) for line in self.lines if "MAILHOST-" in line]
        # The order of chains says nothing, the order of the rules in a chain decides.
        heads = sorted(line for line in rules if " :" in line)
        sets = [line for line in self.members if line.split()[1][:9] == "mailhost-"]
        return heads + sorted((line for line in rules if " :" not in line), key=_chain) + sorted(sets)

    @property
    def entrances(self) -> list[str]:
        """Return the rules of the kernel's own chains, managed ones among unmanaged ones, as their order decides."""
        own = re.compile(r" -A (INPUT|FORWARD|OUTPUT) ")
        return [COUNTERS.sub("", line) for line in self.lines if own.search(line)]

    @property
    def all(self) -> list[str]:
        """Return everything but counters."""
        return self.managed + self.unmanaged + self.entrances

    def jumps(self, variant: str = "nft") -> list[str]:
        """Return the jumps to the collection's chains from chains that are not."""
        found = [
            line for line in self.lines if re.search(rf"^ip6?tables-{variant}-save .*-A (?!MAILHOST).* MAILHOST-", line)
        ]
        return sorted(COUNTERS.sub("", line).replace(f"-{variant}-save filter", "") for line in found)

    @property
    def counted(self) -> list[str]:
        """Return, with their counters, the unmanaged rules that no packet matches any more."""
        return [line for line in self.lines if "-A ADMIN" in line]


def _chain(line: str) -> tuple[str, str]:
    program, _table, rule = line.split(" ", 2)
    return program, rule.split()[1]


def packet_filter(lab: Lab) -> PacketFilter:
    """Take down the mail host's packet filter; every line is preceded by its program and table."""
    script = "\n".join(f"echo '## {save}'; {save} -c 2>/dev/null" for save in SAVES)
    program = table = ""
    lines, members = [], []
    for line in lab.run("mailhost", ["sh", "-c", f"{script}\necho '## sets'; ipset save"]).stdout.splitlines():
        if line.startswith("## "):
            program = line[3:]
        elif program == "sets":
            # The kernel keeps members in no order, and draws a start for its hashes at random.
            members.append(re.sub(r" initval 0x[0-9a-f]+", "", line))
        elif line.startswith("*"):
            table = line[1:]
        elif not line.startswith("#") and line != "COMMIT":
            lines.append(f"{program} {table} {line}")
    return PacketFilter(tuple(lines), tuple(sorted(members)))


# What is on a mail host besides: fail2ban, Docker, blocked networks in a set, and an administrator. Some rules have
# counted packets, which stay unless the rules are touched.
_UNMANAGED = """
ipset create crowd hash:ip
ipset add crowd 198.18.200.1
for family in 4 6; do
  case $family in
    4) tables=iptables banned=198.51.100.21 loopback=127.0.0.1 ;;
    6) tables=ip6tables banned=2001:db8:100::21 loopback=::1 ;;
  esac
  $tables -P FORWARD DROP
  $tables -N ADMIN
  $tables -A ADMIN -p udp -m udp --dport 9 -m comment --comment "the administrator's" -j DROP
  $tables -A INPUT -i lo -j ADMIN
  $tables -A INPUT -p udp -m udp --dport 7 -j DROP
  $tables -A OUTPUT -p udp -m udp --dport 7 -j DROP
  $tables -N DOCKER-USER
  $tables -A DOCKER-USER -s $banned -j DROP
  $tables -A DOCKER-USER -j RETURN
  $tables -A FORWARD -j DOCKER-USER
  for jail in sshd postfix; do
    case $jail in sshd) ports=22 ;; postfix) ports=25,465,587 ;; esac
    $tables -N f2b-$jail
    $tables -A f2b-$jail -s $banned -j REJECT
    $tables -A f2b-$jail -j RETURN
    $tables -I INPUT -p tcp -m multiport --dports $ports -j f2b-$jail
  done
  $tables -t nat -A POSTROUTING -s $banned -j MASQUERADE
  $tables -t mangle -A PREROUTING -p udp -m udp --dport 7 -j MARK --set-mark 7
  python3 -c 'import socket, sys
with socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM) as probe:
    for _ in range(3):
        probe.sendto(b"counted", (sys.argv[1], 9))' $loopback
done
iptables -A FORWARD -m set --match-set crowd src -j DROP
"""


def add_unmanaged_rules(lab: Lab) -> None:
    """Give the mail host what other programs have there; the banned address is the second one of `external`."""
    lab.run("mailhost", ["sh", "-ec", _UNMANAGED])
    counted = packet_filter(lab).counted
    assert len(counted) == 2
    assert all("[3:" in line for line in counted), counted


# The files

_TREE = """
import hashlib, json, os, stat, sys
folders, passed, times = json.loads(sys.argv[1])
found = {}
for top in folders:
    for folder, names, files in os.walk(top):
        names[:] = [name for name in names if os.path.join(folder, name) not in passed]
        for name in [*names, *files, "."]:
            path = os.path.normpath(os.path.join(folder, name))
            try:
                about = os.lstat(path)
                content = ""
                if stat.S_ISLNK(about.st_mode):
                    content = os.readlink(path)
                elif stat.S_ISREG(about.st_mode):
                    content = hashlib.sha256(open(path, "rb").read()).hexdigest()
            except FileNotFoundError:
                continue
            found[path] = [oct(about.st_mode), about.st_uid, about.st_gid, content, about.st_mtime_ns if times else 0]
print(json.dumps(found))
"""


def files(lab: Lab, *, times: bool = False) -> dict[str, list[object]]:
    """Return mode, owner and content of all under /etc, /usr/local and /var/lib, with `times` also when it changed.

    The folders in which the host's own daemons write at any time are passed over.
    """
    passed = ["/var/lib/systemd", "/var/lib/postfix", "/var/lib/dovecot"]
    question = json.dumps([["/etc", "/usr/local", "/var/lib"], passed, times])
    found: dict[str, list[object]] = json.loads(lab.run("mailhost", ["python3", "-c", _TREE, question]).stdout)
    return found


def is_pending(lab: Lab) -> bool:
    """Whether a change awaits its confirmation."""
    return lab.run("mailhost", ["test", "-e", PENDING], check=False).returncode == 0


# The moment of a change

_WATCH = """
import json, os, signal, subprocess, sys, time
pending, signs, action, seconds = json.loads(sys.argv[1])

def sh(command):
    subprocess.run(["sh", "-ec", command], check=True)

def kill_module():
    "Kill every Python that an SSH session started, which is the run's part on this host."
    for number in [name for name in os.listdir("/proc") if name.isdigit()]:
        try:
            if open(f"/proc/{number}/comm").read().startswith("python") and has_ancestor(number, "sshd"):
                os.kill(int(number), signal.SIGKILL)
        except (OSError, IndexError):
            pass

def has_ancestor(number, name):
    while number != "1":
        comm, _, rest = open(f"/proc/{number}/stat").read().partition(" (")[2].rpartition(") ")
        if comm == name:
            return True
        number = rest.split()[1]
        if number == "0":
            return False
    return False

def is_live(program, text):
    return text in subprocess.run([program, "-S"], capture_output=True, text=True).stdout

print("watching", flush=True)
deadline = time.monotonic() + seconds
while not (os.path.exists(pending) and all(is_live(*sign) for sign in signs)):
    if time.monotonic() > deadline:
        sys.exit("the moment did not come")
    time.sleep(0.001)
exec(action)
print("done", flush=True)
"""


class Watch:
    """Waits on the mail host, which is much quicker than asking it from here."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: Queue[str] = Queue()
        threading.Thread(target=self._listen, args=(process.stdout,), daemon=True).start()

    def _listen(self, stream: IO[str] | None) -> None:
        for line in stream or ():
            self.said.put(line.strip())

    def expect(self, word: str, seconds: float) -> None:
        """Wait for a word of the watching program."""
        try:
            assert self.said.get(timeout=seconds) == word
        except Empty:
            self.process.kill()
            raise LabError(f"no {word!r} within {seconds:g} s: {self.process.communicate()[1]}") from None

    def done(self, seconds: float = 90) -> None:
        """Wait until the moment has come and the action is done."""
        self.expect("done", seconds)


@contextmanager
def when_pending(
    lab: Lab, signs: Sequence[tuple[str, str]] = (), action: str = "", seconds: float = 90
) -> Iterator[Watch]:
    """Do something on the mail host as soon as a change awaits its confirmation.

    `signs` are programs and texts that their -S must show before, such as ("ip6tables", "new policy"). The action is
    Python that may call `sh(command)` and `kill_module()`.
    """
    question = json.dumps([PENDING, list(signs), action, seconds])
    command = [lab.engine.name, "exec", "-i", MAILHOST.container, "python3", "-c", _WATCH, question]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True) as process:
        watch = Watch(process)
        try:
            watch.expect("watching", 30)
            yield watch
        finally:
            process.kill()
