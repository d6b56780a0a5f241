# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which clients may relay or are rejected, and which DNSBLs are queried: restrictions on port 25 with their tables.

Sources: postconf(5), access(5), RESTRICTION_CLASS_README. A client that is neither internal nor a relay
exception is accepted only for a managed domain; the list of relay restrictions ends in a reject of all clients.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..._policy.mail import CLIENT_IN_TEXT, STAGE_MAIL, Dnsbl, MailPolicy, RelayException
from ..._policy.networks import BITS, LOOPBACK, Network, parse_networks
from .._config.facts import PostfixFacts
from .._config.lines import split_words
from .._config.maps import REGEXP, TEXT, Maps, literal, mailboxes
from .._config.settings import ALWAYS, FQDN, OFF, PREFIX, Settings

ALWAYS_REACHABLE = ("postmaster", "abuse")
"""Senders must be able to ask why they are rejected."""

GO_ON, PERMIT, REJECT = "DUNNO", "OK", "REJECT"
"""Goes on to the next restriction; permit would end the list, and the user's own restrictions after it."""

_ANY_CLIENT = (Network(4, 0, 0), Network(6, 0, 0))

Octets = tuple[tuple[int, int], ...]
_ALL_OCTETS = (0, 255)


class Access:
    """What the parts of a configuration are made from, and what they have in common."""

    def __init__(self, policy: MailPolicy, settings: Settings, facts: PostfixFacts) -> None:
        self.policy = policy
        self.settings = settings
        self.facts = facts
        self.maps = Maps()
        self.notes: list[str] = []
        self.own: dict[str, str] = {}
        """Managed parameters, which no installed program knows: restriction classes and what master.cf refers to."""
        self.blocked = self._blocked()
        self.connect_lists = [one for one in policy.dnsbls if one.stage != STAGE_MAIL]
        needed = bool(self.connect_lists or self.blocked)
        self.postscreen = needed or facts.postscreen or settings.postscreen == ALWAYS

    def parameter(self, name: str, value: str) -> str:
        """Add a managed parameter, and return its name."""
        self.own[PREFIX + name] = value
        return PREFIX + name

    def added(self, stage: str) -> tuple[str, ...]:
        """The user's own restrictions of a stage."""
        return self.settings.extra_restrictions.get(stage, ())

    def _blocked(self) -> list[str]:
        """Tables of clients that may not connect: long lists have an index, as cidr tables are read in a row."""
        singles = [one for one in self.policy.blocked if one.prefix == BITS[one.version]]
        kind = self.facts.indexed_type
        if len(singles) < self.settings.indexed_map_from or not kind:
            singles = []
        indexed = set(singles)
        rest = [one for one in self.policy.blocked if one not in indexed]
        found = []
        if singles:
            found.append(self.maps.add("blocked-addresses", kind, [(one.address, REJECT) for one in singles]))
        if rest:
            found.append(self.maps.cidr("blocked.cidr", rest, REJECT))
        return found


def build_access(access: Access) -> dict[str, str]:
    """Parameters of main.cf for port 25."""
    policy, settings = access.policy, access.settings
    inside = [*LOOPBACK, *(one for one in policy.internal if not _in_loopback(one))]
    exceptions = _exceptions(access)
    main = {
        "mynetworks": access.maps.cidr("internal.cidr", inside, PERMIT),
        "smtpd_delay_reject": "yes",
        "allow_untrusted_routing": "no",
        "smtpd_client_restrictions": _joined(
            [f"check_client_access {table}" for table in access.blocked], access.added("client")
        ),
        "smtpd_helo_restrictions": _joined(_helo(settings.helo_check), access.added("helo")),
        "smtpd_sender_restrictions": _joined(
            ["permit_mynetworks", "reject_non_fqdn_sender", *_sender_domain(access)], access.added("sender")
        ),
        "smtpd_relay_restrictions": _joined(_relay(access, exceptions)),
        "smtpd_recipient_restrictions": _joined(
            ["permit_mynetworks", *exceptions, *_look_ups(access)], access.added("recipient")
        ),
        "smtpd_data_restrictions": _joined(["reject_unauth_pipelining"], access.added("data")),
        "smtpd_end_of_data_restrictions": _joined(access.added("end_of_data")),
        "smtpd_etrn_restrictions": "permit_mynetworks, reject",
        # The default is for the time being, and the sender would try for days.
        "unknown_address_reject_code": "550",
        **_replies(access),
    }
    classes = [name for name in access.own if not name.startswith(f"{PREFIX}submission")]
    site = split_words(access.facts.site.get("smtpd_restriction_classes", "").replace(",", " "))
    main["smtpd_restriction_classes"] = _joined([name for name in site if not name.startswith(PREFIX)], classes)
    return {**main, **access.own}


def _joined(*parts: Iterable[str]) -> str:
    return ", ".join(one for part in parts for one in part)


def _in_loopback(network: Network) -> bool:
    return any(one.contains(network) for one in LOOPBACK)


def _helo(check: str) -> list[str]:
    if check == OFF:
        return []
    names = ["reject_non_fqdn_helo_hostname"] if check == FQDN else []
    return ["permit_mynetworks", "reject_invalid_helo_hostname", *names]


def _sender_domain(access: Access) -> list[str]:
    if not access.policy.sender_domain_check:
        return []
    unchecked = access.settings.sender_domain_exceptions
    if not unchecked:
        return ["reject_unknown_sender_domain"]
    check = access.parameter("sender_domain", "reject_unknown_sender_domain")
    rows = [*((f"/@{literal(domain)}$/", GO_ON) for domain in unchecked), ("/@/", check)]
    return [f"check_sender_access {access.maps.add('sender-domains.regexp', REGEXP, rows)}"]


def _relay(access: Access, exceptions: list[str]) -> list[str]:
    """Internal clients and relay exceptions; managed domains; then no other."""
    rejection = f"550 5.7.1 {access.policy.relay_rejection}"
    table = access.maps.add("relay-rejection.regexp", REGEXP, [("/^/", rejection)])
    return [
        "permit_mynetworks",
        *exceptions,
        "permit_auth_destination",
        f"check_recipient_access {table}",
        # Never reached; Postfix does not start without a restriction that it knows to close the relay.
        "reject_unauth_destination",
    ]


def _exceptions(access: Access) -> list[str]:
    """A restriction for each exception: it lets a message through, or says nothing of it."""
    return [
        f"check_client_access {_exception(access, index, one)}"
        for index, one in enumerate(access.policy.relay_exceptions)
    ]


def _exception(access: Access, index: int, exception: RelayException) -> str:
    name = f"relay-{index}"
    # The exception is for relaying; mail for managed domains is looked up like that of any client.
    managed = [(f"/@{literal(domain)}$/", GO_ON) for domain in access.policy.domains]
    allowed = [(pattern, PERMIT) for pattern in mailboxes(exception.recipient_domains)]
    table = access.maps.add(f"{name}-recipients.regexp", REGEXP, managed + allowed)
    check = access.parameter(f"relay_{index}_recipients", f"check_recipient_access {table}")
    if exception.sender_domains:
        rows = [(pattern, check) for pattern in mailboxes(exception.sender_domains)]
        table = access.maps.add(f"{name}-senders.regexp", REGEXP, rows)
        check = access.parameter(f"relay_{index}_senders", f"check_sender_access {table}")
    return access.maps.cidr(f"{name}-clients.cidr", exception.networks, check)


def _look_ups(access: Access) -> list[str]:
    """DNSBLs of stage mail, but not about exempt clients and not before a postmaster."""
    lists = access.policy.dnsbls_at(STAGE_MAIL)
    if not lists:
        return []
    entries = [f"reject_rbl_client {entry}" for one in lists for entry in _patterns(one)]
    check = access.parameter("dnsbls", _joined(entries))
    if access.policy.exempt:
        rows = [*((str(one), GO_ON) for one in access.policy.exempt), *((str(one), check) for one in _ANY_CLIENT)]
        table = access.maps.add("looked-up.cidr", "cidr", rows)
        check = access.parameter("looked_up", f"check_client_access {table}")
    rows = [*((f"/^{name}(@|$)/", GO_ON) for name in ALWAYS_REACHABLE), ("/^/", check)]
    return [f"check_recipient_access {access.maps.add('looked-up.regexp', REGEXP, rows)}"]


def _replies(access: Access) -> dict[str, str]:
    """The text of each list of stage mail.

    Newer versions look for it under the zone, older ones under the zone with its pattern. What is found under neither
    must not show a zone, as it may hold a key.
    """
    lists = access.policy.dnsbls_at(STAGE_MAIL)
    if not lists:
        return {}
    rows = [(key, list_reply(one)) for one in lists for key in (one.zone, *_patterns(one))]
    return {
        "maps_rbl_reject_code": "550",
        "rbl_reply_maps": access.maps.add("dnsbl-replies.txt", TEXT, rows),
        "default_rbl_reply": "$rbl_code 5.7.1 Your host $client_address is listed by a DNSBL",
    }


def _patterns(one: Dnsbl) -> list[str]:
    """A list as reject_rbl_client names it."""
    return [f"{one.zone}={pattern}" for pattern in answer_patterns(one.return_codes)]


def list_reply(one: Dnsbl) -> str:
    """The reply for a list, in which the client's address is a macro of Postfix."""
    return f"$rbl_code 5.7.1 {one.reply_text.replace(CLIENT_IN_TEXT, '$client_address')}"


# Return codes


def answer_patterns(return_codes: Iterable[str]) -> list[str]:
    """Return codes of a DNSBL as Postfix filters answers (postconf(5), reject_rbl_client): a pattern for each octet.

    These are the fewest patterns, as ``127.0.0.[2..11;20]``, that match exactly the addresses of the return codes.
    """
    rows: dict[tuple[str, ...], list[str]] = {}
    for first, last in _ranges(return_codes):
        for octets in _split(first, last, 24):
            *head, end = [_item(*octet) for octet in octets]
            rows.setdefault(tuple(_pattern([item]) for item in head), []).append(end)
    return [".".join((*head, _pattern(ends))) for head, ends in rows.items()]


def _ranges(return_codes: Iterable[str]) -> list[tuple[int, int]]:
    """Ends of the fewest ranges, in order."""
    found: list[tuple[int, int]] = []
    networks = [network for text in return_codes for network in parse_networks(text)]
    for first, last in sorted((network.value, network.last) for network in networks):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def _split(first: int, last: int, shift: int) -> Iterator[Octets]:
    """A range as products of octets: the octet at ``shift`` bits and those behind it."""
    low, high = first >> shift & 255, last >> shift & 255
    rest = (1 << shift) - 1
    if first & rest == 0 and last & rest == rest:
        yield ((low, high), *[_ALL_OCTETS] * (shift // 8))
    elif low == high:
        yield from (((low, low), *octets) for octets in _split(first, last, shift - 8))
    else:
        middle = low + 1 if first & rest else low
        end = high - 1 if last & rest != rest else high
        if middle > low:
            yield from _split(first, first | rest, shift)
        if middle <= end:
            yield ((middle, end), *[_ALL_OCTETS] * (shift // 8))
        if end < high:
            yield from _split(last & ~rest, last, shift)


def _item(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}..{high}"


def _pattern(items: list[str]) -> str:
    return items[0] if len(items) == 1 and items[0].isdigit() else f"[{';'.join(items)}]"
