# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses from which users could send and that have no owner by the inventory: tables of owners, and aliases.

Sources: postconf(5), virtual(5), aliases(5).

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .._config.main_cf import items
from .._config.settings import ADDRESS, LOCAL
from .context import Finding, PolicyContext, Warn
from .paste import is_accepted
from .tables import LISTED

OWNERS = "smtpd_sender_login_maps"
_AUTH = "smtpd_sasl_auth_enable"

_WORD = re.compile(r"(?:[^\s,{}]|\{(?:[^{}]|\{[^{}]*\})*\})+", re.ASCII)
"""Braces keep blanks and commas together, as in ``inline:{ {a = b} }``."""

_MARKS = ("YP_LAST_MODIFIED", "YP_MASTER_NAME")
"""What newaliases writes of the table itself."""

_NOBODY = ("root", "nobody", "devnull")
"""Users of the system that never authenticate."""


class Aliases(NamedTuple):
    """The entries of alias tables by their key: of virtual aliases, and of the local ones."""

    virtual: Mapping[str, str]
    local: Mapping[str, str]


def owner_tables(context: PolicyContext) -> list[str]:
    """The site's own tables of owners that a first run would replace, beside those of the inventory."""
    site = context.live.facts.site.get(OWNERS, "")
    if OWNERS not in context.plan.main or OWNERS in context.live.record.main or not site:
        return []
    if "$" in site:
        site = context.host.expanded(context.live.main, (OWNERS,)).get(OWNERS, site)
    return [one for one in _WORD.findall(site) if one not in context.settings.sender_login_maps]


def can_be_kept(table: str, context: PolicyContext) -> bool:
    """Whether postfix_sender_login_maps takes a table on this host."""
    kinds = table.split(":", 2)[: 2 if table.startswith("proxy:") else 1]
    return is_accepted("sender_login_maps", [table]) and context.live.facts.map_types.issuperset(kinds)


def alias_owners(context: PolicyContext) -> dict[str, tuple[str, ...]]:
    """Aliases from which the logins behind them could send, and could no longer; each with these logins."""
    if not _are_new(context):
        return {}
    aliases = Aliases(_entries(context, "virtual_alias_maps"), _entries(context, "alias_maps"))
    known, domains = context.settings.sender_logins, context.policy.domains
    found: dict[str, tuple[str, ...]] = {}
    for sender, targets in _senders(context, aliases):
        local, _at, domain = sender.partition("@")
        given = {*known.get(sender, ()), *known.get(f"@{domain}", ())}
        if context.settings.login_form == ADDRESS or domain in domains:
            given.add(sender if context.settings.login_form == ADDRESS else local)
        owners = [one for one in _logins(targets, aliases, context, {sender}) if one not in given]
        if owners and is_accepted("sender_logins", {sender: owners}):
            found[sender] = tuple(dict.fromkeys([*known.get(sender, ()), *found.get(sender, ()), *owners]))
    return found


def unlisted_aliases(context: PolicyContext) -> Iterator[Finding]:
    """Warn of alias tables that cannot be listed: whose addresses users send from is not known."""
    settings = context.settings
    if not context.changed or settings.sender_logins or not _are_new(context):
        return
    for table in _tables(context, "virtual_alias_maps"):
        if not LISTED.fullmatch(table):
            yield Warn(
                f"virtual_alias_maps: {table} cannot be listed: users who send from its aliases are rejected with 553; "
                f"name their logins in {context.variable('sender_logins')}, or a table of owners in "
                f"{context.variable('sender_login_maps')}"
            )


def _are_new(context: PolicyContext) -> bool:
    """Whether senders of authenticated clients were not checked so far, and are now."""
    site, settings = context.live.facts.site, context.settings
    if not settings.submission or settings.sender_login_maps or OWNERS in context.live.record.main or site.get(OWNERS):
        return False
    return any(one.get(_AUTH, "").lower() == "yes" for one in (site, *(one.options for one in context.live.master)))


def _tables(context: PolicyContext, name: str) -> list[str]:
    value = context.host.expanded(context.live.main, (name,)).get(name, context.live.facts.site.get(name, ""))
    return _WORD.findall(value)


def _entries(context: PolicyContext, name: str) -> dict[str, str]:
    """The entries of all tables of a parameter; the first that has a key counts."""
    found: dict[str, str] = {}
    for table in _tables(context, name):
        match = LISTED.fullmatch(table)
        for key, value in context.host.table_entries(match[1]) if match else ():
            if not key.startswith(_MARKS):
                found.setdefault(key.lower(), value)
    return found


def _senders(context: PolicyContext, aliases: Aliases) -> Iterator[tuple[str, str]]:
    """Each address that is an alias, and what it leads to."""
    domains = context.policy.domains
    elsewhere = {key.partition("@")[2] for key in aliases.virtual if "@" in key}
    for key, targets in aliases.virtual.items():
        local, at, domain = key.partition("@")
        # Who gets what nobody else gets in a domain of the policy is not everybody there.
        if at and (local or domain not in domains):
            yield key, targets
        elif not at and key not in elsewhere:
            yield from ((f"{key}@{domain}", targets) for domain in domains)
    if context.settings.domain_class == LOCAL:
        for key, targets in aliases.local.items():
            yield from ((f"{key}@{domain}", targets) for domain in domains if f"{key}@{domain}" not in aliases.virtual)


def _logins(targets: str, aliases: Aliases, context: PolicyContext, seen: set[str]) -> Iterator[str]:
    """The logins that an alias leads to, by way of others."""
    for target in items(targets.lower()):
        if target in seen or not re.fullmatch(r"[a-z0-9._+=@-]+", target) or target.startswith("@"):
            continue  # a program, a file, a domain
        seen.add(target)
        local, at, domain = target.partition("@")
        own = domain in context.policy.domains
        further = aliases.virtual.get(target) or (aliases.local.get(local) if own or not at else None)
        if further is not None and local not in items(further.lower()):
            yield from _logins(further, aliases, context, seen)
        elif context.settings.login_form == ADDRESS:
            yield from ([target] if own else []) if at else _addresses(local, context, seen)
        elif (own or not at) and local not in _NOBODY:
            yield local


def _addresses(user: str, context: PolicyContext, seen: set[str]) -> list[str]:
    """The addresses by which a user of the system may authenticate: at the domain of the alias, else at any."""
    if user in _NOBODY or context.settings.domain_class != LOCAL:
        return []
    domains = context.policy.domains
    own = [one for one in domains if any(alias.endswith(f"@{one}") for alias in seen)]
    return [f"{user}@{one}" for one in own or domains]


def paste_of_senders(context: PolicyContext) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
    """Options with what the inventory lacks about owners, and tables that have no place in it."""
    tables, aliases = owner_tables(context), alias_owners(context)
    options: dict[str, Any] = {}
    kept = [one for one in tables if can_be_kept(one, context)]
    if kept:
        options["sender_login_maps"] = [*context.settings.sender_login_maps, *kept]
    if aliases:
        options["sender_logins"] = {**context.settings.sender_logins, **aliases}
    others = tuple(one for one in tables if one not in kept)
    return options, {OWNERS: others} if others else {}
