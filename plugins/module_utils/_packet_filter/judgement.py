# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the verdicts on connections before and after a change mean.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from .._policy.effects import CLOSED, LIMITED, OPENED, Effect
from .questions import ANYWHERE, REMOVED, Question, family_of
from .replica import OPEN

_KEPT = (
    "put that rule before all others of INPUT (iptables -I), or name its own chain in packet_filter_jump_after, so "
    "that it stays before the managed rules, or "
)
LOST = f"{_KEPT}name its clients in mailhost_blocked_networks"
LOST_LIMIT = f"{_KEPT}set packet_filter_new_connections_per_minute"


class Found(NamedTuple):
    """An effect, the question that showed it, and whether the rule after the change is the one to name."""

    effect: Effect
    question: Question
    later: bool


class Class(NamedTuple):
    """Connections of one kind: of which clients, and by which protocol, port and version of IP."""

    who: str
    protocol: str
    port: int
    family: int


class Change(NamedTuple):
    """What became of a connection before and after: a verdict, and how many connections were answered."""

    old: tuple[str, int]
    new: tuple[str, int]

    @property
    def opening(self) -> tuple[bool, bool]:
        """Whether it was open and is open."""
        return self.old[0] == OPEN, self.new[0] == OPEN


def judge(
    questions: Sequence[Question], before: Sequence[tuple[str, int]], after: Sequence[tuple[str, int]]
) -> list[Found]:
    """Return the effects, each class once; of several clients of a class one without a reason counts."""
    changes = [Change(old, new) for old, new in zip(before, after)]
    classes = {_class(one, one.who): change for one, change in zip(questions, changes)}
    reached = {
        _class(one, "") for one, change in zip(questions, changes) if one.baseline == ANYWHERE and change.opening[1]
    }
    found: dict[str, dict[int, Found]] = {}
    for question, change in zip(questions, changes):
        served = _class(question, "") in reached
        one = _judge(question, change, classes.get(_class(question, question.baseline)), served=served)
        if one is not None:
            of_families = found.setdefault(one.effect.entry, {})
            known = of_families.get(family_of(question.attempt.target))
            if known is None or (known.effect.reason and not one.effect.reason):
                of_families[family_of(question.attempt.target)] = one
    return [one for of_families in found.values() for one in _of_families(of_families, classes)]


def _of_families(found: Mapping[int, Found], classes: Mapping[Class, Change]) -> Iterator[Found]:
    """Yield an effect once where both families have it for the same reason, else name the family."""
    members = list(found.values())
    effect = members[0].effect
    tried = [family for family in (4, 6) if Class(effect.who, effect.layer, effect.port, family) in classes]
    if len({one.effect.reason for one in members}) == 1 and len(members) == len(tried):
        yield members[0]
        return
    for family, one in found.items():
        over = f" over IPv{family}" if len(tried) > 1 else ""
        yield one._replace(effect=one.effect._replace(who=f"{one.effect.who}{over}"))


def _class(question: Question, who: str) -> Class:
    attempt = question.attempt
    return Class(who, attempt.protocol, attempt.port, family_of(attempt.target))


def _judge(question: Question, change: Change, base: Change | None, *, served: bool) -> Found | None:
    """Return the effect of one connection.

    ``base``: what everybody else gets. ``served``: whether a client that a rule names gets through, as where only some
    countries may pass; then the flow is open, and what was closed for others stays so.
    """
    if question.attempt.burst > 1:
        return _judge_burst(question, change) if base is not None and base.opening == (True, True) else None
    was, now = change.opening
    if question.required and not now and (was or not served):
        words = f"was open, would be {change.new[0]}" if was else f"stays {change.new[0]}"
        found = _found(question, CLOSED, words, "", later=True)
        remedy = f"{question.opens} is declared and would stay closed; remove that rule, or the flow from the inventory"
        return found._replace(effect=found.effect._replace(remedy=remedy))
    if was == now or (base is not None and base.opening == change.opening):
        return None
    if was:
        words = "was open" if question.closes else f"was open, would be {change.new[0]}"
        return _found(question, CLOSED, words, question.closes, later=not question.closes)
    # What everybody gets is the flow; where others had it before, only this client was kept out.
    lost = base is not None and base.opening[0] and question.opens != REMOVED
    found = _found(question, OPENED, f"was {change.old[0]}", "" if lost else question.opens)
    return found._replace(effect=found.effect._replace(remedy=LOST)) if lost else found


def _judge_burst(question: Question, change: Change) -> Found | None:
    old, new, sent = change.old[1], change.new[1], question.attempt.burst
    if old > new:
        words = f"{old} of {sent} connections at once were open, {new} would be"
        return _found(question, LIMITED, words, "packet_filter_new_connections_per_minute")
    if old < new and question.opens == REMOVED:
        return _found(question, OPENED, f"{old} of {sent} connections at once were open", REMOVED)
    if old < new:
        found = _found(question, OPENED, f"{old} of {sent} connections at once were open, the others were stopped", "")
        return found._replace(effect=found.effect._replace(remedy=LOST_LIMIT))
    return None


def _found(question: Question, kind: str, before: str, reason: str, *, later: bool = False) -> Found:
    attempt = question.attempt
    return Found(Effect(kind, attempt.protocol, attempt.port, question.who, before, reason), question, later)
