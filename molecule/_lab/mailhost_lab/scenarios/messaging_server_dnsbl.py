"""The clients of the server, and a DNSBL with a key."""

from __future__ import annotations

from typing import Any

from mailhost_lab.addresses import MESSAGING
from mailhost_lab.mail.clients import Clients

CLIENTS = Clients(MESSAGING, "user@mail.example")
client, letter = CLIENTS.client, CLIENTS.letter

KEY = "k1234567890abcdefghijklmnop"
"""A paying user's secret label before a zone."""

KEYED = f"{KEY}.lists.example"
"""A list in the lab's DNS once the fixture `key` has put it there; it has 198.51.100.21, without a text."""

KEYED_LISTS = [{"zone": KEYED, "stage": "mail"}, {"zone": "good.dnsbl.example", "stage": "mail"}]
KEYED_POLICY: dict[str, Any] = {
    "mailhost_dnsbls": KEYED_LISTS,
    "mailhost_dnsbl_exempt_networks": ["198.51.100.30"],
    "messaging_server_sender_domain_check_form": "mapping",
}
