# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that are held with the live files and with the wanted ones, at every SMTP service of either.

The policy says of some how they have to end; of others it says nothing, and what they get must not change.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..._policy.networks import LOCALHOST, LOOPBACK, Network
from ..._sessions.cases import (
    BLOCKED,
    DELIVERY,
    EXCEPTION,
    INTERNAL,
    RELAY,
    Case,
    make_case,
    parties_of,
)
from ..._sessions.clients import NetworkSet, boundary_of, sample
from ..._sessions.relay_forms import EXTERNAL_SENDER, TARGET
from .cases import Server, login_of
from .files import SMTP, SUBMISSION, SUBMISSIONS, Entrance

if TYPE_CHECKING:
    from ..._policy.mail import MailPolicy
    from .._config.settings import Settings

LOGIN, OWN_SENDERS, OWNERS = "postfix_submission", "postfix_submission, own senders only", "postfix_sender_logins"
DOMAINS, HELO, FULL_SENDER = DELIVERY.reason, "postfix_helo_check", "senders of external clients have a domain"
INSIDE = INTERNAL.reason
NO_PLAIN_LOGIN = "no SMTP AUTH without TLS"
RESTRICTIONS = "postfix_extra_restrictions"

WITHOUT_TLS = ", without TLS"
"""Behind the class of an authenticated client."""

ABSENT = "no-such-user"
"""A local part that no host has."""

BARE = "pc"
"""A host name without a domain, as mail programs and devices say it."""

_SAMPLE = 6
"""Networks of each kind."""


class Site(NamedTuple):
    """What live files name and the policy does not: networks that relay or are blocked, domains, those of aliases."""

    networks: tuple[Network, ...] = ()
    blocked: tuple[Network, ...] = ()
    domains: tuple[str, ...] = ()
    alias_domains: tuple[str, ...] = ()


class Question(NamedTuple):
    """A session at a service, given by its key, and why the policy asks for it to be closed or opened.

    ``owned``: the sender is that of the login by its name alone, which a table of the site cannot know.
    """

    key: tuple[str, str]
    case: Case
    closing: str = ""
    opening: str = ""
    owned: bool = False

    @property
    def who(self) -> str:
        """The class of clients and what they do."""
        return self.case.who


def all_questions(policy: MailPolicy, settings: Settings, server: Server, site: Site) -> Iterator[Question]:
    """Yield all sessions, service by service. ``server``: with the entrances of both, once for each key."""
    for entrance in server.entrances:
        yield from _Questions(policy, settings, server, site, entrance).all()


class _Questions:
    """Those of one service."""

    def __init__(self, policy: MailPolicy, settings: Settings, server: Server, site: Site, entrance: Entrance) -> None:
        self.policy, self.settings, self.server, self.site, self.entrance = policy, settings, server, site, entrance
        # Clients of networks that the live files trust are no external clients before.
        self.parties = parties_of(
            policy._replace(blocked=(*policy.blocked, *site.networks, *site.blocked)), server.domain
        )
        self.own = self.parties.own[0]
        self.submission = settings.submission and entrance.role in (SUBMISSION, SUBMISSIONS)

    def all(self) -> Iterator[Question]:
        """Yield them by class of client."""
        if self.entrance.inner:
            yield from self._trusted("loopback client", LOCALHOST, "", "")
            return
        for client in self.parties.external[:1]:
            yield from self._external(client)
            yield from self._authenticated(client)
        closing, opening = (LOGIN, "") if self.submission else ("", INSIDE if self.entrance.role == SMTP else "")
        networks = [one for one in self.policy.internal if one not in LOOPBACK]
        clients = [LOCALHOST, *(boundary_of(one, NetworkSet(())).inside[0] for one in sample(networks, _SAMPLE))]
        for client in clients:
            yield from self._trusted("internal client", client, closing, opening)
        yield from self._others()

    def _external(self, client: str) -> Iterator[Question]:
        who, to_own = RELAY.who.partition(",")[0], DELIVERY.who
        helo = HELO if not self.submission else LOGIN
        closing = LOGIN if self.submission else RESTRICTIONS if any(self.settings.extra_restrictions.values()) else ""
        if self.server.delivers:
            own, domain = self.own, self.server.domain
            spoofed, absent = f"{to_own}, sender of a managed domain", f"{to_own}, sender that does not exist"
            yield self._asked(to_own, client, EXTERNAL_SENDER, own, closing=closing, opening=DOMAINS)
            yield self._asked(f"{to_own}, bounce", client, "", own, closing=closing, opening=DOMAINS)
            yield self._asked(f"{to_own}, bare HELO", client, EXTERNAL_SENDER, own, closing=helo, helo=BARE)
            yield self._asked(spoofed, client, f"user@{domain}", own, closing=closing)
            yield self._asked(absent, client, f"{ABSENT}@{domain}", own, closing=closing)
            yield self._asked(f"{to_own}, sender without a domain", client, "external", own, closing=FULL_SENDER)
        for sender in (EXTERNAL_SENDER, f"user@{self.server.domain}"):
            yield self._asked(RELAY.who, client, sender, TARGET, closing=RELAY.reason)
        yield self._asked(f"{who}, bounce to other domains", client, "", TARGET, closing=RELAY.reason)

    def _authenticated(self, client: str) -> Iterator[Question]:
        who, domain = "authenticated client", self.server.domain
        own, host = f"user@{domain}", self.server.host
        login, tls = login_of(own, self.settings), {"tls": True}
        lost = LOGIN if self.entrance.role == SMTP and self.settings.submission else ""
        senders = OWN_SENDERS if self.submission else lost
        opening = LOGIN if self.submission else ""

        def asked(what: str, sender: str, recipient: str = TARGET, **more: Any) -> Question:
            return self._asked(f"{who}{what}", client, sender, recipient, **{"login": login, **tls, **more})

        yield asked("", own, closing=lost, opening=opening, owned=True)
        yield asked(", bare HELO", own, closing=lost, opening=opening, owned=True, helo=BARE)
        if not self.entrance.wrapped:
            without = LOGIN if self.submission else lost or NO_PLAIN_LOGIN
            yield asked(WITHOUT_TLS, own, closing=without, owned=True, tls=False)
        if self.server.delivers:
            yield asked(", to managed domains", own, self.own, closing=lost, opening=opening, owned=True)
        yield asked(", sender of somebody else", f"another-user@{domain}", closing=senders)
        yield asked(", sender that does not exist", f"{ABSENT}@{domain}", closing=senders)
        yield asked(", external sender", EXTERNAL_SENDER, closing=senders)
        yield asked(", bounce", "", closing=lost, opening=opening)
        if host and host != domain:
            yield asked(", sender login@myhostname", f"user@{host}", closing=senders, opening=opening, owned=True)
        for alias in self.site.alias_domains[:_SAMPLE]:
            if alias not in (domain, host):
                yield asked(f", sender of the alias domain {alias}", f"user@{alias}", closing=senders)

    def _trusted(self, who: str, client: str, closing: str, opening: str) -> Iterator[Question]:
        domain = self.server.domain
        own, others = f"user@{domain}", f"{who}, to other domains"

        def asked(what: str, sender: str, recipient: str = TARGET, helo: str = "") -> Question:
            return self._asked(what, client, sender, recipient, closing=closing, opening=opening, helo=helo)

        yield asked(others, own)
        yield asked(f"{others}, external sender", EXTERNAL_SENDER)
        yield asked(f"{others}, sender that does not exist", f"{ABSENT}@{domain}")
        yield asked(f"{others}, sender without a domain", "scanner")
        yield asked(f"{others}, bounce", "")
        yield asked(f"{others}, bare HELO", own, helo=BARE)
        if self.server.delivers:
            yield asked(f"{who}, to managed domains", own, self.own)

    def _others(self) -> Iterator[Question]:
        """Clients of networks that the policy or the live files name."""
        for network in self.site.networks[:_SAMPLE]:
            client = boundary_of(network, NetworkSet(())).inside[0]
            who = f"client of {network} (mynetworks), to other domains"
            yield self._asked(who, client, f"user@{self.server.domain}", TARGET, closing=RELAY.reason)
        if self.entrance.role != SMTP:
            return
        for client in self.parties.external[:1]:
            for domain in self.site.domains[:_SAMPLE]:
                who = f"external client, to the domain {domain}"
                yield self._asked(who, client, EXTERNAL_SENDER, f"postmaster@{domain}", closing=DOMAINS)
        for network in self.site.blocked[:_SAMPLE] if self.server.delivers else ():
            client = boundary_of(network, NetworkSet(())).inside[0]
            who = f"client of {network}, to managed domains"
            yield self._asked(who, client, EXTERNAL_SENDER, self.own, opening=BLOCKED.reason)
        for network in sample(self.policy.blocked, _SAMPLE) if self.server.delivers else ():
            client = boundary_of(network, NetworkSet(())).inside[0]
            yield self._asked(BLOCKED.who, client, EXTERNAL_SENDER, self.own, closing=BLOCKED.reason)
        for exception in sample(self.policy.relay_exceptions, _SAMPLE):
            inside = boundary_of(exception.networks[0], self.parties.known).inside[:1]
            sender = f"user@{exception.sender_domains[0]}" if exception.sender_domains else EXTERNAL_SENDER
            recipient = f"user@{exception.recipient_domains[0]}" if exception.recipient_domains else TARGET
            for one in inside:
                yield self._asked(EXCEPTION.who, one, sender, recipient, opening=EXCEPTION.reason)

    def _asked(  # noqa: PLR0913 - the parts of a session
        self,
        who: str,
        client: str,
        sender: str,
        recipient: str,
        *,
        closing: str = "",
        opening: str = "",
        owned: bool = False,
        login: str = "",
        tls: bool = False,
        helo: str = "",
    ) -> Question:
        case = make_case(who, "", client, sender, recipient, authenticated=login, tls=tls or self.entrance.wrapped)
        session = {**case.session, "port": int(self.entrance.key[1]) if self.entrance.key[1].isdigit() else 0}
        if helo:
            session["helo"] = helo
        return Question(self.entrance.key, case._replace(session=session, who=who), closing, opening, owned)


def at_service(question: Question, entrances: Iterable[Entrance]) -> Case | None:
    """The session at the entrance with its key, None where there is none."""
    for one in entrances:
        if one.key == question.key:
            session = question.case.session
            return question.case._replace(
                session={**session, "service": one.name, "tls": session["tls"] or one.wrapped}
            )
    return None


def senders_of(server: Server, settings: Settings, own: Sequence[str]) -> dict[str, str]:
    """Addresses that the sessions use as if they existed, each with the login that owns it."""
    names = ("user", "user+box", "another-user")
    known = [*(f"{name}@{server.domain}" for name in names), *own, *settings.sender_logins]
    return {one: _owner(one, settings) for one in known if one.partition("@")[0] and not one.endswith("@")}


def _owner(sender: str, settings: Settings) -> str:
    """The login of an address; one with a detail, as user+box@example.org, is of the login without it."""
    if sender in settings.sender_logins:
        return login_of(sender, settings)
    local, _at, domain = sender.partition("@")
    return login_of(f"{local.partition('+')[0]}@{domain}", settings)
