# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the role on the host: from the policy to files that are live, or back.

The order is the promise: compose, evaluate, ask the product, and only then touch anything.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import contextlib
import os
import re
from typing import Any

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping import (
    parse_mappings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.tables import (
    INTERNAL_IP,
    OWNED_TABLES,
    PORT_ACCESS,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.compose import (
    Composed,
    Texts,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.evaluation import (
    PROVEN,
    ask_product,
    evaluate,
    note_proven,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.live import (
    PARTS,
    RECORD,
    STATE,
    Live,
    read_live,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.notes import (
    new_findings,
    switching_notes,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.product import (
    GENERAL,
    MAPPINGS,
    Product,
    activations,
    discover,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.record import dump_record
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.wanted import (
    absent,
    present,
    require_includes,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction import transaction
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.files import (
    PRIVATE,
    encode,
    read_attributes,
    read_file,
    replace_file,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.run import run_change, run_rollback

_MAY_REFUSE = re.compile(r"\$[NnFf\[{]")
"""A template of PORT_ACCESS that may refuse a connection."""


def change(arguments: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Bring the files into the wanted state; returns the module's result.

    Raises PolicyError, StepError, MtaTextError, OSError.
    """
    product = discover(arguments["root"])
    return run_change(STATE, product, check_mode, lambda: _change(product, arguments, check_mode))


def _change(product: Product, arguments: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    live = read_live(product)
    require_includes(live)
    wanted = absent(live) if arguments["state"] == "absent" else present(arguments, live)
    evaluated = evaluate(wanted, live)
    changes = _changes(product, live, wanted.composed)
    warnings = list(wanted.warnings)
    if live.record.empty and f"{{{INTERNAL_IP},$L}}" in live.texts.imta_cnf and read_file(PROVEN) is not None:
        warnings.append(f"{RECORD} is missing: what the files have of ours counts as found, and absent leaves it")
    result: dict[str, Any] = {"changed": bool(changes), "files": [one.path for one in changes], "evaluated": evaluated}
    if changes:
        if arguments.get("diff"):
            result["diff"] = [one.diff() for one in changes]
        warnings += new_findings(live.texts, wanted.composed.texts, wanted.accepted)
        if wanted.settings is not None:
            external = wanted.settings.channels.external
            warnings += switching_notes(live.texts, wanted.composed.texts, external, OWNED_TABLES)
        parts = _parts(live.texts, wanted.composed.texts)
        result["activation"] = [f"imsimta {' '.join(words)}" for words in activations(parts)]
        if wanted.settings is not None and wanted.composed.texts.mappings != live.texts.mappings:
            ask_product(product, live, wanted, wanted.settings.channels)
        if not check_mode:
            changes.append(_record_change(wanted.composed))
            result["backup"] = transaction.apply(STATE, product, changes, {"parts": sorted(parts)})
    elif not check_mode:
        _note_record(wanted.composed)
    if not check_mode:
        with contextlib.suppress(OSError):  # what is live is live; the next run evaluates it once more
            note_proven(wanted, live)
    result["warnings"] = warnings
    return result


def rollback(arguments: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Put back what was live before the last change; returns the module's result. Raises StepError, OSError."""
    product = discover(arguments["root"])

    def put_back(plan: transaction.RollbackPlan) -> dict[str, Any]:
        backup = transaction.rollback(STATE, product)
        commands = [f"imsimta {' '.join(words)}" for words in activations(plan.details["parts"])]
        return {"backup": backup, "activation": commands}

    return run_rollback(STATE, product, check_mode, diff=bool(arguments.get("diff")), put_back=put_back)


# Files


def _changes(product: Product, live: Live, composed: Composed) -> list[transaction.Change]:
    changes = []
    for field, part in PARTS.items():
        before, after = getattr(live.texts, field), getattr(composed.texts, field)
        if before == after:
            continue
        was_there = field != "general" or live.has_general
        gone = field == "general" and not after and live.record.general_made
        path = product.files[part]
        like = None if was_there else read_attributes(product.files[MAPPINGS])
        changes.append(
            transaction.Change(path, encode(before) if was_there else None, None if gone else encode(after), like)
        )
    return changes


def _record_change(composed: Composed) -> transaction.Change:
    """The record goes with the files: it is put back when they are."""
    return transaction.Change(RECORD, read_file(RECORD), _record(composed), PRIVATE)


def _note_record(composed: Composed) -> None:
    """Nothing changes on the host, but what was there already is ours from now on."""
    if read_file(RECORD) != _record(composed):
        os.makedirs(STATE, mode=0o700, exist_ok=True)
        content = _record(composed)
        if content is None:
            os.unlink(RECORD)
        else:
            replace_file(RECORD, content, PRIVATE)


def _record(composed: Composed) -> bytes | None:
    return None if composed.record.empty else dump_record(composed.record)


def _parts(before: Texts, after: Texts) -> set[str]:
    """What the change is about, for the least activation that suffices.

    INTERNAL_IP counts as PORT_ACCESS where that table asks it and may refuse somebody, and so does the general database
    where one of these tables asks it: the Dispatcher has copies of its own.
    """
    parts = {part for field, part in PARTS.items() if getattr(before, field) != getattr(after, field)}
    if not parts & {MAPPINGS, GENERAL}:
        return parts
    tables = [parse_mappings(text).tables for text in (before.mappings, after.mappings)]
    old, new = [{t.name.upper(): [(e.pattern, e.template) for e in t.entries] for t in found} for found in tables]
    changed = {name for name in {*old, *new} if old.get(name) != new.get(name)}
    templates = [template for _pattern, template in new.get(PORT_ACCESS, [])]
    asked = {PORT_ACCESS}
    refuses = any(_MAY_REFUSE.search(template) for template in templates)
    if refuses and any(INTERNAL_IP in template.upper() for template in templates):
        asked.add(INTERNAL_IP)
        templates += [template for _pattern, template in new.get(INTERNAL_IP, [])]
    if changed & asked or (GENERAL in parts and any("${" in template for template in templates)):
        parts.add(PORT_ACCESS)
    return parts - {MAPPINGS} if changed <= {PORT_ACCESS} else parts
