# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Effects of a change of the packet filter: connections of all kinds of clients to copies of the host.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import ipaddress
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from .._policy.effects import OPENED, Effect
from . import loader
from .judgement import Found, judge
from .namespace import NoNamespaceError
from .probe_plan import ProbePlan
from .questions import decided_ports, questions_for
from .replica import Ports, Replica
from .snapshot import Snapshot, has_host_scope, shorten_sets, take_snapshot
from .sockets import SocketsInUse
from .special import named_clients

LISTENERS = 64
"""Ports of TCP and of UDP on which the host listens and that are tried besides."""
EPHEMERAL = 32768
"""From here on programs get a port of the kernel's choice (ip_local_port_range), also to ask other hosts from."""
EXPLAINED = 24
"""Effects whose rule is looked for."""

Stage = Callable[[str], None]
"""Writes the state that is to be loaded into a directory, with its sets shortened."""


class Compared(NamedTuple):
    """Effects, and what could not be compared, one sentence each."""

    effects: Sequence[Effect]
    gaps: Sequence[str]


def compare(plan: ProbePlan, stage: Stage) -> Compared:
    """Try connections to copies of this host without and with the change. Nothing on the host itself is touched."""
    try:
        snapshot = take_snapshot()
        ports = _ports(plan, scoped=plan.whole or has_host_scope(snapshot))
        with tempfile.TemporaryDirectory(prefix="mailhost-packet-filter-") as directory:
            stage(directory)
            with Replica(snapshot, ports, _nothing) as before, Replica(snapshot, ports, _load(directory)) as after:
                return _compare(plan, ports, snapshot, (before, after))
    except NoNamespaceError as error:
        return Compared([], [f"the effects of this run are not known: the host allows no network namespace ({error})"])
    except loader.LoadError as error:
        return Compared([], [f"the effects of this run are not known: {error}"])


def _ports(plan: ProbePlan, *, scoped: bool) -> Ports:
    """Return where the copies listen; only with the scope host, before or after, besides the ports for mail.

    In the scope mail nothing else can change, and limits of others would count what is tried for nothing.
    """
    if not scoped:
        return Ports(decided_ports(plan))
    in_use = SocketsInUse.read()
    listening, receiving = ({one.port for one in found} for found in (in_use.listeners, in_use.udp))
    tcp = {*decided_ports(plan), *sorted(listening)[:LISTENERS]}
    return Ports(sorted(tcp), sorted(one for one in receiving if one < EPHEMERAL)[:LISTENERS], scoped=True)


def shortened(texts: Mapping[str, str]) -> tuple[dict[str, str], bool]:
    """Return the texts of a state with short sets, for a copy, and whether any set had more members."""
    sets, truncated = shorten_sets(texts["sets"])
    return {**texts, "sets": sets}, bool(truncated)


def _nothing() -> None:
    """Load nothing on top of the host's own state."""


def _load(directory: str) -> Callable[[], None]:
    def load() -> None:
        # A live set of the same name whose members have changed is filled anew, as by a run.
        loader.load(directory, loader.split_sets(loader.read_text(directory, "sets")))

    return load


def _compare(plan: ProbePlan, ports: Ports, snapshot: Snapshot, copies: tuple[Replica, Replica]) -> Compared:
    families = copies[0].families() & copies[1].families()
    questions = list(questions_for(plan, ports, snapshot, named_clients(snapshot), families))
    tries = [one.attempt for one in questions]
    for copy in copies:
        copy.send(tries)
    before, after = (copy.verdicts() for copy in copies)
    effects = judge(questions, before, after)
    gaps = [f"what the effects of this run depend on is not known in full: {gap}" for gap in snapshot.gaps]
    if not families:
        gaps.append("the effects of this run are not known: the host has no address at which a copy of it answers")
    return Compared(_explained(effects, copies, snapshot), gaps)


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
            if not rule and snapshot.native:
                # Native rules have no counters unless their author wants them.
                rule = f"a rule of nftables table {' or '.join(sorted(snapshot.native))}"
            rules[group] = f" by {rule}" if rule else ""
        effects.append(effect._replace(before=f"{effect.before}{rules.get(group, '')}"))
    return effects


def _another(address: str) -> str:
    """The next address: a limit that counts clients has counted this one."""
    return str(ipaddress.ip_address(address) + 1)
