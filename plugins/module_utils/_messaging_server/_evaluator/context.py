# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a probe of a mapping table is given from outside, and what it gives.

Sources: docs/reference/messaging-server-facts.md#template-failure (result),
docs/reference/messaging-server-facts.md#general-database, docs/reference/messaging-server-facts.md#callouts and
docs/reference/messaging-server-facts.md#input-flags.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Surroundings(NamedTuple):
    """What a probe meets outside the tables.

    ``call`` answers a callout (image, routine, expanded argument) with template text or None; ``outside`` does the
    same for look-ups of kind ``ldap_url``, ``domain_attribute``, ``sequence``. ``chance`` decides about $?x?.
    """

    input_flags: frozenset[str]
    database: Mapping[str, str]
    call: Callable[[str, str, str], str | None]
    outside: Callable[[str, str], str | None]
    chance: Callable[[int], bool]


class Result(NamedTuple):
    """What a probe gave. ``steps`` are (format, values) pairs, which :meth:`trace` makes into text."""

    matched: bool
    flags: tuple[str, ...]
    output: str
    arguments: dict[str, str]
    steps: tuple[tuple[object, ...], ...]

    def trace(self) -> list[str]:
        """What happened, one line for each step, entries counted from 1."""
        return [str(step[0]).format(*step[1:]) for step in self.steps]


def no_callouts(_image: str, _routine: str, _argument: str) -> str | None:
    """Every routine fails."""
    return None


def surroundings(
    input_flags: str = "",
    database: Mapping[str, str] | None = None,
    call: Callable[[str, str, str], str | None] = no_callouts,
) -> Surroundings:
    """Surroundings with the usual answers: no LDAP, and $?x? succeeds unless x is 0."""
    return Surroundings(
        frozenset(input_flags.upper()), database or {}, call, lambda _kind, _argument: None, lambda percent: percent > 0
    )
