# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The patterns that rewriting looks for, and what a template's substitutions stand for under each.

Sources: docs/reference/messaging-server-facts.md#rewrite-order and
docs/reference/messaging-server-facts.md#rewrite-templates.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple


class Parts(NamedTuple):
    """An address under a pattern: user, host, and the host's parts.

    ``matched``: what explicit text of the pattern matched ($D). ``before``: what did not match, or matched a wildcard
    ($H). ``literal_rest``: what a pattern for literals leaves open ($L), None for others. ``wild``: whether the pattern
    has asterisks.
    """

    user: str
    host: str
    matched: str
    before: str
    literal_rest: str | None = None
    wild: bool = False


def patterns_for(user: str, host: str) -> Iterator[tuple[str, Parts]]:
    """Yield the patterns behind the host itself, in order."""
    if host.startswith("["):
        yield from _literal_patterns(user, host)
        yield "[*.*.*.*]", Parts(user, host, "", host, wild=True)
    else:
        yield from _name_patterns(user, host)
    yield ".", Parts(user, host, ".", host)


def _literal_patterns(user: str, host: str) -> Iterator[tuple[str, Parts]]:
    inner = host.strip("[]")
    octets = inner.split(".")
    if len(octets) == 4:
        for count in (3, 2, 1):
            known = ".".join(octets[:count]) + "."
            yield f"[{known}]", Parts(user, host, known, "", ".".join(octets[count:]))
    yield "[]", Parts(user, host, "", "", inner)


def _name_patterns(user: str, host: str) -> Iterator[tuple[str, Parts]]:
    labels = host.split(".")
    for count in range(1, len(labels)):
        rest = "." + ".".join(labels[count:])
        if rest == ".":
            return  # behind a final dot
        before = ".".join(labels[:count])
        yield ".".join("*" * count) + rest, Parts(user, host, rest, before, wild=True)
        # Of a.b.c.d, `*.*.*.d` comes before `.d`.
        yield rest, Parts(user, host, rest, before)
    yield ".".join("*" * len(labels)), Parts(user, host, "", host, wild=True)
