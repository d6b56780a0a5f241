# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mapping tables from a mail policy, as rows that remember which variable they come from.

Sources: docs/reference/messaging-server-facts.md#access-tables,
docs/reference/messaging-server-facts.md#general-database, docs/reference/messaging-server-facts.md#dns-verify and
docs/reference/messaging-server-facts.md#table-mistakes.

HELO names and addresses are text of the client and may have a bar in them, so a star may take more than its field. Two
rules keep that harmless. An entry that accepts matches less, never more: each of its fields is a class without a bar,
or lies before all such text. An entry that rejects or looks up has plain stars, which match more.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from .._policy.mail import CLIENT_IN_TEXT, STAGE_CONNECT, STAGE_DISPATCHER, STAGE_MAIL, Dnsbl, MailPolicy
from .._policy.networks import LOCALHOST, LOOPBACK, Network
from ._formats.mapping import Pair
from ._formats.mapping_quote import quote
from ._formats.tables import INTERNAL_IP, ORIG_MAIL_ACCESS, ORIG_SEND_ACCESS, PORT_ACCESS
from ._formats.text import fold
from .settings import BY_MAPPING, Extra, Settings

_ADDRESS, _PORT, _TYPE, _VISIBLE = "$[0-9A-Fa-f.:]*", "$D*", "$A*", "$[!-{}-~]*"
"""Classes without a bar: an address, a port, a submission type, visible text (see the top of this file)."""

_DOMAIN = "$[+-.0-9A-Z_a-z]*"
"""A domain as it becomes part of a template again: without dollar signs and bars."""

_CLIENT = f"TCP|{_ADDRESS}|{_PORT}|{_ADDRESS}|{_PORT}"
"""What leads a probe of ORIG_MAIL_ACCESS, with the client's address as wildcard 2."""

NEVER_NAMED = ("native", "hold", "pipe")
"""Channels that no address may name, whatever comes after: docs/reference/messaging-server-facts.md#never-named."""

ALWAYS_REACHABLE = ("postmaster", "abuse")
"""Senders must be able to ask why they are rejected (docs/reference/messaging-server-facts.md#dns-verify-placement)."""

INTERNAL_KEY, BLOCKED_KEY = "MAILHOST-INTERNAL", "MAILHOST-BLOCKED"
"""Keys of the general database."""

BLOCKED = "$N" + quote("500 5.7.1 Access denied", "text")


class Row(NamedTuple):
    """An entry, and where it comes from: an option of the policy or of the settings, and the place in it."""

    pattern: str
    template: str
    option: str
    place: str = ""


class Sources(NamedTuple):
    """What the tables are made from. ``hosts`` are the official host names by folded channel name, empty if unknown.

    ``database`` says whether the general database can be used. ``leaving`` are folded names of channels by which mail
    leaves the host.
    """

    policy: MailPolicy
    settings: Settings
    hosts: Mapping[str, str]
    database: bool
    leaving: tuple[str, ...] = ()


class Tables(NamedTuple):
    """Rows of each table that is needed, and the entries of the general database."""

    rows: dict[str, list[Row]]
    general: dict[str, str]


def build_tables(sources: Sources) -> Tables:
    """All tables of a policy. Raises QuoteError for a channel's name that cannot stand in a pattern."""
    policy, extra = sources.policy, sources.settings.extra_entries
    rows: dict[str, list[Row]] = {}
    if policy.blocked or policy.dnsbls_at(STAGE_CONNECT) or policy.dnsbls_at(STAGE_DISPATCHER) or PORT_ACCESS in extra:
        rows[PORT_ACCESS] = _port_access(sources)
    rows[INTERNAL_IP] = _internal_ip(sources)
    rows[ORIG_SEND_ACCESS] = _send_access(sources)
    mail = _mail_access(sources)
    if mail:
        rows[ORIG_MAIL_ACCESS] = mail
    general: dict[str, str] = {}
    for network in _in_database(sources, policy.internal):
        general[f"{INTERNAL_KEY}|{network.address}"] = "$Y"
    if not policy.dnsbls_at(STAGE_DISPATCHER):
        for network in _in_database(sources, policy.blocked):
            general[f"{BLOCKED_KEY}|{network.address}"] = BLOCKED
    return Tables(rows, general)


def _framed(settings: Settings, table: str, own: Iterable[Row], last: Iterable[Row] = ()) -> list[Row]:
    """The rows of the policy between those of the user."""
    extra = settings.extra_entries.get(table, Extra())

    def of_user(place: str, pairs: Iterable[Pair]) -> Iterator[Row]:
        for index, (pattern, template) in enumerate(pairs):
            yield Row(pattern, template, "extra_entries", f".{table}.{place}[{index}]")

    return [*of_user("before", extra.before), *own, *of_user("after", extra.after), *last]


def network_pattern(network: Network) -> str:
    """The pattern item for a network; a single address has its full length too."""
    return f"$({network})" if network.version == 4 else f"${{{network}}}"


def _in_database(sources: Sources, networks: Iterable[Network]) -> list[Network]:
    """The single addresses of a list that go into the general database; only IPv4 has one spelling for each."""
    limit = sources.settings.general_database_from
    singles = [one for one in networks if one.version == 4 and one.prefix == 32]
    return singles if sources.database and limit and len(singles) >= limit else []


def _in_table(sources: Sources, networks: Iterable[Network]) -> list[Network]:
    networks = list(networks)
    elsewhere = set(_in_database(sources, networks))
    return [network for network in networks if network not in elsewhere]


def _with_loopback(networks: Iterable[Network]) -> list[Network]:
    known = list(networks)
    return known + [one for one in LOOPBACK if one not in known]


# INTERNAL_IP


def _internal_ip(sources: Sources) -> list[Row]:
    inside = "internal_networks"
    rows = []
    if _in_database(sources, sources.policy.internal):
        rows.append(Row("*", f"$C${{{INTERNAL_KEY}|$0}}$E", inside))
    networks = _with_loopback(_in_table(sources, sources.policy.internal))
    rows += [
        Row(pattern, "$Y", inside)
        for network in networks
        # The vendor writes the loopback address as text (docs/reference/messaging-server-facts.md#internal-ip).
        for pattern in ([LOCALHOST] if network == LOOPBACK[0] else []) + [network_pattern(network)]
    ]
    return _framed(sources.settings, INTERNAL_IP, rows, [Row("*", "$N", inside)])


# PORT_ACCESS: its probes have no text of the client.


def _port_access(sources: Sources) -> list[Row]:
    policy, settings = sources.policy, sources.settings
    exempt = [Row(_port_pattern(one), "$YEXTERNAL", "dnsbl_exempt_networks") for one in policy.exempt]
    if policy.dnsbls_at(STAGE_DISPATCHER):
        # The zones of the Dispatcher are looked at only when no entry matches
        # (docs/reference/messaging-server-facts.md#port-access): no entry here may
        # match an external client, not even one that fails.
        rows = [Row(_port_pattern(one), BLOCKED, "blocked_networks") for one in policy.blocked]
        rows += [Row(_port_pattern(one), "$Y", "internal_networks") for one in _with_loopback(policy.internal)]
        return _framed(settings, PORT_ACCESS, rows + exempt)
    rows = []
    if _in_database(sources, policy.blocked):
        rows.append(Row("TCP|*|*|*|*", f"$C${{{BLOCKED_KEY}|$2}}$E", "blocked_networks"))
    rows += [Row(_port_pattern(one), BLOCKED, "blocked_networks") for one in _in_table(sources, policy.blocked)]
    rows.append(Row("*|*|*|*|*", f"$C$|{INTERNAL_IP};$3|$Y$E", "internal_networks"))
    lists = policy.dnsbls_at(STAGE_CONNECT)
    if lists:
        rows += exempt
    for one in lists:
        call = _list_call(settings, "dns_verify_domain_port", "$1", one)
        # Flag A is set on the Dispatcher's probe alone, so the server's own probe costs no look-up.
        rows.append(Row("TCP|*|25|*|*", f"$C$:A{call}$E", "dnsbls", f"[{one.place}].text"))
    return _framed(settings, PORT_ACCESS, rows, [Row("*", "$YEXTERNAL", "internal_networks")])


def _port_pattern(network: Network) -> str:
    return f"TCP|*|*|{network_pattern(network)}|*"


def _list_call(settings: Settings, routine: str, client: str, one: Dnsbl) -> str:
    text = quote(one.reply_text, "callout").replace(CLIENT_IN_TEXT, client)
    # The dot keeps the resolver's search list out (docs/reference/messaging-server-facts.md#dns-verify-domain).
    return f"$[{settings.dns_library},{routine},{client},{one.zone}.,{text}]"


# ORIG_SEND_ACCESS


def _send_access(sources: Sources) -> list[Row]:
    policy, channels = sources.policy, sources.settings.channels
    external, internal = channels.external, channels.internal
    rejection = "$N" + quote(policy.relay_rejection, "text")
    rows = [
        Row(f"{source}|*|{destination}", rejection, "relay_rejection") for source, destination in _never_open(sources)
    ]
    outward = _outward(sources)
    for index, exception in enumerate(policy.relay_exceptions):
        # Only the addresses of the envelope; ORIG_MAIL_ACCESS checks the networks.
        rows += [
            Row(f"{external}|{sender}|{destination}|{recipient}", "$Y", "relay_exceptions", f"[{index}]")
            for destination in (external, *outward)
            for sender in _mailboxes(exception.sender_domains)
            for recipient in _mailboxes(exception.recipient_domains)
        ]
    rows.append(Row(f"{external}|*|{external}|*", rejection, "relay_rejection"))
    for destination in (*((internal,) if policy.domains else ()), *outward):
        # After the rejections above. A star for the sender may take a channel too, but the text ends in a local domain
        # all the same, and the external channel is closed by then.
        rows += [
            Row(f"{external}|*|{destination}|*@{domain}", "$Y", "domains", f"[{index}]")
            for index, domain in enumerate(policy.domains)
        ]
        rows.append(Row(f"{external}|*|{destination}|*", rejection, "relay_rejection"))
    return _framed(sources.settings, ORIG_SEND_ACCESS, rows)


def _outward(sources: Sources) -> list[str]:
    """Unmanaged channels by which mail leaves the host, as patterns."""
    return [quote(name, "pattern") for name in ways_out(sources.settings, sources.leaving)]


def ways_out(settings: Settings, leaving: Iterable[str]) -> list[str]:
    """Unmanaged channels of those by which mail leaves the host, but for those of which an extra entry decides."""
    channels = settings.channels
    known = {fold(name) for name in (*channels, *NEVER_NAMED)}
    # An extra entry that takes all mail for a channel decides: no entry after it could be reached.
    decided = {fold(pattern) for pattern, _template in settings.extra_entries.get(ORIG_SEND_ACCESS, Extra()).before}
    found = [name for name in leaving if name not in known]
    return [name for name in found if fold(f"{channels.external}|*|{quote(name, 'pattern')}|*") not in decided]


def _mailboxes(domains: Iterable[str]) -> list[str]:
    return [f"{_VISIBLE}@{domain}" for domain in domains] or [_VISIBLE]


def _never_open(sources: Sources) -> Iterator[tuple[str, str]]:
    """Source channel, and destination channel with recipient, of what no exception opens."""
    settings, hosts = sources.settings, sources.hosts
    channels = settings.channels
    inward = [channels.internal, channels.authenticated, channels.submission]
    # The next server, the local channel too, may follow a route: source route, percent sign, bang path,
    # second at sign. External clients have no reason to name one (RFC 5321 appendix C, RFC 1123 section 5.2.16).
    for route in ("@*", "*$%*", "*!*", "*@*@*"):
        yield channels.external, f"*|{route}"
    for name in inward[1:]:
        if not hosts or fold(name) in hosts or name != channels.submission or settings.submission:
            yield channels.external, f"{name}|*"
    sources_of_mail = ["tcp_*"] + ([] if fold(channels.external).startswith("tcp_") else [channels.external])
    for source in sources_of_mail:
        for name in NEVER_NAMED:
            if not hosts or name in hosts:
                yield source, f"{name}|*"
        for name, host in _named_by_host(sources):
            yield source, f"{quote(name, 'pattern')}|*@{quote(host, 'pattern')}"


def _named_by_host(sources: Sources) -> list[tuple[str, str]]:
    """Channels that mail may go to, but not by naming their host: no real domain is without a dot."""
    channels = sources.settings.channels
    others = {channels.external, channels.authenticated, channels.submission, channels.local, *NEVER_NAMED}
    hosts = sources.hosts or {"ims-ms": "ims-ms-daemon"}
    known = {**hosts}
    known.setdefault(fold(channels.internal), default_host(channels.internal))
    return [
        (name, host)
        for name, host in sorted(known.items())
        if "." not in host and name not in {fold(other) for other in others}
    ]


def default_host(channel: str) -> str:
    """The official host name that a channel gets when it is made here."""
    return f"{channel}-daemon"


# ORIG_MAIL_ACCESS


def _mail_access(sources: Sources) -> list[Row]:
    policy, settings = sources.policy, sources.settings
    external = settings.channels.external
    rows: list[Row] = []
    for index, exception in enumerate(policy.relay_exceptions):
        for network in exception.networks:
            client = f"TCP|{_ADDRESS}|{_PORT}|{network_pattern(network)}|{_PORT}|SMTP{_VISIBLE}|{_TYPE}"
            rows += [
                Row(f"{client}|{external}|{sender}|{destination}|{recipient}", "$Y$E", "relay_exceptions", f"[{index}]")
                for destination in (external, *_outward(sources))
                for sender in _mailboxes(exception.sender_domains)
                for recipient in _mailboxes(exception.recipient_domains)
            ]
    if policy.relay_exceptions:
        rejection = "$N" + quote(policy.relay_rejection, "text")
        rows.append(Row(f"TCP|*|*|*|*|*|*|{external}|*|{external}|*", rejection, "relay_rejection"))
        rows += _claimed_exceptions(sources, rejection)
    return _framed(settings, ORIG_MAIL_ACCESS, [*rows, *_looked_up(sources)])


def _claimed_exceptions(sources: Sources, rejection: str) -> Iterator[Row]:
    """Mail that has the addresses of a relay exception but not its networks, and goes to an unmanaged channel.

    ORIG_SEND_ACCESS lets these pairs pass besides mail for the local domains, which must not be rejected here.
    """
    policy, external = sources.policy, sources.settings.channels.external
    managed: dict[str, int] = {}
    closed: dict[str, int] = {}
    for destination in _outward(sources):
        for index, exception in enumerate(policy.relay_exceptions):
            senders, recipients = exception.sender_domains, exception.recipient_domains
            for sender in senders if not recipients else ():
                # Not looked up in lists: an entry cannot leave out one domain and let the others go on.
                client = f"{_CLIENT}|SMTP{_VISIBLE}|{_TYPE}|{external}|{_VISIBLE}@{sender}|{destination}"
                for domain in policy.domains:
                    managed.setdefault(f"{client}|{_VISIBLE}@{domain}", index)
            others = [f"*@{domain}" for domain in recipients if domain not in policy.domains]
            for recipient in others if recipients else ("*",):
                for sender in [f"*@{domain}" for domain in senders] or ["*"]:
                    closed.setdefault(f"TCP|*|*|*|*|*|*|{external}|{sender}|{destination}|{recipient}", index)
    for pattern, index in managed.items():
        yield Row(pattern, "$Y$E", "relay_exceptions", f"[{index}]")
    # The narrow ones first, so that each can be reached.
    for pattern, index in sorted(closed.items(), key=lambda one: -one[0].count("@")):
        yield Row(pattern, rejection, "relay_exceptions", f"[{index}]")


def _looked_up(sources: Sources) -> Iterator[Row]:
    policy, settings = sources.policy, sources.settings
    external = settings.channels.external
    lists = policy.dnsbls_at(STAGE_MAIL)
    by_mapping = policy.sender_domain_check and settings.sender_domain_check_form == BY_MAPPING
    if not lists and not by_mapping:
        return
    anyone = f"{_CLIENT}|SMTP{_VISIBLE}|{_TYPE}|{external}|{_VISIBLE}|{_VISIBLE}"
    for mailbox in ALWAYS_REACHABLE:
        yield Row(f"{anyone}|{mailbox}@{_VISIBLE}", "$Y$E", "dnsbls")
    for network in policy.exempt:
        # All fields before the text of the client are fixed; after them it may say what it likes.
        pattern = f"TCP|{_ADDRESS}|{_PORT}|{network_pattern(network)}|{_PORT}|*"
        yield Row(pattern, "$Y$E", "dnsbl_exempt_networks")
    for one in lists:
        call = _list_call(settings, "dns_verify_domain", "$2", one)
        yield Row(f"{_CLIENT}|SMTP*|*|{external}|*|*|*", f"$C{call}$E", "dnsbls", f"[{one.place}].text")
    if by_mapping:
        # What is found is template text: the domain must not be able to say $[...] in it.
        rejection = "$$NInvalid$ sender$ domain$ $7"
        call = f"$[{settings.dns_library},dns_verify,$7|$$y|{rejection}]"
        yield Row(f"{_CLIENT}|SMTP*|*|{external}|*@{_DOMAIN}|*|*", f"$C{call}$E", "sender_domain_check")
