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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NamedTuple

from ..._policy.dnsbl import hide_keys
from ..._policy.errors import shown
from ..._policy.mail import DEFAULTS as POLICY_DEFAULTS
from ..._policy.mail import MailPolicy
from .._config.main_cf import MainCf, items
from .._config.master_cf import MasterCf
from .._config.record import Record
from .._config.settings import DEFAULTS, LOCAL, RELAY, STAGES, STOP, VIRTUAL
from .._plan.plan import Plan
from .context import Conflict, Finding, Host, PolicyContext, Warn
from .login_ports import kept_options
from .networks import IPNetwork, within, without
from .paste import is_accepted, policy_problem, quoted, yaml_lines
from .postscreen import ACCESS_LIST, paste_of_postscreen
from .restrictions import (
    ETRN,
    NO_LOGINS,
    closed_for_own_domains,
    is_relay,
    restrictions_of,
    sort_restrictions,
)
from .senders import paste_of_senders
from .submission_checks import submission_checks
from .tables import LISTED

_KEPT = ("$myhostname", "${myhostname}", "localhost.$mydomain", "localhost.${mydomain}", "$mydestination")
"""Names by other parameters that the plan keeps."""

_VARIABLES = (("smtpd_sasl_path", "postfix_sasl_path"),)
"""Variables of the role that have the value of a parameter."""

_RELAY, _ETRN = "smtpd_relay_restrictions", "smtpd_etrn_restrictions"

_TABLE = re.compile("[a-z]+:")
_DOMAIN = re.compile(r"[a-z0-9][a-z0-9-]*(\.[a-z0-9-]+)+")
"""A domain as the key of a table; one of its subdomains alone, with a dot before it, has no place in the inventory."""

_DOMAINS = {LOCAL: "mydestination", VIRTUAL: "virtual_mailbox_domains", RELAY: "relay_domains"}


class Unknown(NamedTuple):
    """What was found, as the inventory can have it, and words without a place in it.

    ``restrictions``: by stage; where there are any, those of the inventory as well, as the variable has them all.
    ``variables``: further options with their values. ``elsewhere``: words by parameter of main.cf. ``services``:
    lines for services of master.cf, by their names.
    """

    networks: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    restrictions: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    elsewhere: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    variables: Mapping[str, Any] = MappingProxyType({})
    services: Mapping[str, tuple[str, ...]] = MappingProxyType({})


def unknown_entries(context: PolicyContext) -> Iterator[Finding]:
    """Find what a run would replace that the inventory does not have."""
    unknown = describe_unknown(find_all(context), context.names)
    if unknown and context.settings.unknown_entries == STOP:
        yield Conflict(
            "unknown entries",
            "these stand in main.cf where the policy decides, and the inventory does not have them. Put those that "
            "are to stay into the inventory, and remove the others from main.cf, or write "
            f"postfix_unknown_entries: replace\n{unknown}",
        )
    elif unknown and context.changed:
        yield Warn(f"postfix_unknown_entries: replace drops what main.cf has beyond the inventory:\n{unknown}")


def find_all(context: PolicyContext) -> Unknown:
    """Everything that a run would replace and the inventory does not have."""
    found = find_unknown(context)
    # Domains that are printed are those of the policy once they are pasted.
    policy = context.policy._replace(domains=(*context.policy.domains, *found.domains))
    options, tables = paste_of_senders(replace(context, policy=policy))
    more, others = paste_of_postscreen(context)
    checks = submission_checks(context)
    if checks.restrictions:
        more = {**more, "submission_restrictions": checks.restrictions}
    return found._replace(
        elsewhere={**found.elsewhere, **replaced_settings(context), **tables, **others, **checks.elsewhere},
        variables={**found.variables, **options, **more},
        services=kept_options(context),
    )


def replaced_tables(context: PolicyContext) -> Iterator[Finding]:
    """Warn of tables of the site whose entries the inventory has now: what is added there later has no effect."""
    site = {name: value for name, value in context.live.facts.site.items() if name not in context.live.record.main}
    parameter = _DOMAINS.get(context.settings.domain_class, "")
    lists = {parameter: items(site.get(parameter, "")), ACCESS_LIST: restrictions_of(site.get(ACCESS_LIST, ""))}
    for name, entries in lists.items():
        for entry in entries if context.changed and name in context.plan.main else ():
            if _TABLE.match(entry):
                yield Warn(
                    f"{name}: {entry} is not read any more; what it lists comes from the inventory, and belongs there "
                    "from now on"
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
    domains, tables = _domains(_listed_domains(added(parameter), context.host), policy, host_name)
    kept = _restrictions(context, listed)
    elsewhere = {"mynetworks": unread, parameter: tables, **kept.elsewhere}
    return kept._replace(
        networks=tuple(networks),
        domains=tuple(domains),
        elsewhere={name: tuple(found) for name, found in elsewhere.items() if found},
    )


def _restrictions(context: PolicyContext, listed: Callable[[str], list[str]]) -> Unknown:
    """Restrictions of all stages that neither the policy nor the inventory has; ``listed``: those of a parameter."""
    plan, policy, extra = context.plan, context.policy, context.settings.extra_restrictions
    restrictions = dict(extra)
    elsewhere: dict[str, tuple[str, ...]] = {}
    sender_domain = False
    relay = listed(_RELAY)
    unplaced = [item for item in relay if not is_relay(item) and not _is_queried(item, policy)]
    closed = closed_for_own_domains(relay)
    if closed in extra.get("recipient", ()):
        closed = ""
    for stage in STAGES:
        name, known = f"smtpd_{stage}_restrictions", extra.get(stage, ())
        whole = restrictions_of(plan.main.get(name, ""))
        found = listed(name)
        if stage == "recipient" and closed and not unplaced and closed not in found:
            found.append(closed)
        one = sort_restrictions(found, whole[: len(whole) - len(known)], known, policy)
        kept = [item for item in one.kept if item in known or _can_be_pasted(item)]
        if any(item not in known for item in kept):
            restrictions[stage] = (*kept, *(item for item in known if item not in kept))
        sender_domain = sender_domain or one.sender_domain
        elsewhere[name] = (
            *(hide_keys(item) for item in one.kept if item not in kept),
            *(f"{item} ({NO_LOGINS})" for item in one.logins),
        )
    # One that has no place may let clients past it.
    closing = f"{closed}, which rejects mail to the domains of the policy as well"
    elsewhere[_RELAY] = tuple(map(hide_keys, [*unplaced, closing] if unplaced and closed else unplaced))
    elsewhere[_ETRN] = tuple(item for item in listed(_ETRN) if item not in ETRN)
    return Unknown(
        restrictions=restrictions if restrictions != extra else {},
        elsewhere=elsewhere,
        variables={"sender_domain_check": True} if sender_domain else {},
    )


def _can_be_pasted(restriction: str) -> bool:
    """Whether the inventory can have it; one with the key of a DNSBL is never printed."""
    return hide_keys(restriction) == restriction and is_accepted("extra_restrictions", {"client": [restriction]})


def _is_queried(restriction: str, policy: MailPolicy) -> bool:
    """Whether this is a DNSBL of the policy."""
    zones = [one.zone for one in policy.dnsbls]
    return any(restriction.partition("=")[0] == f"reject_rbl_client {zone}" for zone in zones)


def _known_before(name: str, record: Record) -> str | None:
    """What a managed parameter was before the role."""
    before = record.main[name].before if name in record.main else None
    return None if before is None else MainCf(before).get(name)


def describe_unknown(unknown: Unknown, names: Mapping[str, str] = MappingProxyType({})) -> str:
    """What was found, as it can be put into the inventory; empty when there is nothing.

    ``names``: the inventory variables of options.
    """

    def variable(option: str, prefix: str) -> str:
        name = names.get(option, "")
        return name if name.isidentifier() else f"{prefix}_{option}"

    values: list[tuple[str, Any]] = [
        (variable("internal_networks", "mailhost"), unknown.networks),
        (variable("domains", "mailhost"), unknown.domains),
        (variable("extra_restrictions", "postfix"), unknown.restrictions),
        *((variable(name, _prefix(name)), value) for name, value in unknown.variables.items()),
    ]
    # Lists and dictionaries first, each a block of its own.
    values.sort(key=lambda one: not isinstance(one[1], (list, tuple, Mapping)))
    lines = [line for name, value in values if value not in ((), {}) for line in yaml_lines(name, value)]
    lines += [f"{variable}: {quoted(one)}" for name, variable in _VARIABLES for one in unknown.elsewhere.get(name, ())]
    others = {name: found for name, found in unknown.elsewhere.items() if name not in dict(_VARIABLES)}
    if others:
        lines.append("# without a variable of their own:")
        lines += [f"#   {name}: {one}" for name, found in others.items() for one in found]
    for service, options in unknown.services.items():
        lines += [f"# for master.cf, below the line of {service}, which works as before with them:", *options]
    return "\n".join(lines)


def _prefix(option: str) -> str:
    return "mailhost" if option in POLICY_DEFAULTS else "postfix"


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
    name = "smtpd_sasl_type"
    value = site.get(name, _type_of_logins(site, context.live.master))
    if name in plan.main and name not in record.main and value != "dovecot":
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


def _networks(items: Iterable[str], policy: MailPolicy) -> tuple[list[str], list[str]]:
    """Networks beyond the policy's, and what is none that the inventory can have."""
    inside = [ipaddress.ip_network(str(one)) for one in policy.internal]
    blocked = [str(one) for one in policy.blocked]
    outside: list[IPNetwork] = []
    unread = []
    for item in items:
        try:
            network = ipaddress.ip_network(re.sub(r"[\[\]]", "", item), strict=False)
        except ValueError:
            unread.append(item)
            continue
        if _is_loopback(network) or any(within(network, one) for one in inside):
            continue
        problem = policy_problem("internal_networks", [str(network)], blocked_networks=blocked)
        if problem:
            unread.append(f"{item} ({problem})")
        else:
            outside += without(network, inside)
    # A list has no network within another.
    wide = [one for one in dict.fromkeys(outside) if not any(one != two and within(one, two) for two in outside)]
    return [str(one) for one in wide], unread


def _is_loopback(network: IPNetwork) -> bool:
    first = network.network_address
    mapped = first.ipv4_mapped if isinstance(first, ipaddress.IPv6Address) else None
    return (mapped.is_loopback and network.prefixlen >= 104) if mapped else network.is_loopback


def _listed_domains(found: Iterable[str], host: Host) -> list[str]:
    """The items of a list of domains, with the keys of tables in their place where those can be listed."""
    listed: list[str] = []
    for item in found:
        table = LISTED.fullmatch(item)
        keys = [key.lower() for key, _value in host.table_entries(table[1])] if table else []
        listed += keys if keys and all(_DOMAIN.fullmatch(key) for key in keys) else [item]
    return listed


def _domains(items: Iterable[str], policy: MailPolicy, host_name: str) -> tuple[list[str], list[str]]:
    """Domains that the policy does not have, and what is no domain. Names of the host itself are kept."""
    domains: list[str] = []
    unread: list[str] = []
    for item in items:
        name = item.lower()
        kept = name in _KEPT
        if not kept and re.search(r"[^a-z0-9.-]", name):
            unread.append(item)
            continue
        of_the_host = kept or "." not in name or name.startswith("localhost.") or name == host_name.lower()
        if of_the_host or name in policy.domains or name in domains:
            continue
        (unread if policy_problem("domains", [*policy.domains, name]) else domains).append(name)
    return domains, unread
