# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports that a change makes Postfix listen on: where somebody else has one, master(8) ends, and with it all mail.

Private to this collection.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterable

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.files import read_master
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.services import PORTS

EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 (only tried, and closed at once)


def taken_ports(before: str, after: str, addresses: Iterable[str] = EVERYWHERE) -> list[int]:
    """Ports of ours that a new master.cf listens on, the one before did not, and that are in use all the same."""
    new = sorted(_ports(after) - _ports(before))
    return [port for port in new if any(_in_use(address, port) for address in addresses)]


def _ports(master: str) -> set[int]:
    names = [one.name.rpartition(":")[2] for one in read_master(master) if one.type == "inet"]
    return {PORTS[name] for name in names if name in PORTS}


def _in_use(address: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            one.bind((address, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
