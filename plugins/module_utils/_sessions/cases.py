# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions with which a staged configuration of any mail server is tried, and what has to come of them.

Private to this collection. They follow from the policy alone: nothing here knows how a product's files say it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.networks import (
    LOOPBACK,
    parse_address,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.clients import (
    Claimed,
    ends,
    sample,
    strangers,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.relay_forms import (
    EXTERNAL_DOMAIN,
    EXTERNAL_SENDER,
    TARGET,
    TARGET_DOMAIN,
    RelayForm,
    relay_forms,
)

if TYPE_CHECKING:
    from ansible_collections.mailhost.hardening.plugins.module_utils._policy.mail import MailPolicy
    from ansible_collections.mailhost.hardening.plugins.module_utils._policy.policy_tests import PolicyTest

ACCEPT, REJECT, NO_RELAY = "accept", "reject", "no relay"

#: Networks of a list whose ends are looked at; the others are said in the same way.
SAMPLE = 12

#: Domains of a list that mail is sent to.
DOMAINS = 6


class Case(NamedTuple):
    """A session in the shape of `_smtp_session.read_session`, with its expected end.

    ``local`` says that the recipient is one of ours, whose channel the directory tells and not the files. ``author``:
    who expects that end.
    """

    name: str
    expect: str
    session: dict[str, Any]
    local: bool = False
    author: str = "policy says"


class People(NamedTuple):
    """Who is who for a policy. ``claimed``: networks whose hosts may do something, or nothing at all.

    ``foreign``: a stranger of each family. ``unlisted``: the same, who is not exempt from block lists. ``own``:
    recipients in our own domains.
    """

    claimed: Claimed
    foreign: tuple[str, ...]
    unlisted: tuple[str, ...]
    own: tuple[str, ...]


def people_of(policy: MailPolicy, domain: str) -> People:
    """Who is who; ``domain`` is one of the server's own, for a policy that names none."""
    friends = [network for exception in policy.relay_exceptions for network in exception.networks]
    owners = [*policy.internal, *policy.blocked, *friends, *LOOPBACK]
    # Who is exempt from block lists is a stranger all the same where relaying is concerned.
    claimed, known = Claimed(owners), Claimed([*owners, *policy.exempt])
    return People(
        claimed,
        tuple(address for version in (4, 6) for address in islice(strangers(claimed, version), 1)),
        tuple(address for version in (4, 6) for address in islice(strangers(known, version), 1)),
        tuple(f"postbox@{name}" for name in policy.domains[:DOMAINS] or (domain,)),
    )


def cases_of_tests(tests: tuple[PolicyTest, ...], domains: tuple[str, ...]) -> Iterator[Case]:
    """The user's own tests as sessions."""
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
        yield case._replace(author="test expects")


def make_case(  # noqa: PLR0913 - the parts of a session
    name: str, expect: str, client: str, mail_from: str, rcpt_to: str, *, local: bool = False, **more: Any
) -> Case:
    """A session from a stranger's host name, with whatever else it has; the sender's domain exists in its DNS."""
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
    """All forms in which a stranger asks to relay."""
    for form in forms:
        yield make_case(f"{name}: {form.name}", REJECT, client, form.mail_from, completed(form.rcpt_to, domain), **more)


def delivery_cases(client: str, own: tuple[str, ...]) -> Iterator[Case]:
    """What a stranger may do: send to us."""
    for recipient in own:
        yield make_case(f"stranger {client} to our own domain", ACCEPT, client, EXTERNAL_SENDER, recipient, local=True)
    yield make_case(f"stranger {client}, bounce to our own domain", ACCEPT, client, "", own[0], local=True)


def plain_cases(name: str, client: str, domain: str, **more: Any) -> Iterator[Case]:
    """The plain forms, for one more way in: the others differ in the recipient, which every way treats alike."""
    for sender, told in ((EXTERNAL_SENDER, "plain"), ("", "null sender"), (f"postmaster@{domain}", "spoofed sender")):
        yield make_case(f"{name}: {told}", REJECT, client, sender, TARGET, **more)


def exempt_cases(policy: MailPolicy, people: People, domain: str) -> Iterator[Case]:
    """Who is exempt from block lists may relay no more than others."""
    for network in sample(policy.exempt, SAMPLE):
        for client in ends(network, Claimed(())).inside:
            if parse_address(client) not in people.claimed:
                yield from plain_cases(f"exempt {client}", client, domain)


def internal_cases(policy: MailPolicy, people: People) -> Iterator[Case]:
    """Both ends of internal networks, and their neighbours."""
    own = people.own[0]
    for client in ("127.0.0.1", "::1"):
        yield make_case(f"loopback {client}", ACCEPT, client, own, TARGET)
    for network in sample(policy.internal, SAMPLE):
        edge = ends(network, people.claimed)
        for client in edge.inside:
            yield make_case(f"internal {client} of {network}", ACCEPT, client, own, TARGET)
            yield make_case(f"internal {client} of {network}, to us", ACCEPT, client, own, own, local=True)
        for client in edge.outside:
            yield make_case(f"{client} next to internal {network}", NO_RELAY, client, EXTERNAL_SENDER, TARGET)


def relay_exception_cases(policy: MailPolicy, people: People) -> Iterator[Case]:
    """What relay exceptions allow, and what lies next to it."""
    for exception in policy.relay_exceptions:
        senders = exception.sender_domains or (EXTERNAL_DOMAIN,)
        # Mail to our own domains is for everybody, whatever an exception says of it.
        named = exception.recipient_domains or (TARGET_DOMAIN,)
        foreign = [domain for domain in named if domain not in policy.domains]
        pair = (f"friend@{senders[0]}", f"friend@{(foreign or named)[0]}")
        for network in sample(exception.networks, SAMPLE):
            edge = ends(network, people.claimed)
            for client in edge.inside:
                yield make_case(f"friendly relay {client}", ACCEPT, client, *pair, local=not foreign)
                if exception.sender_domains and foreign:
                    yield make_case(
                        f"friendly relay {client}, other sender", NO_RELAY, client, EXTERNAL_SENDER, pair[1]
                    )
                if exception.recipient_domains:
                    yield make_case(f"friendly relay {client}, other recipient", NO_RELAY, client, pair[0], TARGET)
            for client in edge.outside if foreign else ():
                yield make_case(f"{client} next to friendly relay {network}", NO_RELAY, client, *pair)
        for client in people.foreign:
            if foreign:
                yield make_case(f"stranger {client} as a friendly relay", NO_RELAY, client, *pair)
            for form in relay_forms(senders[0], "192.0.2.25"):
                recipient = completed(form.rcpt_to, senders[0])
                yield make_case(f"stranger {client} as a friend, {form.name}", NO_RELAY, client, pair[0], recipient)


def blocked_cases(policy: MailPolicy, people: People) -> Iterator[Case]:
    """Who is blocked may not even send to us."""
    for network in sample(policy.blocked, SAMPLE):
        for client in ends(network, Claimed(())).inside:
            yield make_case(f"blocked {client}", REJECT, client, EXTERNAL_SENDER, people.own[0], local=True)


def completed(recipient: str, domain: str) -> str:
    """A recipient as the server completes it: an address without a domain is one of its own."""
    return recipient if "@" in recipient else f"{recipient}@{domain}"
