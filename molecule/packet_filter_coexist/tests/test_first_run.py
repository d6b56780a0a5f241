"""What stops a first run: services in use that are not declared, and other managers of the packet filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable

import pytest
import yaml

from mailhost_lab.packets.host_state import packet_filter
from mailhost_lab.packets.probes import Lab
from mailhost_lab.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhost_lab.runs.plays import Run

Step = Callable[..., "Run"]

CLOSE = {"packet_filter_close_services": ["imap", "imaps", "pop3", "pop3s"]}
"""With it, nothing else stops a first run."""

# A client that has fetched a greeting, and asks on when the file next to its answers says so.
POP3_CLIENT = """
import os, pathlib, socket, sys, time
server, name = sys.argv[1:]
with socket.create_connection((server, 110), 60) as session:
    pathlib.Path(name, "greeting").write_bytes(session.recv(500))
    deadline = time.monotonic() + 3600
    while not os.path.exists(f"{name}/go") and time.monotonic() < deadline:
        time.sleep(0.02)
    session.sendall(b"CAPA\\r\\n")
    pathlib.Path(name, "answer").write_bytes(session.recv(500))
"""


class Session:
    """A POP3 session that the mail host has with the remote server; its ends are files on the mail host."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab, self.folder = lab, f"/run/{name}"
        self.server = lab.address("remote", "external", 4)
        start = 'mkdir "$2"; python3 -c "$0" "$1" "$2" > "$2/log" 2>&1 < /dev/null &'
        lab.run("mailhost", ["sh", "-c", start, POP3_CLIENT, self.server, self.folder])
        until("the session is open", lambda: self.got("greeting"))

    def got(self, name: str) -> bool:
        """Whether the server has said something that is not an error."""
        return self.lab.run("mailhost", ["grep", "-q", "+OK", f"{self.folder}/{name}"], check=False).returncode == 0

    def goes_on(self) -> None:
        """Ask something in the session and wait for the answer."""
        self.lab.run("mailhost", ["touch", f"{self.folder}/go"])
        until("the session goes on", lambda: self.got("answer"))


@pytest.fixture(scope="module", autouse=True)
def _new_host(new_host: None) -> None:
    """Give this module a host on which the role has never run."""


@pytest.fixture(scope="module")
def session(lab: Lab) -> Session:
    """Leave a POP3 session open from the mail host to the remote server."""
    return Session(lab, "session")


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


def test_undeclared_service_in_use_stops_the_run(stopped: Step, session: Session, state: dict[str, Any]) -> None:
    done = stopped()
    state["list"] = paste_list(done.message, "mailhost_services")
    state["close"] = paste_list(done.message, "packet_filter_close_services")
    for name in ("imap", "imaps", "pop3", "pop3s"):
        assert {"service": name, "direction": "server"} in state["list"]
        assert name in state["close"]
    assert {"service": "pop3", "direction": "client", "peers": [session.server]} in state["list"]
    assert "Nothing was changed." in done.message


def test_partly_declared_services_stop_the_run_with_the_rest(stopped: Step, session: Session) -> None:
    done = stopped(
        mailhost_services=[
            {"service": "smtp", "direction": "server"},
            {"service": "smtp", "direction": "client"},
            {"service": "imap", "direction": "server"},
            {"service": "pop3", "direction": "client", "peers": ["192.0.2.0/24"]},
        ],
        packet_filter_close_services=["imaps", "pop3s"],
    )
    assert paste_list(done.message, "mailhost_services") == [
        {"service": "pop3", "direction": "server"},
        {"service": "pop3", "direction": "client", "peers": [session.server]},
    ]


def test_unmanaged_rules_decide_the_iptables_variant(lab: Lab, harden: Step, variant: str) -> None:
    other = "nft" if variant == "legacy" else "legacy"
    assert harden(check=True, **CLOSE).results[-1]["result"]["backend"] == variant
    theirs = ["INPUT", "-p", "udp", "--dport", "7", "-j", "DROP"]
    lab.run("mailhost", [f"ip6tables-{other}", "-A", *theirs])
    assert harden(check=True, **CLOSE).results[-1]["result"]["backend"] == other
    lab.run("mailhost", [f"ip6tables-{other}", "-D", *theirs])


def test_active_ufw_stops_the_run(lab: Lab, stopped: Step) -> None:
    lab.run("mailhost", ["sh", "-ec", "mkdir -p /etc/ufw; echo ENABLED=yes > /etc/ufw/ufw.conf"])
    assert "ufw is active" in stopped(**CLOSE).message
    lab.run("mailhost", ["rm", "/etc/ufw/ufw.conf"])


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
def test_active_firewalld_stops_the_run(stopped: Step) -> None:
    assert "firewalld is active" in stopped(**CLOSE).message


@pytest.mark.usefixtures("session")
def test_first_run_passes_with_all_services_declared(step: Step, state: dict[str, Any]) -> None:
    step(changed=True, mailhost_services=state["list"])
    step(changed=False, mailhost_services=state["list"])


def test_session_of_an_allowed_flow_survives_a_policy_change(lab: Lab, harden: Step, state: dict[str, Any]) -> None:
    younger = Session(lab, "younger")
    assert harden(mailhost_services=state["list"], packet_filter_log_denied_per_minute=9).changed
    younger.goes_on()


def test_session_of_a_declared_flow_survives_the_first_run(session: Session) -> None:
    session.goes_on()


def test_managed_chains_in_both_variants_stop_the_run(lab: Lab, stopped: Step, variant: str) -> None:
    other = "nft" if variant == "legacy" else "legacy"
    lab.run("mailhost", [f"iptables-{other}", "-N", "MAILHOST-IN"])
    found = packet_filter(lab)
    assert any(f"-{other}-save" in line for line in found.managed)
    message = stopped(**CLOSE).message
    assert "both iptables-nft and iptables-legacy hold chains named MAILHOST-" in message
    lab.run("mailhost", [f"iptables-{other}", "-X", "MAILHOST-IN"])
