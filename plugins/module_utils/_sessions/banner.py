# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an SMTP server is there.

Private to this collection.
"""

from __future__ import annotations

import contextlib
import socket

SECONDS = 5.0


def greets(address: str, port: int) -> bool:
    """Whether a server greets with 220 within some seconds; a 421 is none (RFC 5321, section 4.3.1)."""
    with contextlib.suppress(OSError), socket.create_connection((address, port), SECONDS) as session:
        session.settimeout(SECONDS)
        banner = b""
        while len(banner) < 4:
            data = session.recv(512)
            if not data:
                return False
            banner += data
        if banner[:3] == b"220":
            with contextlib.suppress(OSError):
                session.sendall(b"QUIT\r\n")
                session.recv(512)  # else the server writes of a lost connection
            return True
    return False
