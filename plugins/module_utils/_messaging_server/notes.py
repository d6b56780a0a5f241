# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change makes worth looking at: new findings of the lints, and foreign entries that name the old channel.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.channels import switching
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta import parse_imta
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping import (
    parse_mappings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.text import fold
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._lint.imta import lint_imta
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._lint.mapping import lint_mappings
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.compose import Texts


def new_findings(before: Texts, after: Texts, accepted: frozenset[str]) -> list[str]:
    """What the lints find in the new texts and did not find in the old ones, but for the accepted codes."""
    old = set(_findings(before, accepted))
    return [f"{place}: {message}" for place, message in _findings(after, accepted) if (place, message) not in old]


def switching_notes(before: Texts, after: Texts, channel: str, owned: tuple[str, ...]) -> list[str]:
    """Foreign entries that name a channel which mail from inside now leaves (M3); nothing unless that is new."""
    old, new = (parse_imta(texts.imta_cnf).channel(channel) for texts in (before, after))
    if new is None or (old is not None and switching(old) == switching(new)):
        return []
    needles = (f"|{fold(channel)}|", f"{fold(channel)}|", f"in-chan={fold(channel)};")
    return [
        f"table {table.name}, line {entry.line.number}, names {channel}; mail from inside and after login now "
        "enters by other channels: write tcp_* there if the entry is meant for all of them"
        for table in parse_mappings(after.mappings).tables
        if table.name.upper() not in owned
        for entry in table.entries
        if fold(entry.pattern).startswith(needles[1]) or any(needle in fold(entry.pattern) for needle in needles[::2])
    ]


def _findings(texts: Texts, accepted: frozenset[str]) -> Iterator[tuple[str, str]]:
    for one in lint_mappings(texts.mappings):
        if one.code not in accepted:
            yield "mappings", f"{one.message} ({one.hint})"
    for one in lint_imta(texts.imta_cnf):
        yield "imta.cnf", f"{one.message} ({one.hint})"
