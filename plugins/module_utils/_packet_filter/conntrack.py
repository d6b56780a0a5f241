# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Register sessions with the kernel's connection tracking that were open before it was in use.

Tracking begins with the first rule that needs it. A session that is older is
then seen as a new connection without its SYN, and strict rules would drop it.
The messages are those of ctnetlink (linux/netfilter/nfnetlink_conntrack.h),
as conntrack(8) sends them for ``-I``.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable
from typing import NamedTuple

from .sockets import tcp_sockets

NETLINK_NETFILTER = 12
NEW_ENTRY = 1 << 8
"""nfnetlink subsystem 1 (ctnetlink), message 0 (IPCTNL_MSG_CT_NEW)."""
REQUEST_ACK_CREATE_EXCLUSIVE = 0x1 | 0x4 | 0x400 | 0x200
NESTED = 0x8000
TUPLE_ORIGINAL, TUPLE_REPLY, STATUS, PROTOCOL_INFO, TIMEOUT = 1, 2, 3, 4, 7
SEEN_REPLY_ASSURED_CONFIRMED = 1 << 1 | 1 << 2 | 1 << 3
TCP_ESTABLISHED = 3
BE_LIBERAL = b"\x0a\x0a"
"""Flags and mask, SACK permitted and liberal: the windows of the session are not known, so they are not checked."""
ESTABLISHED_SECONDS = 432000
"""The kernel's own timeout of an idle session (nf_conntrack_tcp_timeout_established)."""


class TcpSession(NamedTuple):
    """An open TCP session as the side that opened it sees it: its address and port, and those it connected to."""

    client: str
    client_port: int
    server: str
    server_port: int


def track_open_sessions() -> list[str]:
    """Register the host's open TCP sessions; returns what failed, as warnings."""
    listeners, endpoints = tcp_sockets()
    served = {listener.port for listener in listeners}
    sessions = [
        TcpSession(found.remote, found.remote_port, found.address, found.port)
        if found.port in served
        else TcpSession(found.address, found.port, found.remote, found.remote_port)
        for found in endpoints
    ]
    try:
        failed = _register(sessions)
    except OSError as error:
        return [f"the kernel does not let connection tracking be filled ({error}); open mail sessions will end"]
    return [f"{failed} open sessions could not be added to connection tracking and will end"] if failed else []


def _register(sessions: Iterable[TcpSession]) -> int:
    """Add sessions to connection tracking; returns how many the kernel rejected."""
    failed = 0
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as channel:
        channel.settimeout(5)
        for number, session in enumerate(sessions, start=1):
            channel.sendto(_message(session, number), (0, 0))
            answer = channel.recv(8192)
            code = -struct.unpack_from("=i", answer, 16)[0]
            failed += code not in (0, errno.EEXIST)
    return failed


def _message(session: TcpSession, number: int) -> bytes:
    family = socket.AF_INET6 if ":" in session.client else socket.AF_INET
    client, server = (socket.inet_pton(family, address) for address in (session.client, session.server))
    state = _attribute(1, struct.pack("=B", TCP_ESTABLISHED)) + _attribute(4, BE_LIBERAL) + _attribute(5, BE_LIBERAL)
    body = (
        struct.pack("=BBH", family, 0, 0)
        + _tuple(TUPLE_ORIGINAL, client, session.client_port, server, session.server_port)
        + _tuple(TUPLE_REPLY, server, session.server_port, client, session.client_port)
        + _attribute(STATUS, struct.pack("!I", SEEN_REPLY_ASSURED_CONFIRMED))
        + _attribute(PROTOCOL_INFO | NESTED, _attribute(1 | NESTED, state))
        + _attribute(TIMEOUT, struct.pack("!I", ESTABLISHED_SECONDS))
    )
    return struct.pack("=IHHII", 16 + len(body), NEW_ENTRY, REQUEST_ACK_CREATE_EXCLUSIVE, number, 0) + body


def _tuple(kind: int, source: bytes, source_port: int, destination: bytes, port: int) -> bytes:
    first = 1 if len(source) == 4 else 3
    addresses = _attribute(first, source) + _attribute(first + 1, destination)
    protocol = _attribute(1, struct.pack("=B", socket.IPPROTO_TCP))
    ports = _attribute(2, struct.pack("!H", source_port)) + _attribute(3, struct.pack("!H", port))
    return _attribute(kind | NESTED, _attribute(1 | NESTED, addresses) + _attribute(2 | NESTED, protocol + ports))


def _attribute(kind: int, value: bytes) -> bytes:
    """Return a netlink attribute, padded to four bytes (netlink(7))."""
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)
