# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Order of the entries of a mapping table: the general one must come last.

Source: docs/reference/messaging-server-facts.md#table-mistakes (specific ``$Y`` before general ``$N``).
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.mapping_match import (
    Subject,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.mapping_table import (
    CompiledTable,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping_pattern import (
    Literal,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._lint.mapping_entries import (
    always_ends,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping import Table
    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping_pattern import (
        Pattern,
    )
    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._lint.mapping_entries import (
        Looked,
    )

MAX_GENERAL = 200
"""How many general entries of a table are compared with those below them; it keeps the lint linear."""

_ANYTHING = "\x01"
"""Stands for whatever a wildcard or an address takes. A pattern of literals and stars that matches with it in their
place has a star there, and so matches every text."""


def shadowed(table: Table, entries: Sequence[Looked]) -> dict[int, int]:
    """Numbers of entries that no probe reaches, each with the line of the entry above that takes all its probes."""
    general = [looked for looked in entries if _is_general(looked)][:MAX_GENERAL]
    if not general:
        return {}
    index = CompiledTable(table._replace(entries=tuple(looked.entry for looked in general)))
    found: dict[int, int] = {}
    for looked in entries:
        if looked.pattern is None or looked.number <= general[0].number:
            continue
        subject = Subject(_sample(looked.pattern))
        hit = index.find(subject, index.candidates(subject), 0)
        if hit is not None and general[hit[0]].number < looked.number:
            found[looked.number] = general[hit[0]].entry.line.number
    return found


def _is_general(looked: Looked) -> bool:
    """Whether it has literals and stars only, at least one star, and the table is left here in any case."""
    pattern = looked.pattern
    return (
        pattern is not None
        and pattern.plain is not None
        and len(pattern.plain) > 1
        and _ANYTHING not in looked.entry.pattern
        and looked.ops is not None
        and always_ends(looked.ops)
    )


def _sample(pattern: Pattern) -> str:
    return "".join(item.text if isinstance(item, Literal) else _ANYTHING for item in pattern.items)
