# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rewriting of addresses by the rules of imta.cnf.

Sources: docs/reference/messaging-server-facts.md#rewrite-order,
docs/reference/messaging-server-facts.md#rewrite-templates and docs/reference/messaging-server-facts.md#rewrite-tests.
Only what is stated there is done; other template sequences are left out, and the trace says so.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..._policy.errors import ReportedError
from .._formats.text import fold

if TYPE_CHECKING:
    from .._formats.imta import ImtaFile, Rule
    from .context import Surroundings
    from .mapping import Mappings

DESTINATION_ONLY = "Q"
"""Which of the two tests of the destination channel demands it and which forbids it. Not stated:
docs/reference/messaging-server-facts.md#rewrite-tests."""

DESTINATION_NOT = "C"

MAX_DEPTH = 10
"""How deep texts of mapping tables may be expanded again. The vendor's number is not known."""

MAX_ADDRESS = 1024
"""Longest address that is rewritten, in characters."""

_NAME = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


class Place(NamedTuple):
    """Where an address stands: ``forward`` (To) or backward (From) pointing, ``envelope`` or header, and channels."""

    forward: bool
    envelope: bool
    source: str = ""
    destination: str = ""


class Rewritten(NamedTuple):
    """The rule's pattern, the system to route to and the new address; empty pattern and system when no rule applies."""

    pattern: str
    system: str
    address: str
    trace: tuple[str, ...]


class AddressError(ReportedError):
    """An address that cannot be rewritten."""


class _RuleFailedError(Exception):
    """A rule that does not apply here."""


class _Parts(NamedTuple):
    user: str
    host: str
    matched: str
    before: str
    literal_rest: str


def patterns_for(host: str) -> list[tuple[str, _Parts]]:
    """The patterns that are looked for, in order, with what $D, $H and $L stand for under each."""
    if host.startswith("["):
        inner = host.strip("[]")
        tries = [(host, _Parts("", host, host, "", ""))]
        octets = inner.split(".")
        if len(octets) == 4:
            for count in (3, 2, 1):
                known = ".".join(octets[:count]) + "."
                tries.append((f"[{known}]", _Parts("", host, known, "", ".".join(octets[count:]))))
        tries.append(("[]", _Parts("", host, "", "", inner)))
        return tries
    tries = [(host, _Parts("", host, host, "", ""))]
    labels = host.split(".")
    for count in range(1, len(labels)):
        rest = "." + ".".join(labels[count:])
        if rest == ".":
            break  # after a final dot; the match-all pattern comes last, with the whole host
        tries.append((rest, _Parts("", host, rest, ".".join(labels[:count]), "")))
    tries.append((".", _Parts("", host, "", host, "")))
    return tries


class Rewriter:
    """The rules of an imta.cnf, by pattern. Raises MtaTextError for the file's first fault."""

    def __init__(self, parsed: ImtaFile, mappings: Mappings, around: Surroundings) -> None:
        parsed.require_sound()
        self._mappings = mappings
        self._around = around
        self._missing = parsed.missing
        self._rules: dict[str, list[Rule]] = {}
        for rule in parsed.rules:
            self._rules.setdefault(fold(rule.pattern), []).append(rule)

    def rewrite(self, address: str, place: Place) -> Rewritten:
        """Rewrite an address. Raises AddressError when it has no ``@`` or is too long."""
        user, at, host = address.rpartition("@")
        if not at or not host:
            raise AddressError(f"{address[:200]!r} is no address; expected user@host")
        if len(address) > MAX_ADDRESS:
            raise AddressError(f"an address of {len(address)} characters; expected at most {MAX_ADDRESS}")
        trace = [f'The include "{name}" was not given; its rules are missing.' for name in self._missing]
        for pattern, parts in patterns_for(host):
            for rule in self._rules.get(fold(pattern), ()):
                trace.append(f'Line {rule.line.number}: pattern "{rule.pattern}" fits, template "{rule.template}".')
                try:
                    new_user, new_host, system = _Expansion(self, rule, parts._replace(user=user), place, trace).run()
                except _RuleFailedError as e:
                    trace.append(f"It fails: {e}.")
                    continue
                trace.append(f'The address is now "{new_user}@{new_host}", the system "{system}".')
                return Rewritten(rule.pattern, system, f"{new_user}@{new_host}", tuple(trace))
        trace.append("No rule applies.")
        return Rewritten("", "", address, tuple(trace))

    def table_text(self, table: str, argument: str, trace: list[str]) -> str | None:
        """The text a mapping table gives, or None when there is no such table or it does not set Y."""
        if table not in self._mappings:
            trace.append(f"There is no table {table}.")
            return None
        result = self._mappings.probe(table, argument, self._around)
        trace.extend(f"  {step}" for step in result.trace())
        return result.output if "Y" in result.flags else None


class _Expansion:
    """One template: its pieces, of which some are separators (a literal % or @ in the template)."""

    def __init__(self, rewriter: Rewriter, rule: Rule, parts: _Parts, place: Place, trace: list[str]) -> None:
        self.rewriter = rewriter
        self.rule = rule
        self.parts = parts
        self.place = place
        self.trace = trace
        self.pieces: list[str] = []
        self.separators: list[int] = []

    def run(self) -> tuple[str, str, str]:
        self._expand(self.rule.template, 0)
        ats = [index for index in self.separators if self.pieces[index] == "@"]
        if not ats:
            raise _RuleFailedError("its template has no system (no @)")
        before = [index for index in self.separators if index < ats[-1]]
        system = "".join(self.pieces[ats[-1] + 1 :])
        if not before:
            self.trace.append("A template without %: the host is also taken as the system.")
            return "".join(self.pieces[: ats[-1]]), system, system
        middle = before[-1]
        return "".join(self.pieces[:middle]), "".join(self.pieces[middle + 1 : ats[-1]]), system

    def _expand(self, text: str, depth: int) -> None:
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
        """One sequence; ``at`` is after the dollar sign. Returns where to go on."""
        char = text[at].upper()
        at += 1
        parts = self.parts
        simple = {
            "U": parts.user,
            "D": parts.matched,
            "H": parts.before,
            "L": parts.literal_rest,
            "$": "$",
            "%": "%",
            "@": "@",
        }
        if char in simple:
            self.pieces.append(simple[char])
        elif char == "&" and text[at : at + 1] in tuple("0123456789"):
            labels = parts.before.split(".")
            number = int(text[at])
            self.pieces.append(labels[number] if number < len(labels) else "")
            at += 1
        elif char in "EBFR":
            self._require_place(char)
        elif char in "NMQC":
            end = at
            while end < len(text) and text[end] in _NAME:
                end += 1
            self._require_channel(char, text[at:end])
            at = end
        elif char == "{":
            at = self._table(text, at, depth)
        else:
            self.trace.append(f'Not certain: "${char}" in a rewrite template is not described; left out.')
        return at

    def _require_place(self, char: str) -> None:
        fits = {
            "E": self.place.envelope,
            "B": not self.place.envelope,
            "F": self.place.forward,
            "R": not self.place.forward,
        }[char]
        if not fits:
            only = {"E": "envelope", "B": "header or body", "F": "forward pointing", "R": "backward pointing"}[char]
            raise _RuleFailedError(f"it is for {only} addresses only")

    def _require_channel(self, char: str, name: str) -> None:
        current = self.place.source if char in "NM" else self.place.destination
        same = bool(current) and fold(current) == fold(name)
        if char in DESTINATION_ONLY + DESTINATION_NOT:
            self.trace.append(f"Not certain: what ${char} demands of the destination channel is not described in full.")
        if char in "M" + DESTINATION_ONLY and not same:
            raise _RuleFailedError(f"it is for channel {name} only")
        if char in "N" + DESTINATION_NOT and same:
            raise _RuleFailedError(f"it is not for channel {name}")

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
        inner = _Expansion(self.rewriter, self.rule, self.parts, self.place, self.trace)
        inner._expand(argument, depth + 1)
        output = self.rewriter.table_text(table, "".join(inner.pieces), self.trace)
        if output is None:
            raise _RuleFailedError(f"table {table} does not set Y")
        self._expand(output, depth + 1)
        return end + 1
