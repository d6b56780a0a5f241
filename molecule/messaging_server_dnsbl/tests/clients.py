"""Who talks to the server."""

from __future__ import annotations

from typing import Any

from addresses import INSIDE, MESSAGING, OUTSIDE, REMOTE
from dialogues import Dialogue

HOSTS = {
    address: (host.name, target)
    for host, network in ((OUTSIDE, "outside"), (REMOTE, "outside"), (INSIDE, "inside"))
    for family in (4, 6)
    for target in [MESSAGING.address(network, family)]
    for address in [host.address(network, family), *(host.extra4 if family == 4 else host.extra6)]
}
"""By a client's address: the host that has it, and the server's address on that side."""


def client(address: str, **values: Any) -> Dialogue:
    """Return what a client of this address says."""
    host, target = HOSTS[address]
    return Dialogue(host, target, source=address, **values)


def letter(address: str, **values: Any) -> Dialogue:
    """Return the dialogue of a usual message from a client of this address."""
    return client(address, **{"mail_from": "a@stranger.example", "rcpt_to": ("user@mail.example",), **values})


KEY = "k1234567890abcdefghijklmnop"
"""What a paying user has in front of a zone, and shows to nobody."""

KEYED = f"{KEY}.lists.example"
"""A list in the lab's DNS once the fixture `key` has put it there; it has 198.51.100.21, without a text."""

KEYED_LISTS = [{"zone": KEYED, "stage": "mail"}, {"zone": "good.dnsbl.example", "stage": "mail"}]
KEYED_POLICY: dict[str, Any] = {
    "mailhost_dnsbls": KEYED_LISTS,
    "mailhost_dnsbl_exempt_networks": ["198.51.100.30"],
    "messaging_server_sender_domain_check_form": "mapping",
}
