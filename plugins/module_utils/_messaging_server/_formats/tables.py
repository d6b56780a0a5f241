# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables that the server probes: their names, and the text of each probe.

Source: docs/reference/messaging-server-facts.md#probes.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

PORT_ACCESS, INTERNAL_IP = "PORT_ACCESS", "INTERNAL_IP"
FROM_ACCESS = "FROM_ACCESS"
ORIG_SEND_ACCESS, ORIG_MAIL_ACCESS = "ORIG_SEND_ACCESS", "ORIG_MAIL_ACCESS"
SEND_ACCESS, MAIL_ACCESS = "SEND_ACCESS", "MAIL_ACCESS"

OWNED_TABLES = (PORT_ACCESS, INTERNAL_IP, ORIG_SEND_ACCESS, ORIG_MAIL_ACCESS)
"""The tables that the collection fills, in the order in which the server probes them."""

APPLICATION, SENDER, SOURCE, DESTINATION = "application", "sender", "source channel", "destination channel"

_CONNECTION = ("protocol", "server", "port", "client", "client port")
_MAIL = (*_CONNECTION, APPLICATION, "submission type")
_SEND = (SOURCE, SENDER, DESTINATION, "recipient")

PROBE_FIELDS = {
    PORT_ACCESS: _CONNECTION,
    FROM_ACCESS: (*_MAIL, SOURCE, SENDER, "user"),
    ORIG_SEND_ACCESS: _SEND,
    SEND_ACCESS: _SEND,
    ORIG_MAIL_ACCESS: (*_MAIL, *_SEND),
    MAIL_ACCESS: (*_MAIL, *_SEND),
}
"""The fields of a table's probes, which bars separate."""

FIXED_FIELDS = {table: len(PROBE_FIELDS[table]) for table in (PORT_ACCESS, SEND_ACCESS, ORIG_SEND_ACCESS)}
"""Number of fields of probes that always have as many. HELO and sender may add bars to the others."""

SAMPLE_SERVER, SAMPLE_CLIENT_PORT = "192.0.2.25", 40001
"""Ends of a connection of which only the client is known; the address is of a documentation range (RFC 5737)."""


def field_of(table: str, field: str) -> int | None:
    """Return the index of a field in the probes of a table; None where it has no such field."""
    fields = PROBE_FIELDS.get(table.upper(), ())
    return fields.index(field) if field in fields else None


def port_probe(client: str, server: str = SAMPLE_SERVER, port: int = 25, client_port: int = SAMPLE_CLIENT_PORT) -> str:
    """Return the probe of PORT_ACCESS, which also begins those of FROM_ACCESS and the tables of MAIL FROM."""
    return f"TCP|{server}|{port}|{client}|{client_port}"


def send_probe(source: str, sender: str, destination: str, recipient: str) -> str:
    """Return the probe of ORIG_SEND_ACCESS and SEND_ACCESS, which also ends those of ORIG_MAIL_ACCESS."""
    return f"{source}|{sender}|{destination}|{recipient}"
