"""The clients of the server, and a DNSBL with a key."""

from __future__ import annotations

from mailhost_lab.addresses import POSTFIX
from mailhost_lab.mail.clients import Clients

CLIENTS = Clients(POSTFIX, "post@mail.example")
client, letter = CLIENTS.client, CLIENTS.letter

KEY = "k123456789abcdefghijklmnop"
KEYED = f"{KEY}.keyed.dnsbl.example"

ADDED = ("198.51.100.22", "198.51.100.23", "2001:db8:100::22", "2001:db8:100::23")
"""Addresses that `external` has while the tests run: .22 is on the keyed list, .23 too but exempt."""

INNER = {4: "198.51.100.84", 6: "2001:db8:200::84"}
