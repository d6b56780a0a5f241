# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A copy of a host in a network namespace of its own, in which packets of any client can be tried.

Its interfaces have the host's names and addresses, and their other ends are in the same namespace, where frames are
sent and read as they are on the wire: no route and no neighbour is needed, and no packet leaves the namespace.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import json
import os
import re
import select
import signal
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

from . import loader
from .namespace import NoNamespaceError, make_settings_writable, unshare_network
from .segments import ACK, RST, SYN, Ends, Segment, datagram, echo, frame, seen
from .snapshot import Interface, Snapshot, sysctl

TCP, UDP, ECHO = "tcp", "udp", "icmp echo"
OPEN, REJECTED, DROPPED = "open", "rejected", "dropped"
"""What became of a connection: answered, answered with an error, not answered."""
QUIET_SECONDS = 0.3
"""Without any answer for so long, no more is expected where a marker got lost."""
TRIES = 2
CONTROL = {4: "203.0.113.200", 6: "2001:db8:5757::200"}
"""Clients with which a replica is tried before it has rules."""
SETTINGS = {
    "ipv4/conf/all/rp_filter": "0",
    "ipv4/conf/default/rp_filter": "0",
    "ipv4/tcp_syncookies": "1",
    # Every rejection is answered, however many there are at once.
    "ipv4/icmp_ratemask": "0",
    "ipv6/icmp/ratelimit": "0",
    "ipv6/icmp/ratemask": "127",
}
"""Settings of the namespace, so that no answer is left out but by a rule."""
LIMIT_SECONDS = 60
"""For all questions to a replica."""
CHUNK = 64
"""Frames that are sent before answers are read."""
_ETH_P_ALL, _SO_RCVBUFFORCE = 3, 33
_PEER = b"\x02\0\0\0\0\x01"
"""The Ethernet address of all clients."""
_MARKER = 0x88B5
"""EtherType for experiments (IEEE 802), which no protocol of the kernel takes."""


class Ports(NamedTuple):
    """Where a copy of the host listens. ``scoped``: whether the scope is the whole host, before or after."""

    tcp: Sequence[int]
    udp: Sequence[int] = ()
    scoped: bool = False


class Try(NamedTuple):
    """A connection to try: from a client to the host, or with ``uid`` from a user of the host to ``target``.

    ``burst``: how many connections are opened at once. ``protocol``: TCP, UDP or ECHO.
    """

    source: str
    target: str
    port: int
    low: bool = False
    burst: int = 1
    uid: int | None = None
    protocol: str = TCP


class Replica:
    """A namespace with a copy of a host. Use it in a ``with`` statement, which ends it."""

    def __init__(self, snapshot: Snapshot, ports: Ports, change: Callable[[], None]) -> None:
        """Begin to make it; ``change`` is what is loaded on top of the copy. Errors come with the first answer."""
        self._answers, writer = os.pipe()
        reader, self._questions = os.pipe()
        self.child = os.fork()
        if self.child == 0:
            os.close(self._answers)
            os.close(self._questions)
            _serve(reader, writer, snapshot, ports, change)
        os.close(reader)
        os.close(writer)

    def __enter__(self) -> Replica:
        """Return the replica, which may still be in the making."""
        return self

    def __exit__(self, *_error: object) -> None:
        """End the process, and with it the namespace."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.child, signal.SIGKILL)
        os.waitpid(self.child, 0)
        os.close(self._answers)
        os.close(self._questions)

    def families(self) -> frozenset[int]:
        """Return the versions of IP in which connections can be tried, once the copy is made."""
        return frozenset(int(version) for version in self._answer()["families"])

    def send(self, tries: Sequence[Try], *, explain: bool = False) -> None:
        """Send connections to try; their answers are read by `verdicts`."""
        data = (json.dumps({"tries": tries, "explain": explain}) + "\n").encode("ascii")
        while data:
            data = data[os.write(self._questions, data) :]

    def verdicts(self) -> list[tuple[str, int]]:
        """Return for each connection what became of the first, and how many were answered."""
        return [(str(word), int(number)) for word, number in self._answer()["verdicts"]]

    def explain(self, one: Try) -> str:
        """Return the rule that decided about a connection, or nothing where no counter shows it."""
        self.send([one], explain=True)
        return str(self._answer()["rule"])

    def _answer(self) -> dict[str, Any]:
        deadline, data = time.monotonic() + LIMIT_SECONDS, b""
        # There is one answer for each question, so that nothing follows its line.
        while not data.endswith(b"\n"):
            left = deadline - time.monotonic()
            if not select.select([self._answers], [], [], max(0.0, left))[0]:
                raise loader.LoadError(f"the replica of the host did not answer within {LIMIT_SECONDS} seconds")
            chunk = os.read(self._answers, 65536)
            if not chunk:
                raise loader.LoadError("the replica of the host was killed")
            data += chunk
        answer: dict[str, Any] = json.loads(data)
        if "no_namespace" in answer:
            raise NoNamespaceError(answer["no_namespace"])
        if "error" in answer:
            raise loader.LoadError(answer["error"])
        return answer


# In the namespace


def _serve(reader: int, writer: int, snapshot: Snapshot, ports: Ports, change: Callable[[], None]) -> NoReturn:
    try:
        unshare_network()
        make_settings_writable()
        host = _Copy(snapshot, ports)
        change()
        _reply(writer, {"families": host.families})
        with os.fdopen(reader, "r", encoding="ascii") as lines:
            for line in lines:
                question = json.loads(line)
                tries = [Try(*one) for one in question["tries"]]
                _reply(writer, host.explain(tries[0]) if question["explain"] else {"verdicts": host.ask(tries)})
    except NoNamespaceError as error:
        _reply(writer, {"no_namespace": str(error)})
    except (loader.LoadError, OSError) as error:
        _reply(writer, {"error": str(error)})
    except BaseException as error:
        _reply(writer, {"error": f"the replica failed: {error!r}"})
    os._exit(0)


def _reply(writer: int, answer: Mapping[str, Any]) -> None:
    data = (json.dumps(answer) + "\n").encode("ascii")
    while data:
        data = data[os.write(writer, data) :]


class _Wire(NamedTuple):
    """Sockets at the other end of an interface and, for markers, at the interface itself."""

    outer: socket.socket
    ends: Ends
    inner: socket.socket


class _Copy:
    """The copy itself: interfaces, rules, listeners."""

    def __init__(self, snapshot: Snapshot, ports: Ports) -> None:
        for path, value in SETTINGS.items():
            sysctl(path, value)
        self.interfaces = snapshot.interfaces or (Interface("eth0", ()),)
        self.wires = _lay_wires(self.interfaces)
        self.marks = 0
        with contextlib.suppress(OSError):
            # Packets of one processor stay in their order, which is what a marker relies on.
            os.sched_setaffinity(0, {processor()})
        self.counters: dict[int, dict[str, int]] = {}
        self.listeners = [one for port in ports.tcp for one in _listen(port, socket.SOCK_STREAM)]
        self.receivers = [one for port in ports.udp for one in _listen(port, socket.SOCK_DGRAM)]
        self.sport = 20000
        self.families = self._usable(ports.tcp[0])
        _load(snapshot)
        self.tables = [key for key, text in snapshot.tables.items() if text]
        self.both = len({backend for _family, backend in self.tables}) > 1

    def _usable(self, port: int) -> list[int]:
        """Return the families in which a connection is answered while there is no rule; in others none can be tried."""
        tries = [
            Try(CONTROL[6 if ":" in address else 4], address, port)
            for interface in self.interfaces
            for address, _length in interface.addresses[:4]
        ]
        found = zip(tries, self.ask(tries)) if tries else ()
        return sorted({6 if ":" in one.target else 4 for one, (verdict, _count) in found if verdict == OPEN})

    def wire_of(self, address: str) -> _Wire:
        """Return the wire on which packets of a client come: that of its network, else that of the default route."""
        client = ipaddress.ip_address(address)
        for number, interface in enumerate(self.interfaces):
            for own, length in interface.addresses:
                network = ipaddress.ip_network(f"{own}/{length}", strict=False)
                if client.version == network.version and client in network:
                    return self.wires[number]
        return self.wires[0]

    def ask(self, tries: Sequence[Try]) -> list[tuple[str, int]]:
        """Try connections; see Replica.verdicts."""
        found: dict[tuple[str, int], str] = {}
        keys = [self._keys(one) for one in tries]
        for attempt in range(TRIES):
            waiting = [
                (one, key)
                for one, members in zip(tries, keys)
                for key in members
                # A burst that is sent again would be two.
                if key not in found and (attempt == 0 or one.burst == 1)
            ]
            for start in range(0, len(waiting), CHUNK):
                for one, key in waiting[start : start + CHUNK]:
                    self._begin(one, key)
                self._settle(found)
        self.counters.clear()
        for one, members in zip(tries, keys):
            self._end(one, [key for key in members if found.get(key) == OPEN])
        return [(found.get(members[0], DROPPED), sum(found.get(key) == OPEN for key in members)) for members in keys]

    def explain(self, one: Try) -> dict[str, Any]:
        """Try one connection, and name the rule whose counter says that it decided."""
        family = 6 if ":" in one.target else 4
        # Nothing but questions sends packets here, so that the counts after one are those before the next.
        before = self.counters.get(family) or self._counters(family)
        found: dict[tuple[str, int], str] = {}
        for key in self._keys(one):
            self._begin(one, key)
        self._settle(found)
        after = self.counters[family] = self._counters(family)
        hit = [rule for rule, count in after.items() if count > before.get(rule, count)]
        return {"rule": _deciding(hit)}

    def _counters(self, version: int) -> dict[str, int]:
        found: dict[str, int] = {}
        for family, backend in self.tables:
            if family != f"ipv{version}":
                continue
            text = loader.run([loader.command(family, backend, "save"), "-c"])
            table = ""
            for line in text.splitlines():
                if line.startswith("*"):
                    table = line[1:]
                counted = re.match(r"\[(\d+):\d+\] (-A .*)|:(\S+) (DROP|REJECT) \[(\d+):\d+\]", line)
                if counted is None:
                    continue
                program = f"{loader.FAMILIES[family]}-{backend}" if self.both else loader.FAMILIES[family]
                where = program + ("" if table == "filter" else f" -t {table}")
                rule = f"{where} {counted[2]}" if counted[2] else f"{where} -P {counted[3]} {counted[4]}"
                found[rule] = found.get(rule, 0) + int(counted[1] or counted[5])
        return found

    def _keys(self, one: Try) -> list[tuple[str, int]]:
        """Return for each connection of a try the address and port by which its answers are known."""
        if one.uid is not None:
            return [(one.target, one.port)]
        keys = []
        for _each in range(one.burst):
            self.sport = self.sport + 1 if self.sport < 60000 else 20001
            keys.append((one.source, self.sport % 400 + 600 if one.low else self.sport))
        return keys

    def _begin(self, one: Try, key: tuple[str, int]) -> None:
        if one.uid is not None:
            _connect_as(one)
            return
        wire = self.wire_of(one.source)
        segment = Segment(one.source, one.target, key[1], one.port)
        make = {TCP: frame, UDP: datagram, ECHO: echo}[one.protocol]
        with contextlib.suppress(BlockingIOError):  # it is sent again
            wire.outer.send(make(segment, wire.ends))

    def _end(self, one: Try, keys: Iterable[tuple[str, int]]) -> None:
        """Reset what was opened, so that no rule counts it as open any more."""
        if one.uid is not None or one.protocol != TCP:
            return
        wire = self.wire_of(one.source)
        for _source, sport in keys:
            segment = Segment(one.source, one.target, sport, one.port, RST, 2)
            with contextlib.suppress(OSError):
                wire.outer.send(frame(segment, wire.ends))

    def _settle(self, found: dict[tuple[str, int], str]) -> None:
        """Read all answers to what was sent, also those of servers for UDP."""
        self._wait_for_marker(found)
        if self._answer_datagrams():
            self._wait_for_marker(found)

    def _answer_datagrams(self) -> bool:
        """Answer what has reached a server for UDP; whether anything has."""
        answered = False
        for one in select.select(self.receivers, [], [], 0)[0]:
            with contextlib.suppress(OSError):  # a rule that rejects what is sent, or nothing more to read
                while True:
                    _data, client = one.recvfrom(64)
                    answered = True
                    with contextlib.suppress(OSError):
                        one.sendto(b"!", client)
        return answered

    def _wait_for_marker(self, found: dict[tuple[str, int], str]) -> None:
        """Read answers: a marker that follows what was sent to the interface and back comes after all of them."""
        wire = self.wires[0]
        self.marks += 1
        marker = b"\xff" * 6 + wire.ends.target + _MARKER.to_bytes(2, "big") + self.marks.to_bytes(46, "big")
        with contextlib.suppress(OSError):
            wire.outer.send(marker)
            while select.select([wire.inner], [], [], QUIET_SECONDS)[0]:
                if wire.inner.recv(64) == marker:
                    wire.inner.send(marker)
                    break
        back = False
        while not back and select.select([one.outer for one in self.wires], [], [], QUIET_SECONDS)[0]:
            back = self._read(found, marker)
        self._read(found, marker)

    def _read(self, found: dict[tuple[str, int], str], marker: bytes) -> bool:
        """Read the answers that are there; whether the marker was among them."""
        back = False
        for one in self.wires:
            with contextlib.suppress(BlockingIOError):
                while True:
                    data, origin = one.outer.recvfrom(2048)
                    if origin[2] == socket.PACKET_OUTGOING:
                        continue
                    if data == marker:
                        back = True
                    else:
                        _note(data, found)
        return back


def _note(data: bytes, found: dict[tuple[str, int], str]) -> None:
    """Note what a frame that the host has sent says."""
    answer = seen(data)
    if answer is None:
        return
    segment = answer.segment
    if answer.error:
        found.setdefault((segment.source, segment.sport), REJECTED)
    elif answer.plain:
        found[segment.target, segment.dport] = OPEN  # from the host, as an answer or of its own
    elif segment.flags & RST:
        found.setdefault((segment.target, segment.dport), REJECTED)
    elif segment.flags & (SYN | ACK) == SYN | ACK:
        found.setdefault((segment.target, segment.dport), OPEN)
    elif segment.flags & SYN:
        found[segment.target, segment.dport] = OPEN  # a connection from the host, on its way


def _deciding(hit: Sequence[str]) -> str:
    """Of the rules that a packet met the one that decided: the last unmanaged one that ends or alters it."""
    unmanaged = [rule for rule in hit if not any(f" {chain} " in f"{rule} " for chain in loader.CHAINS)]
    ends = [rule for rule in unmanaged if " -P " in rule or loader.target(rule) in ("DROP", "REJECT", "TARPIT")]
    # Names of targets are in capitals, as some chains are.
    alters = [rule for rule in unmanaged if loader.target(rule) in ("ACCEPT", "CT", "NOTRACK", "DNAT", "REDIRECT")]
    named = ends or alters
    return named[-1] if named else ""


def processor() -> int:
    """Return one of the processors that this process may use; two processes in turn get different ones."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[os.getpid() % len(usable)]


def _lay_wires(interfaces: Sequence[Interface]) -> list[_Wire]:
    """Make the interfaces with their other ends, their addresses, and a default route over the first."""
    names = [(one.name, f"wire{number}", _mac(number)) for number, one in enumerate(interfaces)]
    _ip([f"link add {name} address {mac.hex(':')} type veth peer name {end}" for name, end, mac in names])
    for _name, end, _address in names:
        sysctl(f"ipv6/conf/{end}/disable_ipv6", "1")
    lines = ["link set lo up"]
    for interface, (name, end, _address) in zip(interfaces, names):
        lines += [
            f"address add {address}/{length} dev {name}{' nodad' if ':' in address else ''}"
            for address, length in interface.addresses
        ]
        # Without neighbours to look for, answers to any client go out at once.
        lines += [f"link set {one} arp off up" for one in (name, end)]
    # What a host without IPv6 rejects shows when the first connections are tried.
    _ip([*lines, *(f"route add {every} dev {names[0][0]}" for every in ("0.0.0.0/0", "::/0"))], force=True)
    return [_Wire(_packets(end, _ETH_P_ALL), Ends(mac, _PEER), _packets(name, _MARKER)) for name, end, mac in names]


def _mac(number: int) -> bytes:
    return bytes([2, 0, 0, 0, number, 2])


def _ip(lines: Sequence[str], *, force: bool = False) -> None:
    """Have ip do all lines at once; with ``force`` also those behind one that it rejects."""
    with contextlib.suppress(*[loader.LoadError] if force else []):
        loader.run(["ip", *["-force"] * force, "-batch", "-"], "".join(f"{line}\n" for line in lines))


def _packets(name: str, protocol: int) -> socket.socket:
    """Return a socket for the frames of an interface."""
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
    with contextlib.suppress(OSError):
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 8 << 20)
    opened.bind((name, protocol))
    opened.setblocking(False)
    return opened


def _load(snapshot: Snapshot) -> None:
    """Load sets and rules as they are on the host."""
    if snapshot.sets:
        loader.run(["ipset", "restore"], snapshot.sets)
    for (family, backend), text in snapshot.tables.items():
        if text:
            loader.run([loader.command(family, backend, "restore")], text)
    for text in snapshot.native.values():
        loader.run(["nft", "-f", "-"], text)


def _listen(port: int, kind: socket.SocketKind) -> list[socket.socket]:
    """Listen on a port, for both families; a client of the probes never gets further than the handshake."""
    opened = []
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104 (its own namespace)
        try:
            listener = socket.socket(family, kind)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            if kind == socket.SOCK_STREAM:
                listener.listen(1024)
            listener.setblocking(False)
            opened.append(listener)
        except OSError as error:
            if family == socket.AF_INET6 and error.errno in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                continue
            raise
    return opened


def _connect_as(one: Try) -> None:
    """Begin a connection as a user of the host, in a process of its own."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setuid(one.uid or 0)
            family = socket.AF_INET6 if ":" in one.target else socket.AF_INET
            connection = socket.socket(family, socket.SOCK_STREAM if one.protocol == TCP else socket.SOCK_DGRAM)
            connection.setblocking(False)
            connection.connect_ex((one.target, one.port))
            if one.protocol == UDP:
                connection.send(b"?")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
