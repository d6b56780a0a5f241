# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the lookup tables of the inventory's own parameters can be read.

The programs that read them mostly do not run before the change is live, and a table that is missing defers all mail.
Source: postmap(1), which says nothing of a key that is not there.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..._policy.errors import shown
from .context import Finding, PolicyContext, Problem, Warn

_TYPES = "btree|cdb|cidr|dbm|hash|ldap|lmdb|memcache|mongodb|mysql|pcre|pgsql|regexp|sdbm|sqlite|texthash"
"""Types of tables that are a file, or that a file describes."""

_TABLE = re.compile(rf"(?<![\w/-])(?:{_TYPES}):/[^\s,{{}}$]+(?![^\s,{{}}])")

LISTED = re.compile("(?:proxy:)?((?:hash|btree|cdb|lmdb|dbm|sdbm|texthash):/.*)")
"""Tables whose entries can be listed."""

_STALE = "is older than source file"
"""Such a table works, and is as old as it was."""

_NOT_READ = re.compile(r".*_cache_(?:database|map)|address_verify_map|proxy_(?:read|write)_maps|alias_database")
"""Postfix makes the first two itself; the others are lists of tables, or read by newaliases alone."""


def tables_in(name: str, value: str) -> list[str]:
    """The tables in the value of a parameter that have to be there, with the absolute path of their file."""
    return [] if _NOT_READ.fullmatch(name) else list(dict.fromkeys(_TABLE.findall(value)))


def lookup_tables(context: PolicyContext) -> Iterator[Finding]:
    """Look up a key in each table that the inventory names; one that main.cf has there already is a warning."""
    settings = context.settings if context.changed else None
    wanted = settings.extra_settings if settings else {}
    variable = context.variable("extra_settings")
    tables = [
        (f"{variable}[{shown(name)}]", name, table)
        for name, value in wanted.items()
        for table in tables_in(name, value)
    ]
    if settings and settings.submission:
        variable = context.variable("sender_login_maps")
        tables += [
            (f"{variable}[{index}]", "smtpd_sender_login_maps", table)
            for index, value in enumerate(settings.sender_login_maps)
            for table in tables_in(variable, value)
        ]
    usual = context.host.table_errors("static:x") if tables else []
    for place, name, table in tables:
        errors = [line for line in context.host.table_errors(table) if line not in usual]
        if not errors:
            continue
        where, what = f"{place}: {shown(table)}", "; ".join(errors)
        live = tables_in(name, context.live.main.get(name, ""))
        if table in live or all(_STALE in line for line in errors):
            yield Warn(f"{where}: {what}")
        else:
            yield Problem(f"{where} cannot be read: {what}; write a table that postmap -q can read")
