# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evaluation of mapping tables: from a probe to flags and output.

The algorithm is that of docs/reference/messaging-server-facts.md#template-failure. Where the facts leave something open
the choice is one constant here, and the trace of a probe that met it says so.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import string
from bisect import bisect_left
from functools import lru_cache
from typing import NamedTuple

from .._formats.mapping import Entry, MappingFile, parse_mappings
from .._formats.mapping_flags import split_arguments
from .._formats.mapping_pattern import ADDRESSES_ARE_NUMBERED, Address
from .._formats.mapping_template import (
    Callout,
    Case,
    Chance,
    Control,
    Database,
    ExternalLookUp,
    Flag,
    FlagTest,
    Note,
    Op,
    Saved,
    SubTable,
    TemplateError,
    Text,
    compile_template,
)
from .._formats.text import LogicalLine, fold
from .context import Result, Surroundings
from .mapping_match import Subject
from .mapping_table import CompiledTable, Hit

MAX_RESTARTS = 10
"""Restarts from the top ($R) with a text that is not shorter than before, until a table is left with what it has. The
vendor's number could not be read."""

MAX_DEPTH = 10
"""How deep tables, database texts and callout texts may call each other. The vendor's number is not known."""

MAX_OUTPUT = 16384
"""Longest text a template may build, in characters; the vendor's buffers are shorter in every release."""

MAX_WORK = 4_000_000
"""Work one probe may cause, in characters looked at by entries. About a second."""

ENTRY_WORK = 20
"""Work of trying an entry that may match, besides the text; measured, in the unit of ``MAX_WORK``."""

FLAGS_ACCUMULATE = True
"""Flags of successful earlier entries stay set when the mapping goes on. Believed, not stated:
docs/reference/messaging-server-facts.md#template-failure."""

FLAGS_OF_FAILED_ENTRY_STAY = False
"""Whether flags to the left of the item that failed an entry stay set. Not known:
docs/reference/messaging-server-facts.md#unknown."""

EXTRA_PASS_ONCE = True
"""Whether the extra pass of $L can happen more than once for a probe. Not stated."""

SEQUENCE_STAND_IN = "1"
"""What a sequence number ($#..#) is replaced by here."""

_TO_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
_LDAP = str.maketrans({"*": "\\2a", "(": "\\28", ")": "\\29", "\\": "\\5c", "\0": "\\00"})


class Mappings:
    """The tables of a mapping file, compiled when they are first used. Raises the error of the first fault."""

    def __init__(self, parsed: MappingFile) -> None:
        parsed.require_sound()
        self.missing = parsed.missing
        self._tables = {table.name.upper(): table for table in parsed.tables}
        self._compiled: dict[str, CompiledTable] = {}

    def __contains__(self, name: str) -> bool:
        """Whether there is a table of this name, in any case of its letters."""
        return name.upper() in self._tables

    def table(self, name: str) -> CompiledTable | None:
        """The compiled table, or None. Raises MtaTextError for a pattern that cannot be read."""
        key = name.upper()
        found = self._compiled.get(key)
        if found is None and key in self._tables:
            found = self._compiled[key] = CompiledTable(self._tables[key])
        return found

    def probe(self, table: str, text: str, around: Surroundings) -> Result:
        """Apply a table to a text.

        Raises MtaTextError for a pattern or template that cannot be read and for a probe that takes too much work;
        TooCostlyError when the text is too long.
        """
        run = _Run(self, around)
        for name in self.missing:
            run.step('The include "{}" was not given; its tables are missing.', name)
        applied = run.apply(table, text, 0)
        flags = tuple(sorted(applied.flags))
        arguments = split_arguments(table, flags, applied.text)
        return Result(applied.matched, flags, applied.text, arguments, tuple(run.steps))


@lru_cache(maxsize=8)
def load_mappings(text: str, file: str = "mappings", includes: tuple[tuple[str, str], ...] = ()) -> Mappings:
    """Read and prepare a mapping file; the last few are remembered. Raises MtaTextError for its first fault."""
    return Mappings(parse_mappings(text, file, dict(includes)))


class _EntryFailedError(Exception):
    """A fallible item failed; carries what failed for the trace."""


class _State:
    """What the template of one entry has produced so far."""

    def __init__(self, entry: Entry, saved: list[str], flags: set[str]) -> None:
        self.entry = entry
        self.saved = saved
        self.flags = flags
        self.control = ""
        self.case = "keep"
        self.out: list[str] = []
        self.length = 0

    def append(self, text: str, *, substituted: bool) -> None:
        if self.case == "lower":
            text = fold(text)
        elif self.case == "upper":
            text = text.translate(_TO_UPPER)
        elif self.case == "ldap" and substituted:
            text = text.translate(_LDAP)
        self.length += len(text)
        if self.length > MAX_OUTPUT:
            raise self.entry.line.error(
                self.entry.template_at,
                "a template that builds a longer and longer text",
                f"at most {MAX_OUTPUT} characters",
            )
        self.out.append(text)


class _Position:
    """How far the application of a table has come, and with which text."""

    def __init__(self, table: CompiledTable, text: str) -> None:
        self.table = table
        self.start = 0
        self.restarts = 0
        self.once_more = False
        self.passed_again = False
        self.matched = False
        self.flags: set[str] = set()
        self.look_at(text)

    def look_at(self, text: str) -> None:
        """Go on with this text."""
        self.subject = Subject(text)
        self.candidates = self.table.candidates(self.subject)

    def take_extra_pass(self) -> bool:
        """At the end of the table: whether $L demands one more pass from the top, and begin it."""
        if not self.once_more or (self.passed_again and EXTRA_PASS_ONCE):
            return False
        self.start, self.once_more, self.passed_again = 0, False, True
        return True


class _Applied(NamedTuple):
    """What the application of a table gave: whether an entry succeeded, the flags, the text."""

    matched: bool
    flags: set[str]
    text: str


class _Run:
    """One probe: the steps for the trace and the work spent, shared by all tables it reaches."""

    def __init__(self, mappings: Mappings, around: Surroundings) -> None:
        self.mappings = mappings
        self.around = around
        self.steps: list[tuple[object, ...]] = []
        self.work = 0

    def step(self, form: str, *values: object) -> None:
        self.steps.append((form, *values))

    def apply(self, name: str, text: str, depth: int) -> _Applied:
        """Apply one table."""
        table = self.mappings.table(name)
        if table is None:
            self.step("There is no table {}.", name)
            return _Applied(False, set(), text)
        self.step('Table {} is applied to "{}".', name, text)
        at = _Position(table, text)
        self._spend(table.table.line, 0, len(table.patterns))
        while True:
            hit = self._find(at)
            if hit is None:
                if not at.take_extra_pass():
                    break
                self.step("End of table {}; once more from the top.", name)
                continue
            length = len(at.subject.text)
            control = self._entry(at, hit, depth)
            if control not in {"C", "L", "R"}:
                break
            if control != "R":
                at.start = hit.number + 1
                at.once_more = at.once_more or control == "L"
                continue
            at.start = 0
            at.restarts = at.restarts + 1 if len(at.subject.text) >= length else 0
            if at.restarts > MAX_RESTARTS:
                self.step(
                    "Not certain: restarted {} times with a text that gets no shorter; left here. The vendor's limit "
                    "is not known.",
                    MAX_RESTARTS,
                )
                break
        if not at.matched:
            self.step("Table {} gives no result.", name)
        else:
            self.step('Table {} gives flags [{}] and "{}".', name, "".join(sorted(at.flags)), at.subject.text)
        return _Applied(at.matched, at.flags, at.subject.text)

    def _find(self, at: _Position) -> Hit | None:
        """The next entry that matches; what was looked at for it is work."""
        steps = at.subject.steps
        hit = at.table.find(at.subject, at.candidates, at.start)
        end = len(at.candidates) if hit is None else bisect_left(at.candidates, hit.number)
        tried = end - bisect_left(at.candidates, at.start)
        steps = at.subject.steps - steps
        self._spend(at.table.table.line, 0, tried * (ENTRY_WORK + len(at.subject.text) // 16) + steps)
        return hit

    def _entry(self, at: _Position, hit: Hit, depth: int) -> str:
        """Process the entry that matched; returns the control character that says how to go on."""
        table = at.table
        entry = table.table.entries[hit.number]
        amount = len(at.subject.text) + len(entry.pattern) + len(entry.template) + 200
        self._spend(entry.line, entry.pattern_at, amount)
        self.step(
            'Entry {} of {} matches: pattern "{}", template "{}".',
            hit.number + 1,
            table.table.name,
            entry.pattern,
            entry.template,
        )
        self._remark(table, hit.number)
        state = _State(entry, hit.saved, set())
        if self._expand(state, depth):
            at.matched = True
            earlier = at.flags - state.flags
            if earlier:
                self.step(
                    "Not certain: flags {} of earlier entries {}.",
                    "".join(sorted(earlier)),
                    "stay" if FLAGS_ACCUMULATE else "are dropped",
                )
            at.flags = at.flags | state.flags if FLAGS_ACCUMULATE else state.flags
            text = "".join(state.out)
            self.step('It succeeds; the text is now "{}".', text)
            if text != at.subject.text:
                self._spend(entry.line, entry.pattern_at, len(table.patterns))
                at.look_at(text)
        elif FLAGS_OF_FAILED_ENTRY_STAY:
            at.flags |= state.flags
        elif state.flags:
            self.step(
                "Flags {} left of the failed item are dropped; the manuals leave open whether they stay.",
                "".join(sorted(state.flags)),
            )
        return state.control

    def _spend(self, line: LogicalLine, offset: int, amount: int) -> None:
        self.work += amount
        if self.work > MAX_WORK:
            raise line.error(
                offset, "a probe that goes round and round", f"an end within {MAX_WORK} characters of work"
            )

    def _remark(self, table: CompiledTable, number: int) -> None:
        pattern = table.patterns[number]
        for note in pattern.notes:
            self.step("Not certain: {}.", note)
        if not ADDRESSES_ARE_NUMBERED and pattern.saved and any(isinstance(item, Address) for item in pattern.items):
            first = next(index for index, item in enumerate(pattern.items) if isinstance(item, Address))
            if pattern.saved[-1] > first:
                self.step("Not certain: addresses in a pattern are taken to have no wildcard number.")

    def _expand(self, state: _State, depth: int) -> bool:
        try:
            self._ops(state, self._compile(state.entry, state.entry.template, ""), depth)
        except _EntryFailedError as e:
            self.step("It fails: {}.", str(e))
            return False
        return True

    def _compile(self, entry: Entry, text: str, source: str) -> tuple[Op, ...]:
        try:
            return compile_template(text)
        except TemplateError as e:
            offset = entry.template_at + (0 if source else e.offset)
            raise entry.line.error(offset, f"{source}{e.found}", e.expected) from e

    def _ops(self, state: _State, ops: tuple[Op, ...], depth: int) -> None:
        for op in ops:
            if isinstance(op, Text):
                state.append(op.text, substituted=False)
            elif isinstance(op, Saved):
                if op.number < len(state.saved):
                    state.append(state.saved[op.number], substituted=True)
                else:
                    self.step("Not certain: ${} but the pattern saves {}; taken as empty.", op.number, len(state.saved))
            elif isinstance(op, Flag):
                state.flags.add(op.letter)
            elif isinstance(op, Control):
                state.control = op.letter
            elif isinstance(op, Case):
                state.case = op.mode
            elif isinstance(op, Note):
                self.step("Not certain: {}.", op.text)
            else:
                self._fallible(state, op, depth)

    def _fallible(self, state: _State, op: Op, depth: int) -> None:
        if isinstance(op, FlagTest):
            if (op.letter in self.around.input_flags) != op.wanted:
                raise _EntryFailedError(f"input flag {op.letter} is {'clear' if op.wanted else 'set'}")
        elif isinstance(op, Chance):
            passes = self.around.chance(op.percent)
            self.step("In {} percent of the cases it goes on here; taken as {}.", op.percent, "yes" if passes else "no")
            if not passes:
                raise _EntryFailedError("the chance is against it")
        elif isinstance(op, SubTable):
            self._sub_table(state, op, depth)
        elif isinstance(op, Database):
            key = self._argument(state, op.key, depth)
            found = self.around.database.get(key)
            if found is None:
                raise _EntryFailedError(f'the general database has no "{key}"')
            self.step('The general database has "{}" for "{}".', found, key)
            self._insert(state, found, "text of the general database: ", depth)
        elif isinstance(op, Callout):
            argument = self._argument(state, op.argument, depth)
            returned = self.around.call(op.image, op.routine, argument)
            if returned is None:
                raise _EntryFailedError(f'routine {op.routine} fails for "{argument}"')
            self.step('Routine {} returns "{}" for "{}".', op.routine, returned, argument)
            self._insert(state, returned, f"text returned by {op.routine}: ", depth)
        elif isinstance(op, ExternalLookUp):
            self._outside(state, op, depth)

    def _outside(self, state: _State, op: ExternalLookUp, depth: int) -> None:
        argument = self._argument(state, op.argument, depth)
        answer = self.around.outside(op.kind, argument)
        if answer is None and op.kind == "sequence":
            answer = SEQUENCE_STAND_IN
            self.step("A sequence number is needed; {} stands in for it.", answer)
        if answer is None:
            raise _EntryFailedError(f'no answer here for {op.kind} "{argument}"')
        state.append(answer, substituted=True)

    def _argument(self, state: _State, ops: tuple[Op, ...], depth: int) -> str:
        """Expand an argument with the saved texts and flags of the entry, but with its own text and case."""
        inner = _State(state.entry, state.saved, state.flags)
        inner.control = state.control
        self._ops(inner, ops, depth)
        state.control = inner.control
        self._spend(state.entry.line, state.entry.template_at, inner.length)
        return "".join(inner.out)

    def _deeper(self, state: _State, depth: int, what: str) -> int:
        if depth >= MAX_DEPTH:
            raise state.entry.line.error(
                state.entry.template_at, f"{what} inside each other without end", f"at most {MAX_DEPTH} levels"
            )
        return depth + 1

    def _sub_table(self, state: _State, op: SubTable, depth: int) -> None:
        argument = self._argument(state, op.argument, depth)
        if op.table not in self.mappings:
            raise _EntryFailedError(f"there is no table {op.table}")
        applied = self.apply(op.table, argument, self._deeper(state, depth, "tables"))
        if "Y" not in applied.flags:
            raise _EntryFailedError(f"table {op.table} does not set Y")
        state.append(applied.text, substituted=True)

    def _insert(self, state: _State, text: str, source: str, depth: int) -> None:
        """Template text from outside takes effect as if it stood in the template."""
        self._spend(state.entry.line, state.entry.template_at, len(text))
        self._ops(state, self._compile(state.entry, text, source), self._deeper(state, depth, "texts"))
