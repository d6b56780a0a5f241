"""Clients of a server of the lab, by the address that they have."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from mailhost_lab.addresses import EXTERNAL, INTERNAL, NETWORKS, REMOTE
from mailhost_lab.mail.dialogues import Dialogue

if TYPE_CHECKING:
    from mailhost_lab.addresses import Host


class Clients:
    """The clients of one of the servers; usual messages are for its `recipient`."""

    def __init__(self, server: Host, recipient: str) -> None:
        self.server = server
        self.recipient = recipient

    def client(self, address: str, **values: Any) -> Dialogue:
        """Return what a client of this address says, an address of `external` where no other host has it."""
        family = ipaddress.ip_address(address).version
        near = NETWORKS["internal"]
        internal = ipaddress.ip_network(near.subnet4 if family == 4 else near.subnet6)
        network = "internal" if ipaddress.ip_address(address) in internal else "external"
        others = {host.address(place, family): host for host, place in ((REMOTE, "external"), (INTERNAL, "internal"))}
        host = others.get(address, EXTERNAL)
        return Dialogue(host.name, self.server.address(network, family), source=address, **values)

    def letter(self, address: str, **values: Any) -> Dialogue:
        """Return the dialogue of a usual message from a client of this address."""
        return self.client(address, **{"mail_from": "a@sender.example", "rcpt_to": (self.recipient,), **values})
