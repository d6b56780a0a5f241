# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ports that a change makes Postfix listen on, and the one at which it has to send its banner.

Where another program has such a port, master(8) ends, and with it all mail.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator

from .context import Conflict, Context, Finding, Warn


def taken_ports(context: Context) -> Iterator[Finding]:
    """Find mail ports that only the new master.cf listens on, and that are in use all the same."""
    new = {one.port for one in context.composed.master} - {one.port for one in context.live.master}
    taken = [port for port in sorted(new) if any(_in_use(address, port) for address in context.host.interfaces)]
    if context.changed and taken:
        yield Conflict(
            "ports",
            f"port {', '.join(map(str, taken))} is in use, and not by a service of master.cf: Postfix would end where "
            "it cannot listen; stop the other program, or write postfix_submission: false where it serves submission",
        )


def silent_server(context: Context) -> Iterator[Finding]:
    """Warn where Postfix runs without a banner: it needs none after the change, and is not tested then."""
    host = context.host
    if context.changed and host.runs() and not host.alive():
        yield Warn(
            f"Postfix runs, but port 25 sends no banner at {', '.join(host.addresses)}: after the change the live "
            "Postfix is not tested against the policy, only whether it still runs"
        )


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
