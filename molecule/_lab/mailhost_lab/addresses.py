"""The one place that says where everything in the lab lives; the tests import it as well."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

PREFIX = "mailhost-lab"
"""Begins the name of everything that the lab makes, so that everything can be found and removed again."""

CONTROLLER4 = "198.51.100.65"
CONTROLLER6 = "2001:db8:200::1"
"""The controller's own address, from which Ansible reaches the mail host: the bridge of the internal network."""

UNREACHABLE = "198.51.100.253"
"""An address in neither network; the hosts have no default route."""


@dataclass(frozen=True)
class Network:
    """A dual-stack network of the lab, made of documentation prefixes (RFC 5737, RFC 3849); `mac` is its bridge's."""

    name: str
    subnet4: str
    subnet6: str
    gateway4: str
    gateway6: str
    mac: str

    @property
    def full_name(self) -> str:
        """Name of the network in the container engine."""
        return f"{PREFIX}-{self.name}"


@dataclass(frozen=True)
class Port:
    """One leg of a host in one network; the MAC is fixed so that a renewed host needs no new neighbour entries."""

    network: str
    ip4: str
    ip6: str
    mac: str


@dataclass(frozen=True)
class Host:
    """A container of the lab.

    `extra4` and `extra6` are further addresses on its first leg, used only where a test asks for them as the source.
    `domains` are those whose mail it takes, for any address, into one mailbox.
    `group` is its group in the inventory. A host of a group other than lab_probes is one that a scenario may choose to
    have made anew; `folders` have what is in it besides Debian (host_files.py).
    """

    name: str
    fqdn: str
    ports: tuple[Port, ...]
    mail: bool
    extra4: tuple[str, ...] = ()
    extra6: tuple[str, ...] = ()
    domains: tuple[str, ...] = field(default=())
    group: str = "lab_probes"
    folders: tuple[str, ...] = ()

    @property
    def container(self) -> str:
        """Name of the container in the engine."""
        return f"{PREFIX}-{self.name}"

    def address(self, network: str, family: int) -> str:
        """Return the address that the host has in a network for the family 4 or 6."""
        for port in self.ports:
            if port.network == network:
                return port.ip4 if family == 4 else port.ip6
        raise KeyError(f"{self.name} has no leg in the network {network}")


NETWORKS = {
    network.name: network
    for network in (
        Network(
            "external", "198.51.100.0/26", "2001:db8:100::/64", "198.51.100.1", "2001:db8:100::1", "02:00:c6:33:64:01"
        ),
        Network("internal", "198.51.100.64/26", "2001:db8:200::/64", CONTROLLER4, CONTROLLER6, "02:00:c6:33:64:65"),
    )
}


def _port(network: str, last4: int, last6: int) -> Port:
    """Return the leg with these last parts of its addresses."""
    number = {"external": 100, "internal": 200}[network]
    return Port(network, f"198.51.100.{last4}", f"2001:db8:{number}::{last6}", f"02:00:c6:33:64:{last4:02}")


def _legs(last: int) -> tuple[Port, Port]:
    """Return the two legs of a host that has the same number in both networks."""
    return _port("external", last, last), _port("internal", last + 64, last)


HOSTS = {
    host.name: host
    for host in (
        Host("mailhost", "mail.example", _legs(10), mail=True, group="mailhosts"),
        Host("twin", "twin.example", _legs(2), mail=True, group="twin_hosts"),
        Host(
            "messaging",
            "messaging.example",
            _legs(11),
            mail=False,
            group="messaging_hosts",
            folders=("resolver", "standin"),
        ),
        Host(
            "postfix", "postfix.example", _legs(12), mail=True, group="postfix_hosts", folders=("resolver", "mailboxes")
        ),
        Host(
            "gateway", "gateway.example", _legs(9), mail=True, group="gateway_hosts", folders=("resolver", "mailboxes")
        ),
        Host(
            "external",
            "external.example",
            (_port("external", 20, 20),),
            mail=False,
            extra4=("198.51.100.21",),
            extra6=("2001:db8:100::21",),
        ),
        Host(
            "remote",
            "remote.example",
            (_port("external", 30, 30),),
            mail=True,
            domains=("remote.example", "partner.example"),
        ),
        Host("internal", "internal.example", (_port("internal", 84, 84),), mail=False),
    )
}

TWIN = HOSTS["twin"]
"""Like mailhost; for scenarios of the packet filter that run beside those of the one."""
MAILHOST = TWIN if os.environ.get("LAB_HOST") == TWIN.name else HOSTS["mailhost"]
"""The host that scenarios of the packet filter try; where that is the twin, `mailhost` is a name for it."""
MESSAGING = HOSTS["messaging"]
POSTFIX = HOSTS["postfix"]
GATEWAY = HOSTS["gateway"]
"""Like postfix; for scenarios with both roles, which run beside those of the one."""
EXTERNAL = HOSTS["external"]
REMOTE = HOSTS["remote"]
INTERNAL = HOSTS["internal"]
STANDING = tuple(host for host in HOSTS.values() if host.group in ("lab_probes", "mailhosts"))
"""The hosts that are always there."""

RENEWED = tuple(host for host in HOSTS.values() if host.group != "lab_probes")
"""The hosts of which a scenario chooses one and gets it anew."""

NAMES = tuple((host.fqdn, ip) for host in HOSTS.values() for port in host.ports for ip in (port.ip4, port.ip6))
"""What stands in /etc/hosts everywhere, for the look-ups that a mail server makes of its clients."""


def find_host(name: str) -> Host:
    """Return a host by its name, or say which names there are."""
    if name == "mailhost":
        return MAILHOST
    try:
        return HOSTS[name]
    except KeyError:
        raise KeyError(f"no host {name!r} in the lab; there are {', '.join(HOSTS)}") from None
