# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What main.cf has in places that the policy fills, and the inventory does not have: it is never dropped in silence.

Sources: postconf(5), access lists of SMTPD_ACCESS_README.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Union

from ..._policy.errors import shown
from ..._policy.mail import MailPolicy
from .._config.main_cf import MainCf, items
from .._config.master_cf import MasterCf
from .._config.record import Record
from .._config.settings import DEFAULTS, LOCAL, RELAY, STAGES, STOP, VIRTUAL
from .._plan.plan import Plan
from .context import Conflict, Finding, PolicyContext, Warn

IPNetwork = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

_DECIDED = {
    "permit",
    "reject",
    "permit_mynetworks",
    "permit_sasl_authenticated",
    "permit_auth_destination",
    "reject_unauth_destination",
    "defer_unauth_destination",
    "reject_unauth_pipelining",
    "reject_invalid_helo_hostname",
    "reject_invalid_hostname",
    "reject_non_fqdn_helo_hostname",
    "reject_non_fqdn_hostname",
    "reject_non_fqdn_sender",
    "reject_unknown_sender_domain",
    "reject_sender_login_mismatch",
    "reject_authenticated_sender_login_mismatch",
}
"""Restrictions whose subject the policy decides, whatever main.cf said of it."""

_WITH_ARGUMENT = {
    "reject_rbl_client",
    "permit_dnswl_client",
    "permit_rhswl_client",
    "reject_rhsbl_client",
    "reject_rhsbl_helo",
    "reject_rhsbl_reverse_client",
    "reject_rhsbl_sender",
    "reject_rhsbl_recipient",
    "warn_if_reject",
    "sleep",
}
"""Restrictions that have an argument, beside all that begin with ``check_``."""

_WORD = re.compile(r"(?:[^\s,{}]|\{(?:[^{}]|\{[^{}]*\})*\})+", re.ASCII)
"""Braces keep blanks and commas together, and stand by themselves or in a word as ``inline:{ {a = b} }``."""

_KEPT = ("$myhostname", "${myhostname}", "localhost.$mydomain", "localhost.${mydomain}", "$mydestination")
"""Names by other parameters that the plan keeps."""

_VARIABLES = (("smtpd_sasl_path", "postfix_sasl_path"),)
"""Variables of the role that have the value of a parameter."""

_DOMAINS = {LOCAL: "mydestination", VIRTUAL: "virtual_mailbox_domains", RELAY: "relay_domains"}


class Unknown(NamedTuple):
    """What was found: networks and domains, restrictions by stage, and words without a place in the inventory."""

    networks: tuple[str, ...]
    domains: tuple[str, ...]
    restrictions: dict[str, tuple[str, ...]]
    elsewhere: dict[str, tuple[str, ...]]


def unknown_entries(context: PolicyContext) -> Iterator[Finding]:
    """Find what a run would replace that the inventory does not have."""
    found = find_unknown(context) if context.settings.unknown_entries == STOP else None
    unknown = found and describe_unknown(found._replace(elsewhere={**found.elsewhere, **replaced_settings(context)}))
    if unknown:
        yield Conflict(
            "unknown entries",
            "these stand in main.cf where the policy decides, and the inventory does not have them. Put those that "
            "are to stay into the inventory, and remove the others from main.cf, or write "
            f"postfix_unknown_entries: replace\n{unknown}",
        )


def relayed_by_default(context: PolicyContext) -> Iterator[Finding]:
    """Warn where mail for all subdomains of the host's domains was accepted, which ends."""
    value, name = context.live.defaults.get("relay_domains", ""), "relay_domains"
    if value and name not in context.live.facts.site and name not in context.live.record.main:
        yield Warn(
            f"{name} is {shown(value)} by the low compatibility_level: mail for subdomains of these was accepted, and "
            "no longer is; to keep some, set it in main.cf"
        )


def find_unknown(context: PolicyContext) -> Unknown:
    """What the unmanaged main.cf has beyond the inventory, in parameters that are not managed yet or not any more.

    What stood there before the role was reported by the first run. What was added to managed values since was not.
    """
    plan, record, policy, settings = context.plan, context.live.record, context.policy, context.settings
    site = context.live.facts.site
    host_name = site.get("myhostname", context.live.facts.parameters.get("myhostname", ""))
    taken = {name: site[name] for name in plan.main if name in site and site[name] != _known_before(name, record)}
    managed = {name: (record.main[name].managed or "") if name in record.main else "" for name in taken}

    def added(name: str) -> list[str]:
        known = items(managed.get(name, ""))
        return [one for one in items(taken.get(name, "")) if one not in known]

    def listed(name: str) -> list[str]:
        known = restrictions_of(managed.get(name, ""))
        return [one for one in restrictions_of(taken.get(name, "")) if one not in known]

    networks, unread = _networks(added("mynetworks"), policy)
    parameter = _DOMAINS.get(settings.domain_class, "")
    domains, tables = _domains(added(parameter), policy, host_name)
    restrictions: dict[str, tuple[str, ...]] = {}
    zones = {one.zone for one in policy.dnsbls}
    for stage in STAGES:
        known = settings.extra_restrictions.get(stage, ())
        found = [
            one for one in listed(f"smtpd_{stage}_restrictions") if one not in known and not _is_decided(one, zones)
        ]
        if found:
            restrictions[stage] = tuple(found)
    elsewhere = {"mynetworks": unread, parameter: tables}
    relay = "smtpd_relay_restrictions"
    elsewhere[relay] = [one for one in listed(relay) if not _is_decided(one, zones)]
    return Unknown(
        tuple(networks),
        tuple(domains),
        restrictions,
        {name: tuple(found) for name, found in elsewhere.items() if found},
    )


def _known_before(name: str, record: Record) -> str | None:
    """What a managed parameter was before the role."""
    before = record.main[name].before if name in record.main else None
    return None if before is None else MainCf(before).get(name)


def describe_unknown(unknown: Unknown) -> str:
    """What was found, as it can be put into the inventory; empty when there is nothing."""
    lines: list[str] = []
    for variable, values in (
        ("mailhost_internal_networks", unknown.networks),
        ("mailhost_domains", unknown.domains),
    ):
        if values:
            lines += [f"{variable}:", *(f"  - {_quoted(one)}" for one in values)]
    if unknown.restrictions:
        lines.append("postfix_extra_restrictions:")
        for stage, found in unknown.restrictions.items():
            lines += [f"  {stage}:", *(f"    - {_quoted(one)}" for one in found)]
    lines += [f"{variable}: {_quoted(one)}" for name, variable in _VARIABLES for one in unknown.elsewhere.get(name, ())]
    others = {name: found for name, found in unknown.elsewhere.items() if name not in dict(_VARIABLES)}
    if others:
        lines.append("# without a variable of their own:")
        lines += [f"#   {name}: {one}" for name, found in others.items() for one in found]
    return "\n".join(lines)


def replaced_settings(context: PolicyContext) -> dict[str, tuple[str, ...]]:
    """What a first run would replace that users or neighbours depend on, by parameter."""
    plan, record, defaults, site = context.plan, context.live.record, context.live.defaults, context.live.facts.site
    found: dict[str, tuple[str, ...]] = {}
    if "mynetworks" not in site and "mynetworks" not in record.main:
        style = site.get("mynetworks_style", "")
        if not style and defaults.get("mynetworks_style", "host") != "host":
            style = f"{defaults['mynetworks_style']}, by the low compatibility_level; host trusts no neighbours"
        if style not in ("host", ""):
            found["mynetworks_style"] = (style,)
    for name, usual, given in (
        ("smtpd_sender_login_maps", "", ""),
        ("smtpd_sasl_type", "dovecot", _type_of_logins(site, context.live.master)),
    ):
        value = site.get(name, given)
        if name in plan.main and name not in record.main and value not in (usual, plan.main[name]):
            found[name] = (value,)
    found.update(_socket(site, plan, record))
    return found


def _type_of_logins(site: Mapping[str, str], master: MasterCf) -> str:
    """SMTP AUTH that names no type is that of Cyrus SASL."""
    services = [service.options for service in master]
    untyped = [one for one in (site, *services) if "smtpd_sasl_type" not in one]
    logins = any(one.get("smtpd_sasl_auth_enable", "").lower() == "yes" for one in untyped)
    return "cyrus" if logins or "smtpd_sasl_path" in site else "dovecot"


def _socket(site: Mapping[str, str], plan: Plan, record: Record) -> dict[str, tuple[str, ...]]:
    """The socket of an unmanaged Dovecot, where the inventory names none and the usual one is another."""
    name, usual = "smtpd_sasl_path", DEFAULTS["sasl_path"]
    if name in record.main or plan.main.get(name) != usual or site.get("smtpd_sasl_type") != "dovecot":
        return {}
    path = site.get(name, usual)
    path = path[len("unix:") :] if path.startswith("unix:") else path
    queue = site.get("queue_directory", "/var/spool/postfix")
    path = re.sub(r"^\$(?:queue_directory\b|\{queue_directory\}|\(queue_directory\))", lambda _reference: queue, path)
    return {} if path in (usual, f"{queue}/{usual}") else {name: (path,)}


def restrictions_of(value: str) -> list[str]:
    """The restrictions of a list, each with its argument."""
    words = _WORD.findall(value)
    found: list[str] = []
    while words:
        one = [words.pop(0)]
        while words and (one[-1] in _WITH_ARGUMENT or (one[-1].startswith("check_") and ":" not in one[-1])):
            one.append(words.pop(0))
        found.append(" ".join(one))
    return found


def _is_decided(restriction: str, zones: Iterable[str]) -> bool:
    name, _blank, argument = restriction.partition(" ")
    if name == "reject_rbl_client":
        return argument.partition("=")[0] in set(zones)
    return restriction in _DECIDED


def _networks(items: Iterable[str], policy: MailPolicy) -> tuple[list[str], list[str]]:
    """Networks outside of the policy's, and what cannot be read as a network."""
    inside = [ipaddress.ip_network(str(one)) for one in policy.internal]
    outside, unread = [], []
    for item in items:
        try:
            network = ipaddress.ip_network(re.sub(r"[\[\]]", "", item), strict=False)
        except ValueError:
            unread.append(item)
            continue
        if not _is_loopback(network) and not any(_within(network, one) for one in inside):
            outside.append(str(network))
    return outside, unread


def _is_loopback(network: IPNetwork) -> bool:
    first = network.network_address
    mapped = first.ipv4_mapped if isinstance(first, ipaddress.IPv6Address) else None
    return (mapped.is_loopback and network.prefixlen >= 104) if mapped else network.is_loopback


def _within(network: IPNetwork, other: IPNetwork) -> bool:
    if isinstance(network, ipaddress.IPv4Network):
        return isinstance(other, ipaddress.IPv4Network) and network.subnet_of(other)
    return isinstance(other, ipaddress.IPv6Network) and network.subnet_of(other)


def _domains(items: Iterable[str], policy: MailPolicy, host_name: str) -> tuple[list[str], list[str]]:
    """Domains that the policy does not have, and what is no domain. Names of the host itself are kept."""
    domains, unread = [], []
    for item in items:
        name = item.lower()
        kept = name in _KEPT
        if not kept and re.search(r"[^a-z0-9.-]", name):
            unread.append(item)
            continue
        of_the_host = kept or "." not in name or name.startswith("localhost.") or name == host_name.lower()
        if not of_the_host and name not in policy.domains:
            domains.append(name)
    return domains, unread


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[a-z0-9][A-Za-z0-9./_-]*", text) else "'" + text.replace("'", "''") + "'"
