# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checks of a run look at, and what they find.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, Union

from ..._policy.mail import MailPolicy
from ..._policy.policy_tests import PolicyTest
from .._config.live import Live
from .._config.main_cf import MainCf
from .._config.settings import Settings
from .._plan.compose import Composed
from .._plan.plan import Plan


class Warn(NamedTuple):
    """Something to know, beside which the run goes on."""

    text: str


class Problem(NamedTuple):
    """A mistake of the inventory."""

    text: str


class Conflict(NamedTuple):
    """Something on the host with which the policy cannot go live; ``step`` names the check in errors."""

    step: str
    text: str


Finding = Union[Warn, Problem, Conflict]


class Host(Protocol):
    """The installed Postfix, as far as checks need to know it."""

    folder: str
    queue: str
    interfaces: tuple[str, ...]
    addresses: tuple[str, ...]

    def runs(self) -> bool | None:
        """Whether Postfix runs; None where that is unknown."""

    def alive(self) -> bool:
        """Whether port 25 sends its banner."""

    def expanded(self, main: MainCf, names: Sequence[str]) -> Mapping[str, str]:
        """Values of parameters as Postfix reads them from a main.cf, with what they refer to."""

    def table_entries(self, table: str) -> Sequence[tuple[str, str]]:
        """The entries of a table, each with its key; none where it cannot be listed."""

    def table_text(self, path: str) -> str | None:
        """The source of a table; None where it cannot be read."""

    def table_errors(self, table: str) -> list[str]:
        """What Postfix reports when it looks up a key in a table."""


@dataclass(frozen=True)
class Context:
    """The files before and after a change. ``changed``: whether any file changes."""

    live: Live
    composed: Composed
    host: Host
    changed: bool

    @property
    def restored(self) -> set[str]:
        """Parameters that get back the value from before they were managed."""
        main, before = self.composed.main, self.live.main
        removed = {*self.live.record.main} - {*self.composed.record.main}
        return {name for name in removed if main.get(name) != before.get(name)}


@dataclass(frozen=True)
class PolicyContext(Context):
    """The same with a policy in force.

    ``names``: the inventory variable to name in errors, by option. ``warnings``: those of reading the policy.
    """

    policy: MailPolicy
    settings: Settings
    tests: tuple[PolicyTest, ...]
    plan: Plan
    names: Mapping[str, str]
    warnings: tuple[str, ...] = ()

    def variable(self, option: str) -> str:
        """The inventory variable of an option of the role."""
        return self.names.get(option, f"postfix_{option}")
