# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What main.cf has in places that the policy fills, and the inventory does not know: it is never dropped in silence.

Private to this collection. Sources: postconf(5), access lists of SMTPD_ACCESS_README.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Union

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.mail import MailPolicy
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.files import read_main
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.record import Record
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.settings import (
    LOCAL,
    RELAY,
    STAGES,
    VIRTUAL,
    Settings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import Plan

IPNetwork = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

#: Restrictions whose subject the policy decides, whatever main.cf said of it.
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

#: Restrictions that have an argument, beside all that begin with ``check_``.
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

#: Braces keep blanks and commas together, and stand by themselves or in a word as ``inline:{ {a = b} }``.
_WORD = re.compile(r"(?:[^\s,{}]|\{(?:[^{}]|\{[^{}]*\})*\})+", re.ASCII)

#: Names by other parameters that the plan keeps.
_KEPT = ("$myhostname", "${myhostname}", "localhost.$mydomain", "localhost.${mydomain}", "$mydestination")

#: Variables of the role that have the value of a parameter.
_VARIABLES = (("smtpd_sasl_path", "postfix_sasl_path"),)

_DOMAINS = {LOCAL: "mydestination", VIRTUAL: "virtual_mailbox_domains", RELAY: "relay_domains"}


class Unknown(NamedTuple):
    """What was found: networks and domains, restrictions by stage, and words without a place in the inventory."""

    networks: tuple[str, ...]
    domains: tuple[str, ...]
    restrictions: dict[str, tuple[str, ...]]
    elsewhere: dict[str, tuple[str, ...]]


def find_unknown(  # noqa: PLR0913 - the policy, and the host
    site: Mapping[str, str], plan: Plan, record: Record, *, policy: MailPolicy, settings: Settings, host_name: str
) -> Unknown:
    """What ``site`` (main.cf without us) has beyond the inventory, in parameters that are not ours yet or not any more.

    What stood there before us was asked about when we came. What somebody has added to ours since is not.
    """
    taken = {name: site[name] for name in plan.main if name in site and site[name] != _known_before(name, record)}
    managed = {name: (record.main[name].managed or "") if name in record.main else "" for name in taken}

    def items(name: str) -> list[str]:
        known = _items(managed.get(name, ""))
        return [one for one in _items(taken.get(name, "")) if one not in known]

    def listed(name: str) -> list[str]:
        known = restrictions_of(managed.get(name, ""))
        return [one for one in restrictions_of(taken.get(name, "")) if one not in known]

    networks, unread = _networks(items("mynetworks"), policy)
    parameter = _DOMAINS.get(settings.domain_class, "")
    domains, tables = _domains(items(parameter), policy, host_name)
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
    """What a parameter of ours was when we came."""
    before = record.main[name].before if name in record.main else None
    return None if before is None else read_main(before).get(name)


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


def _items(value: str) -> list[str]:
    return [word for word in re.split(r"[\s,]+", value, flags=re.ASCII) if word]


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
    """Domains that the policy does not have, and what is no domain. Names of the host itself are kept by the plan."""
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
