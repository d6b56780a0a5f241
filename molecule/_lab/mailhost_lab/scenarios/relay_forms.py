"""Ways in which external clients try to have mail passed on, to any mail server for mail.example.

Written from what abuse looks like; nothing here is taken from the collection.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mailhost_lab.addresses import Host

EXTERNAL_SENDER = "eve@sender.example"


class Form(NamedTuple):
    """What an external client says."""

    name: str
    mail_from: str
    rcpt_to: str


TO_ELSEWHERE = {
    "plain": "bob@remote.example",
    "upper case": "BOB@REMOTE.EXAMPLE",
    "mixed case": "Bob@rEmOtE.ExAmPlE",
    "detail": "bob+box@remote.example",
    "subdomain": "bob@sub.remote.example",
    "unknown top domain": "bob@remote.zz",
    "local domain as a subdomain": "bob@mail.example.remote.example",
    "local domain without its dot": "bob@notmail.example",
    "local domain and more": "bob@mail.example.com",
    "local domain and a hyphen": "bob@mail-example.example",
    "percent at the target": "bob%mail.example@remote.example",
    "percent twice at the target": "bob%mail.example%remote.example@remote.example",
    "bang at the target": "mail.example!bob@remote.example",
    "two domains, local first": "bob@mail.example@remote.example",
    "quoted, local first": '"bob@mail.example"@remote.example',
    "quoted blank": '"bob b"@remote.example',
    "quoted percent at the target": '"bob%mail.example"@remote.example',
    "literal": "bob@[198.51.100.30]",
    "literal IPv6": "bob@[IPv6:2001:db8:100::30]",
    "literal mapped": "bob@[IPv6:::ffff:198.51.100.30]",
    "literal without a tag": "bob@[2001:db8:100::30]",
    "literal of the excepted client": "bob@[198.51.100.21]",
    "address without brackets": "bob@198.51.100.30",
    "number": "bob@3325256734",
    "empty local part": '""@remote.example',
    "slash": "bob/x@remote.example",
    "dollar signs": "$N$Y$E@remote.example",
    "percent of a mailbox at the target": "postmaster%mail.example@remote.example",
    "postmaster of the target": "postmaster@remote.example",
}
"""Recipients whose domain is plainly another, however the rest is written."""


def through(host: Host) -> dict[str, str]:
    """Return recipients that name a way through the server."""
    ip4, ip6, inner4 = host.address("external", 4), host.address("external", 6), host.address("internal", 4)
    return {
        "percent": "bob%remote.example@mail.example",
        "percent, name of the host": f"bob%remote.example@{host.fqdn}",
        "percent, short name of the host": f"bob%remote.example@{host.name}",
        "percent, literal of the host": f"bob%remote.example@[{ip4}]",
        "percent, IPv6 literal of the host": f"bob%remote.example@[IPv6:{ip6}]",
        "percent, internal address": f"bob%remote.example@[{inner4}]",
        "percent, internal host": "bob%remote.example@pc.mail.example",
        "percent, localhost": "bob%remote.example@localhost",
        "percent twice": "bob%remote.example%mail.example@mail.example",
        "percent, loopback": "bob%remote.example@[127.0.0.1]",
        "bang": "remote.example!bob@mail.example",
        "bang, literal of the host": f"remote.example!bob@[{ip4}]",
        "bang, internal host": "remote.example!bob@pc.mail.example",
        "bang and percent": "remote.example!bob%remote.example@mail.example",
        "source route": "@mail.example:bob@remote.example",
        "source route, host": f"@{host.fqdn}:bob@remote.example",
        "source route, literal": f"@[{ip4}]:bob@remote.example",
        "source route, two hops": "@mail.example,@remote.example:bob@remote.example",
        "source route, internal host": "@pc.mail.example:bob@remote.example",
        "source route back": "@remote.example:bob@mail.example",
        "quoted": '"bob@remote.example"@mail.example',
        "quoted, literal of the host": f'"bob@remote.example"@[{ip4}]',
        "quoted percent": '"bob%remote.example"@mail.example',
        "quoted, internal host": '"bob@remote.example"@pc.mail.example',
        "two domains": "bob@remote.example@mail.example",
        "two domains, internal host": "bob@remote.example@pc.mail.example",
        "bang through the local domain": "mail.example!remote.example!bob@mail.example",
        "source route, localhost": "@localhost:bob@remote.example",
        "two domains, literal of the host": f"bob@remote.example@[{ip4}]",
    }


TO_ODD_HOSTS = {
    "quoted, no domain": '"bob@remote.example"',
    "final dot": "bob@remote.example.",
    "two final dots": "bob@mail.example..",
    "local domain with a final dot": "bob%remote.example@mail.example.",
    "blank literal": "bob@[]",
    "domain of blanks": "bob@ mail.example",
}


def senders(host: Host) -> dict[str, str]:
    """Return senders that write to a plain recipient elsewhere."""
    ip4 = host.address("external", 4)
    return {
        "null sender": "",
        "postmaster of the local domain": "postmaster@mail.example",
        "postmaster of the local domain, upper case": "POSTMASTER@MAIL.EXAMPLE",
        "name of the host": f"root@{host.fqdn}",
        "literal of the host": f"root@[{ip4}]",
        "internal host": "root@pc.mail.example",
        "localhost": "root@localhost",
        "the target": "bob@remote.example",
        "route": "@mail.example:eve@sender.example",
        "percent sender": "eve%sender.example@mail.example",
        "quoted sender": '"bob@mail.example"@sender.example',
        "excepted domain": "eve@excepted.example",
        "no domain sender": "root",
        "quoted, no domain sender": '"root@mail.example"',
    }


def forms(host: Host) -> list[Form]:
    """Return all forms against a server."""
    recipients = {**TO_ELSEWHERE, **through(host), **TO_ODD_HOSTS}
    return [
        *(Form(name, EXTERNAL_SENDER, path) for name, path in recipients.items()),
        *(Form(f"sender: {name}", path, "bob@remote.example") for name, path in senders(host).items()),
    ]
