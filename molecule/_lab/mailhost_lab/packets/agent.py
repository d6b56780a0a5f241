"""Runs in a container of the lab: opens real connections and crafts packets, and says what came back.

It reads a list of jobs as JSON from standard input and writes the list of verdicts. Standard library alone, as it is
handed to the container's own Python; all jobs of one call run side by side.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import pwd
import random
import select
import socket
import struct
import sys
import threading
import time
from typing import Any

LAB = [ipaddress.ip_network(text) for text in ("198.51.100.0/24", "2001:db8::/32", "127.0.0.0/8", "::1/128")]
FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32}
ETH_P_ALL = 3
NOTE_SECONDS = 30
IPV6_HDRINCL = 36

Job = dict[str, Any]


def in_lab(address: str) -> str:
    """Return the address if it is one of the lab's; nothing else is ever sent to."""
    if not any(ipaddress.ip_address(address) in network for network in LAB):
        raise SystemExit(f"{address} is no address of the lab")
    return address


# What came back, as seen on the wire.


class Wire(threading.Thread):
    """Notes the TCP segments and ICMP errors that arrive, before the host's own packet filter sees them."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.seen: dict[tuple[str, int, str, int], list[str]] = {}
        """Verdicts by (our address, our port, their address, their port)."""
        self.drained = 0.0
        """When all that had arrived was noted."""
        self.running = True

    def run(self) -> None:
        while self.running:
            if not select.select([self.socket], [], [], 0)[0]:
                self.drained = time.monotonic()
                select.select([self.socket], [], [], 0.05)
                continue
            packet, address = self.socket.recvfrom(65535)
            if address[2] == socket.PACKET_OUTGOING:
                continue
            # Not all that arrives is whole, or TCP at all.
            with contextlib.suppress(struct.error, IndexError, ValueError):
                self.note(packet)

    def note(self, packet: bytes) -> None:
        """Take down one packet."""
        source, target, protocol, rest = parse_ip(packet)
        if protocol == socket.IPPROTO_TCP:
            sport, dport = struct.unpack_from("!HH", rest)
            flags = "".join(name for name, bit in FLAGS.items() if rest[13] & bit)
            self.seen.setdefault((target, dport, source, sport), []).append(flags)
        elif protocol in (socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6):
            name = "icmp" if protocol == socket.IPPROTO_ICMP else "icmp6"
            kind, code = rest[0], rest[1]
            if (name == "icmp" and kind not in (3, 11, 12)) or (name == "icmp6" and kind > 4):
                return
            inner_source, inner_target, inner_protocol, inner = parse_ip(rest[8:])
            if inner_protocol == socket.IPPROTO_TCP:
                sport, dport = struct.unpack_from("!HH", inner)
                key = (inner_source, sport, inner_target, dport)
                self.seen.setdefault(key, []).append(f"{name}:{kind}/{code}")


def parse_ip(packet: bytes) -> tuple[str, str, int, bytes]:
    """Return source, destination, protocol and payload of an IPv4 or IPv6 packet without extension headers."""
    if packet[0] >> 4 == 4:
        length = (packet[0] & 15) * 4
        return socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20]), packet[9], packet[length:]
    if packet[0] >> 4 != 6:
        raise ValueError("neither IPv4 nor IPv6")
    source, target = (socket.inet_ntop(socket.AF_INET6, packet[n : n + 16]) for n in (8, 24))
    return source, target, packet[6], packet[40:]


# Crafted packets.


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def own_address(dst: str) -> str:
    """Return the address from which this host would reach another."""
    with socket.socket(family_of(dst), socket.SOCK_DGRAM) as probe:
        probe.connect((dst, 9))
        return str(probe.getsockname()[0])


def family_of(address: str) -> socket.AddressFamily:
    """Return the socket family of an address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def segment(job: Job, source: str) -> bytes:
    """Return an IP packet with a TCP segment as the job wants it."""
    family, dst = family_of(job["dst"]), job["dst"]
    flags = sum(FLAGS[letter] for letter in job.get("flags", "S"))
    options = struct.pack("!BBH", 2, 4, 1400) if flags & FLAGS["S"] else b""
    words = 5 + len(options) // 4
    head = [job["sport"], job["dport"], job.get("seq", random.getrandbits(32)), job.get("ack", 0), words << 4, flags]
    tcp = struct.pack("!HHIIBBHHH", *head, 64240, 0, 0) + options
    addresses = socket.inet_pton(family, source) + socket.inet_pton(family, dst)
    if family == socket.AF_INET:
        pseudo = struct.pack("!BBH", 0, 6, len(tcp))
        header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), random.getrandbits(16), 0x4000, 64, 6, 0)
    else:
        pseudo = struct.pack("!IHBB", len(tcp), 0, 0, 6)
        header = struct.pack("!IHBB", 6 << 28, len(tcp), 6, 64)
    tcp = tcp[:16] + struct.pack("!H", checksum(addresses + pseudo + tcp)) + tcp[18:]
    return header + addresses + tcp


def craft(job: Job, wire: Wire) -> str | None:
    """Send one segment; return the flags of the answer (`SA`, `RA`, `R`), the ICMP error, `eperm` or None."""
    dst = in_lab(job["dst"])
    source = job.get("source") or own_address(dst)
    family = family_of(dst)
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        if family == socket.AF_INET6:
            raw.setsockopt(socket.IPPROTO_IPV6, IPV6_HDRINCL, 1)
        try:
            raw.sendto(segment(job, source), (dst, 0))
        except PermissionError:
            return "eperm"
    return first_of(wire, (source, job["sport"], dst, job["dport"]), job["timeout"])


def first_of(wire: Wire, key: tuple[str, int, str, int], timeout: float) -> str | None:
    """Wait for the first packet that belongs to a connection."""
    deadline = time.monotonic() + timeout
    # On a busy machine the packet may have arrived in time and not be noted yet.
    while wire.drained < deadline and time.monotonic() < deadline + NOTE_SECONDS:
        if key in wire.seen:
            return wire.seen[key][0]
        time.sleep(0.005)
    return wire.seen.get(key, [None])[0]


# Real connections.


def connect(job: Job, wire: Wire) -> str:
    """Open a connection; return `open`, `closed`, `rejected`, `filtered`, or `silent` if a greeting was asked for."""
    dst = in_lab(job["dst"])
    family = family_of(dst)
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if job.get("source") or job.get("sport"):
            probe.bind((job.get("source") or own_address(dst), job.get("sport") or 0))
        probe.settimeout(job["timeout"])
        managed = None
        try:
            probe.setblocking(False)
            probe.connect_ex((dst, job["dport"]))
            managed = probe.getsockname()[:2]
            if not select.select([], [probe], [], job["timeout"])[1]:
                # The kernel forgives some ICMP errors and goes on trying; the wire shows them.
                refusals = [
                    text for text in wire.seen.get((*managed, dst, job["dport"]), []) if text.startswith("icmp")
                ]
                verdict = "rejected" if refusals else "filtered"
            else:
                verdict = judge(
                    probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), wire, (*managed, dst, job["dport"])
                )
        except OSError as error:
            verdict = judge(error.errno or 0, wire, (*managed, dst, job["dport"]) if managed else None)
        if verdict == "open" and job.get("greeting"):
            ready = select.select([probe], [], [], 15)[0]
            with contextlib.suppress(OSError):
                return "open" if ready and probe.recv(200) else "silent"
            return "silent"
        return verdict


def judge(number: int, wire: Wire, key: tuple[str, int, str, int] | None) -> str:
    """Tell a reset from an ICMP error: the socket's error is the same for both."""
    if number == 0:
        return "open"
    name = os.strerror(number)
    seen = wire.seen.get(key, []) if key else []
    deadline = time.monotonic() + 3
    while key and not seen and time.monotonic() < deadline:
        time.sleep(0.005)
        seen = wire.seen.get(key, [])
    if any(text.startswith("icmp") for text in seen):
        return "rejected"
    if number == 111:
        return "closed"
    if number in (110, 113):
        return "filtered"
    return f"error: {name}"


def perform(jobs: list[Job], wire: Wire) -> list[str | None]:
    """Run the jobs side by side and return their verdicts in order."""
    verdicts: list[str | None] = [None] * len(jobs)

    def one(number: int) -> None:
        job = jobs[number]
        try:
            verdicts[number] = craft(job, wire) if job["kind"] == "craft" else connect(job, wire)
        except (OSError, SystemExit) as error:
            verdicts[number] = f"error: {error}"

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(jobs))]
    for n in range(0, len(threads), 64):
        for thread in threads[n : n + 64]:
            thread.start()
        for thread in threads[n : n + 64]:
            thread.join()
    return verdicts


def start_as(user: str, jobs: list[Job]) -> tuple[int, int]:
    """Run jobs in a child as another user, so that owner matches see the user; return its number and its answer."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        wire = Wire()  # opened while still root
        if user:
            account = pwd.getpwnam(user)
            os.setgroups([])
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
        wire.start()
        with os.fdopen(writer, "w") as answer:
            json.dump(perform(jobs, wire), answer)
        os._exit(0)
    os.close(writer)
    return child, reader


def main() -> None:
    """Read the jobs, run those of each user in a child, write the verdicts in the order of the jobs."""
    jobs: list[Job] = json.load(sys.stdin)
    numbers: dict[str, list[int]] = {}
    for number, job in enumerate(jobs):
        numbers.setdefault(job.get("user") or "", []).append(number)
    children = {user: start_as(user, [jobs[number] for number in chosen]) for user, chosen in numbers.items()}
    verdicts: dict[int, str | None] = {}
    for user, (child, reader) in children.items():
        with os.fdopen(reader) as answer:
            verdicts.update(zip(numbers[user], json.load(answer)))
        os.waitpid(child, 0)
    json.dump([verdicts[number] for number in range(len(jobs))], sys.stdout)


if __name__ == "__main__":
    main()
