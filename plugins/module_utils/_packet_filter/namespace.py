# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proof of a packet filter in a throw-away network namespace: the kernel loads it, and the controller can connect.

``iptables-nft-restore --test`` accepts a jump to a chain that does not exist;
the kernel does not. So the rules are really loaded, in a namespace of their own
where nothing listens and only packets of the proof arrive.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import socket
import time
from typing import Callable, NoReturn

from . import loader
from .sockets import SshConnection

CLONE_NEWNET, _CLONE_NEWNS = 0x40000000, 0x00020000
"""unshare(2)."""
_MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 32, 4096, 16384, 1 << 18
"""mount(2)."""
TIME_LIMIT = 120
"""Seconds for a whole proof; a million networks take a tenth of that."""
CONNECT_TIMEOUT = 2.0
"""Seconds for a handshake between two namespaces, which takes a thousandth of that."""


class NoNamespaceError(Exception):
    """The host does not allow a network namespace."""


def unshare_network() -> None:
    """Move the calling process into a new network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) != 0:
        raise NoNamespaceError(os.strerror(ctypes.get_errno()))


def make_settings_writable() -> None:
    """Let the calling process write the settings of its network namespace in a container, where /proc/sys is read-only.

    Its mounts are its own from then on. Where that is not allowed, all stays as it is.
    """
    libc = ctypes.CDLL(None)
    private = libc.unshare(_CLONE_NEWNS) == 0 and libc.mount(None, b"/", None, _MS_REC | _MS_PRIVATE, None) == 0
    if private:
        libc.mount(None, b"/proc/sys", None, _MS_REMOUNT | _MS_BIND, None)


def prove(directory: str, connection: SshConnection | None) -> list[str]:
    """Load the state in a directory in a namespace and try the controller's connection there.

    Returns what could not be tried, one sentence each. Raises LoadError where the
    kernel rejects the state or the state blocks the controller, and
    NoNamespaceError where the host allows no namespace.
    """

    def attempt() -> list[str]:
        loader.load(directory)
        return _try_connection(connection) if connection is not None else []

    return in_namespace(attempt) or []


def in_namespace(work: Callable[[], list[str] | None]) -> list[str] | None:
    """Run work in a forked process with a network namespace of its own, and return what it returns.

    Raises NoNamespaceError where the host allows no namespace, and LoadError for
    every other failure. Process and namespace are gone afterwards.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _report(writer, work)
    os.close(writer)
    try:
        outcome = json.loads(_read_all(reader, TIME_LIMIT) or '{"error": "the proof was killed"}')
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if "no_namespace" in outcome:
        raise NoNamespaceError(outcome["no_namespace"])
    if "error" in outcome:
        raise loader.LoadError(outcome["error"])
    return [str(note) for note in outcome["notes"] or []]


def _report(writer: int, work: Callable[[], list[str] | None]) -> NoReturn:
    try:
        unshare_network()
        outcome: dict[str, object] = {"notes": work()}
    except NoNamespaceError as error:
        outcome = {"no_namespace": str(error)}
    except loader.LoadError as error:
        outcome = {"error": str(error)}
    except BaseException as error:
        outcome = {"error": f"the proof failed: {error!r}"}
    os.write(writer, json.dumps(outcome).encode("utf-8"))
    os._exit(0)


def _read_all(reader: int, seconds: float) -> str:
    deadline = time.monotonic() + seconds
    data = b""
    while True:
        left = deadline - time.monotonic()
        ready, _write, _error = select.select([reader], [], [], max(0.0, left))
        if not ready:
            raise loader.LoadError(f"the proof did not end within {seconds:.0f} seconds")
        chunk = os.read(reader, 65536)
        if not chunk:
            return data.decode("utf-8")
        data += chunk


def _try_connection(connection: SshConnection) -> list[str]:
    """Open a TCP connection from the controller's address to the host's, between two namespaces."""
    if connection.controller == connection.address:
        return ["the controller is this host itself, so its connection was not tried"]
    if connection.controller.startswith("fe80:"):
        return ["the controller comes from a link-local address, so its connection was not tried"]
    family = socket.AF_INET6 if ":" in connection.controller else socket.AF_INET
    to_child, from_parent = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(from_parent)
        _be_controller(to_child, connection)
    os.close(to_child)
    try:
        _connect_namespaces(child, connection)
    except loader.LoadError as error:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return [f"the controller's connection could not be tried: {error}"]
    with socket.create_server((connection.address, connection.port), family=family, backlog=1):
        os.write(from_parent, b"go")
        os.close(from_parent)
        _pid, status = os.waitpid(child, 0)
    if status != 0:
        raise loader.LoadError(
            f"the new rules would block SSH from the controller {connection.controller} to port {connection.port}"
        )
    return []


def _connect_namespaces(child: int, connection: SshConnection) -> None:
    """Connect this namespace and the child's by a veth pair, once the child has one."""
    own = os.readlink("/proc/self/ns/net")
    deadline = time.monotonic() + CONNECT_TIMEOUT
    while os.readlink(f"/proc/{child}/ns/net") == own:
        if time.monotonic() > deadline:
            raise loader.LoadError("a second network namespace did not come up")
        time.sleep(0.005)
    loader.run(["ip", "link", "add", "proof0", "type", "veth", "peer", "name", "proof1", "netns", str(child)])
    _configure("proof0", connection.address, connection.controller)


def _configure(device: str, address: str, peer: str) -> None:
    """Give a device an address, and a route to its peer."""
    # Without duplicate address detection an IPv6 address is usable at once.
    version, bits, flags = ("-6", "128", ["nodad"]) if ":" in address else ("-4", "32", [])
    loader.run(["ip", version, "address", "add", f"{address}/{bits}", "dev", device, *flags])
    loader.run(["ip", "link", "set", device, "up"])
    loader.run(["ip", version, "route", "add", f"{peer}/{bits}", "dev", device])


def _be_controller(to_child: int, connection: SshConnection) -> NoReturn:
    code = 1
    try:
        unshare_network()
        if os.read(to_child, 2) == b"go":
            _configure("proof1", connection.controller, connection.address)
            server, source = (connection.address, connection.port), (connection.controller, 0)
            with socket.create_connection(server, CONNECT_TIMEOUT, source_address=source):
                code = 0
    except (OSError, NoNamespaceError, loader.LoadError):
        code = 1
    os._exit(code)


def test_only(directory: str) -> list[str]:
    """Have iptables-restore test the rules where no namespace is allowed; returns what could not be tested."""
    state = loader.State.read(directory)
    if loader.read_text(directory, "sets"):
        return ["rules that need new sets could not be tested"]
    for family in loader.FAMILIES:
        text = loader.read_text(directory, family)
        if text:
            loader.run([loader.command(family, state.backend, "restore"), "--test", "--noflush"], text)
    return []
