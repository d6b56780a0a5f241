# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Templates of mapping entries: from their text to a list of operations.

Syntax: docs/reference/messaging-server-facts.md#template-sequences. What the operations do is in ``_mapping_engine``.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple, Union

from ..._policy.errors import ReportedError

CONTROLS_ARE_CASE_BLIND = True
"""Whether the control characters C, L, R, E are recognised in lower case as flags are. Stated for flags only."""

_SYMBOL_FLAGS = "!<>,"
"""Characters that are flags although they are not letters (docs/reference/messaging-server-facts.md#access-flags)."""

_CASE = {"\\": "lower", "^": "upper", "_": "keep"}


class TemplateError(ReportedError):
    """A template that cannot be read: ``offset`` in its text, what was found, what was expected."""

    def __init__(self, offset: int, found: str, expected: str) -> None:
        super().__init__(f"{found}; expected {expected}")
        self.offset = offset
        self.found = found
        self.expected = expected


class Text(NamedTuple):
    """Text that is copied to the output."""

    text: str


class Saved(NamedTuple):
    """The text of the n-th saved wildcard."""

    number: int


class Case(NamedTuple):
    """From here on: ``lower``, ``upper``, ``keep`` (which also ends quoting) or ``ldap`` (quote for LDAP filters)."""

    mode: str


class Control(NamedTuple):
    """C (go on), L (go on, once more from the top), R (from the top), E (end)."""

    letter: str


class Flag(NamedTuple):
    """An output flag."""

    letter: str


class FlagTest(NamedTuple):
    """Go on only if the input flag is set (``wanted``) or clear."""

    letter: str
    wanted: bool


class Chance(NamedTuple):
    """Go on in so many percent of the cases."""

    percent: int


class SubTable(NamedTuple):
    """Apply another table to the expanded argument."""

    table: str
    argument: tuple[Op, ...]


class Database(NamedTuple):
    """Look the expanded key up in the general database."""

    key: tuple[Op, ...]


class Callout(NamedTuple):
    """Call a routine with the expanded argument."""

    image: str
    routine: str
    argument: tuple[Op, ...]


class ExternalLookUp(NamedTuple):
    """A look-up that has no answer here: ``ldap_url``, ``domain_attribute`` or ``sequence``."""

    kind: str
    argument: tuple[Op, ...]


class Note(NamedTuple):
    """Something the manuals leave open, and how it was read; for the trace."""

    text: str


Op = Union[Text, Saved, Case, Control, Flag, FlagTest, Chance, SubTable, Database, Callout, ExternalLookUp, Note]


@lru_cache(maxsize=65536)
def compile_template(text: str) -> tuple[Op, ...]:
    """Read a template. Raises TemplateError with the offset of what cannot be read."""
    return tuple(_TemplateReader(text, 0).read())


def walk_ops(ops: tuple[Op, ...]) -> list[Op]:
    """All operations from left to right, those in arguments before the operation they belong to."""
    found: list[Op] = []
    for op in ops:
        if isinstance(op, (SubTable, Callout, ExternalLookUp)):
            found.extend(walk_ops(op.argument))
        elif isinstance(op, Database):
            found.extend(walk_ops(op.key))
        found.append(op)
    return found


def is_fallible(op: Op) -> bool:
    """Whether the entry can fail at this operation.

    Source: docs/reference/messaging-server-facts.md#template-failure, rule 3.
    """
    if isinstance(op, ExternalLookUp):
        return op.kind != "sequence"
    return isinstance(op, (FlagTest, Chance, SubTable, Database, Callout))


class _TemplateReader:
    """Reads a template from left to right. ``base`` is the offset of ``text`` in the whole template."""

    def __init__(self, text: str, base: int) -> None:
        self.text = text
        self.base = base
        self.at = 0
        self.ops: list[Op] = []
        self.plain: list[str] = []

    def read(self) -> list[Op]:
        text = self.text
        while self.at < len(text):
            dollar = text.find("$", self.at)
            if dollar < 0:
                self.plain.append(text[self.at :])
                break
            self.plain.append(text[self.at : dollar])
            self.at = dollar + 1
            if self.at >= len(text):
                raise self._error(dollar, "the template ends in a dollar sign", "a character after it")
            self._dollar(text[self.at])
        self._flush()
        return self.ops

    def _error(self, at: int, found: str, expected: str) -> TemplateError:
        return TemplateError(self.base + at, found, expected)

    def _flush(self) -> None:
        joined = "".join(self.plain)
        if joined:
            self.ops.append(Text(joined))
        self.plain = []

    def _op(self, op: Op) -> None:
        self._flush()
        self.ops.append(op)

    def _dollar(self, char: str) -> None:
        """One construct; ``self.at`` is at the character after the dollar sign."""
        start = self.at - 1
        self.at += 1
        if char in "0123456789":
            self._op(Saved(int(char)))
        elif char in "$ \t":
            self.plain.append(char)
        elif char in _CASE:
            self._op(Case(_CASE[char]))
        elif char == "=":
            self._op(Case("ldap"))
        elif char in ":;":
            self._flag_test(start, char == ":")
        elif char == "?":
            self._chance(start)
        elif char in "|{[]}#.":
            self._bracket(start, char)
        elif (char.isascii() and char.isalpha()) or char in _SYMBOL_FLAGS:
            self._letter(char)
        else:
            self._op(Note(f'the manuals do not define "${char}" in a template; taken as the character itself'))
            self.plain.append(char)

    def _letter(self, char: str) -> None:
        letter = char.upper()
        if letter in "CLRE" and (CONTROLS_ARE_CASE_BLIND or char == letter):
            if char != letter:
                self._op(Note(f'the manuals do not say whether "${char}" is "${letter}"; taken as the same'))
            self._op(Control(letter))
        else:
            self._op(Flag(letter))

    def _flag_test(self, start: int, wanted: bool) -> None:
        letter = self.text[self.at : self.at + 1]
        if not letter:
            raise self._error(start, "a flag test without its flag", "a letter after $: or $;")
        self.at += 1
        self._op(FlagTest(letter.upper() if letter.isascii() else letter, wanted))

    def _chance(self, start: int) -> None:
        number = self._until("?", start, "$?")[0]
        if not (number.isascii() and number.isdigit() and len(number) <= 3 and int(number) <= 100):
            raise self._error(start + 2, f'"{number}" percent', "a number from 0 to 100")
        self._op(Chance(int(number)))

    def _until(self, closer: str, start: int, opener: str) -> tuple[str, int]:
        """Text up to the closing character, which a dollar sign protects; and where that text begins."""
        text, begin = self.text, self.at
        while self.at < len(text):
            char = text[self.at]
            if char == closer:
                self.at += 1
                return text[begin : self.at - 1], begin
            self.at += 2 if char == "$" else 1
        raise self._error(start, f'"{opener}" is not closed', f'"{closer}" before the template ends')

    def _inner(self, text: str, at: int) -> tuple[Op, ...]:
        return tuple(_TemplateReader(text, self.base + at).read())

    def _bracket(self, start: int, char: str) -> None:
        if char == "|":
            body, at = self._until("|", start, "$|")
            table, semicolon, argument = body.partition(";")
            if not semicolon or not table:
                raise self._error(start, f'"$|{body}|"', '"$|table;argument|"')
            self._op(SubTable(table, self._inner(argument, at + len(table) + 1)))
        elif char == "{":
            body, at = self._until("}", start, "${")
            self._op(Database(self._inner(body, at)))
        elif char == "[":
            body, at = self._until("]", start, "$[")
            parts = body.split(",", 2)
            if len(parts) < 2 or not parts[0] or not parts[1]:
                raise self._error(start, f'"$[{body}]"', '"$[image,routine,argument]"')
            argument = parts[2] if len(parts) == 3 else ""
            self._op(Callout(parts[0], parts[1], self._inner(argument, at + len(body) - len(argument))))
        elif char == "]":
            body, at = self._until("[", start, "$]")
            self._op(ExternalLookUp("ldap_url", self._inner(body, at)))
        elif char == "}":
            body, at = self._until("{", start, "$}")
            self._op(ExternalLookUp("domain_attribute", self._inner(body, at)))
        elif char == "#":
            body, at = self._until("#", start, "$#")
            self._op(ExternalLookUp("sequence", self._inner(body, at)))
        else:
            body, _at = self._until(".", start, "$.")
            self._op(Note(f'"$.{body}." (text for temporary look-up errors) has no effect here'))
