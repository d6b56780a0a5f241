# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Effects of a run: what a client gets after it that is not what it got before.

An effect that the policy asks for has a reason. One without a reason stops the run
unless the inventory accepts it by its name.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from .errors import Problems, ReportedError, not_a_list, shown

OPENED, CLOSED, REJECTED, DEFERRED, LIMITED = KINDS = ("opened", "closed", "rejected", "deferred", "limited")
"""What may become of a connection or a message: accepted, not answered any more, rejected, deferred, fewer of them."""

SHOWN_SUBJECTS = 100
"""Lines of a table; the rest is counted."""


class Effect(NamedTuple):
    """One difference between before and after a run, in the words of the policy.

    ``kind``: one of KINDS. ``layer``: the protocol for a packet filter, ``port`` for a mail server. ``port``: 0 where
    the protocol has none. ``who``: the class of
    clients and what they do, as ``from members of set f2b-postfix`` or ``authenticated client, sender of another``; it
    names no single address where a class has many. ``before``: what it got and the rule or setting that decided.
    ``reason``: why the policy asks for it; empty where it does not. ``remedy``: a variable that avoids it, as a
    sentence; may be empty.
    """

    kind: str
    layer: str
    port: int
    who: str
    before: str
    reason: str = ""
    remedy: str = ""

    @property
    def subject(self) -> str:
        """Return what the effect is on, without the kind."""
        return self._subject([self.port])

    @property
    def entry(self) -> str:
        """Return the name by which the inventory accepts the effect."""
        return f"{self.kind} {self.subject}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, as the result of a run has it."""
        return {**self._asdict(), "subject": self.subject}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Effect:
        """Read what ``to_dict`` returned, also after its way through JSON."""
        return cls(**{name: raw[name] for name in cls._fields})

    def _subject(self, ports: Sequence[int]) -> str:
        separator = " " if self.who.startswith(("from ", "to ")) else ", "
        numbers = f" {', '.join(map(str, ports))}" if self.port else ""
        return f"{self.layer}{numbers}{separator}{self.who}"

    @property
    def _rest(self) -> tuple[str, ...]:
        """All but the port: effects that share it are shown on one line."""
        return self.kind, self.layer, self.who, self.before, self.reason, self.remedy


class AcceptedEffects(NamedTuple):
    """The entries of the inventory, and the variable that has them."""

    name: str
    entries: Sequence[str]


class EffectsError(ReportedError):
    """Effects that neither the policy nor the inventory asks for.

    ``warnings``: what the run would have warned of besides; they may say why.
    """

    def __init__(self, message: str, warnings: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.warnings = tuple(warnings)


def describe_effects(effects: Iterable[Effect], host: str) -> str:
    """Return the effects as a table, one line for ports that share everything else; nothing where there are none."""
    rows = [(one.kind, one._subject(ports), _details(one)) for one, ports in _grouped(effects)]
    if not rows:
        return ""
    kinds, width = max(len(row[0]) for row in rows), max(len(row[1]) for row in rows)
    lines = [f"  {kind:<{kinds}}  {subject:<{width}}  {details}".rstrip() for kind, subject, details in rows]
    if len(lines) > SHOWN_SUBJECTS:
        lines[SHOWN_SUBJECTS:] = [f"  ... and {len(lines) - SHOWN_SUBJECTS} more"]
    return "".join(f"{line}\n" for line in [f"effects on {host}:", *lines])


def check_effects(effects: Iterable[Effect], accepted: AcceptedEffects, warnings: Sequence[str] = ()) -> None:
    """Raise EffectsError, with the warnings, where there are effects without a reason that are not accepted."""
    known = set(accepted.entries)
    found = [one for one in effects if not one.reason and one.entry not in known]
    if not found:
        return
    lines = ["this change has effects that the policy does not ask for; nothing was changed:"]
    for one, ports in _grouped(found):
        lines.append(f"  {one.kind} {one._subject(ports)}: {one.before}")
        if one.remedy:
            lines.append(f"    {one.remedy}")
    lines += ["to have these effects all the same, add:", f"{accepted.name}:"]
    lines += [f"  - {_quoted(entry)}" for entry in sorted({*known, *(one.entry for one in found)})]
    raise EffectsError("\n".join(lines), warnings)


def read_accepted_effects(value: Any, name: str) -> AcceptedEffects:
    """Return the accepted effects. Raises PolicyError where one is none; ``name``: the variable."""
    problems = Problems()
    example = '"opened tcp 25 from members of set f2b-postfix"'
    if not isinstance(value, (list, tuple)):
        problems.add(name, not_a_list(name, value, f"a list, as [{example}]"))
        value = []
    for index, entry in enumerate(value):
        if not isinstance(entry, str) or entry.partition(" ")[0] not in KINDS or " " not in entry:
            problems.add(
                f"{name}[{index}]", f"{shown(entry)} is no effect; paste an entry that a run printed, as {example}"
            )
    problems.raise_if_any()
    return AcceptedEffects(name, tuple(value))


def _grouped(effects: Iterable[Effect]) -> list[tuple[Effect, list[int]]]:
    """Effects that differ in their port alone, each with all ports; the order is that of KINDS."""
    groups: dict[tuple[str, ...], list[Effect]] = {}
    for one in effects:
        groups.setdefault(one._rest, []).append(one)
    found = [(members[0], sorted({one.port for one in members})) for members in groups.values()]
    return sorted(found, key=lambda group: (KINDS.index(group[0].kind), group[1], group[0]._rest))


def _quoted(text: str) -> str:
    """A text in YAML, whatever is in it; JSON's escapes of characters beyond 16 bits are none of YAML's."""
    return '"' + "".join(json.dumps(c)[1:-1] if c.isascii() else f"\\U{ord(c):08x}" for c in text) + '"'


def _details(effect: Effect) -> str:
    """What decided before, and why it changes."""
    return "; ".join(part for part in (effect.before, f"policy: {effect.reason}" if effect.reason else "") if part)
