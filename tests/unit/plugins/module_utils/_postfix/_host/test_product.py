# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which tools a change calls: indexes are built where their source changed, and removed with their table."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host import product
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host.product import (
    EVERYWHERE,
    Postfix,
    indexed_tables,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.command import ENVIRONMENT, StepError

MAIN = "smtpd_client_restrictions = check_client_access hash:${config_directory}/mailhost/blocked-addresses\n"
GONE = b"  4194305\n"
"""One more than the highest number that Linux gives a process (proc_sys_kernel(5))."""


class Calls:
    """Notes the commands it is given, and lets a step fail."""

    def __init__(self, failing: str = "") -> None:
        self.commands: list[str] = []
        self.failing = failing

    def __call__(self, step: str, command: Sequence[str]) -> str:
        self.commands.append(" ".join(command))
        if step == self.failing:
            raise StepError(step, "no")
        return ""


@pytest.fixture
def postfix(tmp_path: Path) -> Postfix:
    (tmp_path / "mailhost").mkdir()
    return Postfix(str(tmp_path), str(tmp_path / "queue"))


def built(postfix: Postfix, *change: Any) -> list[str]:
    calls = Calls()
    postfix.build(calls, postfix.details(*change))
    return calls.commands


def test_indexed_tables_are_the_managed_ones_with_an_index() -> None:
    others = "x = cidr:${config_directory}/mailhost/a.cidr, lmdb:${config_directory}/mailhost/b\n"
    text = f"{MAIN}{others}alias_maps = hash:/etc/aliases\n"
    assert indexed_tables(text) == {"blocked-addresses": "hash", "b": "lmdb"}


def test_index_is_built_where_its_source_changed(postfix: Postfix) -> None:
    table = postfix.table("blocked-addresses")
    command = f"postmap -c {postfix.folder} hash:{table}"
    assert postfix.built(postfix.details("", MAIN, [table])) == [f"{table}.db"]
    assert built(postfix, "", MAIN, [table]) == [command]
    Path(f"{table}.db").touch()
    assert built(postfix, MAIN, MAIN, []) == []
    assert built(postfix, MAIN, MAIN, [table]) == [command]
    Path(f"{table}.db").unlink()
    assert built(postfix, MAIN, MAIN, []) == [command]


def test_change_of_type_removes_the_former_index(postfix: Postfix) -> None:
    table = postfix.table("blocked-addresses")
    Path(f"{table}.db").touch()
    assert built(postfix, MAIN, MAIN.replace("hash:", "lmdb:"), []) == [f"postmap -c {postfix.folder} lmdb:{table}"]
    assert not Path(f"{table}.db").exists()


def test_index_is_removed_with_its_table(postfix: Postfix) -> None:
    table = postfix.table("blocked-addresses")
    Path(f"{table}.db").touch()
    assert postfix.built(postfix.details(MAIN, "", [table])) == [f"{table}.db"]
    assert built(postfix, MAIN, "", [table]) == []
    assert not Path(f"{table}.db").exists()


def test_stopped_postfix_is_not_reloaded(postfix: Postfix) -> None:
    stopped, running = Calls("postfix status"), Calls()
    postfix.activate(stopped, {})
    postfix.activate(running, {})
    status = f"postfix -c {postfix.folder} status"
    assert stopped.commands == [status]
    assert running.commands == [status, f"postfix -c {postfix.folder} reload"]


LOOPBACK = ("127.0.0.1", "::1")
NAMES = {"mail.example": ("198.51.100.12", "2001:db8::12"), "v4.example": ("198.51.100.4",)}


@pytest.mark.parametrize(
    ("interfaces", "protocols", "listens", "tried"),
    [
        ("all", "all", EVERYWHERE, LOOPBACK),
        ("", "", EVERYWHERE, LOOPBACK),
        ("All", "ipv4", EVERYWHERE[:1], LOOPBACK[:1]),
        ("mail.example", "all", NAMES["mail.example"], NAMES["mail.example"]),
        ("mail.example, [2001:db8::1]", "ipv6", ("2001:db8::12", "2001:db8::1"), ("2001:db8::12", "2001:db8::1")),
        ("192.0.2.1 loopback-only 192.0.2.1", "all", ("192.0.2.1", *LOOPBACK), ("192.0.2.1", *LOOPBACK)),
        ("v4.example, gone.example", "all", EVERYWHERE, LOOPBACK),
        ("$myhostname", "all", EVERYWHERE, LOOPBACK),
    ],
)
def test_addresses_follow_interfaces_and_protocols(
    monkeypatch: pytest.MonkeyPatch, interfaces: str, protocols: str, listens: tuple[str, ...], tried: tuple[str, ...]
) -> None:
    def resolve(name: str, *_args: object, **_named: object) -> list[tuple[object, ...]]:
        if "." not in name and ":" not in name:
            raise socket.gaierror(-2, "Name or service not known")
        if name == "gone.example":
            raise socket.gaierror(-3, "Temporary failure in name resolution")
        return [(None, None, None, "", (address, 0)) for address in NAMES.get(name, (name,))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    found = Postfix("/x", "/y", interfaces, protocols)
    assert (found.interfaces, found.addresses) == (listens, tried)


def test_discovery_reads_expanded_parameters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("main.cf", "master.cf"):
        (tmp_path / name).touch()
    calls: list[list[str]] = []
    said = (
        f"config_directory = {tmp_path}\nqueue_directory = /queue\ninet_interfaces = 192.0.2.1\ninet_protocols = all\n"
    )

    def run_tool(_step: str, command: list[str]) -> str:
        calls.append(command)
        return said

    monkeypatch.setattr(product, "run_tool", run_tool)
    found = product.discover()
    assert (found.folder, found.queue, found.interfaces) == (str(tmp_path), "/queue", ("192.0.2.1",))
    assert calls == [["postconf", "-x", "config_directory", "queue_directory", "inet_interfaces", "inet_protocols"]]


@pytest.fixture(params=[(b"220 mail.example ESMTP\r\n", True), (b"421 too busy\r\n", False), (b"", False)])
def answering(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[bool]:
    banner, alive = request.param
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(product, "SMTP_PORT", server.getsockname()[1])

        def serve() -> None:
            connection, _peer = server.accept()
            with connection:
                connection.sendall(banner)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield alive
        thread.join(60)


def test_server_with_a_banner_is_alive(answering: bool) -> None:
    one = Postfix("/x", "/y")
    one.addresses = ("127.0.0.1",)
    assert one.alive() is answering


def test_server_without_a_listener_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(product, "SMTP_PORT", server.getsockname()[1])
    assert not Postfix("/x", "/y").alive()


@pytest.mark.parametrize(
    ("noted", "runs"),
    [(None, None), (b"", None), (b"not a number\n", None), (b"        1\n", True), (GONE, False)],
)
def test_master_that_is_gone_does_not_run(postfix: Postfix, noted: bytes | None, runs: bool | None) -> None:
    if noted is not None:
        folder = Path(postfix.queue, "pid")
        folder.mkdir(parents=True)
        (folder / "master.pid").write_bytes(noted)
    assert postfix.runs() is runs


@pytest.mark.parametrize(
    ("table", "errors"),
    [
        ("regexp:/no", ["warning: main.cf, line 9: overriding earlier entry", "open /no: No such file or directory"]),
        ("ldap:/slow", ["postmap: no end after 15 seconds"]),
    ],
)
def test_errors_of_a_lookup_are_those_of_postmap(
    monkeypatch: pytest.MonkeyPatch, table: str, errors: list[str]
) -> None:
    def call(_step: str, command: Sequence[str], _seconds: float) -> tuple[int, str, str]:
        assert command == ("postmap", "-c", "/etc/postfix", "-q", "x", table)
        if table == "ldap:/slow":
            raise StepError("postmap", "postmap: no end after 15 seconds")
        noise = "postmap: warning: main.cf, line 9: overriding earlier entry\n"
        return 1, "", f"{noise}/usr/sbin/postmap: fatal: open /no: No such file or directory\n"

    monkeypatch.setattr(product, "call", call)
    assert Postfix("/etc/postfix", "/queue").table_errors(table) == errors


def test_missing_postfix_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(ENVIRONMENT, "PATH", str(tmp_path))
    with pytest.raises(StepError) as caught:
        product.discover()
    assert str(caught.value) == (
        "discover: Postfix is not installed on this host; install its package (postfix on Debian, Ubuntu and EL), or "
        "leave the host out of those with mailhost_mail_server: postfix\nnothing was changed"
    )
