# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Contexts for the checks: files as they are about to go live, on a host that answers from a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.networks import LOCALHOST
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.context import PolicyContext
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.live import Live
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.main_cf import MainCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.master_cf import MasterCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.record import NOTHING, Record
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.compose import NO_PLAN, Composed
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import Plan, read_wanted
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._plan.test_compose import (
    POLICY,
    facts,
)

SMTP = "smtp inet n - y - - smtpd\n"


@dataclass
class StubHost:
    """A host of which everything is given."""

    folder: str = "/etc/postfix"
    queue: str = "/var/spool/postfix"
    interfaces: tuple[str, ...] = (LOCALHOST,)
    addresses: tuple[str, ...] = (LOCALHOST,)
    running: bool | None = False
    banner: bool = True
    values: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, list[str]] = field(default_factory=dict)
    tables: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    looked_up: list[str] = field(default_factory=list)

    def runs(self) -> bool | None:
        return self.running

    def alive(self) -> bool:
        return self.banner

    def expanded(self, main: MainCf, names: Sequence[str]) -> Mapping[str, str]:  # noqa: ARG002
        return self.values

    def table_entries(self, table: str) -> Sequence[tuple[str, str]]:
        return self.tables.get(table, ())

    def table_text(self, path: str) -> str | None:
        return self.texts.get(path)

    def table_errors(self, table: str) -> list[str]:
        self.looked_up.append(table)
        return self.errors.get(table, [])


def context(
    main: str = "",
    master: str = SMTP,
    *,
    policy: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    live_main: str = "",
    live_master: str = SMTP,
    site: Mapping[str, str] | None = None,
    record: Record = NOTHING,
    after: Record = NOTHING,
    defaults: Mapping[str, str] | None = None,
    plan: Plan = NO_PLAN,
    host: StubHost | None = None,
) -> PolicyContext:
    """Return a context with these files."""
    read_policy, read_settings = read_wanted(POLICY if policy is None else policy, settings or {})
    live = Live(MainCf(live_main), MasterCf(live_master), record, facts(dict(site or {})), defaults or {})
    composed = Composed(MainCf(main), MasterCf(master), {}, after, ())
    return PolicyContext(live, composed, host or StubHost(), True, read_policy, read_settings, (), plan, {})
