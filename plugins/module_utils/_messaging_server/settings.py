# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of Messaging Server alone: channels, release, entries of the user's own.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .._policy.errors import Problems, shown
from .._policy.options import Known, OptionReader
from ._formats.imta_keywords import MAX_CHANNEL_NAME
from ._formats.mapping import Pair
from ._formats.mapping_quote import LIMITS, QuoteError, format_entry
from ._formats.tables import INTERNAL_IP, ORIG_MAIL_ACCESS, OWNED_TABLES
from ._formats.text import fold
from ._lint.mapping import lint_mappings

BY_KEYWORD, BY_MAPPING = "keyword", "mapping"


class Channels(NamedTuple):
    """Names of the channels; in most installations they are the vendor's."""

    external: str = "tcp_local"
    internal: str = "tcp_intranet"
    authenticated: str = "tcp_auth"
    submission: str = "tcp_submit"
    local: str = "l"


class Extra(NamedTuple):
    """Entries of the user in a managed table: before and after the managed ones, always before a last one for all."""

    before: tuple[Pair, ...] = ()
    after: tuple[Pair, ...] = ()


class Settings(NamedTuple):
    """How the policy is written for this installation.

    ``general_database_from`` is the number of single addresses of a list from which they go into the general
    database, 0 for never.
    """

    channels: Channels
    submission: bool
    sender_domain_check_form: str
    release: str
    general_database_from: int
    dns_library: str
    extra_entries: dict[str, Extra]
    unknown_entries: str
    unusable_dnsbls: str


DEFAULTS: dict[str, Any] = {
    "channels": {},
    "submission": True,
    "sender_domain_check_form": BY_KEYWORD,
    "release": "6-2005q4",
    "general_database_from": 100,
    "dns_library": "IMTA_LIB:dns_verify.so",
    "extra_entries": {},
    "unknown_entries": "stop",
    "unusable_dnsbls": "stop",
}
"""Options of the settings and their defaults; the mapping form of the sender check finds address records only."""

_CHOICES = {
    "sender_domain_check_form": (BY_KEYWORD, BY_MAPPING),
    "release": tuple(LIMITS),
    "unknown_entries": ("stop", "replace"),
    "unusable_dnsbls": ("stop", "skip"),
}
_CHANNEL = re.compile(rf"[A-Za-z][A-Za-z0-9_-]{{0,{MAX_CHANNEL_NAME - 1}}}")
_RESERVED = ("defaults", "nodefaults")
_LIBRARY = re.compile(r"(?:/|[A-Za-z][A-Za-z0-9_]*:)[A-Za-z0-9_./-]*[A-Za-z0-9]")
_ONE_NETWORK = re.compile(r"\$\([0-9./]+\)|\$<[0-9./]+>|\$\{[0-9A-Fa-f:./]+\}|[0-9.]+|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*")
_EXAMPLE = "{ORIG_SEND_ACCESS: {before: [['tcp_local|*|tcp_local|*@example.com', '$Y']]}}"


def read_settings(options: Any, names: Mapping[str, str] | None = None) -> Settings:
    """Return validated settings for a dictionary of options, or raise PolicyError with every problem.

    ``options``: the keys of DEFAULTS, each of them optional. ``names``: the inventory variable to name in errors
    for an option, by default ``messaging_server_<option>``.
    """
    if not isinstance(options, Mapping):
        problems = Problems()
        problems.add("settings", f"{shown(options)} is not a dictionary; write the variables without messaging_server_")
        problems.raise_if_any()
    reader = _MessagingServerSettingsReader(options, names or {})
    reader.reject_unknown("settings")
    release = reader.choice("release")
    settings = Settings(
        channels=reader.channels(),
        submission=reader.boolean("submission"),
        sender_domain_check_form=reader.choice("sender_domain_check_form"),
        release=release,
        general_database_from=reader.integer("general_database_from"),
        dns_library=reader.library(),
        extra_entries=reader.extra_entries(release),
        unknown_entries=reader.choice("unknown_entries"),
        unusable_dnsbls=reader.choice("unusable_dnsbls"),
    )
    reader.problems.raise_if_any()
    return settings


class _MessagingServerSettingsReader(OptionReader):
    """Reads the settings of Messaging Server."""

    known = Known("messaging_server", DEFAULTS, _CHOICES, {"general_database_from": (0, 2147483647)})

    def library(self) -> str:
        value = self.value("dns_library")
        if isinstance(value, str) and _LIBRARY.fullmatch(value):
            return str(value)
        accepted = 'write a path without blanks, as "IMTA_LIB:dns_verify.so" or "/opt/SUNWmsgsr/lib/dns_verify.so"'
        self.problems.add(self.path("dns_library"), f"{shown(value)} is no library; {accepted}")
        return str(DEFAULTS["dns_library"])

    def channels(self) -> Channels:
        path, value = self.path("channels"), self.mapping("channels", "{internal: tcp_inside}")
        for key in value:
            if key not in Channels._fields:
                accepted = ", ".join(Channels._fields)
                self.problems.add(path, f"{shown(key)} is not a kind of channel; write one of {accepted}")
        found: dict[str, str] = {}
        for kind, default in Channels()._asdict().items():
            name = value.get(kind, default)
            if not isinstance(name, str) or not _CHANNEL.fullmatch(name) or fold(name) in _RESERVED:
                self.problems.add(
                    f"{path}.{kind}",
                    f"{shown(name)} is not the name of a channel; write a letter, "
                    f"then up to {MAX_CHANNEL_NAME - 1} letters, digits, underscores or hyphens",
                )
                continue
            same = next((other for other, known in found.items() if fold(known) == fold(name)), None)
            if same is not None:
                self.problems.add(f"{path}.{kind}", f"{shown(name)} is the {same} channel; name two different ones")
            found[kind] = name
        return Channels(**found)

    def extra_entries(self, release: str) -> dict[str, Extra]:
        path, value = self.path("extra_entries"), self.mapping("extra_entries", _EXAMPLE)
        found: dict[str, Extra] = {}
        for table, places in value.items():
            where = f"{path}.{table}" if isinstance(table, str) and table in OWNED_TABLES else path
            if where == path:
                accepted = ", ".join(OWNED_TABLES)
                self.problems.add(path, f"{shown(table)} is not a table of the collection; write one of {accepted}")
            elif not isinstance(places, Mapping):
                self.problems.add(where, f"{shown(places)} is not a dictionary; write one, as {_EXAMPLE}")
            else:
                for key in places:
                    if key not in Extra._fields:
                        self.problems.add(where, f"{shown(key)} is not a place; write before or after")
                found[table] = Extra(
                    *(self.entries(f"{where}.{key}", table, places.get(key, ()), release) for key in Extra._fields)
                )
        return found

    def entries(self, path: str, table: str, value: Any, release: str) -> tuple[Pair, ...]:
        accepted = "write [pattern, template] with quoted blanks, as ['tcp_local|*|l|*', '$Y']"
        found: list[Pair] = []
        for index, item in enumerate(self.items(path, value, "[['tcp_local|*|l|*', '$Y']]")):
            where = f"{path}[{index}]"
            whole = isinstance(item, (list, tuple)) and len(item) == 2
            if not whole or not all(isinstance(part, str) for part in item):
                self.problems.add(where, f"{shown(item)} is not an entry; {accepted}")
                continue
            try:
                line = format_entry(item[0], item[1], release)
            except QuoteError as error:
                self.problems.add(where, f"is not an entry: {str(error)[:200]}")
                continue
            loose = _loose(table, item[0], item[1])
            if loose:
                self.problems.add(where, f"{shown(item[0])} {loose}")
            if any(ord(char) > 255 for char in item[0] + item[1]):
                self.problems.add(where, f"{shown(item[0])} has characters beyond Latin-1; write those of the file")
            wide = [one for one in lint_mappings(f"{table}\n\n{line}") if one.code == "wide-network"]
            if wide:
                self.problems.add(where, f"{wide[0].message}; {wide[0].hint}")
            found.append(Pair(item[0], item[1]))
        return tuple(found)


def _loose(table: str, pattern: str, template: str) -> str:
    """Return what makes an entry accept more than it seems to; empty when it does not, or rejects."""
    if re.search(r"\$[NnFf]", template):
        return ""
    if table == INTERNAL_IP and pattern != "*" and not _ONE_NETWORK.fullmatch(pattern) and "${" not in template:
        return 'is no network; write $(192.0.2.0/24), ${2001:db8::/32} or one address, as "192.0.2.7"'
    fields = pattern.split("|")
    limited = (
        table == ORIG_MAIL_ACCESS and len(fields) > 5 and fields[3] not in {"*", "%"} and not fields[3].startswith("$[")
    )
    if limited and any(field in {"*", "%"} for field in fields[1:3]):
        # HELO and sender are text of the client and may have bars in them, so such a star finds the address there.
        return "takes an address from the text of the client; write TCP|$[0-9A-Fa-f.:]*|$D*| before it"
    return ""
