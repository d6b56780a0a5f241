# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sessions that are held with a canary, and their expected ends.

Answers of the DNS and of block lists cannot be given to it, so nothing here is about them.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from ..._policy.domains import public_suffixes
from ..._sessions.cases import (
    ACCEPT,
    NO_RELAY,
    REJECT,
    SAMPLE,
    Case,
    Parties,
    blocked_cases,
    cases_of_tests,
    delivery_cases,
    exempt_cases,
    internal_cases,
    make_case,
    parties_of,
    plain_cases,
    relay_cases,
    relay_exception_cases,
)
from ..._sessions.clients import NetworkSet, boundary_of, sample
from ..._sessions.relay_forms import EXTERNAL_DOMAIN, EXTERNAL_SENDER, TARGET, TARGET_DOMAIN, relay_forms
from .._config.settings import ADDRESS, Settings
from .files import SMTP, SUBMISSION, SUBMISSIONS, Entrance

if TYPE_CHECKING:
    from ..._policy.mail import MailPolicy
    from ..._policy.policy_tests import PolicyTest

OFFERED, NOT_OFFERED = "offered", "not offered"
"""What is expected of a keyword of EHLO."""

NO_MISTAKE = "no mistake of the configuration"
"""What is expected where restrictions may reject, and only have to be such as Postfix can evaluate."""

_PORTS = {SMTP: 25, SUBMISSION: 587, SUBMISSIONS: 465}

_ROUTING = frozenset('@%!"')
"""Characters of a local part that may lead elsewhere."""

EXCEPTIONS = 100
"""Relay exceptions that are tried, each in all forms."""

_SUFFIXES = 20
"""Public suffixes below which an external domain is tried."""

_OWNERS = 6
"""Owners of further addresses that are tried."""


class Server(NamedTuple):
    """What the cases need to know: a domain that it takes mail for, all of those, its address, and the ways in.

    ``delivers``: whether ``domain`` is known to be one of its own. ``host``: its name.
    """

    domain: str
    managed: frozenset[str]
    address: str
    entrances: tuple[Entrance, ...]
    delivers: bool = True
    host: str = ""

    def entrance(self, role: str) -> Entrance | None:
        """The way in of a role."""
        return next((one for one in self.entrances if one.role == role), None)


def canary_cases(policy: MailPolicy, settings: Settings, server: Server) -> Iterator[Case]:
    """All sessions for a policy, each with the service at which it is held."""
    parties = parties_of(policy, server.domain)
    managed = [(SUBMISSION, SUBMISSIONS), ()][not settings.submission]
    smtp = server.entrance(SMTP)
    if smtp is not None:
        for case in _port_25(policy, parties, server):
            yield _held(case, smtp, server)
    for role in managed:
        entrance = server.entrance(role)
        if entrance is not None:
            for case in _submission(policy, settings, parties, server):
                if case.session["tls"] or not entrance.wrapped:
                    yield _held(_named(case, role), entrance, server)
    for entrance in server.entrances:
        if entrance.role not in (SMTP, *managed):
            for case in _elsewhere(parties, server, entrance):
                yield _held(case, entrance, server)


def cases_of_user(
    tests: tuple[PolicyTest, ...], policy: MailPolicy, settings: Settings, server: Server
) -> tuple[list[Case], list[str]]:
    """The user's own tests, and why some cannot be held."""
    found, notes = [], []
    for test, case in zip(tests, cases_of_tests(tests, policy.domains)):
        # There is no SMTP AUTH on port 25, where a test is that names no port.
        port = 587 if test.authenticated and test.port == 25 else test.port
        entrance = next((one for one in server.entrances if _PORTS.get(one.role) == port), None)
        if entrance is None:
            notes.append(f"{case.name}: there is no service at port {port}, so it was not held")
            continue
        session: dict[str, Any] = {**case.session, "tls": port != 25, "authenticated": ""}
        if test.authenticated:
            session["authenticated"] = login_of(test.mail_from or f"user@{server.domain}", settings)
        found.append(_held(case._replace(session=session), entrance, server, expect=case.expect))
    return found, notes


def is_managed(recipient: str, managed: frozenset[str]) -> bool:
    """Whether a recipient is a plain mailbox of these domains; routes are not followed (RFC 5321, appendix F.2)."""
    if recipient.startswith("@"):
        recipient = recipient.partition(":")[2]
    local, _at, domain = recipient.rpartition("@")
    return bool(local) and not _ROUTING & set(local) and domain.lower() in managed


def login_of(sender: str, settings: Settings) -> str:
    """The login that owns an address by its name."""
    owners = settings.sender_logins.get(sender.lower())
    if owners:
        return owners[0]
    return sender if settings.login_form == ADDRESS else sender.partition("@")[0].partition("+")[0]


def _held(case: Case, entrance: Entrance, server: Server, expect: str = "") -> Case:
    recipient = case.session["rcpt_to"][0]
    if not expect:
        routed = case.expect == REJECT and not case.local and is_managed(recipient, server.managed)
        expect = NO_RELAY if routed else case.expect
    port = _PORTS.get(entrance.role, entrance.name.rpartition(":")[2])
    session = {"tls": False, "authenticated": "", **case.session, "service": entrance.name, "port": port}
    return case._replace(expect=expect, session=session, local=case.local or is_managed(recipient, server.managed))


def _named(case: Case, role: str) -> Case:
    return case._replace(name=f"{role}: {case.name}")


def _keyword(name: str, expect: str, client: str, keyword: str, *, tls: bool) -> Case:
    case = make_case(name, expect, client, "", "", tls=tls)
    return case._replace(session={**case.session, "keyword": keyword})


def _port_25(policy: MailPolicy, parties: Parties, server: Server) -> Iterator[Case]:
    for client in parties.external:
        yield from relay_cases(f"external client {client}", client, _forms(server), server.domain)
        name = f"external client {client} gets the relay rejection"
        yield make_case(name, REJECT, client, EXTERNAL_SENDER, TARGET, text=policy.relay_rejection)
        yield from plain_cases(f"external client {client} with TLS", client, server.domain, tls=True)
        for tls in (False, True):
            behind = " with TLS" if tls else ""
            for keyword in ("AUTH", "XCLIENT"):
                yield _keyword(f"{keyword} on port 25{behind} for {client}", NOT_OFFERED, client, keyword, tls=tls)
        if server.delivers:
            yield from delivery_cases(client, parties.own)
        # Postfix takes mail for this recipient wherever it comes from (RFC 5321, section 4.5.1).
        yield make_case(
            f"message of external client {client}", NO_MISTAKE, client, EXTERNAL_SENDER, "postmaster", message=True
        )
        if ":" not in client:
            yield from plain_cases(f"external client ::ffff:{client}", f"::ffff:{client}", server.domain)
    yield from _suffix_cases(policy, parties, server)
    yield from exempt_cases(policy, parties, server.domain)
    for case in internal_cases(policy, parties):
        if server.delivers or not case.local:
            yield case
    for network in [one for one in policy.internal if one.version == 4][:1]:
        client = f"::ffff:{boundary_of(network, parties.known).inside[0]}"
        yield make_case(f"internal client {client} of {network}", ACCEPT, client, parties.own[0], TARGET)
    yield from relay_exception_cases(
        policy._replace(relay_exceptions=tuple(sample(policy.relay_exceptions, EXCEPTIONS))), parties
    )
    yield from blocked_cases(policy, parties)


def _suffix_cases(policy: MailPolicy, parties: Parties, server: Server) -> Iterator[Case]:
    """Domains below a parent in relay_domains, which has them all (parent_domain_matches_subdomains)."""
    beside = {end: None for domain in (*policy.domains, server.host) for end in public_suffixes(domain)}
    for end in [one for one in beside if one not in server.managed][:_SUFFIXES]:
        target = f"victim@{TARGET_DOMAIN.partition('.')[0]}.{end}"
        for client in parties.external[:1]:
            name = f"external client {client}, to another domain below {end}"
            yield make_case(name, REJECT, client, EXTERNAL_SENDER, target)


def _submission(policy: MailPolicy, settings: Settings, parties: Parties, server: Server) -> Iterator[Case]:
    """A client without SMTP AUTH sends nothing at all, an authenticated client from its own addresses."""
    own, other = f"user@{server.domain}", f"another-user@{server.domain}"
    login = login_of(own, settings)
    # Without an address a login owns those of the policy's domains alone.
    owns = settings.login_form == ADDRESS or server.domain in policy.domains
    for client in parties.external:
        yield _keyword(f"AUTH for {client} before TLS", NOT_OFFERED, client, "AUTH", tls=False)
        yield _keyword(f"AUTH for {client} with TLS", OFFERED, client, "AUTH", tls=True)
        for tls in (False, True):
            behind = "with" if tls else "without"
            yield from plain_cases(f"external client {client} {behind} TLS", client, server.domain, tls=tls)
            name = f"external client {client} {behind} TLS, to own domain"
            yield make_case(name, REJECT, client, EXTERNAL_SENDER, parties.own[0], local=True, tls=tls)
        yield from relay_cases(f"external client {client}", client, _forms(server), server.domain, tls=True)
        for sender in (own, f"user+box@{server.domain}") if owns else ():
            yield _logged_in(f"logged in from {client}", ACCEPT, client, sender, login)
        # Owners are a list with blanks or commas, which a quoted address can have as well.
        for sender in (other, EXTERNAL_SENDER, f'"a {login} b"@{EXTERNAL_DOMAIN}', f'"a, {login}, b"@{server.domain}'):
            yield _logged_in(f"logged in from {client} as {login}", REJECT, client, sender, login)
    for network in sample(policy.internal, 3):
        client = boundary_of(network, parties.known).inside[0]
        yield make_case(f"internal client {client}, not logged in", REJECT, client, own, TARGET, tls=True)
    for network in sample(policy.blocked, SAMPLE):
        client = boundary_of(network, NetworkSet(())).inside[0]
        yield _logged_in(f"blocked client {client}, logged in", REJECT, client, own, login)
    yield from _owners(settings, parties)


def _owners(settings: Settings, parties: Parties) -> Iterator[Case]:
    """Addresses that the inventory gives to logins."""
    for address, logins in list(settings.sender_logins.items())[:_OWNERS]:
        sender = f"no.such.user{address}" if address.startswith("@") else address
        for client in parties.external[:1]:
            for login in logins[:1]:
                yield _logged_in(f"{sender} of {login}", ACCEPT, client, sender, login)
            yield _logged_in(f"{sender} not of no.such.login", REJECT, client, sender, "no.such.login")


def _logged_in(name: str, expect: str, client: str, sender: str, login: str) -> Case:
    return make_case(f"{name}, sender {sender}", expect, client, sender, TARGET, authenticated=login, tls=True)


def _elsewhere(parties: Parties, server: Server, entrance: Entrance) -> Iterator[Case]:
    """Unmanaged services: no external client may relay there."""
    for client in parties.external:
        for tls in (True,) if entrance.wrapped else (False, True):
            how = f"{entrance.name}{' with TLS' if tls else ''}"
            name = f"master.cf line {entrance.line}, {how}: external client {client}"
            yield from relay_cases(name, client, _forms(server), server.domain, tls=tls)
            yield _keyword(f"{name}, XCLIENT", NOT_OFFERED, client, "XCLIENT", tls=tls)


def _forms(server: Server) -> list[Any]:
    return list(relay_forms(server.domain, server.address))
