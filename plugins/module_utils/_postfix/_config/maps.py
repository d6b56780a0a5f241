# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Source texts of Postfix's lookup tables; no value can leave its field.

Sources: cidr_table(5), regexp_table(5), access(5), postmap(1).

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from ..._policy.errors import ReportedError
from ..._policy.networks import Network

CIDR, REGEXP, TEXT = "cidr", "regexp", "texthash"

FOLDER = "mailhost"
"""Where the tables lie; in a copy of the configuration the name leads into the copy."""

_SPECIAL = re.compile(r"([.^$*+?()\[\]{}|\\/])")
"""What has a meaning in a POSIX extended regular expression, and the slash, which ends it."""


class MapFile(NamedTuple):
    """A lookup table: its type, and the text of its source. A type other than the built-in ones has an index to build
    by ``postmap``."""

    type: str
    text: str


class MapError(ReportedError):
    """A value that cannot stand in a table."""


class Maps:
    """The tables of a configuration, by file name."""

    def __init__(self) -> None:
        self.files: dict[str, MapFile] = {}

    def cidr(self, name: str, networks: Iterable[Network], result: str) -> str:
        """Add a table of networks, and return how a parameter names it."""
        return self.add(name, CIDR, [(str(network), result) for network in networks])

    def add(self, name: str, kind: str, rows: Iterable[tuple[str, str]]) -> str:
        """Add a table, and return how a parameter names it."""
        lines = [f"{_field(key, blanks=kind == REGEXP)} {_field(value, blanks=True)}\n" for key, value in rows]
        self.files[name] = MapFile(kind, "".join(lines))
        return f"{kind}:${{config_directory}}/{FOLDER}/{name}"


def _field(text: str, *, blanks: bool) -> str:
    """A key or a result; a key with a blank would end there, and one that begins with # would be a comment."""
    if not text.isascii() or not text.isprintable() or text != text.strip() or (" " in text and not blanks):
        raise MapError(f"{text!r} cannot stand in a lookup table")
    if not text or text.startswith("#"):
        raise MapError(f"{text!r} cannot begin an entry of a lookup table")
    return text


def literal(text: str) -> str:
    """The regular expression that matches a text."""
    return _SPECIAL.sub(r"\\\1", text)


def mailboxes(domains: Iterable[str]) -> list[str]:
    """Patterns for plain addresses of domains; a local part that may be a route is none (percent sign, bang, at sign).

    Without domains: for plain addresses of any domain.
    """
    return [f'/^[^@%!"]+@{literal(domain)}$/' for domain in domains] or ['/^[^@%!"]+@[^@]+$/']
