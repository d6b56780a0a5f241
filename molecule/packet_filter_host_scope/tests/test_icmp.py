"""What IPv6 and every connection need of ICMP passes although the whole host is closed (RFC 4890)."""

from __future__ import annotations

import pytest

from mailhost_lab.packets.probes import Lab, Probe


def ping(lab: Lab, src: str, target: str) -> bool:
    """Whether an echo comes back."""
    return lab.run(src, ["ping", "-n", "-c", "1", "-W", "2", target], check=False).returncode == 0


@pytest.mark.parametrize(
    ("src", "dst", "network"),
    [
        ("external", "mailhost", "external"),
        ("internal", "mailhost", "internal"),
        ("mailhost", "remote", "external"),
    ],
)
def test_ipv6_echo_is_answered(lab: Lab, src: str, dst: str, network: str) -> None:
    assert ping(lab, src, lab.address(dst, network, 6))


def test_ipv6_neighbours_are_found_after_a_flush(lab: Lab) -> None:
    for host in ("mailhost", "external", "internal", "remote"):
        lab.run(host, ["ip", "-6", "neighbour", "flush", "all"])
    probes = [
        Probe("external", lab.address("mailhost", "external", 6), 25, greeting=True),
        Probe("internal", lab.address("mailhost", "internal", 6), 25, greeting=True),
        Probe("mailhost", lab.address("remote", "external", 6), 25, user="postfix", greeting=True),
    ]
    assert lab.batch(probes) == ["open"] * 3


# What the socket hears; `timeout` if the error did not come through.
CONNECT = """
import socket, sys
with socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET) as client:
    client.settimeout(20)
    try:
        client.connect((sys.argv[1], 443))
    except socket.timeout:
        print("timeout")
    except OSError as error:
        print(error.strerror)
"""


@pytest.mark.parametrize(
    ("family", "program", "answer"),
    [
        (4, "iptables", "icmp-host-unreachable"),
        (6, "ip6tables", "icmp6-addr-unreachable"),
    ],
)
def test_icmp_error_of_an_outgoing_connection_arrives(lab: Lab, family: int, program: str, answer: str) -> None:
    refusal = ["INPUT", "-p", "tcp", "--dport", "443", "-j", "REJECT", "--reject-with", answer]
    lab.run("remote", [program, "-A", *refusal])
    try:
        target = lab.address("remote", "external", family)
        heard = lab.run("mailhost", ["python3", "-c", CONNECT, target]).stdout.strip()
    finally:
        lab.run("remote", [program, "-D", *refusal])
    assert heard == "No route to host"
