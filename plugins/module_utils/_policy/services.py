# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The service catalogue: names, ports and protocols of the flows that an inventory may declare.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from .errors import ReportedError, shown


class Service(NamedTuple):
    """A service: its name in rules and logs, its port on the server, and its protocols.

    ``client_ports`` is what the client side may use as source: the unprivileged
    ports (docs/reference/requirements.md#f1), one fixed port, or any (empty).
    """

    name: str
    port: int
    protocols: tuple[str, ...] = ("tcp",)
    client_ports: str = "1024:65535"


class UnknownServiceError(ReportedError):
    """A value that is neither in the catalogue nor a port, with the accepted form."""


MAIL_SERVICES: dict[str, Service] = {
    service.name: service
    for service in (
        Service("smtp", 25),  # RFC 5321
        Service("pop3", 110),  # RFC 1939
        Service("imap", 143),  # RFC 9051
        Service("submissions", 465),  # RFC 8314
        Service("submission", 587),  # RFC 6409
        Service("imaps", 993),  # RFC 8314
        Service("pop3s", 995),  # RFC 8314
        Service("managesieve", 4190),  # RFC 5804
    )
}
"""Mail services: what the scope ``mail`` decides about."""

HOST_SERVICES: dict[str, Service] = {
    service.name: service
    for service in (
        Service("ssh", 22),
        Service("dns", 53, ("udp", "tcp")),
        Service("dhcp", 67, ("udp",), "68"),  # RFC 2131; IPv6: 546 and 547, RFC 8415
        Service("http", 80),
        Service("ntp", 123, ("udp",), ""),  # RFC 5905 lets client and server use port 123
        Service("https", 443),
    )
}
"""What a host needs beside mail, for the scope ``host``."""

ALL_SERVICES: dict[str, Service] = {**MAIL_SERVICES, **HOST_SERVICES}


SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT = (
    MAIL_SERVICES[name].port for name in ("smtp", "submission", "submissions")
)


def find_service(value: object, catalogue: dict[str, Service]) -> Service:
    """Return the service for a catalogue name, a TCP port, or outside of the mail catalogue ``"51820/udp"``.

    Raises UnknownServiceError. A port that the catalogue knows is that service, so ``25`` and ``smtp`` cannot be
    declared side by side.
    """
    if isinstance(value, str) and value in catalogue:
        return catalogue[value]
    if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,4}", value) and int(value) <= 65535:
        raise UnknownServiceError(f"{shown(value)} is text; write {value} without quotes")
    udp = catalogue is not MAIL_SERVICES and isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{0,4}/udp", value)
    port = int(str(value)[:-4]) if udp else value if isinstance(value, int) and not isinstance(value, bool) else None
    if port is None or not 1 <= port <= 65535:
        names = ", ".join(sorted(catalogue))
        further = ', or a UDP port as "51820/udp"' if catalogue is not MAIL_SERVICES else ""
        raise UnknownServiceError(
            f"{shown(value)} is not a service; write one of {names}, or a TCP port from 1 to 65535{further}"
        )
    for service in catalogue.values():
        if service.port == port and service.protocols == (("udp",) if udp else ("tcp",)):
            return service
    return Service(f"udp-{port}", port, ("udp",), "") if udp else Service(f"port-{port}", port)
