# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rewriting of addresses by the rules of imta.cnf.

Sources: docs/reference/messaging-server-facts.md#rewrite-order,
docs/reference/messaging-server-facts.md#rewrite-templates and docs/reference/messaging-server-facts.md#rewrite-tests.
Only what is stated there is done; a rule that fits and has anything else cannot be evaluated.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ..._policy.errors import ReportedError
from .._formats.text import fold
from .rewrite_patterns import Parts, patterns_for
from .rewrite_template import Expanded, Expansion, Place, RuleFailedError

if TYPE_CHECKING:
    from .._formats.imta import ImtaFile, Rule
    from .context import Surroundings
    from .mapping import Mappings

MAX_ADDRESS = 1024
"""Longest address that is rewritten, in characters."""

MAX_REPEATS = 20
"""How often a rule of the form A%B may begin anew. The vendor's number is not known."""

LDAP_RULE = "$*"
"""The pattern of the rule that asks LDAP before all others."""


class Rewritten(NamedTuple):
    """The rule's pattern, the system to route to and the new address; empty pattern and system when no rule applies.

    The pattern is the host itself where that is a host name of a channel.
    """

    pattern: str
    system: str
    address: str
    trace: tuple[str, ...]


class AddressError(ReportedError):
    """An address that cannot be rewritten."""


class Rewriter:
    """The rules of an imta.cnf, by pattern. Raises MtaTextError for the file's first fault."""

    def __init__(self, parsed: ImtaFile, mappings: Mappings, around: Surroundings) -> None:
        parsed.require_sound()
        self._mappings = mappings
        self._around = around
        self._parsed = parsed
        self._missing = parsed.missing
        self._rules: dict[str, list[Rule]] = {}
        for rule in parsed.rules:
            self._rules.setdefault(fold(rule.pattern), []).append(rule)

    def rewrite(self, address: str, place: Place) -> Rewritten:
        """Rewrite an address.

        Raises AddressError when it has no ``@`` or is too long, MtaTextError where a rule that fits cannot be
        evaluated.
        """
        trace = [f'The include "{name}" was not given; its rules are missing.' for name in self._missing]
        if LDAP_RULE in self._rules:
            trace.append(f'Not certain: the rule "{LDAP_RULE}" asks LDAP first, which is not evaluated.')
        channel = self._parsed.channel(place.source)
        place = place._replace(rules=channel is None or not channel.has("norules"))
        for _repeat in range(MAX_REPEATS):
            user, host = _divided(address)
            found = self._by_rules(user, host, place, trace)
            if found is None:
                trace.append("No rule applies.")
                return Rewritten("", "", address, tuple(trace))
            pattern, expanded = found
            address = expanded.address
            if expanded.system:
                trace.append(f'The address is now "{address}", the system "{expanded.system}".')
                return Rewritten(pattern, expanded.system, address, tuple(trace))
            trace.append(f'The address is now "{address}", and is rewritten again.')
        raise AddressError(f"{address[:200]!r} is rewritten more than {MAX_REPEATS} times, by rules without a system")

    def _by_rules(self, user: str, host: str, place: Place, trace: list[str]) -> tuple[str, Expanded] | None:
        rest = "" if host.startswith("[") else None
        exact = self._of_pattern(host, Parts(user, host, host, "", rest), place, trace)
        if exact is not None:
            return exact
        if self._parsed.channel_of_host(host) is not None:
            trace.append(f'"{host}" is a host name of a channel.')
            return host, Expanded(user, host, host)
        for pattern, parts in patterns_for(user, host):
            found = self._of_pattern(pattern, parts, place, trace)
            if found is not None:
                return found
        return None

    def _of_pattern(self, pattern: str, parts: Parts, place: Place, trace: list[str]) -> tuple[str, Expanded] | None:
        for rule in self._rules.get(fold(pattern), ()):
            trace.append(f'Line {rule.line.number}: pattern "{rule.pattern}" fits, template "{rule.template}".')
            try:
                expanded = Expansion(
                    rule, parts, place, lambda table, argument: self.table_text(table, argument, trace), trace
                ).run()
            except RuleFailedError as error:
                trace.append(f"It fails: {error}.")
                continue
            return rule.pattern, expanded
        return None

    def table_text(self, table: str, argument: str, trace: list[str]) -> str | None:
        """The text a mapping table gives, or None when there is no such table or it does not set Y."""
        if table not in self._mappings:
            trace.append(f"There is no table {table}.")
            return None
        result = self._mappings.probe(table, argument, self._around)
        trace.extend(f"  {step}" for step in result.trace())
        return result.output if "Y" in result.flags else None


def _divided(address: str) -> tuple[str, str]:
    user, at, host = address.rpartition("@")
    if not at or not host:
        raise AddressError(f"{address[:200]!r} is no address; expected user@host")
    if len(address) > MAX_ADDRESS:
        raise AddressError(f"an address of {len(address)} characters; expected at most {MAX_ADDRESS}")
    return user, host
