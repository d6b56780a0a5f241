# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The template of a rewrite rule, expanded for one address.

Sources: docs/reference/messaging-server-facts.md#rewrite-templates and
docs/reference/messaging-server-facts.md#rewrite-tests. What needs LDAP, a database or a routine, and what no manual
describes, cannot be evaluated: an error, unless the rule does not hold for the address anyway.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from .._formats.text import fold
from .rewrite_patterns import Parts

if TYPE_CHECKING:
    from .._formats.imta import Rule
    from .._formats.text import MtaTextError

MAX_DEPTH = 10
"""How deep texts of mapping tables may be expanded again. The vendor's number is not known."""

TableText = Callable[[str, str], "str | None"]
"""The output of a mapping table for an argument; None where it does not set Y."""

_DIGITS = frozenset("0123456789")
_CASES: dict[str, Callable[[str], str]] = {"\\": str.lower, "^": str.upper, "_": str}
_CHANNEL_TESTS = "MNQC"
_ENDS_OF_NAMES = frozenset(f"{_CHANNEL_TESTS}T?")
"""What ends the name of a channel behind a dollar sign; % and @ do so without one."""


class Place(NamedTuple):
    """Where an address stands: ``forward`` (To) or backward (From) pointing, ``envelope`` or header, and channels.

    ``rules``: whether the source channel allows rules for channels (keyword ``rules``, the default).
    """

    forward: bool
    envelope: bool
    source: str = ""
    destination: str = ""
    rules: bool = True


class Expanded(NamedTuple):
    """A template without its tests: user, host and system; an empty system where rewriting begins again.

    ``route``: the host of a source route, or empty.
    """

    user: str
    host: str
    system: str
    route: str = ""

    @property
    def address(self) -> str:
        """The address that the rule makes."""
        plain = f"{self.user}@{self.host}"
        return f"@{self.route}:{plain}" if self.route else plain


class RuleFailedError(Exception):
    """A rule that does not hold for an address."""


class Expansion:
    """One template: its pieces, of which some are separators (a literal % or @ in the template)."""

    def __init__(self, rule: Rule, parts: Parts, place: Place, table_text: TableText, trace: list[str]) -> None:
        self.rule, self.parts, self.place, self.table_text, self.trace = rule, parts, place, table_text, trace
        self.pieces: list[str] = []
        self.separators: list[int] = []
        self.channels: dict[str, list[str]] = {}
        self.tagged = False
        self.case: Callable[[str], str] = str
        self.unclear: MtaTextError | None = None

    def run(self) -> Expanded:
        """Expand it. Raises RuleFailedError, and MtaTextError where it cannot be evaluated."""
        self.expand(self.rule.template, 0)
        self._check_channels()
        if self.unclear is not None:
            raise self.unclear
        return self._divide()

    def _divide(self) -> Expanded:
        places = [index for index in self.separators if self.pieces[index] == "@"]
        first = next((index for index in self.separators if self.pieces[index] == "%"), None)
        if first is not None and (not places or first < places[0]):
            user = self._text(0, first)
            if not places:
                if self.tagged:
                    raise self._error("$T", "a template without %, or without a tag")
                return Expanded(user, self._text(first + 1, len(self.pieces)), "")
            return Expanded(user, self._text(first + 1, places[0]), self._text(places[0] + 1, len(self.pieces)))
        if not places:
            raise RuleFailedError("its template has neither % nor @")
        ends = [*places, len(self.pieces)]
        user, rest = self._text(0, places[0]), [self._text(at + 1, end) for at, end in zip(ends, ends[1:])]
        if len(rest) == 1:
            return Expanded(user, rest[0], rest[0])
        return Expanded(user, rest[0], rest[-1], rest[1])

    def _text(self, first: int, end: int) -> str:
        return "".join(self.pieces[first:end])

    def expand(self, text: str, depth: int) -> None:
        """Add the pieces of a text."""
        at = 0
        while at < len(text):
            char = text[at]
            at += 1
            if char != "$":
                if char in "%@":
                    self.separators.append(len(self.pieces))
                self.pieces.append(char)
            elif at < len(text):
                at = self._dollar(text, at, depth)

    def _dollar(self, text: str, at: int, depth: int) -> int:
        """One sequence; ``at`` is behind the dollar sign. Returns where to go on."""
        number = -1
        if text[at] in _DIGITS and at + 1 < len(text):
            number, at = int(text[at]), at + 1
        char = text[at].upper()
        at += 1
        if char in "DHU":
            self._add(self._part(char, number))
        elif number >= 0:
            self._cannot(f"${number}{char}")
        elif char in "&!*#" and text[at : at + 1] in _DIGITS:
            self._add(self._element(char, int(text[at])))
            at += 1
        elif char in _CHANNEL_TESTS or char == "T":
            at = self._name(char, text, at)
        elif char == "?":
            at = len(text)  # a text for the case that no channel has the system
        elif char == "{":
            at = self._table(text, at, depth)
        else:
            self._sign(char)
        return at

    def _sign(self, char: str) -> None:
        """A sequence of one sign."""
        if char == "L":
            if self.parts.literal_rest is None:
                self._cannot("$L under a pattern that is none for literals")
            self._add(self.parts.literal_rest or "")
        elif char in "$%@":
            self.pieces.append(char)
        elif char in _CASES:
            self.case = _CASES[char]
        elif char in "EBFR":
            self._require_place(char)
        elif char in "PSX":
            # The host is behind the last @, and in no route.
            raise RuleFailedError("it is for hosts in routes only")
        elif char != "A":
            self._cannot(f"${char}")

    def _add(self, text: str) -> None:
        self.pieces.append(self.case(text))

    def _part(self, char: str, number: int) -> str:
        """User, host part or domain part; with a number, of the user one half, of the others without so many labels."""
        parts = self.parts
        if char == "U":
            user, _plus, detail = parts.user.partition("+")
            if number > 1:
                self._cannot(f"${number}U")
            return parts.user if number < 0 else detail if number else user
        if parts.wild:
            self._cannot(f"${char} under a pattern with asterisks")
        whole = parts.matched if char == "D" else parts.before
        if number > 0 and whole.startswith("."):
            self._cannot(f"${number}D under a pattern that begins with a dot")
        return whole if number <= 0 else ".".join(whole.split(".")[number:])

    def _element(self, char: str, number: int) -> str:
        """One label: from the left or right, of the host part or of the domain part."""
        domain = char in "*#"
        labels = (self.parts.matched if domain else self.parts.before).split(".")
        if domain and not labels[0]:
            if char == "*":
                self._cannot("$* under a pattern that begins with a dot")
            labels = labels[1:]
        if number >= len(labels) or labels == [""]:
            raise RuleFailedError(f"there is no part {number} for ${char}{number}")
        return labels[number] if char in "&*" else labels[-1 - number]

    def _require_place(self, char: str) -> None:
        fits = {
            "E": self.place.envelope,
            "B": not self.place.envelope,
            "F": self.place.forward,
            "R": not self.place.forward,
        }[char]
        if not fits:
            only = {"E": "envelope", "B": "header or body", "F": "forward pointing", "R": "backward pointing"}[char]
            raise RuleFailedError(f"it is for {only} addresses only")

    def _name(self, char: str, text: str, at: int) -> int:
        """The name behind a test of channels or a tag; it goes on to a separator or another such sequence."""
        end = at
        while end < len(text) and text[end] not in "%@":
            if text[end] == "$":
                if text[end + 1 : end + 2].upper() in _ENDS_OF_NAMES:
                    break
                self._cannot(f"a name behind ${char} that another sequence follows")
                break
            end += 1
        if char == "T":
            self.tagged = True
        else:
            self.channels.setdefault(char, []).append(text[at:end])
        return end

    def _check_channels(self) -> None:
        """Of the channels that a test names one is enough to demand, and each excludes."""
        place = self.place
        # The envelope To is rewritten to find the destination.
        ignored = "QC" if place.envelope and place.forward else ""
        for char, names in self.channels.items():
            if char in ignored or not place.rules:
                continue
            current = place.source if char in "MN" else place.destination
            if not current:
                self._cannot(f"${char} while the channel is not known", "the channel")
                continue
            same = any(fold(current) == fold(name) for name in names)
            if char in "MQ" and not same:
                raise RuleFailedError(f"it is for channel {' or '.join(names)} only")
            if char in "NC" and same:
                raise RuleFailedError(f"it is not for channel {current}")

    def _table(self, text: str, at: int, depth: int) -> int:
        end = text.find("}", at)
        if end < 0 or "," not in text[at:end]:
            raise self.rule.line.error(
                self.rule.template_at, '"${" without "table,argument}"', '"${table,argument}" in a rewrite template'
            )
        if depth >= MAX_DEPTH:
            raise self.rule.line.error(
                self.rule.template_at, "tables inside each other without end", f"at most {MAX_DEPTH} levels"
            )
        table, _comma, argument = text[at:end].partition(",")
        inner = Expansion(self.rule, self.parts, self.place, self.table_text, self.trace)
        inner.expand(argument, depth + 1)
        if inner.unclear is not None:
            self.unclear = self.unclear or inner.unclear
            return end + 1
        output = self.table_text(table, "".join(inner.pieces))
        if output is None:
            raise RuleFailedError(f"table {table} does not set Y")
        self.expand(output, depth + 1)
        return end + 1

    def _cannot(self, what: str, expected: str = "a rule that needs no LDAP, database or routine") -> None:
        """Note what cannot be evaluated; whether the rule fails for another reason shows at its end."""
        self.unclear = self.unclear or self._error(what, expected)

    def _error(self, what: str, expected: str) -> MtaTextError:
        return self.rule.line.error(self.rule.template_at, f"{what} in a rule that cannot be evaluated", expected)
