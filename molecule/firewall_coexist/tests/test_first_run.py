"""What stops a first run: mail in use that nobody declared, and others who would fight with us."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

import pytest
import yaml
from hostview import packet_filter, until
from probes import Lab

if TYPE_CHECKING:
    from collections.abc import Iterator

    from plays import Run

Step = Callable[..., "Run"]

CLOSE = {"firewall_close_services": ["imap", "imaps", "pop3", "pop3s"]}

# A client that has fetched a greeting, waits for a word on its standard input, and then asks on.
POP3_CLIENT = """
import pathlib, socket, sys, time
with socket.create_connection((sys.argv[1], 110), 10) as session:
    session.recv(500)
    print("connected", flush=True)
    go = pathlib.Path("/run/pop3-go")
    deadline = time.monotonic() + 120
    while not go.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    session.sendall(b"CAPA\\r\\n")
    pathlib.Path("/run/pop3-answer").write_bytes(session.recv(500))
"""


@pytest.fixture(scope="module", autouse=True)
def _new_host(new_host: None) -> None:
    """Give this module a host on which the role has never run."""


@pytest.fixture(scope="module")
def open_session(lab: Lab) -> str:
    """Leave a POP3 session open from the mail host to the remote server; return the server's address."""
    server = lab.address("remote", "outside", 4)
    start = 'python3 -c "$0" "$1" > /run/pop3-client 2>&1 < /dev/null &'
    lab.run("mailhost", ["sh", "-c", start, POP3_CLIENT, server])
    connected = ["grep", "-q", "connected", "/run/pop3-client"]
    until("the session is open", lambda: lab.run("mailhost", connected, check=False).returncode == 0)
    return server


def paste_list(message: str, variable: str) -> list[dict[str, Any]]:
    """Return the list that stands in a message behind the name of its variable, as a user pastes it."""
    lines = message.splitlines()
    start = next(number for number, line in enumerate(lines) if variable in line and line.endswith(":"))
    found = []
    for line in lines[start + 1 :]:
        if not line.strip().startswith("- "):
            break
        found.append(line)
    return list(yaml.safe_load("\n".join(found)))


@pytest.fixture(scope="module")
def state() -> dict[str, Any]:
    """Return what a test hands on to the next one."""
    return {}


def test_what_is_in_use_and_not_declared_stops_the_run(refused: Step, open_session: str, state: dict[str, Any]) -> None:
    done = refused()
    state["list"] = paste_list(done.message, "mailhost_services")
    state["close"] = paste_list(done.message, "firewall_close_services")
    for name in ("imap", "imaps", "pop3", "pop3s"):
        assert {"service": name, "direction": "server"} in state["list"]
        assert name in state["close"]
    assert {"service": "pop3", "direction": "client", "peers": [open_session]} in state["list"]
    assert "Nothing was changed." in done.message


def test_with_only_a_part_declared_the_rest_is_listed(refused: Step, open_session: str) -> None:
    done = refused(
        mailhost_services=[
            {"service": "smtp", "direction": "server"},
            {"service": "smtp", "direction": "client"},
            {"service": "imap", "direction": "server"},
            {"service": "pop3", "direction": "client", "peers": ["192.0.2.0/24"]},
        ],
        firewall_close_services=["imaps", "pop3s"],
    )
    assert paste_list(done.message, "mailhost_services") == [
        {"service": "pop3", "direction": "server"},
        {"service": "pop3", "direction": "client", "peers": [open_session]},
    ]


def test_ufw_would_fight(lab: Lab, refused: Step) -> None:
    lab.run("mailhost", ["sh", "-ec", "mkdir /etc/ufw; echo ENABLED=yes > /etc/ufw/ufw.conf"])
    assert "ufw is active" in refused(**CLOSE).message
    lab.run("mailhost", ["rm", "-r", "/etc/ufw"])


FIREWALLD = """
printf '#!/bin/sh\\nexec sleep infinity\\n' > /usr/sbin/firewalld
chmod 755 /usr/sbin/firewalld
printf '[Service]\\nExecStart=/usr/sbin/firewalld\\n' > /etc/systemd/system/firewalld.service
systemctl daemon-reload
systemctl start firewalld
"""
FIREWALLD_GONE = """
systemctl stop firewalld
rm /usr/sbin/firewalld /etc/systemd/system/firewalld.service
systemctl daemon-reload
"""


@pytest.fixture
def _firewalld(lab: Lab) -> Iterator[None]:
    lab.run("mailhost", ["sh", "-ec", FIREWALLD])
    yield
    lab.run("mailhost", ["sh", "-ec", FIREWALLD_GONE])


@pytest.mark.usefixtures("_firewalld")
def test_firewalld_would_fight(refused: Step) -> None:
    assert "firewalld is active" in refused(**CLOSE).message


def test_the_list_makes_the_run_pass_and_the_session_lives_on(
    lab: Lab, step: Step, open_session: str, state: dict[str, Any]
) -> None:
    assert open_session
    flows = state["list"]
    if not any(flow["service"] == "smtp" for flow in flows):
        flows = [{"service": "smtp", "direction": direction} for direction in ("server", "client")] + flows
    step(changed=True, mailhost_services=flows)
    answered = "touch /run/pop3-go; for n in $(seq 100); do [ -s /run/pop3-answer ] && break; sleep 0.05; done"
    assert "+OK" in lab.run("mailhost", ["sh", "-c", f"{answered}; cat /run/pop3-answer"]).stdout
    step(changed=False, mailhost_services=flows)


def test_chains_of_ours_in_both_variants_are_refused(lab: Lab, refused: Step, variant: str) -> None:
    other = "nft" if variant == "legacy" else "legacy"
    lab.run("mailhost", [f"iptables-{other}", "-N", "MAILHOST-IN"])
    found = packet_filter(lab)
    assert any(f"-{other}-save" in line for line in found.ours)
    message = refused(**CLOSE).message
    assert "both iptables-nft and iptables-legacy hold chains named MAILHOST-" in message
    lab.run("mailhost", [f"iptables-{other}", "-X", "MAILHOST-IN"])
