# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sessions with which a staged Messaging Server configuration is evaluated, and what has to come of them.

Private to this collection. They follow from the policy alone: nothing here knows how the files say it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.mailhost.hardening.plugins.module_utils._networks import Network, parse_address
from ansible_collections.mailhost.hardening.plugins.module_utils._relay_forms import (
    STRANGER,
    STRANGER_DOMAIN,
    TARGET,
    TARGET_DOMAIN,
    relay_forms,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._strangers import Claimed, ends, sample, strangers

if TYPE_CHECKING:
    from ansible_collections.mailhost.hardening.plugins.module_utils._mail_policy import BlockList, MailPolicy
    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server_surface import Service
    from ansible_collections.mailhost.hardening.plugins.module_utils._policy_tests import PolicyTest

ACCEPT, REFUSE, NO_RELAY = "accept", "refuse", "no relay"

#: Networks of a list whose ends are looked at; the others are said in the same way.
SAMPLE = 12

#: Domains of a list that mail is sent to.
DOMAINS = 6

LOOPBACK = (Network(4, 127 << 24, 8), Network(6, 1, 128))

#: What a block list answers for who is listed (RFC 5782, section 2.1).
LISTED = "127.0.0.2"


class Case(NamedTuple):
    """A session in the shape of `_smtp_session.read_session`, with its expected end.

    ``local`` says that the recipient is one of ours, whose channel the directory tells and not the files.
    """

    name: str
    expect: str
    session: dict[str, Any]
    local: bool = False


class Server(NamedTuple):
    """What the cases need to know of the server: a name of its own, its address, names of its channels, and where a
    stranger may come in beside the usual ways (see `_messaging_server_surface`).
    """

    domain: str
    address: str
    channel_hosts: tuple[str, ...]
    submission: bool
    services: tuple[Service, ...] = ()
    literal_clients: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    inner_hosts: tuple[str, ...] = ()


def policy_cases(policy: MailPolicy, server: Server) -> Iterator[Case]:
    """All sessions for a policy."""
    friends = [network for exception in policy.relay_exceptions for network in exception.networks]
    owners = [*policy.internal, *policy.blocked, *friends, *LOOPBACK]
    # Who is exempt from block lists is a stranger all the same where relaying is concerned.
    claimed, known = Claimed(owners), Claimed([*owners, *policy.exempt])
    foreign = [address for version in (4, 6) for address in islice(strangers(claimed, version), 1)]
    unlisted = [address for version in (4, 6) for address in islice(strangers(known, version), 1)]
    own = [f"postbox@{domain}" for domain in policy.domains[:DOMAINS] or (server.domain,)]
    for client in foreign:
        yield from _stranger(client, server, own)
        yield from _logged_in(client, server)
        yield from _other_ways(client, server)
    for client in server.literal_clients:
        if parse_address(client) not in claimed:
            yield from _basic(f"stranger {client}, for whom there is a rewrite rule", client, server)
    for network in sample(policy.exempt, SAMPLE):
        for client in ends(network, Claimed(())).inside:
            if parse_address(client) not in claimed:
                yield from _basic(f"exempt {client}", client, server)
    yield from _internal(policy, claimed, own)
    yield from _friends(policy, claimed, foreign)
    yield from _blocked(policy, own)
    for block_list in policy.block_lists:
        yield from _listed(policy, block_list, unlisted, own[0])
    if policy.sender_domain_check:
        yield from _sender_domain(unlisted, own[0])


def cases_of_tests(tests: tuple[PolicyTest, ...], domains: tuple[str, ...]) -> Iterator[Case]:
    """The user's own tests as sessions."""
    for test in tests:
        local = test.rcpt_to.rpartition("@")[2].lower() in domains
        yield _case(
            f"policy test {test.title}",
            test.expect,
            test.client,
            test.mail_from,
            test.rcpt_to,
            local=local,
            authenticated=test.authenticated,
            port=test.port,
        )


def _case(  # noqa: PLR0913 - the parts of a session
    name: str, expect: str, client: str, mail_from: str, rcpt_to: str, *, local: bool = False, **more: Any
) -> Case:
    domain = mail_from.rpartition("@")[2]
    dns = {domain: ["192.0.2.80"]} if domain and not domain.startswith("[") else {}
    dns.update(more.pop("dns", {}))
    session = {
        "client": client,
        "helo": STRANGER_DOMAIN,
        "mail_from": mail_from,
        "rcpt_to": [rcpt_to],
        "dns": dns,
        **more,
    }
    return Case(name, expect, session, local)


def _stranger(client: str, server: Server, own: list[str]) -> Iterator[Case]:
    for form in relay_forms(server.domain, server.address, server.channel_hosts):
        recipient = _completed(form.rcpt_to, server.domain)
        yield _case(f"stranger {client}: {form.name}", REFUSE, client, form.mail_from, recipient)
    for recipient in own:
        yield _case(f"stranger {client} to our own domain", ACCEPT, client, STRANGER, recipient, local=True)
    yield _case(f"stranger {client}, bounce to our own domain", ACCEPT, client, "", own[0], local=True)
    if server.submission:
        yield _case(f"stranger {client} at submission", REFUSE, client, STRANGER, TARGET, port=587)
        yield _case(f"stranger {client} at submission, to us", REFUSE, client, STRANGER, own[0], port=587, local=True)


def _basic(name: str, client: str, server: Server, **more: Any) -> Iterator[Case]:
    """The plain forms, for one more way in: the others differ in the recipient, which every way treats alike."""
    for sender, told in ((STRANGER, "plain"), ("", "null sender"), (f"postmaster@{server.domain}", "spoofed sender")):
        yield _case(f"{name}: {told}", REFUSE, client, sender, TARGET, **more)


def _other_ways(client: str, server: Server) -> Iterator[Case]:
    """Behind TLS, at every port of the Dispatcher, and with the senders that entries of the site's own let pass."""
    yield from _basic(f"stranger {client} with TLS", client, server, tls=True)
    for service in server.services:
        for tls in (True,) if service.tls else (False, True):
            name = f"stranger {client} at port {service.port} (service {service.name}{', TLS' if tls else ''})"
            yield from _basic(name, client, server, port=service.port, service_channel=service.channel, tls=tls)
    for host in server.inner_hosts:
        yield _case(f"stranger {client}, at the channel's name {host}", REFUSE, client, STRANGER, f"victim@{host}")
    for sender in server.senders:
        yield _case(f"stranger {client} with the sender of an extra entry", REFUSE, client, sender, TARGET)


def _completed(recipient: str, domain: str) -> str:
    """A recipient as the server completes it: an address without a domain is one of its own."""
    return recipient if "@" in recipient else f"{recipient}@{domain}"


def _logged_in(client: str, server: Server) -> Iterator[Case]:
    for port in (25, 587) if server.submission else (25,):
        name = f"logged in from {client}, port {port}"
        yield _case(name, ACCEPT, client, f"user@{server.domain}", TARGET, authenticated=True, port=port)


def _internal(policy: MailPolicy, claimed: Claimed, own: list[str]) -> Iterator[Case]:
    for client in ("127.0.0.1", "::1"):
        yield _case(f"loopback {client}", ACCEPT, client, own[0], TARGET)
    for network in sample(policy.internal, SAMPLE):
        edge = ends(network, claimed)
        for client in edge.inside:
            yield _case(f"internal {client} of {network}", ACCEPT, client, own[0], TARGET)
            yield _case(f"internal {client} of {network}, to us", ACCEPT, client, own[0], own[0], local=True)
        for client in edge.outside:
            yield _case(f"{client} next to internal {network}", NO_RELAY, client, STRANGER, TARGET)


def _friends(policy: MailPolicy, claimed: Claimed, foreign: list[str]) -> Iterator[Case]:
    for exception in policy.relay_exceptions:
        senders = exception.sender_domains or (STRANGER_DOMAIN,)
        recipients = exception.recipient_domains or (TARGET_DOMAIN,)
        pair = (f"friend@{senders[0]}", f"friend@{recipients[0]}")
        for network in sample(exception.networks, SAMPLE):
            edge = ends(network, claimed)
            for client in edge.inside:
                yield _case(f"friendly relay {client}", ACCEPT, client, *pair)
                if exception.sender_domains:
                    yield _case(f"friendly relay {client}, other sender", NO_RELAY, client, STRANGER, pair[1])
                if exception.recipient_domains:
                    yield _case(f"friendly relay {client}, other recipient", NO_RELAY, client, pair[0], TARGET)
            for client in edge.outside:
                yield _case(f"{client} next to friendly relay {network}", NO_RELAY, client, *pair)
        for client in foreign:
            yield _case(f"stranger {client} as a friendly relay", NO_RELAY, client, *pair)
            for form in relay_forms(senders[0], "192.0.2.25"):
                recipient = _completed(form.rcpt_to, senders[0])
                yield _case(f"stranger {client} as a friend, {form.name}", NO_RELAY, client, pair[0], recipient)


def _blocked(policy: MailPolicy, own: list[str]) -> Iterator[Case]:
    for network in sample(policy.blocked, SAMPLE):
        for client in ends(network, Claimed(())).inside:
            yield _case(f"blocked {client}", REFUSE, client, STRANGER, own[0], local=True)


def _listed(policy: MailPolicy, block_list: BlockList, foreign: list[str], own: str) -> Iterator[Case]:
    """Who is listed, who is not looked up, and that no answer refuses nobody. Lists of IPv6 are not looked up."""
    zone = block_list.zone
    clients = [client for client in foreign if ":" not in client]
    for client in clients:
        dns = {zone: {client: [LISTED]}}
        yield _case(f"{client} is listed by {zone}", REFUSE, client, STRANGER, own, local=True, dns=dns)
        if block_list.stage == "mail":
            name = f"{client} is listed by {zone}, "
            postmaster = f"postmaster@{own.rpartition('@')[2]}"
            yield _case(f"{name}to postmaster", ACCEPT, client, STRANGER, postmaster, local=True, dns=dns)
            yield _case(f"{name}bounce", REFUSE, client, "", own, local=True, dns=dns)
            yield _case(f"{name}logged in", ACCEPT, client, own, TARGET, authenticated=True, dns=dns)
        nothing = {zone: "SERVFAIL"}
        yield _case(f"{zone} does not answer", ACCEPT, client, STRANGER, own, local=True, dns=nothing)
    for title, networks in (("internal", policy.internal), ("exempt", policy.exempt)):
        for network in sample([one for one in networks if one.version == 4], 3):
            client = ends(network, Claimed(())).inside[0]
            dns = {zone: {client: [LISTED]}}
            yield _case(f"{title} {client} is listed by {zone}", ACCEPT, client, STRANGER, own, local=True, dns=dns)


def _sender_domain(foreign: list[str], own: str) -> Iterator[Case]:
    sender = "nobody@no-such-domain.invalid"
    for client in foreign:
        for dns, expect, name in (([], REFUSE, "does not exist"), ("SERVFAIL", ACCEPT, "gives no answer")):
            told = f"stranger {client}, sender's domain {name}"
            yield _case(told, expect, client, sender, own, local=True, dns={"no-such-domain.invalid": dns})
