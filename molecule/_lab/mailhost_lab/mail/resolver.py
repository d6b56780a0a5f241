"""The resolver of a host that has the folder resolver: what it was asked, and an outage of it."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhost_lab.packets.probes import Lab

LOG = "/var/log/lab-dns.log"
SETTINGS = "/opt/lab-resolver/dnsmasq.conf"
UNIT = "lab-dns.service"


def queries(lab: Lab, host: str) -> list[tuple[str, str]]:
    """What was asked since `forget`: (type, name)."""
    return re.findall(r"query\[(\w+)\] (\S+) from", lab.run(host, ["cat", LOG]).stdout)


def forget(lab: Lab, host: str) -> None:
    """Forget what was asked."""
    lab.run(host, ["sh", "-c", f": > {LOG}"])


@contextmanager
def outage(lab: Lab, host: str) -> Iterator[None]:
    """Have no resolver while the block runs: no answer, which a client notices after its own time-out."""
    lab.run(host, ["systemctl", "stop", UNIT])
    try:
        yield
    finally:
        lab.run(host, ["systemctl", "start", UNIT])
