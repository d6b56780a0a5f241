# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sessions with which a staged Messaging Server configuration is evaluated, and what has to come of them.

They are those of the policy, and further ones for what an installation has beside it.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from .._policy.networks import parse_address
from .._sessions.cases import (
    ACCEPT,
    DOMAINS,
    NO_RELAY,
    REJECT,
    RELAY,
    Case,
    Class,
    blocked_cases,
    delivery_cases,
    exempt_cases,
    internal_cases,
    make_case,
    parties_of,
    plain_cases,
    relay_cases,
    relay_exception_cases,
)
from .._sessions.clients import NetworkSet, boundary_of, sample
from .._sessions.relay_forms import EXTERNAL_DOMAIN, EXTERNAL_SENDER, TARGET, relay_forms

if TYPE_CHECKING:
    from .._policy.mail import Dnsbl, MailPolicy
    from .surface import Service

AUTHENTICATED = Class("authenticated client, to other domains", "SMTP AUTH")
SUBMISSION = Class("external client", "submission needs SMTP AUTH")
LISTED_CLIENT = Class("client that a DNSBL lists", "mailhost_dnsbls")
SENDER_DOMAIN = Class("external client, sender's domain not in the DNS", "mailhost_sender_domain_check")

LISTED = "127.0.0.2"
"""What a DNSBL answers for a listed client (RFC 5782, section 2.1)."""


class Server(NamedTuple):
    """What the cases need to know of the server: a name of its own, its address, names of its channels, and the
    further ways in of external clients (see `surface`).
    """

    domain: str
    address: str
    channel_hosts: tuple[str, ...]
    submission: bool
    services: tuple[Service, ...] = ()
    literal_clients: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    inner_hosts: tuple[str, ...] = ()
    outer_hosts: tuple[str, ...] = ()


def policy_cases(policy: MailPolicy, server: Server) -> Iterator[Case]:
    """All sessions for a policy."""
    parties = parties_of(policy, server.domain)
    for client in parties.external:
        yield from _external(client, server, parties.own)
        yield from AUTHENTICATED.cases(_authenticated(client, server))
        yield from RELAY.cases(_further_services(client, server))
    for client in parties.external[:1]:
        yield from RELAY.cases(_by_rewrite_rules(client, policy, server))
    for client in server.literal_clients:
        if parse_address(client) not in parties.known:
            name = f"external client {client}, which has a rewrite rule"
            yield from plain_cases(name, client, server.domain)
    yield from exempt_cases(policy, parties, server.domain)
    yield from internal_cases(policy, parties)
    yield from relay_exception_cases(policy, parties)
    yield from blocked_cases(policy, parties)
    for dnsbl in policy.dnsbls:
        yield from LISTED_CLIENT.cases(_listed(policy, dnsbl, parties.unlisted, parties.own[0]))
    if policy.sender_domain_check:
        yield from SENDER_DOMAIN.cases(_sender_domain(parties.unlisted, parties.own[0]))


def _external(client: str, server: Server, own: tuple[str, ...]) -> Iterator[Case]:
    forms = relay_forms(server.domain, server.address, server.channel_hosts)
    yield from relay_cases(f"external client {client}", client, forms, server.domain)
    yield from delivery_cases(client, own)
    if server.submission:
        found = make_case(f"external client {client} at submission", REJECT, client, EXTERNAL_SENDER, TARGET, port=587)
        name = f"external client {client} at submission, to own domain"
        delivery = make_case(name, REJECT, client, EXTERNAL_SENDER, own[0], port=587, local=True)
        yield from SUBMISSION.cases([found, delivery])


def _further_services(client: str, server: Server) -> Iterator[Case]:
    """With TLS, at every port of the Dispatcher, and with the senders that unmanaged entries accept."""
    yield from plain_cases(f"external client {client} with TLS", client, server.domain, tls=True)
    for service in server.services:
        for tls in (True,) if service.tls else (False, True):
            name = f"external client {client} at port {service.port} (service {service.name}{', TLS' if tls else ''})"
            more = {"port": service.port, "service_channel": service.channel, "tls": tls}
            yield from plain_cases(name, client, server.domain, **more)
    for host in server.inner_hosts:
        name = f"external client {client}, at the channel's name {host}"
        yield make_case(name, REJECT, client, EXTERNAL_SENDER, f"victim@{host}")
    for sender in server.senders:
        yield make_case(f"external client {client} with the sender of an extra entry", REJECT, client, sender, TARGET)


def _by_rewrite_rules(client: str, policy: MailPolicy, server: Server) -> Iterator[Case]:
    """To hosts of unmanaged rewrite rules, also with the sender of a relay exception or of an extra entry."""
    hosts = server.outer_hosts
    for sender in server.senders:
        for host in hosts[:DOMAINS]:
            name = f"external client {client} with the sender of an extra entry, to {host}"
            yield make_case(name, NO_RELAY, client, sender, f"victim@{host}")
    for host in hosts:
        name = f"external client {client} to {host}, which has a rewrite rule and is not in mailhost_domains"
        yield make_case(name, NO_RELAY, client, EXTERNAL_SENDER, f"victim@{host}")
    for exception in policy.relay_exceptions:
        sender = f"sender@{(exception.sender_domains or (EXTERNAL_DOMAIN,))[0]}"
        named = exception.recipient_domains or hosts
        for host in [host for host in hosts if host in named][:DOMAINS]:
            name = f"external client {client} claiming to be a relay exception to {host}, which has a rewrite rule"
            yield make_case(name, NO_RELAY, client, sender, f"victim@{host}")


def _authenticated(client: str, server: Server) -> Iterator[Case]:
    for port in (25, 587) if server.submission else (25,):
        name = f"authenticated client {client}, port {port}"
        yield make_case(name, ACCEPT, client, f"user@{server.domain}", TARGET, authenticated=True, port=port)


def _listed(policy: MailPolicy, dnsbl: Dnsbl, external: tuple[str, ...], own: str) -> Iterator[Case]:
    """Clients that are listed, and those that are not looked up; a query without an answer rejects nothing.

    The product does not look up IPv6 addresses.
    """
    zone = dnsbl.zone
    clients = [client for client in external if ":" not in client]
    for client in clients:
        dns = {zone: {client: [LISTED]}}
        yield make_case(f"{client} is listed by {zone}", REJECT, client, EXTERNAL_SENDER, own, local=True, dns=dns)
        if dnsbl.stage == "mail":
            name = f"{client} is listed by {zone}, "
            postmaster = f"postmaster@{own.rpartition('@')[2]}"
            yield make_case(f"{name}to postmaster", ACCEPT, client, EXTERNAL_SENDER, postmaster, local=True, dns=dns)
            yield make_case(f"{name}bounce", REJECT, client, "", own, local=True, dns=dns)
            yield make_case(f"{name}authenticated", ACCEPT, client, own, TARGET, authenticated=True, dns=dns)
        nothing = {zone: "SERVFAIL"}
        yield make_case(f"{zone} does not answer", ACCEPT, client, EXTERNAL_SENDER, own, local=True, dns=nothing)
    for title, networks in (("internal", policy.internal), ("exempt", policy.exempt)):
        for network in sample([one for one in networks if one.version == 4], 3):
            client = boundary_of(network, NetworkSet(())).inside[0]
            dns = {zone: {client: [LISTED]}}
            yield make_case(
                f"{title} {client} is listed by {zone}", ACCEPT, client, EXTERNAL_SENDER, own, local=True, dns=dns
            )


def _sender_domain(external: tuple[str, ...], own: str) -> Iterator[Case]:
    sender = "nobody@no-such-domain.invalid"
    for client in external:
        for dns, expect, name in (([], REJECT, "does not exist"), ("SERVFAIL", ACCEPT, "gives no answer")):
            title = f"external client {client}, sender's domain {name}"
            yield make_case(title, expect, client, sender, own, local=True, dns={"no-such-domain.invalid": dns})
