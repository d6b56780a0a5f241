# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the lookup tables that the user's own parameters name can be read.

Private to this collection. The programs that read them are mostly not run before the change is live, and a table that
is missing puts off all mail. Source: postmap(1), which says nothing of a key that is not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import Problems, shown
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.command import StepError, call

#: Types of tables that are a file, or that a file describes.
_TYPES = "btree|cdb|cidr|dbm|hash|ldap|lmdb|memcache|mongodb|mysql|pcre|pgsql|regexp|sdbm|sqlite|texthash"
_TABLE = re.compile(rf"(?<![\w/-])(?:{_TYPES}):/[^\s,{{}}$]+(?![^\s,{{}}])")

#: Such a table works, and is as old as it was.
_STALE = "is older than source file"

#: Postfix makes the first two itself; the others are lists of tables, or read by newaliases alone.
_NOT_ASKED = re.compile(r".*_cache_(?:database|map)|address_verify_map|proxy_(?:read|write)_maps|alias_database")

#: Seconds for one table, which may be a database on another host.
_SECONDS = 15


def tables_in(name: str, value: str) -> list[str]:
    """The tables in the value of a parameter that have to be there, with the absolute path of their file."""
    return [] if _NOT_ASKED.fullmatch(name) else list(dict.fromkeys(_TABLE.findall(value)))


def check_tables(folder: str, live: Mapping[str, str], wanted: Mapping[str, str], path: str) -> list[str]:
    """Ask the tables of the wanted parameters. Raises PolicyError where one cannot be read.

    ``folder``: the live configuration. ``live``: what its main.cf sets; trouble of a table that it has in the same
    place is told as a warning. ``path``: the inventory variable of the wanted parameters.
    """
    problems, warnings = Problems(), []
    told = None
    for name, value in wanted.items():
        for table in tables_in(name, value):
            told = set(_trouble(folder, "static:x")) if told is None else told
            said = [line for line in _trouble(folder, table) if line not in told]
            if not said:
                continue
            where, what = f"{path}[{shown(name)}]", "; ".join(said)
            if table in tables_in(name, live.get(name, "")) or all(_STALE in line for line in said):
                warnings.append(f"{where}: {shown(table)}: {what}")
            else:
                problems.add(where, f"{shown(table)} cannot be read: {what}; write a table that postmap -q can read")
    problems.raise_if_any()
    return warnings


def _trouble(folder: str, table: str) -> list[str]:
    """What is said when a table is asked for a key that nobody has."""
    try:
        _code, _out, errors = call("postmap", ("postmap", "-c", folder, "-q", "x", table), _SECONDS)
    except StepError as error:
        return [error.output]
    return [re.sub(r"^\S*postmap: (?:fatal: )?", "", line) for line in errors.splitlines()]
