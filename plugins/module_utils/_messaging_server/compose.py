# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the live files of Messaging Server and a plan to the wanted files: only what is managed changes.

Texts in, texts out; nothing is read from or written to a disk here.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from ._formats.dispatcher import parse_dispatcher, remove_section, set_option
from ._formats.general import set_keys
from ._formats.imta import parse_imta
from ._formats.imta_edit import (
    add_channel,
    clear_keyword,
    default_words,
    ensure_rule,
    remove_channel,
    remove_rule,
    restore_defaults,
    set_default,
    set_keyword,
)
from ._formats.imta_keywords import group_of
from ._formats.mapping import Pair, parse_mappings
from ._formats.mapping_edit import place_notes, remove_table, set_table, table_notes
from ._formats.text import fold
from .channels import ALL_CHANNELS
from .record import NOTHING, OwnedTable, OwnedWords, Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .plan import Plan


KEY_PREFIX = "MAILHOST-"
"""Begins every managed key in general.txt."""

LENGTHS = "6.3"
"""How long an entry may be at most; the plan holds to the release that the user named."""


class Texts(NamedTuple):
    """The files that the role edits. An empty general text stands for a file that is not there, too."""

    imta_cnf: str
    mappings: str
    dispatcher_cnf: str
    general: str


class UnknownEntry(NamedTuple):
    """An entry of an owned table that neither the inventory nor an earlier run knows."""

    table: str
    place: str
    pattern: str
    template: str


class Composed(NamedTuple):
    """The wanted texts, the record that goes with them, and the unknown entries."""

    texts: Texts
    record: Record
    unknown: tuple[UnknownEntry, ...]


def compose(live: Texts, plan: Plan, record: Record) -> Composed:
    """Edit the live texts until they say what the plan says; what an earlier run put there and the plan no longer
    says is removed first.

    Raises EditError, ImtaEditError where a file cannot be edited without touching something else.
    """
    imta, managed = _imta(live.imta_cnf, plan, record)
    mappings, tables, unknown = _mappings(live.mappings, plan, record)
    dispatcher, options = _dispatcher(live.dispatcher_cnf, plan, record)
    general = set_keys(live.general, KEY_PREFIX, plan.general)
    texts = Texts(imta, mappings, dispatcher, general)
    return Composed(texts, managed._replace(tables=tables, options=options), tuple(unknown))


def describe_unknown(unknown: Iterable[UnknownEntry]) -> str:
    """The entries in the form in which they can be put into the inventory."""
    lines = ["messaging_server_extra_entries:"]
    at: tuple[str, str] = ("", "")
    for one in unknown:
        if one.table != at[0]:
            lines.append(f"  {one.table}:")
        if (one.table, one.place) != at:
            lines.append(f"    {one.place}:")
        at = (one.table, one.place)
        lines.append(f"      - [{json.dumps(one.pattern)}, {json.dumps(one.template)}]")
    return "\n".join(lines)


# Mapping tables


def _lines_of(text: str, table: str) -> dict[Pair, str] | None:
    """The entries of a table with their lines as they are written, or None when there is no such table."""
    for one in parse_mappings(text).tables:
        if one.name.upper() == table.upper():
            return {entry.pair: "".join(entry.line.raw) for entry in one.entries}
    return None


def _mappings(text: str, plan: Plan, record: Record) -> tuple[str, dict[str, OwnedTable], list[UnknownEntry]]:
    owned: dict[str, OwnedTable] = {}
    unknown: list[UnknownEntry] = []
    for table, known in record.tables.items():
        if table not in plan.tables:
            text = _restore_table(text, table, known)
    for table, wanted in plan.tables.items():
        lines = _lines_of(text, table)
        live = tuple(lines) if lines is not None else None
        known = record.tables.get(table) or OwnedTable(
            live, (), tuple((lines or {}).values()), table_notes(text, table)
        )
        unknown += _unknown(table, live or (), wanted, known.managed)
        text = set_table(text, table, wanted, LENGTHS)
        owned[table] = known._replace(managed=tuple(wanted))
    return text, owned, unknown


def _unknown(table: str, live: tuple[Pair, ...], wanted: Iterable[Pair], managed: Iterable[Pair]) -> list[UnknownEntry]:
    """Entries that are neither wanted nor managed; they stand before the managed ones, or after the first of them."""
    known = {*wanted, *managed}
    first = next((number for number, pair in enumerate(live) if pair in known), len(live))
    found = [(number, pair) for number, pair in enumerate(live) if pair not in known]
    return [UnknownEntry(table, "before" if number < first else "after", *pair) for number, pair in found]


def _restore_table(text: str, table: str, known: OwnedTable) -> str:
    """A table as it was before it was managed; unmanaged entries that came since stay, at its beginning."""
    live = _lines_of(text, table) or {}
    before = known.before or ()
    since = [pair for pair in live if pair not in known.managed and pair not in before]
    entries = [*since, *before]
    if entries:
        text = set_table(text, table, entries, LENGTHS, lines=dict(zip(before, known.lines)))
        return text if since else place_notes(text, table, known.notes)
    return remove_table(text, table) if known.before is None else text


# imta.cnf


def _imta(text: str, plan: Plan, record: Record) -> tuple[str, Record]:
    """The wanted imta.cnf, and a record of what is managed in it."""
    wanted = {(fold(channel), group_of(fold(keyword))[0]) for channel, keyword, _arguments in plan.keywords}
    used = {channel for channel, _group in wanted}
    text = _remove_from_imta(text, plan, record, wanted)
    channels = [name for name in record.channels if fold(name) in used]
    for name, words, host in plan.blocks:
        if parse_imta(text).channel(name) is None:
            channels.append(name)
        text = add_channel(text, name, words.split(), host)
    keywords: dict[tuple[str, str], OwnedWords] = {}
    defaults: dict[str, tuple[str, ...]] = {}
    for channel, keyword, arguments in plan.keywords:
        if fold(channel) == ALL_CHANNELS:
            defaults[keyword] = record.defaults.get(keyword, default_words(text, keyword))
            text = set_default(text, keyword)
            continue
        place = (fold(channel), group_of(fold(keyword))[0])
        known = record.keywords.get(place)
        before = known.before if known else _words(text, channel, keyword)
        keywords[place] = OwnedWords(before, (keyword, *arguments))
        text = set_keyword(text, channel, keyword, arguments)
    rules = list(record.rules)
    for rule in plan.rules:
        changed = ensure_rule(text, *rule)
        if changed != text and rule not in rules:
            rules.append(rule)
        text = changed
    kept = tuple(rule for rule in rules if rule in plan.rules)
    managed = NOTHING._replace(keywords=keywords, defaults=defaults, rules=kept, channels=tuple(channels))
    return text, managed


def _remove_from_imta(text: str, plan: Plan, record: Record, wanted: set[tuple[str, str]]) -> str:
    for rule in record.rules:
        if rule not in plan.rules:
            text = remove_rule(text, *rule)
    for keyword, before in record.defaults.items():
        if (ALL_CHANNELS, group_of(fold(keyword))[0]) not in wanted:
            text = restore_defaults(text, keyword, before)
    for (channel, group), known in record.keywords.items():
        if (channel, group) not in wanted and _words(text, channel, known.managed[0]) == known.managed:
            text = clear_keyword(text, channel, known.managed[0]) if known.before is None else text
            if known.before is not None:
                text = set_keyword(text, channel, known.before[0], known.before[1:])
    used = {channel for channel, _group in wanted}
    for name in record.channels:
        if fold(name) not in used:
            text = remove_channel(text, name)
    return text


def _words(text: str, channel: str, keyword: str) -> tuple[str, ...] | None:
    """The keyword and arguments that a channel itself has in the place of a keyword."""
    found = parse_imta(text).channel(channel)
    group = group_of(fold(keyword))
    present = [one for one in found.keywords if one.name in group] if found else []
    return (present[-1].name, *present[-1].arguments) if present else None


# dispatcher.cnf


def _dispatcher(text: str, plan: Plan, record: Record) -> tuple[str, dict[tuple[str, str], OwnedWords]]:
    wanted = {(fold(service), fold(name)) for service, name, _values in plan.options}
    for (service, name), known in record.options.items():
        if (fold(service), fold(name)) not in wanted and _values(text, service, name) == known.managed:
            text = set_option(text, service, name, list(known.before or ()))
            # A service that was not there before is removed with its last option.
            text = remove_section(text, service) if known.before is None else text
    options: dict[tuple[str, str], OwnedWords] = {}
    found = text
    for service, name, values in plan.options:
        place = (service, name)
        live = _values(found, service, name)
        before = record.options[place].before if place in record.options else live
        if place in record.options or live != values:
            options[place] = OwnedWords(before, tuple(values))
        text = set_option(text, service, name, list(values))
    return text, options


def _values(text: str, service: str, name: str) -> tuple[str, ...] | None:
    """The values of an option; None when there is not even the service."""
    parsed = parse_dispatcher(text)
    if not parsed.has_service(service):
        return None
    return tuple(parsed.by_name.get((fold(service), fold(name)), ()))
