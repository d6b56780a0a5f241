# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Effects of a change of the packet filter: connections of all kinds of clients to copies of the host.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import ipaddress
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from .._policy.effects import CLOSED, LIMITED, OPENED, Effect
from .._policy.packet_filter import CLIENT, SERVER
from . import loader
from .namespace import NoNamespaceError
from .probe_plan import ProbePlan
from .replica import OPEN, Replica, Try
from .snapshot import Snapshot, shorten_sets, take_snapshot
from .sockets import tcp_sockets
from .special import Special, special_clients

BURST = 20
"""Connections that one client opens at once."""
LISTENERS = 64
"""Ports on which the host listens and that are tried besides, where the policy is for the whole host."""
EXPLAINED = 24
"""Effects whose rule is looked for."""
ANYWHERE, LOW, BURST_WHO = "from anywhere", "from anywhere, source port below 1024", "from anywhere, a burst"
LOST = (
    "name the chain of that rule in packet_filter_jump_after, so that it stays before the managed rules, or its "
    "clients in mailhost_blocked_networks"
)
LOST_LIMIT = (
    "name the chain of that rule in packet_filter_jump_after, so that it stays before the managed rules, or set "
    "packet_filter_new_connections_per_minute"
)
LOW_REASON = "source ports of clients begin at 1024"
REMOVED = "the packet filter is removed"

Stage = Callable[[str], None]
"""Writes the state that is to be loaded into a directory, with its sets shortened."""


class Question(NamedTuple):
    """A connection to try, and what the policy says of it.

    ``layer_who``: the class of clients. ``required``: a declared flow, which has to be open. ``opens``, ``closes``: why
    the policy opens or closes it, nothing where it does not. ``baseline``: the class that is distinguished from this one.
    """

    attempt: Try
    who: str
    required: bool = False
    opens: str = ""
    closes: str = ""
    baseline: str = ""


class Compared(NamedTuple):
    """Effects, and what could not be compared, one sentence each."""

    effects: Sequence[Effect]
    gaps: Sequence[str]


def compare(plan: ProbePlan, stage: Stage) -> Compared:
    """Try connections to copies of this host without and with the change. Nothing on the host itself is touched."""
    try:
        snapshot = take_snapshot()
        listening = {listener.port for listener in tcp_sockets()[0]} if plan.whole else set()
        served = {flow.port for flow in plan.flows if flow.direction == SERVER}
        ports = sorted({*plan.ports, *served, *sorted(listening)[:LISTENERS]})
        with tempfile.TemporaryDirectory(prefix="mailhost-packet-filter-") as directory:
            stage(directory)
            with Replica(snapshot, ports, _nothing) as before, Replica(snapshot, ports, _load(directory)) as after:
                return _compare(plan, ports, snapshot, (before, after))
    except NoNamespaceError as error:
        return Compared([], [f"the effects of this run are not known: the host allows no network namespace ({error})"])
    except loader.LoadError as error:
        return Compared([], [f"the effects of this run are not known: {error}"])


def shortened(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the texts of a state with short sets, for a copy that is tried with a few clients."""
    return {**texts, "sets": shorten_sets(texts["sets"])[0]}


def _nothing() -> None:
    """Load nothing on top of the host's own state."""


def _load(directory: str) -> Callable[[], None]:
    def load() -> None:
        loader.load(directory)

    return load


def _compare(plan: ProbePlan, ports: Sequence[int], snapshot: Snapshot, copies: tuple[Replica, Replica]) -> Compared:
    families = copies[0].families() & copies[1].families()
    specials = special_clients(snapshot)
    questions = list(questions_for(plan, ports, snapshot, specials, families))
    tries = [one.attempt for one in questions]
    for copy in copies:
        copy.send(tries)
    before, after = (copy.verdicts() for copy in copies)
    effects = judge(questions, before, after)
    gaps = [f"what the effects of this run depend on is not known in full: {gap}" for gap in snapshot.gaps]
    if not families:
        gaps.append("the effects of this run are not known: the host has no address at which a copy of it answers")
    return Compared(_explained(effects, copies, snapshot), gaps)


class Found(NamedTuple):
    """An effect, the question that showed it, and whether the rule after the change is the one to name."""

    effect: Effect
    question: Question
    later: bool


def questions_for(
    plan: ProbePlan, ports: Sequence[int], snapshot: Snapshot, specials: Sequence[Special], families: Iterable[int]
) -> Iterator[Question]:
    """Yield every connection to try."""
    for family in sorted(families):
        target = _own_address(snapshot, family)
        neutral = [one for one in plan.neutral if _family(one) == family and not _is_named(one, specials)]
        if not target or not neutral:
            continue
        clients = [one for one in specials if _family(one.address) == family]
        for port in ports:
            yield from _incoming(plan, port, target, neutral, clients)
        yield from _outgoing(plan, neutral[0])


def _incoming(
    plan: ProbePlan, port: int, target: str, neutral: Sequence[str], clients: Sequence[Special]
) -> Iterator[Question]:
    flows = [flow for flow in plan.flows if flow.direction == SERVER and flow.port == port]
    anyone = next((flow for flow in flows if flow.anyone), None)
    closes = _closes(plan, [flow.name for flow in flows])
    opens = f"flow {anyone.name}" if anyone else ""
    plain_closes = "" if anyone else closes
    if plan.absent:
        opens = closes = plain_closes = REMOVED
    # A client for each kind of question, as limits count what a client does.
    plain, low, many = [*neutral, *neutral, *neutral][:3]
    required = anyone is not None and not plan.absent
    yield Question(Try(plain, target, port), ANYWHERE, required, opens, plain_closes)
    for flow in flows:
        family = _family(target)
        for peer in (one for one in flow.peers if _family(one) == family):
            who, reason = f"from peers of flow {flow.name}", REMOVED if plan.absent else f"flow {flow.name}"
            yield Question(Try(peer, target, port), who, not plan.absent, reason)
        for other in (one for one in flow.beside if _family(one) == family):
            yield Question(
                Try(other, target, port), f"from others than peers of flow {flow.name}", False, opens, closes
            )
    for client in clients:
        yield Question(Try(client.address, target, port), client.who, False, opens, plain_closes, ANYWHERE)
    reason = LOW_REASON if anyone and not plan.absent else closes
    yield Question(Try(low, target, port, low=True), LOW, False, opens, reason, ANYWHERE)
    if anyone:
        yield Question(Try(many, target, port, burst=BURST), BURST_WHO, False, opens, "", ANYWHERE)
    if not plan.absent:
        for address in (one for one in plan.blocked if _family(one) == _family(target)):
            yield Question(Try(address, target, port), "from blocked networks", False, "", "mailhost_blocked_networks")


def _closes(plan: ProbePlan, names: Sequence[str]) -> str:
    if names:
        return f"flow {names[0]} is for its peers"
    return "no flow declared" if not plan.whole else "no flow declared, scope host"


def _outgoing(plan: ProbePlan, neutral: str) -> Iterator[Question]:
    number = 0
    for port in plan.ports_out:
        flows = [flow for flow in plan.flows if flow.direction == CLIENT and flow.port == port]
        anyone = next((flow for flow in flows if flow.anyone), None)
        for place, (name, uid) in enumerate(plan.users if port == 25 else plan.users[:1]):
            number += 1
            kept = plan.limited and port == 25 and place > 0
            reason = (
                "packet_filter_smtp_client_users" if kept and anyone else _closes(plan, [one.name for one in flows])
            )
            opens = f"flow {anyone.name}" if anyone else ""
            if plan.absent:
                opens = reason = REMOVED
            required = anyone is not None and not kept and not plan.absent
            attempt = Try("", _target(neutral, number), port, uid=uid)
            yield Question(attempt, f"to anywhere as {name}", required, opens, "" if required else reason)


def _target(neutral: str, number: int) -> str:
    """An address of another host for each connection, by which its packets are known."""
    return str(ipaddress.ip_address(neutral) + number)


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
    found: dict[str, dict[int, Found]] = {}
    for question, change in zip(questions, changes):
        one = _judge(question, change, classes.get(_class(question, question.baseline)))
        if one is not None:
            of_families = found.setdefault(one.effect.entry, {})
            known = of_families.get(_family(question.attempt.target))
            if known is None or (known.effect.reason and not one.effect.reason):
                of_families[_family(question.attempt.target)] = one
    return [one for of_families in found.values() for one in _of_families(of_families, classes)]


def _of_families(found: Mapping[int, Found], classes: Mapping[tuple[str, int, int], Change]) -> Iterator[Found]:
    """Yield an effect once where both families have it for the same reason, else name the family."""
    tried = [
        family
        for one in list(found.values())[:1]
        for family in (4, 6)
        if (one.effect.who, one.effect.port, family) in classes
    ]
    if len({one.effect.reason for one in found.values()}) == 1 and len(found) == len(tried):
        yield next(iter(found.values()))
        return
    for family, one in found.items():
        over = f" over IPv{family}" if len(tried) > 1 else ""
        yield one._replace(effect=one.effect._replace(who=f"{one.effect.who}{over}"))


def _class(question: Question, who: str) -> tuple[str, int, int]:
    return who, question.attempt.port, _family(question.attempt.target)


def _judge(question: Question, change: Change, base: Change | None) -> Found | None:
    """Return the effect of one connection. ``base``: what everybody else gets."""
    if question.attempt.burst > 1:
        return _judge_burst(question, change) if base is not None and base.opening == (True, True) else None
    was, now = change.opening
    if question.required and not now:
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
    return Found(Effect(kind, "tcp", question.attempt.port, question.who, before, reason), question, later)


def _explained(found: Sequence[Found], copies: tuple[Replica, Replica], snapshot: Snapshot) -> list[Effect]:
    """Name the rule that decided where there is no reason, or something opens; one for all ports of a class."""
    rules: dict[tuple[str, str], str] = {}
    effects = []
    for one in found:
        effect, attempt = one.effect, one.question.attempt
        if effect.reason and effect.kind != OPENED:
            effects.append(effect)
            continue
        group = effect.who, effect.before
        if group not in rules and len(rules) < EXPLAINED:
            fresh = attempt._replace(source=_another(attempt.source)) if attempt.burst > 1 else attempt
            rule = copies[one.later].explain(fresh)
            if not rule and not one.later and snapshot.native:
                rule = f"a rule of nftables table {' or '.join(sorted(snapshot.native))}"
            rules[group] = f" by {rule}" if rule else ""
        effects.append(effect._replace(before=f"{effect.before}{rules.get(group, '')}"))
    return effects


def _another(address: str) -> str:
    """The next address: a limit that counts clients has counted this one."""
    return str(ipaddress.ip_address(address) + 1)


def _family(address: str) -> int:
    return 6 if ":" in address else 4


def _own_address(snapshot: Snapshot, family: int) -> str:
    found = [text for one in snapshot.interfaces for text, _length in one.addresses if _family(text) == family]
    return [*found, ""][0]


def _is_named(address: str, specials: Iterable[Special]) -> bool:
    client = ipaddress.ip_address(address)
    return any(client in one.network for one in specials if one.network.version == client.version)
