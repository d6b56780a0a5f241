# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Has the product's own ``imsimta test -mapping`` read a staged mapping file: it must say what was evaluated here.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .._sessions.relay_forms import EXTERNAL_SENDER, TARGET
from .._transaction.command import StepError
from ._evaluator.context import surroundings
from ._evaluator.mapping import Mappings, load_mappings
from ._formats.tables import INTERNAL_IP, ORIG_SEND_ACCESS, PORT_ACCESS, port_probe, send_probe
from .product import Product
from .settings import Channels

DECIDING = frozenset("YNF")
"""Flags that decide; others (a tag, a header line) say nothing about whether mail may pass."""

CLIENTS = 3
"""Clients that the tool has to evaluate, each of which starts it twice."""


class Staged(NamedTuple):
    """A staged mapping file: its path, its text, the texts it includes, and the channels in use."""

    path: str
    text: str
    includes: Mapping[str, str]
    channels: Channels


def read_back(product: Product, staged: Staged, clients: Iterable[str]) -> int:
    """Compare the tool's answers with the evaluator's; returns how many. Raises StepError where they differ."""
    mappings = load_mappings(staged.text, "mappings", tuple(sorted(staged.includes.items())))
    count = 0
    for table, probe in _probes(list(dict.fromkeys(clients)), staged.channels):
        wanted = _evaluated(mappings, table, probe)
        if wanted is None:
            continue
        count += 1
        said = product.test_mapping(table, probe, staged.path)
        flags = said.flags & DECIDING
        same = flags == wanted[0] and (flags.isdisjoint("NF") or said.output.strip() == wanted[1].strip())
        if not same:
            raise StepError(
                "imsimta test -mapping",
                f'table {table}, probe "{probe}": the product says {sorted(flags)} "{said.output}", '
                f'the evaluation said {sorted(wanted[0])} "{wanted[1]}"\n{said.printed}',
            )
    return count


def _probes(clients: list[str], channels: Channels) -> Iterator[tuple[str, str]]:
    yield ORIG_SEND_ACCESS, send_probe(channels.external, EXTERNAL_SENDER, channels.external, TARGET)
    yield ORIG_SEND_ACCESS, send_probe(channels.internal, EXTERNAL_SENDER, channels.external, TARGET)
    for client in clients[:: max(1, len(clients) // CLIENTS)][:CLIENTS] or clients:
        yield INTERNAL_IP, client
        # Without flag A nothing is looked up.
        yield PORT_ACCESS, port_probe(client)


def _evaluated(mappings: Mappings, table: str, probe: str) -> tuple[frozenset[str], str] | None:
    """Flags and text by the evaluator; None where there is no such table or something outside is looked up."""
    if table not in mappings:
        return None
    looked_up: list[str] = []

    def outside(_image: str, _routine: str, argument: str) -> None:
        looked_up.append(argument)

    result = mappings.probe(table, probe, surroundings("", _Database(looked_up), outside))
    if looked_up:
        return None
    return frozenset(result.flags) & DECIDING, result.output


class _Database(dict[str, str]):
    """An empty general database that remembers what was looked up."""

    def __init__(self, looked_up: list[str]) -> None:
        super().__init__()
        self._looked_up = looked_up

    def __bool__(self) -> bool:
        """An empty one is not none."""
        return True

    def get(self, key: str, default: Any = None) -> Any:
        """Nothing is there."""
        self._looked_up.append(key)
        return default
