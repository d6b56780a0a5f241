# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mail policy of an inventory: internal clients, relay exceptions, DNSBLs.

Every mail server is configured from this one policy; what only one product knows is elsewhere. Every problem of an
inventory is found in one pass and raised as one PolicyError.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .dnsbl import closed_list, shown_zone
from .domains import ZONE
from .errors import Problems, shown
from .networks import LOOPBACK, Network, NetworkError, parse_networks, read_list
from .options import Known, OptionReader

STAGE_CONNECT, STAGE_MAIL, STAGE_DISPATCHER = "connect", "mail", "dispatcher"
STAGES = (STAGE_CONNECT, STAGE_MAIL, STAGE_DISPATCHER)
"""When a DNSBL is queried."""

CLIENT_IN_TEXT = "{client}"
"""What stands for the address of the client in the text of a DNSBL."""


_ANSWERS = Network(4, 127 << 24, 8)
"""Answers of a DNSBL (RFC 5782)."""

_ERRORS = Network(4, 0x7FFFFF00, 24)
"""Answers that say that the query was wrong or not permitted."""

_TEXT = re.compile(r"[!#%-\[\]-{}](?:[ !#%-\[\]-{}]*[!#%-\[\]-{}])?")
"""Free texts go through several languages, in which each of the other characters means something."""

_DNSBL_TEXT = re.compile(r"[!#%-+\--Z\[^-{}](?:[ !#%-+\--Z\[^-{}]*[!#%-+\--Z\[^-{}])?")
"""The same without what separates or ends the arguments of a routine, or splits a reply into lines."""

TEXT_LENGTH = 200


class RelayException(NamedTuple):
    """Networks that may relay from these sender domains to these recipient domains; an empty tuple means any."""

    networks: tuple[Network, ...]
    sender_domains: tuple[str, ...]
    recipient_domains: tuple[str, ...]


class Dnsbl(NamedTuple):
    """A DNSBL: its zone in lower case without final dot, the stage that queries it, the answers that mean listed.

    ``return_codes`` is empty for every answer that is no error; ``text`` is empty for the default. ``place`` is where
    it stands in the inventory, from 0.
    """

    zone: str
    stage: str
    return_codes: tuple[str, ...]
    text: str
    place: int = 0

    @property
    def reply_text(self) -> str:
        """What a listed client is answered."""
        return self.text or f"Your host {CLIENT_IN_TEXT} is listed by {shown_zone(self.zone)}"


class MailPolicy(NamedTuple):
    """Everything that the access configuration of a mail server is made from; networks are sorted."""

    domains: tuple[str, ...]
    internal: tuple[Network, ...]
    blocked: tuple[Network, ...]
    exempt: tuple[Network, ...]
    relay_rejection: str
    relay_exceptions: tuple[RelayException, ...]
    dnsbls: tuple[Dnsbl, ...]
    sender_domain_check: bool

    def dnsbls_at(self, stage: str) -> list[Dnsbl]:
        """Return the DNSBLs that a stage queries."""
        return [dnsbl for dnsbl in self.dnsbls if dnsbl.stage == stage]

    def without_dnsbls(self, zones: Collection[str]) -> MailPolicy:
        """Return the policy without the DNSBLs of these zones."""
        return self._replace(dnsbls=tuple(dnsbl for dnsbl in self.dnsbls if dnsbl.zone not in zones))


DEFAULTS: dict[str, Any] = {
    "domains": [],
    "internal_networks": [],
    "blocked_networks": [],
    "relay_rejection": "Relaying not permitted",
    "relay_exceptions": [],
    "dnsbls": [],
    "dnsbl_exempt_networks": [],
    "sender_domain_check": False,
}
"""Options of a mail policy and their defaults."""

_EXCEPTION_KEYS = ("networks", "sender_domains", "recipient_domains")
_LIST_KEYS = ("zone", "stage", "return_codes", "text")


def read_mail_policy(
    options: Any, names: Mapping[str, str] | None = None, blocked_files: Mapping[str, Iterable[str]] | None = None
) -> MailPolicy:
    """Return the validated policy for a dictionary of options, or raise PolicyError with every problem.

    ``options``: the keys of DEFAULTS, each of them optional. ``names``: the inventory variable to name in errors
    for an option, by default ``mailhost_<option>``. ``blocked_files``: the lines of each file of blocked networks, by
    its path.
    """
    if not isinstance(options, Mapping):
        problems = Problems()
        problems.add("policy", f"{shown(options)} is not a dictionary; write the variables without mailhost_")
        problems.raise_if_any()
    reader = _MailPolicyReader(options, names or {})
    reader.reject_unknown("policy")
    policy = MailPolicy(
        domains=reader.domains(reader.path("domains"), reader.value("domains")),
        internal=reader.internal_networks(reader.path("internal_networks"), reader.value("internal_networks")),
        blocked=reader.blocked(blocked_files or {}),
        exempt=reader.networks("dnsbl_exempt_networks"),
        relay_rejection=reader.text(reader.path("relay_rejection"), reader.value("relay_rejection"), _TEXT),
        relay_exceptions=reader.exceptions(),
        dnsbls=reader.dnsbls(),
        sender_domain_check=reader.boolean("sender_domain_check"),
    )
    reader.check_blocked(policy)
    reader.problems.raise_if_any()
    return policy


class _MailPolicyReader(OptionReader):
    """Reads the options of a mail policy."""

    known = Known("mailhost", DEFAULTS, {})

    def text(self, path: str, value: Any, allowed: re.Pattern[str]) -> str:
        if isinstance(value, str) and len(value) <= TEXT_LENGTH and allowed.fullmatch(value):
            return str(value)
        excluded = '$ | " \\ ~' if allowed is _TEXT else '$ | " \\ ~ , ]'
        self.problems.add(
            path,
            f"{shown(value)} is not accepted; write 1 to {TEXT_LENGTH} printable ASCII characters without {excluded} "
            "or blanks at the ends",
        )
        return ""

    def keys(self, path: str, item: Any, keys: tuple[str, ...], what: str, example: str) -> Mapping[str, Any] | None:
        if not isinstance(item, Mapping):
            self.problems.add(path, f"{shown(item)} is not {what}; write a dictionary, as {example}")
            return None
        for key in item:
            if key not in keys:
                self.problems.add(path, f"{shown(key)} is not a key of {what}; write one of {', '.join(keys)}")
        return item

    def exceptions(self) -> tuple[RelayException, ...]:
        example = '[{networks: ["192.0.2.7"], sender_domains: ["example.com"]}]'
        option = self.path("relay_exceptions")
        found: list[RelayException] = []
        for index, value in enumerate(self.items(option, self.value("relay_exceptions"), example)):
            path = f"{option}[{index}]"
            item = self.keys(path, value, _EXCEPTION_KEYS, "a relay exception", example[1:-1])
            if item is None:
                continue
            networks = self.internal_networks(f"{path}.networks", item.get("networks"))
            if isinstance(item.get("networks"), (list, tuple)) and not item["networks"]:
                self.problems.add(f"{path}.networks", "is an empty list; name the networks that may relay")
            domains = [
                self.domains(f"{path}.{key}", item[key]) if item.get(key) is not None else ()
                for key in _EXCEPTION_KEYS[1:]
            ]
            if not any(item.get(key) for key in _EXCEPTION_KEYS[1:]):
                self.problems.add(
                    path,
                    "names neither sender_domains nor recipient_domains; "
                    f"put networks that may relay everything into {self.path('internal_networks')}",
                )
            for key in _EXCEPTION_KEYS[1:]:
                if item.get(key) is not None and isinstance(item[key], (list, tuple)) and not item[key]:
                    self.problems.add(
                        f"{path}.{key}", "is an empty list; name the domains, or leave the key out to allow any"
                    )
            found.append(RelayException(networks, domains[0], domains[1]))
        return tuple(found)

    def dnsbls(self) -> tuple[Dnsbl, ...]:
        example = "[{zone: zen.example.org, stage: mail}]"
        option = self.path("dnsbls")
        found: list[Dnsbl] = []
        zones: dict[str, str] = {}
        for index, value in enumerate(self.items(option, self.value("dnsbls"), example)):
            path = f"{option}[{index}]"
            item = self.keys(path, value, _LIST_KEYS, "a DNSBL", example[1:-1])
            if item is None:
                continue
            zone = self.name(f"{path}.zone", item.get("zone"), ZONE)
            if zone in zones:
                self.problems.add(
                    f"{path}.zone", f"{shown(item['zone'])} repeats {zones[zone]}; query each DNSBL at one stage"
                )
            zones.setdefault(zone, f"{path}.zone")
            closed = closed_list(zone)
            if closed:
                self.problems.add(f"{path}.zone", f"{shown(item['zone'])} {closed}; remove it")
            stage = item.get("stage", STAGE_MAIL)
            if not isinstance(stage, str) or stage not in STAGES:
                self.problems.add(f"{path}.stage", f"{shown(stage)} is not accepted; write connect, mail or dispatcher")
                stage = STAGE_MAIL
            codes = self.return_codes(f"{path}.return_codes", item.get("return_codes"))
            text = "" if item.get("text") is None else self.text(f"{path}.text", item["text"], _DNSBL_TEXT)
            found.append(Dnsbl(zone, str(stage), codes, text, index))
        return tuple(found)

    def return_codes(self, path: str, value: Any) -> tuple[str, ...]:
        if value is None:
            return ()
        accepted = 'write addresses, prefixes or ranges in 127.0.0.0/8, as ["127.0.0.2", "127.0.0.4-127.0.0.11"]'
        if not isinstance(value, (list, tuple)) or not value:
            self.problems.add(path, f"{shown(value)} is not a list with answers; {accepted}")
            return ()
        read_list(self.problems, path, value)
        for index, text in enumerate(value):
            try:
                networks = parse_networks(text)
            except NetworkError:
                continue
            if any(not _ANSWERS.contains(network) for network in networks):
                self.problems.add(f"{path}[{index}]", f"{shown(text)} is no answer of a DNSBL; {accepted}")
            elif any(network.overlaps(_ERRORS) for network in networks):
                self.problems.add(
                    f"{path}[{index}]",
                    f"{shown(text)} has answers in 127.255.255.0/24, which say that the query was not permitted; "
                    "leave them out",
                )
        return tuple(str(text) for text in value)

    def check_blocked(self, policy: MailPolicy) -> None:
        """A blocked host cannot connect, so nothing else can be promised to it."""
        blocked = self.path("blocked_networks")
        for one, other in _overlaps(LOOPBACK, policy.blocked):
            self.problems.add(
                blocked, f'"{other.short()}" overlaps "{one.short()}", the loopback of the host itself; remove it'
            )
        pairs = [(self.path("internal_networks"), policy.internal)]
        pairs += [
            (f"{self.path('relay_exceptions')}[{index}].networks", exception.networks)
            for index, exception in enumerate(policy.relay_exceptions)
        ]
        for path, networks in pairs:
            for one, other in _overlaps(networks, policy.blocked):
                self.problems.add(path, f'"{one.short()}" overlaps "{other.short()}" of {blocked}; remove one of them')
        for one, other in _overlaps(policy.exempt, policy.blocked):
            if other.contains(one):
                self.problems.add(
                    self.path("dnsbl_exempt_networks"),
                    f'"{one.short()}" lies in "{other.short()}" of {blocked}; remove one of them',
                )


def _overlaps(networks: Sequence[Network], others: Sequence[Network]) -> list[tuple[Network, Network]]:
    """For each network the first of the sorted, separate others that it overlaps."""
    found: list[tuple[Network, Network]] = []
    for network in networks:
        after = bisect_right(others, (network.version, network.value, 128))
        near = others[max(after - 1, 0) : after + 1]
        found.extend([(network, other) for other in near if network.overlaps(other)][:1])
    return found
