# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Effects of a change of Messaging Server: the live and the wanted files are evaluated with the same sessions.

They are those of the proof, and further ones for what unmanaged entries name and for each service of the Dispatcher.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from .._policy.effects import OPENED, REJECTED, Effect
from .._policy.networks import NetworkError, parse_address
from .._sessions.cases import ACCEPT, DELIVERY, INTERNAL, NO_RELAY, REJECT, RELAY, Case, Class, make_case, parties_of
from .._sessions.clients import boundary_of
from .._sessions.relay_forms import EXTERNAL_SENDER, TARGET
from ._formats.mapping import Pair, parse_mappings
from ._formats.text import fold
from .proof import Verdict, verdict_of
from .surface import Service, services_of

if TYPE_CHECKING:
    from .._policy.mail import MailPolicy
    from ._evaluator.decision import LoadedConfig
    from .settings import Channels

NO_SERVICE = Verdict("connect", "without a service", ())
REPLACED = "messaging_server_unknown_entries: replace"
NEW_SERVICE = "messaging_server_submission"
"""The only service that the role makes."""

NAMED = 20
"""Addresses and clients that unmanaged entries name and that are tried."""

_ADDRESS = re.compile(r"(?<![\w.$+-])[A-Za-z0-9][\w.+-]*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?![\w.-]|\*)")
_CLIENT = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")


class Named(NamedTuple):
    """What entries name in so many words: addresses of mail, and addresses of clients."""

    addresses: tuple[str, ...]
    clients: tuple[str, ...]


def named_by(mappings: str, managed: Mapping[str, Container[Pair]]) -> Named:
    """Return what unmanaged entries of a mapping file name; sessions with these may end otherwise than others.

    ``managed``: the managed entries by table.
    """
    patterns = [
        entry.pattern
        for table in parse_mappings(mappings).tables
        for entry in table.entries
        if entry.pair not in managed.get(table.name.upper(), ())
    ]
    addresses = {fold(one): None for pattern in patterns for one in _ADDRESS.findall(pattern)}
    clients = {one: None for pattern in patterns for one in _CLIENT.findall(pattern) if _is_client(one)}
    return Named(tuple(addresses)[:NAMED], tuple(clients)[:NAMED])


def site_cases(
    policy: MailPolicy, domain: str, services: Iterable[Service], named: Named, *, replace: bool
) -> Iterator[Case]:
    """Yield sessions about which the policy says nothing in so many words: they are compared alone.

    ``replace``: the user wants entries replaced that neither the inventory nor an earlier run knows.
    """
    parties = parties_of(policy, domain)
    own, outside = parties.own[0], parties.external[:1]
    for service in services:
        more: dict[str, Any] = {"port": service.port, "service_channel": service.channel, "tls": service.tls}
        for client in outside:
            yield from _delivered("external client", client, own, **more)
            login = make_case("", ACCEPT, client, own, TARGET, authenticated=True, **more)
            yield from Class("authenticated client, to other domains", "SMTP AUTH").cases([login])
        for network in policy.internal[:1]:
            client = boundary_of(network, parties.known).inside[0]
            relayed = make_case("", ACCEPT, client, own, TARGET, **more)
            yield from INTERNAL.cases([relayed])
    of_entries = _of_entries(policy, named, outside, own)
    yield from (one._replace(reason=REPLACED) for one in of_entries) if replace else of_entries


def _of_entries(policy: MailPolicy, named: Named, outside: Iterable[str], own: str) -> Iterator[Case]:
    """Sessions with what entries name, whose reason may be another one than that of other clients."""
    known = parties_of(policy, own.rpartition("@")[2]).known
    for address in named.addresses:
        for client in outside:
            who = f"external client, sender {address}"
            yield from Class(who, "").cases([make_case("", ACCEPT, client, address, own, local=True)])
            to_named = make_case("", ACCEPT, client, EXTERNAL_SENDER, address, local=_is_own(address, policy))
            if not _is_own(address, policy):
                to_named = to_named._replace(expect=REJECT, reason=RELAY.reason)
            yield to_named._replace(who=f"external client, recipient {address}")
    for client in (one for one in named.clients if parse_address(one) not in known):
        who = f"client {client}, which an entry names"
        yield from _delivered(who, client, own)
        to_others = make_case("", REJECT, client, EXTERNAL_SENDER, TARGET)
        yield from Class(f"{who}, to other domains", RELAY.reason).cases([to_others])


def find_effects(
    cases: Iterable[Case], before: LoadedConfig, after: LoadedConfig, channels: Channels, *, managed: bool
) -> list[Effect]:
    """Return what the sessions get now that they did not get before, each class once. Raises MtaTextError.

    One that ends as it has to has the reason of its class, but for mail to managed domains from a client that was kept
    out before it could name a recipient: that was an entry of the site, which a recipient is no reason to drop. Where
    the host is ``managed`` already it was an entry of an earlier policy.
    """
    found: dict[str, Effect] = {}
    made = _ports(after) - _ports(before)
    for case in cases:
        new = verdict_of(case, after, channels)
        is_made = case.port in made
        old = NO_SERVICE if is_made else verdict_of(case, before, channels)
        was, now = _gets_through(case, old), _gets_through(case, new)
        if was == now:
            continue
        kind = OPENED if now else REJECTED
        earlier = DELIVERY.reason if managed and case.who == DELIVERY.who else ""
        kept_out = not managed and old.stage in ("connect", "MAIL FROM") and case.who == DELIVERY.who
        as_expected = now == (case.expect == ACCEPT)
        asked = (as_expected and not kept_out) or case.reason == REPLACED
        reason = NEW_SERVICE if is_made else (earlier or case.reason) if asked else ""
        effect = Effect(kind, "port", case.port, case.who, f"was {old.text}", reason)
        # One without a reason is what decides.
        known = found.get(effect.entry)
        if known is None or (known.reason and not effect.reason):
            found[effect.entry] = effect
    return list(found.values())


def _gets_through(case: Case, verdict: Verdict) -> bool:
    """Whether a message is accepted, or where only relaying is looked at, is relayed."""
    return verdict.text.startswith("relayed") if case.expect == NO_RELAY else not verdict.rejected


def _ports(config: LoadedConfig) -> set[int]:
    return {service.port for service in services_of(config.dispatcher)}


def _delivered(who: str, client: str, own: str, **more: Any) -> Iterator[Case]:
    delivered = make_case("", ACCEPT, client, EXTERNAL_SENDER, own, local=True, **more)
    return Class(f"{who}, to managed domains", "").cases([delivered])


def _is_own(address: str, policy: MailPolicy) -> bool:
    return address.rpartition("@")[2] in policy.domains


def _is_client(text: str) -> bool:
    try:
        parse_address(text)
    except NetworkError:
        return False
    return True
