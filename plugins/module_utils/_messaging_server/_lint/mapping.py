# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lint of a mapping file: one finding for each place that has one of the known mistakes.

Source: docs/reference/messaging-server-facts.md#mistakes. Faults of the grammar keep their code as code of the finding.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._evaluator.context import surroundings
from .._evaluator.mapping import Mappings
from .._evaluator.mapping_match import TooCostlyError
from .._formats.mapping import Entry, MappingFile, Table, parse_mappings
from .._formats.mapping_pattern import PatternError, compile_pattern
from .._formats.mapping_template import TemplateError, compile_template
from .._formats.tables import DESTINATION, INTERNAL_IP, PORT_ACCESS, SOURCE, field_of
from .._formats.text import MtaTextError, ends_in_continuation, fold
from .findings import Finding, fault_findings, unless_included
from .mapping_entries import ReadEntry, always_ends, catches_all, entry_findings, fields_of, shadowed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


NEED_CATCH_ALL = {
    PORT_ACCESS: 'End it with "*  $YEXTERNAL".',
    INTERNAL_IP: 'End it with "*  $N".',
}
"""Tables that decide about every client and so need an entry for all that is left."""

LARGE_TABLE = 100
"""Number of entries from which the vendor advises the general database."""

_FAULT_HINTS = {
    "entry-in-column-one": "Indent entries; only table names begin in column 1.",
    "no-blank-after-name": "Put a blank line after the table name.",
    "no-blank-before-name": "Put a blank line before the table name, or indent the entry.",
    "orphaned-entry": "Remove the blank line, or give the entry a table.",
    "duplicate-table": "Merge the two tables.",
    "no-template": "Put a blank and a template after the pattern.",
}


def lint_mappings(
    text: str, load_balancers: Sequence[str] = (), channels: Sequence[str] | None = None
) -> list[Finding]:
    """Findings of a mapping file, by line.

    ``load_balancers`` are addresses of load balancers, proxies and translators before the server, which must not
    be internal. ``channels`` are the names of the channels; with them, fields that name another are found.
    """
    parsed = parse_mappings(text)
    findings = fault_findings(parsed.faults, _FAULT_HINTS)
    findings.extend(_lines(parsed))
    for table in parsed.tables:
        findings.extend(_table(table, parsed.missing))
        if channels is not None:
            findings.extend(_channel_names(table, {fold(name) for name in channels}))
    findings.extend(_load_balancers(parsed, load_balancers))
    return sorted(set(findings))


def _lines(parsed: MappingFile) -> Iterator[Finding]:
    for node in parsed.nodes:
        line = node.line
        if node.kind == "comment" and line.text.endswith("\\"):
            message = "a comment that ends in a backslash; the line below may be taken as part of it"
            yield Finding(line.number, "comment-backslash", message, "Remove the backslash.")
        elif ends_in_continuation(line):
            message = "the file ends in a backslash"
            yield Finding(line.number, "continuation-at-end", message, "Remove the backslash.")


def _look(entry: Entry, number: int, last: bool) -> tuple[ReadEntry, list[Finding]]:
    """Read pattern and template of an entry; what cannot be read is a finding."""
    findings: list[Finding] = []
    pattern = ops = None
    try:
        pattern = compile_pattern(entry.pattern)
    except PatternError as e:
        line, column = entry.line.position(entry.pattern_at + e.offset)
        findings.append(Finding(line, "pattern", f"column {column}: {e}", "Correct the pattern."))
    try:
        ops = compile_template(entry.template)
    except TemplateError as e:
        line, column = entry.line.position(entry.template_at + e.offset)
        findings.append(Finding(line, "template", f"column {column}: {e}", "Correct the template."))
    return ReadEntry(entry, number, last, pattern, ops), findings


def _table(table: Table, missing: Sequence[str]) -> Iterator[Finding]:
    name = table.name.upper()
    count = len(table.entries)
    if not count:
        message = unless_included(f"table {table.name} has no entries", missing)
        yield Finding(table.line.number, "empty-table", message, "Add entries, indented.")
    if count > LARGE_TABLE:
        message = f"table {table.name} has {count} entries, which are scanned one by one"
        hint = f"Above about {LARGE_TABLE} entries move the data to the general database."
        yield Finding(table.line.number, "large-table", message, hint)
    entries: list[ReadEntry] = []
    caught = -1
    for number, entry in enumerate(table.entries):
        looked, findings = _look(entry, number, number == count - 1)
        entries.append(looked)
        yield from findings
        yield from entry_findings(table, looked)
        all_taken = looked.pattern is not None and catches_all(table, looked.pattern)
        if caught < 0 and all_taken and looked.ops is not None and always_ends(looked.ops):
            caught = number
    above = shadowed(table, entries)
    for number, entry in enumerate(table.entries):
        by = table.entries[caught].line.number if 0 <= caught < number else above.get(number)
        if by is not None:
            message = f"no probe reaches this entry: line {by} takes them all"
            yield Finding(entry.line.number, "unreachable-entry", message, "Put it before that line, or remove it.")
    if name in NEED_CATCH_ALL and count and caught < 0:
        message = unless_included(f"table {table.name} has no entry for all that is left", missing)
        yield Finding(table.entries[-1].line.number, "missing-catch-all", message, NEED_CATCH_ALL[name])


def _channel_names(table: Table, known: set[str]) -> Iterator[Finding]:
    for entry in table.entries:
        fields = fields_of(entry.pattern)
        for index in (field_of(table.name, SOURCE), field_of(table.name, DESTINATION)):
            name = fields[index] if index is not None and index < len(fields) else ""
            if name and not any(char in name for char in "*%$") and fold(name) not in known:
                message = f'"{name[:60]}" is no channel of imta.cnf'
                yield Finding(entry.line.number, "unknown-channel", message, "Use the channel's real name.")


def _load_balancers(parsed: MappingFile, addresses: Sequence[str]) -> Iterator[Finding]:
    table = next((table for table in parsed.tables if table.name.upper() == INTERNAL_IP), None)
    if table is None or not addresses:
        return
    mappings = Mappings(parsed._replace(faults=()))
    for address in addresses:
        try:
            inside = "Y" in mappings.probe(INTERNAL_IP, address, surroundings()).flags
        except (MtaTextError, TooCostlyError):
            continue  # the entry that cannot be read is a finding of its own
        if inside:
            message = (
                f"{address} is internal, but it is given as a load balancer: every external client behind it may relay"
            )
            hint = "Leave it out of INTERNAL_IP, or let the server see the real client address."
            yield Finding(table.line.number, "load-balancer-inside", message, hint)
