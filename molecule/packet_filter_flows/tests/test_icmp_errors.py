"""ICMP errors of the host's connections arrive, even where its own rules drop all ICMP."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from mailhost_lab.packets import endpoints

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhost_lab.packets.probes import Lab

# The mail host's connection is stopped by an ICMP error; what its socket hears is what a mail server would.
CONNECT = """
import os, socket, sys
with socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET) as client:
    client.settimeout(20)
    try:
        client.connect((sys.argv[1], int(sys.argv[2])))
    except socket.timeout:
        print("timeout")
    except OSError as error:
        print(error.strerror)
"""

# Opens a connection to port 25 and says in an ICMP error that a packet of its answer was too big. The error names
# the sequence number that the other side sends next, as the kernel believes no other.
TOO_BIG = """
import select, socket, struct, sys
target, mtu, six = sys.argv[1], int(sys.argv[2]), ":" in sys.argv[1]
family = socket.AF_INET6 if six else socket.AF_INET
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff
wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
with socket.create_connection((target, 25), 60, (sys.argv[3], 0)) as session:
    session.recv(200)
    own, sport = session.getsockname()[:2]
    addresses = socket.inet_pton(family, own) + socket.inet_pton(family, target)
    acknowledged = []
    while select.select([wire], [], [], 0.2)[0]:
        packet = wire.recv(2000)
        tcp = packet[40:] if six else packet[20:]
        if packet[8:40] == addresses or packet[12:20] == addresses:
            if tcp[:4] == struct.pack("!HH", sport, 25) and tcp[13] & 16:
                acknowledged.append(struct.unpack_from("!I", tcp, 8)[0])
    back = addresses[len(addresses) // 2:] + addresses[:len(addresses) // 2]
    inner = struct.pack("!HHII", 25, sport, acknowledged[-1], 0) + struct.pack("!BBHHH", 80, 16, 500, 0, 0)
    if six:
        body = struct.pack("!BBHI", 2, 0, 0, mtu) + struct.pack("!IHBB", 6 << 28, 1460, 6, 64) + back + inner
        protocol = socket.IPPROTO_ICMPV6
    else:
        body = struct.pack("!BBHHH", 3, 4, 0, 0, mtu)
        body += struct.pack("!BBHHHBBH", 69, 0, 1500, 1, 0x4000, 64, 6, 0) + back + inner
        body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        protocol = socket.IPPROTO_ICMP
    with socket.socket(family, socket.SOCK_RAW, protocol) as raw:
        raw.sendto(body, (target, 0))
    session.sendall(b"NOOP\\r\\n")
    print(session.recv(200).decode())
"""


@contextmanager
def rule(lab: Lab, host: str, family: int, *words: str) -> Iterator[None]:
    """Append a rule of the host's own while the block runs."""
    program = "iptables" if family == 4 else "ip6tables"
    lab.run(host, [program, "-A", *words])
    try:
        yield
    finally:
        lab.run(host, [program, "-D", *words])


@contextmanager
def icmp_errors_unwanted(lab: Lab, family: int) -> Iterator[None]:
    """Have the mail host's own rules drop the ICMP errors of which these tests make use."""
    kinds = ("destination-unreachable",) if family == 4 else ("destination-unreachable", "packet-too-big")
    words = [("-p", "icmp", "--icmp-type") if family == 4 else ("-p", "ipv6-icmp", "--icmpv6-type"), ("-j", "DROP")]
    with rule(lab, "mailhost", family, "INPUT", *words[0], kinds[0], *words[1]):
        if len(kinds) == 1:
            yield
        else:
            with rule(lab, "mailhost", family, "INPUT", *words[0], kinds[1], *words[1]):
                yield


@pytest.mark.parametrize("family", [4, 6])
def test_icmp_unreachable_ends_the_connection_attempt(lab: Lab, family: int) -> None:
    target = lab.address("remote", "external", family)
    answer = "icmp-host-unreachable" if family == 4 else "icmp6-addr-unreachable"
    refusal = ("INPUT", "-p", "tcp", "--dport", "2525", "-j", "REJECT", "--reject-with", answer)
    # remote's own rules reject; appending is enough as it has no others.
    with icmp_errors_unwanted(lab, family), rule(lab, "remote", family, *refusal):
        heard = lab.run("mailhost", ["python3", "-c", CONNECT, target, "2525"]).stdout.strip()
    assert heard == "No route to host"


@pytest.mark.parametrize(("family", "mtu"), [(4, 1000), (6, 1280)])
def test_icmp_too_big_lowers_the_path_mtu(lab: Lab, family: int, mtu: int) -> None:
    # An address of its own for every run: the host remembers for ten minutes.
    [number] = random.sample(range(45, 63), 1)
    peer = f"198.51.100.{number}" if family == 4 else f"2001:db8:100:0:e::{number}"
    target = lab.address("mailhost", "external", family)
    with endpoints.addresses(lab, "external", peer), icmp_errors_unwanted(lab, family):
        said = lab.run("external", ["python3", "-c", TOO_BIG, target, str(mtu), peer]).stdout
        learned = lab.run("mailhost", ["ip", f"-{family}", "route", "get", peer]).stdout
    assert said.startswith("250"), "the session goes on"
    assert f"mtu {mtu}" in learned
