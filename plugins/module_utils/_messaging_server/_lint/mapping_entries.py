# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lint rules that look at one entry of a mapping table.

Source: docs/reference/messaging-server-facts.md#table-mistakes. Each rule is a function from a table and one of its
entries to findings.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, NamedTuple

from ..._policy.networks import LOOPBACK, PRIVATE, WIDE, Network
from .._evaluator.mapping_match import Subject
from .._evaluator.mapping_table import CompiledTable
from .._formats.mapping_flags import reading_order
from .._formats.mapping_pattern import Address, Literal, Pattern, Wildcard
from .._formats.mapping_template import Callout, Control, Flag, Op, Saved, Text, is_fallible, walk_ops
from .._formats.tables import APPLICATION, FIXED_FIELDS, PORT_ACCESS, SENDER, field_of
from .._formats.text import BLANKS, fold
from .findings import Finding, zone_findings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .._formats.mapping import Entry, Table

MAX_FIELD = 252
"""Lengths that every release takes, in characters, and what 6.3 takes:
docs/reference/messaging-server-facts.md#lengths."""

LIMITS_TEXT = "5.x and 6 2005Q4 take 252 characters; 6.3 takes 256 in a pattern and 1024 in a template"


_CODE = re.compile(r"[45][0-9][0-9]( |-|$)")
_IN_ADDRESS = re.compile(r"(?:ipv6:)?[0-9a-f.:]*", re.IGNORECASE)
"""What the text of an address may have; whether an IPv6 one has a tag is not documented."""

_FIELDS = re.compile(r"\$.|\|", re.DOTALL)


class ReadEntry(NamedTuple):
    """An entry with what was read from it; pattern or operations are None when they could not be read."""

    entry: Entry
    number: int
    last: bool
    pattern: Pattern | None
    ops: tuple[Op, ...] | None


def fields_of(pattern: str) -> list[str]:
    """The pattern cut at bars that no dollar sign protects."""
    fields, start = [], 0
    for stop in _FIELDS.finditer(pattern):
        if stop.group() == "|":
            fields.append(pattern[start : stop.start()])
            start = stop.end()
    return [*fields, pattern[start:]]


def catches_all(table: Table, pattern: Pattern) -> bool:
    """Whether the pattern matches every probe of the table."""
    if pattern.items and all(isinstance(i, Wildcard) and i.many and i.allowed is None for i in pattern.items):
        return True
    bars = FIXED_FIELDS.get(table.name.upper(), 1) - 1
    plain = pattern.plain
    if plain is None or plain[1:] != ("|",) * (len(plain) - 2) + ("",):
        return False
    # Every connection comes by TCP: docs/reference/messaging-server-facts.md#port-access.
    if table.name.upper() == PORT_ACCESS and fold(plain[0]) == "tcp|":
        return 2 <= len(plain) <= bars + 1
    return plain[0] == "" and 2 < len(plain) <= bars + 2


def always_ends(ops: tuple[Op, ...]) -> bool:
    """Whether the table is left at this entry, whatever its template meets."""
    control = ""
    for op in ops:
        if isinstance(op, Control):
            control = op.letter
        elif is_fallible(op) and control in {"C", "L", "R"}:
            return False
    return control not in {"C", "L", "R"}


def entry_findings(table: Table, looked: ReadEntry) -> Iterator[Finding]:
    """All remarks on one entry."""
    yield from _text_after(looked)
    yield from _lengths(looked)
    yield from _fields(table, looked)
    if looked.ops is not None:
        yield from _order(looked, looked.ops)
        yield from _callouts(looked, looked.ops)
        yield from _texts(table, looked, looked.ops)
    if looked.pattern is not None and looked.ops is not None:
        yield from _wildcards(looked, looked.pattern, looked.ops)
    if looked.pattern is not None and looked.ops is not None and table.name.upper().endswith("_IP"):
        yield from _networks(looked, looked.pattern, looked.ops)


def _line(looked: ReadEntry) -> int:
    return looked.entry.line.number


def _text_after(looked: ReadEntry) -> Iterator[Finding]:
    entry = looked.entry
    if not entry.rest:
        return
    line, column = entry.line.position(entry.line.text.rfind(entry.rest))
    first = entry.rest.split(" ", 1)[0].split("\t", 1)[0]
    raw = entry.line.raw[line - entry.line.number]
    indent = len(raw) - len(raw.lstrip(BLANKS))
    if line > entry.line.number and indent and column == indent + 1 and "$" not in first:
        message = f'the backslash before line {line} glues the entry "{first[:60]}" to this one, where it has no effect'
        yield Finding(
            _line(looked), "glued-continuation", message, "Remove the backslash at the end of the entry before it."
        )
    elif first.startswith(("#", "!")):
        message = f'"{entry.rest[:60]}" after the template is no comment; it is ignored'
        yield Finding(line, "text-after-template", message, "Write comments in lines of their own, with ! in column 1.")
    else:
        message = f'an unquoted blank ends the template; "{entry.rest[:60]}" is lost'
        yield Finding(line, "unquoted-blank", message, 'Write "$ " for a blank, and break lines without blanks.')


def _lengths(looked: ReadEntry) -> Iterator[Finding]:
    for code, what, text in (
        ("long-pattern", "pattern", looked.entry.pattern),
        ("long-template", "template", looked.entry.template),
    ):
        if len(text) > MAX_FIELD:
            yield Finding(_line(looked), code, f"a {what} of {len(text)} characters", f"Shorten it: {LIMITS_TEXT}.")


def _fields(table: Table, looked: ReadEntry) -> Iterator[Finding]:
    fields = fields_of(looked.entry.pattern)
    application = field_of(table.name, APPLICATION)
    if application is not None and len(fields) > application and fields[application].upper() == "SMTP":
        message = '"|SMTP|" does not match "SMTP/name", which the server sends'
        hint = 'Write "SMTP*"; every wildcard number after it grows by one.'
        yield Finding(_line(looked), "bare-smtp", message, hint)
    sender = field_of(table.name, SENDER)
    if sender is not None and len(fields) > sender and fields[sender] == "*@*" and looked.ops is not None:
        routines = {op.routine for op in looked.ops if isinstance(op, Callout)}
        rejects = any(isinstance(op, Flag) and op.letter in "NF" for op in looked.ops)
        # A check of the sender's domain has nothing to look at in a null sender.
        if (routines - {"dns_verify"}) or (rejects and not routines):
            message = '"*@*" does not match the empty sender, so bounces pass this entry'
            yield Finding(_line(looked), "null-sender", message, 'Write "*" for the sender; wildcard numbers change.')


def _order(looked: ReadEntry, ops: tuple[Op, ...]) -> Iterator[Finding]:
    control, flags = "", ""
    for op in ops:
        if isinstance(op, Control):
            control = op.letter
        elif isinstance(op, Flag):
            flags += op.letter
        elif is_fallible(op):
            always = isinstance(op, Callout) and op.routine == "dns_verify"
            if control == "E":
                message = "$E stands before an item that can fail; when it fails the table ends without a decision"
                yield Finding(_line(looked), "end-before-callout", message, "Put $C before the item and $E after it.")
                return
            if not control and not looked.last and not always:
                message = "no $C before an item that can fail; when it fails the entries below are not reached"
                yield Finding(_line(looked), "missing-continue", message, "Put $C before the item and $E after it.")
                return
            if flags:
                message = f"flag {flags} stands before an item that can fail; whether it stays then is not known"
                yield Finding(_line(looked), "flag-before-callout", message, "Put the flag after the item.")
                return


def _callouts(looked: ReadEntry, ops: tuple[Op, ...]) -> Iterator[Finding]:
    for index, op in enumerate(ops):
        if not isinstance(op, Callout):
            continue
        if op.image.startswith("<") or op.image != op.image.strip():
            message = f'the library name "{op.image[:60]}" is no path'
            yield Finding(
                _line(looked), "callout-image", message, "Give the full path or IMTA_LIB:name without < or blanks."
            )
        if not op.routine.startswith("dns_verify_domain"):
            continue
        if index + 1 < len(ops) and isinstance(ops[index + 1], Text):
            message = "text after a DNSBL callout is glued to the rejection text of a listed host"
            hint = "End the entry with $E right after the callout; classify in the last entry of the table."
            yield Finding(_line(looked), "text-after-callout", message, hint)
        argument = "".join(
            piece.text if isinstance(piece, Text) else f"${piece.number}" if isinstance(piece, Saved) else ""
            for piece in op.argument
        )
        parts = argument.split(",")
        if len(parts) > 1:
            yield from zone_findings(_line(looked), parts[1], with_dot=True)


def _texts(table: Table, looked: ReadEntry, ops: tuple[Op, ...]) -> Iterator[Finding]:
    flags = {op.letter for op in ops if isinstance(op, Flag)}
    if not flags & {"N", "F"}:
        return
    takers = [flag for flag in reading_order(table.name) if flag in flags]
    # A routine that only decides gives no text; those that give one are left out below.
    written = "".join(op.text if isinstance(op, Text) else "?" if isinstance(op, Saved) else "" for op in ops)
    if written.count("|") >= len(takers):
        message = "more pieces between bars than flags with an argument"
        yield Finding(_line(looked), "extra-bar", message, 'A "|" separates arguments; leave it out of the text.')
    if table.name.upper() != PORT_ACCESS or any(
        isinstance(op, Callout) and op.routine.startswith("dns_") for op in ops
    ):
        return
    piece = dict(zip(takers, written.split("|"))).get("N" if "N" in flags else "F", "")
    if not _CODE.match(piece):
        message = f'the text "{piece[:60]}" of a rejected connection has no SMTP code; it is sent as it is'
        yield Finding(_line(looked), "no-smtp-code", message, 'Begin it with a code, for example "$N500$ 5.7.1$ ...".')


def _wildcards(looked: ReadEntry, pattern: Pattern, ops: tuple[Op, ...]) -> Iterator[Finding]:
    count = len(pattern.saved)
    for number in sorted({op.number for op in walk_ops(ops) if isinstance(op, Saved) and op.number >= count}):
        has = {0: "no wildcard", 1: "$0 alone"}.get(count, f"$0 to ${count - 1}")
        message = f"${number} is no wildcard of the pattern, which has {has}; it stands for nothing"
        yield Finding(_line(looked), "missing-wildcard", message, "Count the wildcards of the pattern from $0.")


def _networks(looked: ReadEntry, pattern: Pattern, ops: tuple[Op, ...]) -> Iterator[Finding]:
    if not any(isinstance(op, Flag) and op.letter == "Y" for op in walk_ops(ops)):
        return
    if pattern.items and all(isinstance(item, Wildcard) for item in pattern.items):
        message = f'the pattern "{pattern.text}" takes every host for an internal one: an open relay'
        yield Finding(_line(looked), "wide-network", message, "Name the internal networks.")
    if any(isinstance(item, Literal) and not _IN_ADDRESS.fullmatch(item.text) for item in pattern.items):
        message = f'"{pattern.text}" matches no address, as it is text'
        yield Finding(_line(looked), "no-address", message, "Write a network such as $(192.0.2.0/24).")
        return
    for item in pattern.items:
        if isinstance(item, Address) and item.bits < WIDE[item.version] and not _is_own(item):
            message = f'"{pattern.text}" is a network of /{item.bits}; all its hosts may relay'
            yield Finding(_line(looked), "wide-network", message, "Name only the networks that are yours.")
        elif isinstance(item, Address) and _host_bits(pattern.text, item):
            message = f'"{pattern.text}" is one host\'s address but stands for the whole /{item.bits} around it'
            yield Finding(
                _line(looked), "host-bits", message, "Write the network's own address, or /32 for the one host."
            )
        elif isinstance(item, Literal) and pattern.plain is not None and len(pattern.plain) > 1:
            message = f'"{pattern.text}" compares text, not addresses'
            yield Finding(_line(looked), "text-network", message, "Write a network such as $(192.0.2.0/24).")
            return


def _is_own(item: Address) -> bool:
    """Whether no external client can have such an address."""
    return any(own.contains(Network(item.version, item.network, item.bits)) for own in (*PRIVATE, *LOOPBACK))


def _host_bits(text: str, item: Address) -> bool:
    """Whether the address was written with host bits; the compiled item no longer has them."""
    written = re.search(r"\$[(<{]([0-9A-Fa-f.:]+)", text)
    if written is None or item.bits in {32, 128}:
        return False
    return int(ipaddress.ip_address(written.group(1))) != item.network


MAX_GENERAL = 200
"""How many general entries of a table are compared with those below them; it keeps the lint linear."""

_ANYTHING = "\x01"
"""Stands for whatever a wildcard or an address takes. A pattern of literals and stars that matches with it in their
place has a star there, and so matches every text."""


def shadowed(table: Table, entries: Sequence[ReadEntry]) -> dict[int, int]:
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
        if hit is not None and general[hit.number].number < looked.number:
            found[looked.number] = general[hit.number].entry.line.number
    return found


def _is_general(looked: ReadEntry) -> bool:
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
