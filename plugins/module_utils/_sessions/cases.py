# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that prove a staged configuration of any mail server, with their expected outcome.

Private to the collection: other collections must not import it.

They follow from the policy alone: nothing here knows how a product's files say it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from .._policy.networks import LOOPBACK, parse_address
from .clients import NetworkSet, boundary_of, external_clients, sample
from .relay_forms import EXTERNAL_DOMAIN, EXTERNAL_SENDER, TARGET, TARGET_DOMAIN, RelayForm, relay_forms

if TYPE_CHECKING:
    from .._policy.mail import MailPolicy
    from .._policy.policy_tests import PolicyTest

ACCEPT, REJECT, NO_RELAY = "accept", "reject", "no relay"

SAMPLE = 12
"""Networks of a list whose boundary addresses are tried; the others are written in the same way."""
DOMAINS = 6
"""Domains of a list that mail is sent to."""


class Case(NamedTuple):
    """A session in the shape that `read_session` of Messaging Server's evaluator takes, with its expected outcome.

    ``local``: the recipient is in an own domain, whose channel comes from the directory and not from the files.
    ``author``: where the expectation comes from. ``who``: the class of clients and what they do, as effects name them.
    ``reason``: what in the policy asks for the expected end.
    """

    name: str
    expect: str
    session: dict[str, Any]
    local: bool = False
    author: str = "policy says"
    who: str = ""
    reason: str = ""

    @property
    def port(self) -> int:
        """Return the port at which the session is held."""
        return int(self.session.get("port", 25))


class Class(NamedTuple):
    """A class of clients and what they do, as effects name them, and what in the policy asks for the expected end."""

    who: str
    reason: str

    def cases(self, cases: Iterable[Case]) -> Iterator[Case]:
        """Yield cases as those of this class; a class that they have already stays."""
        for case in cases:
            yield case if case.who else case._replace(who=self.who, reason=self.reason)


RELAY = Class("external client, to other domains", "relay block")
DELIVERY = Class("external client, to managed domains", "mailhost_domains")
INTERNAL = Class("internal client, to other domains", "mailhost_internal_networks")
INTERNAL_DELIVERY = Class("internal client, to managed domains", "mailhost_internal_networks")
EXCEPTION = Class("client of a relay exception, as the exception says", "mailhost_relay_exceptions")
BEYOND_EXCEPTION = Class("client of a relay exception, other sender or recipient", "relay block")
BLOCKED = Class("blocked client, to managed domains", "mailhost_blocked_networks")


class Parties(NamedTuple):
    """The clients and recipients of a policy's sessions.

    ``known``: networks for which the policy says something. ``external``: an external client of each family.
    ``unlisted``: the same, not exempt from DNSBLs. ``own``: recipients in own domains.
    """

    known: NetworkSet
    external: tuple[str, ...]
    unlisted: tuple[str, ...]
    own: tuple[str, ...]


def parties_of(policy: MailPolicy, domain: str) -> Parties:
    """Return the parties; ``domain`` is one of the server's own, for a policy that names none."""
    excepted = [network for exception in policy.relay_exceptions for network in exception.networks]
    owners = [*policy.internal, *policy.blocked, *excepted, *LOOPBACK]
    # A client that is exempt from DNSBLs is external all the same where relaying is concerned.
    known, unlisted = NetworkSet(owners), NetworkSet([*owners, *policy.exempt])
    return Parties(
        known,
        tuple(address for version in (4, 6) for address in islice(external_clients(known, version), 1)),
        tuple(address for version in (4, 6) for address in islice(external_clients(unlisted, version), 1)),
        tuple(f"postbox@{name}" for name in policy.domains[:DOMAINS] or (domain,)),
    )


def cases_of_tests(tests: tuple[PolicyTest, ...], domains: tuple[str, ...]) -> Iterator[Case]:
    """Yield the user's own tests as sessions."""
    for test in tests:
        local = test.rcpt_to.rpartition("@")[2].lower() in domains
        case = make_case(
            test.title,
            test.expect,
            test.client,
            test.mail_from,
            test.rcpt_to,
            local=local,
            authenticated=test.authenticated,
            port=test.port,
        )
        client = "authenticated client" if test.authenticated else "client"
        who = f"{client} {test.client}, {test.mail_from or 'bounce'} to {test.rcpt_to}"
        yield case._replace(author="test expects", who=who, reason="mailhost_policy_tests")


def make_case(  # noqa: PLR0913 - the parts of a session
    name: str, expect: str, client: str, mail_from: str, rcpt_to: str, *, local: bool = False, **more: Any
) -> Case:
    """Return a session with the host name of an external client; the sender's domain exists in its DNS."""
    domain = mail_from.rpartition("@")[2]
    dns = {domain: ["192.0.2.80"]} if domain and not domain.startswith("[") else {}
    dns.update(more.pop("dns", {}))
    session = {
        "client": client,
        "helo": EXTERNAL_DOMAIN,
        "mail_from": mail_from,
        "rcpt_to": [rcpt_to],
        "dns": dns,
        **more,
    }
    return Case(name, expect, session, local)


def relay_cases(name: str, client: str, forms: Iterable[RelayForm], domain: str, **more: Any) -> Iterator[Case]:
    """Yield a session for each relay form; all have to be rejected."""
    for form in forms:
        recipient = completed(form.rcpt_to, domain)
        yield from RELAY.cases([make_case(f"{name}: {form.name}", REJECT, client, form.mail_from, recipient, **more)])


def delivery_cases(client: str, own: tuple[str, ...]) -> Iterator[Case]:
    """Yield what an external client may do: send to own domains."""
    name = f"external client {client}"
    found = [make_case(f"{name} to own domain", ACCEPT, client, EXTERNAL_SENDER, one, local=True) for one in own]
    yield from DELIVERY.cases(
        [*found, make_case(f"{name}, bounce to own domain", ACCEPT, client, "", own[0], local=True)]
    )


def plain_cases(name: str, client: str, domain: str, **more: Any) -> Iterator[Case]:
    """Yield the plain relay forms with three senders, for one more client or entry point.

    The other forms differ in the recipient, which every entry point treats alike.
    """
    for sender, what in ((EXTERNAL_SENDER, "plain"), ("", "null sender"), (f"postmaster@{domain}", "spoofed sender")):
        yield from RELAY.cases([make_case(f"{name}: {what}", REJECT, client, sender, TARGET, **more)])


def exempt_cases(policy: MailPolicy, parties: Parties, domain: str) -> Iterator[Case]:
    """Yield what shows that exemption from DNSBLs allows no relaying."""
    for network in sample(policy.exempt, SAMPLE):
        for client in boundary_of(network, NetworkSet(())).inside:
            if parse_address(client) not in parties.known:
                yield from plain_cases(f"exempt client {client}", client, domain)


def internal_cases(policy: MailPolicy, parties: Parties) -> Iterator[Case]:
    """Yield sessions from the boundary addresses of internal networks."""
    own = parties.own[0]
    for client in ("127.0.0.1", "::1"):
        yield from INTERNAL.cases([make_case(f"loopback {client}", ACCEPT, client, own, TARGET)])
    for network in sample(policy.internal, SAMPLE):
        edge = boundary_of(network, parties.known)
        for client in edge.inside:
            name = f"internal client {client} of {network}"
            yield from INTERNAL.cases([make_case(name, ACCEPT, client, own, TARGET)])
            delivery = make_case(f"{name}, to own domain", ACCEPT, client, own, own, local=True)
            yield from INTERNAL_DELIVERY.cases([delivery])
        for client in edge.outside:
            name = f"{client} next to internal network {network}"
            yield from RELAY.cases([make_case(name, NO_RELAY, client, EXTERNAL_SENDER, TARGET)])


def relay_exception_cases(policy: MailPolicy, parties: Parties) -> Iterator[Case]:
    """Yield what relay exceptions allow, and what is just outside of them."""
    yield from BEYOND_EXCEPTION.cases(_relay_exception_cases(policy, parties))


def _relay_exception_cases(policy: MailPolicy, parties: Parties) -> Iterator[Case]:
    for exception in policy.relay_exceptions:
        senders = exception.sender_domains or (EXTERNAL_DOMAIN,)
        # Mail to own domains is accepted from every client, whatever an exception says of it.
        named = exception.recipient_domains or (TARGET_DOMAIN,)
        external = [domain for domain in named if domain not in policy.domains]
        pair = (f"user@{senders[0]}", f"user@{(external or named)[0]}")
        for network in sample(exception.networks, SAMPLE):
            edge = boundary_of(network, parties.known)
            for client in edge.inside:
                allowed = make_case(f"relay exception {client}", ACCEPT, client, *pair, local=not external)
                yield from EXCEPTION.cases([allowed])
                if exception.sender_domains and external:
                    yield make_case(
                        f"relay exception {client}, other sender", NO_RELAY, client, EXTERNAL_SENDER, pair[1]
                    )
                if exception.recipient_domains:
                    yield make_case(f"relay exception {client}, other recipient", NO_RELAY, client, pair[0], TARGET)
            for client in edge.outside if external else ():
                beside = make_case(f"{client} next to relay exception {network}", NO_RELAY, client, *pair)
                yield from RELAY.cases([beside])
        for client in parties.external:
            if external:
                name = f"external client {client} claiming to be a relay exception"
                yield from RELAY.cases([make_case(name, NO_RELAY, client, *pair)])
            for form in relay_forms(senders[0], "192.0.2.25"):
                recipient = completed(form.rcpt_to, senders[0])
                name = f"external client {client} claiming to be a relay exception, {form.name}"
                yield from RELAY.cases([make_case(name, NO_RELAY, client, pair[0], recipient)])


def blocked_cases(policy: MailPolicy, parties: Parties) -> Iterator[Case]:
    """Yield what shows that blocked clients may not even send to own domains."""
    for network in sample(policy.blocked, SAMPLE):
        for client in boundary_of(network, NetworkSet(())).inside:
            blocked = make_case(f"blocked client {client}", REJECT, client, EXTERNAL_SENDER, parties.own[0], local=True)
            yield from BLOCKED.cases([blocked])


def completed(recipient: str, domain: str) -> str:
    """Return a recipient as the server completes it: an address without a domain is one of its own."""
    return recipient if "@" in recipient else f"{recipient}@{domain}"
