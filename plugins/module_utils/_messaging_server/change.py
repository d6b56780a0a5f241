# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the role on the host: from the policy to files that are live, or back.

The order is the promise: compose, evaluate, read back by the product, and only then touch anything.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .._policy.effects import Effect
from .._transaction.files import decode, encode, read_attributes, read_file
from .._transaction.run import Proof, Run
from .._transaction.transaction import Change
from ._evaluator.channels import switching
from ._formats.imta import parse_imta
from ._formats.mapping import parse_mappings
from ._formats.tables import INTERNAL_IP, OWNED_TABLES, PORT_ACCESS
from ._formats.text import fold
from ._lint.imta import lint_imta
from ._lint.mapping import lint_mappings
from .compose import Composed, Texts
from .evaluation import ask_product, compare, digest_of, evaluate
from .live import RECORD, STATE, TEXT_FILES, Live, read_live
from .product import GENERAL_TXT, MAPPINGS, Product, activations, discover
from .record import dump_record
from .wanted import WantedFiles, absent, present, require_includes

_MAY_REJECT = re.compile(r"\$[NnFf\[{]")
"""A template of PORT_ACCESS that may reject a connection."""


class MessagingServerRun(Run[Live, WantedFiles]):
    """A run for Messaging Server; ``arguments`` are those of the module."""

    state = STATE

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        super().__init__(arguments)
        self.driver = self.product = discover(arguments.get("root", ""))

    def read(self) -> Live:
        """Read the live files."""
        live = read_live(self.product)
        require_includes(live)
        return live

    def want(self, live: Live) -> WantedFiles:
        """Compose the files that the policy demands."""
        return absent(live) if self.arguments["state"] == "absent" else present(self.arguments, live)

    def changes(self, live: Live, wanted: WantedFiles) -> list[Change]:
        """Return the files that differ."""
        return _changes(self.product, live, wanted.composed)

    def digest(self, live: Live, wanted: WantedFiles) -> str:
        """Return a digest of what is evaluated."""
        return digest_of(wanted, live)

    def prove(self, live: Live, wanted: WantedFiles, changes: Sequence[Change], *, proven: bool) -> Proof:
        """Evaluate the wanted files, and have the product's own tool read them."""
        evaluated = 0 if proven else evaluate(wanted, live)
        before, after, warnings = live.texts, wanted.composed.texts, list(wanted.warnings)
        if live.record.empty and f"{{{INTERNAL_IP},$L}}" in before.imta_cnf and os.path.exists(f"{STATE}/proven"):
            warnings.append(f"{RECORD} is missing: managed entries count as unmanaged, and state absent keeps them")
        if changes:
            warnings += new_findings(before, after, wanted.accepted)
        effects: list[Effect] = []
        if changes and wanted.settings is not None:
            effects, gaps = compare(wanted, live)
            warnings += gaps
            warnings += switching_notes(before, after, wanted.settings.channels.external, OWNED_TABLES)
            if after.mappings != before.mappings:
                ask_product(self.product, live, wanted, wanted.settings.channels)
        return Proof(evaluated, warnings, effects=effects)

    def details(self, changes: Sequence[Change]) -> Mapping[str, Any]:
        """Return the parts of the product that the changes are about."""
        before = Texts(
            **{field: decode(read_file(self.product.files[part]) or b"") for field, part in TEXT_FILES.items()}
        )
        fields = {os.path.realpath(self.product.files[part]): field for field, part in TEXT_FILES.items()}
        places = [(fields.get(os.path.realpath(one.path)), one.after) for one in changes]
        after = before._replace(**{field: decode(content or b"") for field, content in places if field})
        return {"parts": sorted(_parts(before, after))}

    def activation(self, details: Mapping[str, Any]) -> list[str]:
        """Return the commands of imsimta."""
        return [f"imsimta {' '.join(words)}" for words in activations(details["parts"])]

    def record(self, wanted: WantedFiles) -> bytes | None:
        """Return the record of what is managed."""
        return None if wanted.composed.record.empty else dump_record(wanted.composed.record)


# Files


def _changes(product: Product, live: Live, composed: Composed) -> list[Change]:
    changes = []
    for field, part in TEXT_FILES.items():
        before, after = getattr(live.texts, field), getattr(composed.texts, field)
        if before == after:
            continue
        was_there = field != "general" or live.has_general
        gone = field == "general" and not after and live.record.general_made
        path = product.files[part]
        like = None if was_there else read_attributes(product.files[MAPPINGS])
        changes.append(Change(path, encode(before) if was_there else None, None if gone else encode(after), like))
    return changes


def _parts(before: Texts, after: Texts) -> set[str]:
    """What the change is about, for the least activation that suffices.

    INTERNAL_IP counts as PORT_ACCESS where that table looks it up and may reject a connection, and so does the general
    database where one of these tables looks it up: the Dispatcher has copies of its own.
    """
    parts = {part for field, part in TEXT_FILES.items() if getattr(before, field) != getattr(after, field)}
    if not parts & {MAPPINGS, GENERAL_TXT}:
        return parts
    tables = [parse_mappings(text).tables for text in (before.mappings, after.mappings)]
    old, new = [{table.name.upper(): table.pairs() for table in found} for found in tables]
    changed = {name for name in {*old, *new} if old.get(name) != new.get(name)}
    templates = [template for _pattern, template in new.get(PORT_ACCESS, [])]
    probed = {PORT_ACCESS}
    rejects = any(_MAY_REJECT.search(template) for template in templates)
    if rejects and any(INTERNAL_IP in template.upper() for template in templates):
        probed.add(INTERNAL_IP)
        templates += [template for _pattern, template in new.get(INTERNAL_IP, [])]
    if changed & probed or (GENERAL_TXT in parts and any("${" in template for template in templates)):
        parts.add(PORT_ACCESS)
    return parts - {MAPPINGS} if changed <= {PORT_ACCESS} else parts


def new_findings(before: Texts, after: Texts, accepted: frozenset[str]) -> list[str]:
    """What the lints find in the new texts and did not find in the old ones, but for the accepted codes."""
    old = set(_findings(before, accepted))
    return [f"{place}: {message}" for place, message in _findings(after, accepted) if (place, message) not in old]


def switching_notes(before: Texts, after: Texts, channel: str, owned: tuple[str, ...]) -> list[str]:
    """Unmanaged entries that name a channel by which mail of internal clients no longer enters (M3).

    Nothing unless that is new.
    """
    old, new = (parse_imta(texts.imta_cnf).channel(channel) for texts in (before, after))
    if new is None or (old is not None and switching(old) == switching(new)):
        return []
    needles = (f"|{fold(channel)}|", f"{fold(channel)}|", f"in-chan={fold(channel)};")
    return [
        f"table {table.name}, line {entry.line.number}, names {channel}; mail of internal and authenticated "
        "clients now enters by other channels: write tcp_* there if the entry is meant for all of them"
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
