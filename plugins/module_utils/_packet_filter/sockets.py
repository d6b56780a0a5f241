# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sockets in use on a mail host, and the SSH connection of the run.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .._policy.networks import NetworkError, parse_address

ANCESTORS = 32
"""Processes to search for the SSH connection; a chain of sudo and shells has about six."""
ESTABLISHED, SYN_SENT, TIME_WAIT, CLOSE_WAIT, LISTEN, UNCONNECTED = "01", "02", "06", "08", "0A", "07"
"""States in /proc/net/tcp and /proc/net/udp (linux/include/net/tcp_states.h)."""
OPEN = (ESTABLISHED, CLOSE_WAIT)
RECENT = (*OPEN, SYN_SENT, TIME_WAIT)
"""Sessions that are or just were open: a poll that ended a minute ago is use as well."""


class SshConnection(NamedTuple):
    """The live SSH connection: the controller's address, and the host's with the port it came to."""

    controller: str
    address: str
    port: int


class Endpoint(NamedTuple):
    """A TCP or UDP socket of the host: local and remote address and port; the remote port of a listener is 0."""

    address: str
    port: int
    remote: str
    remote_port: int


class SocketsInUse(NamedTuple):
    """The sockets of a host, none of them on loopback.

    ``listeners``: for TCP. ``sessions``: of TCP, open now or a moment ago; ``ended``: those of them that are not open
    now. ``udp``: listeners for UDP.
    """

    listeners: Sequence[Endpoint]
    sessions: Sequence[Endpoint]
    udp: Sequence[Endpoint]
    ended: Sequence[Endpoint] = ()

    @classmethod
    def read(cls) -> SocketsInUse:
        """Read the sockets of this host."""
        udp = {endpoint for endpoint, state in _sockets("udp") if state == UNCONNECTED and endpoint.port}
        listeners, recent = tcp_sockets(RECENT)
        return cls(listeners, recent, sorted(udp), sorted(set(recent) - set(tcp_sockets(OPEN)[1])))

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> SocketsInUse:
        """Read what ``to_dict`` returned."""
        return cls(*([Endpoint(**endpoint) for endpoint in raw[name]] for name in cls._fields))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for the way to the controller."""
        return {name: [endpoint._asdict() for endpoint in found] for name, found in self._asdict().items()}


def tcp_sockets(states: Sequence[str] = OPEN) -> tuple[list[Endpoint], list[Endpoint]]:
    """Return the host's TCP listeners, and its connections in these states, without those on loopback (proc(5))."""
    found = set(_sockets("tcp"))
    listeners = sorted(endpoint for endpoint, state in found if state == LISTEN)
    return listeners, sorted({endpoint for endpoint, state in found if state in states})


def _sockets(protocol: str) -> Iterator[tuple[Endpoint, str]]:
    for path in (f"/proc/net/{protocol}", f"/proc/net/{protocol}6"):
        try:
            with open(path, encoding="ascii") as file:
                lines = file.read().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            endpoint = Endpoint(*_address_and_port(words[1]), *_address_and_port(words[2]))
            if endpoint.address != "::1" and not endpoint.address.startswith("127."):
                yield endpoint, words[3]


def _address_and_port(text: str) -> tuple[str, int]:
    address, _colon, port = text.partition(":")
    packed = b"".join(
        bytes.fromhex(address[at : at + 8])[:: -1 if sys.byteorder == "little" else 1]
        for at in range(0, len(address), 8)
    )
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return _canonical(socket.inet_ntop(family, packed)), int(port, 16)


def without_network(transport: str, connection: SshConnection | None) -> str:
    """Return what a run's connection uses instead of the network, nothing where it comes over the network by SSH.

    ``transport``: the name of Ansible's connection plugin. Only SSH comes by the way that the packet filter could have
    closed: podman, docker, chroot and their like start a process on the host, and other plugins are not known.
    ``connection``: what the host sees of the run; from the host itself, packets come over its loopback interface.
    """
    name = transport.rpartition(".")[2]
    if "ssh" not in name and name != "smart":
        return f'the connection plugin "{name}"'
    own = connection is not None and connection.controller in ("::1", connection.address)
    if connection is not None and (own or connection.controller.startswith("127.")):
        return "the loopback interface of the host"
    return ""


def ssh_connection() -> SshConnection | None:
    """Return the live SSH connection of this run, also through sudo, or None where there is none.

    sudo removes SSH_CONNECTION from the environment, so the environments of the
    parent processes are read too. A daemon behind a proxy may say ``UNKNOWN``;
    that is none.
    """
    process = os.getpid()
    for _step in range(ANCESTORS):
        for variable in _read_proc(process, "environ").split("\0"):
            name, _equals, value = variable.partition("=")
            found = _parse_ssh_connection(value) if name == "SSH_CONNECTION" else None
            if found is not None:
                return found
        parents = [line for line in _read_proc(process, "status").splitlines() if line.startswith("PPid:")]
        process = int(parents[0].split()[1]) if parents else 0
        if process <= 1:
            break
    return None


def _read_proc(process: int, name: str) -> str:
    try:
        with open(f"/proc/{process}/{name}", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _parse_ssh_connection(value: str) -> SshConnection | None:
    words = value.split()
    if len(words) != 4 or not words[3].isdigit():
        return None
    controller, address = _canonical(words[0]), _canonical(words[2])
    try:
        parse_address(controller)
        parse_address(address)
    except NetworkError:
        return None
    return SshConnection(controller, address, int(words[3]))


def _canonical(address: str) -> str:
    """Return an address without its zone, and IPv4 in its own spelling."""
    bare = address.partition("%")[0]
    return bare[7:] if bare.lower().startswith("::ffff:") and "." in bare else bare
