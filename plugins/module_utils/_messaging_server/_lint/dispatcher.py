# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lint of dispatcher.cnf: zones that are wrong, dead, too many, or never looked at.

Sources: docs/reference/messaging-server-facts.md#dispatcher-cnf and
docs/reference/messaging-server-facts.md#closed-dnsbls.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from .._formats.dispatcher import MAX_ZONES, ZONE_OPTION, Option, parse_dispatcher
from .._formats.mapping import parse_mappings
from .._formats.mapping_pattern import PatternError, compile_pattern
from .._formats.mapping_template import TemplateError, compile_template, is_fallible
from .._formats.tables import PORT_ACCESS
from .._formats.text import fold
from .findings import Finding, fault_findings, zone_findings
from .mapping_entries import catches_all


def lint_dispatcher(text: str, mappings: str = "") -> list[Finding]:
    """Findings of a dispatcher.cnf, by line; ``mappings`` decides whether its zones are ever queried."""
    parsed = parse_dispatcher(text)
    findings = fault_findings(parsed.faults, {}, "Write one option in a line; comments have ! in column 1.")
    counts: dict[str, int] = {}
    zones = [option for option in parsed.options if fold(option.name) == fold(ZONE_OPTION)]
    inert = bool(zones) and _port_access_catches_all(mappings)
    for option in zones:
        line = option.line.number
        findings.extend(zone_findings(line, option.value, with_dot=False))
        service = fold(option.service)
        counts[service] = counts.get(service, 0) + 1
        if counts[service] > MAX_ZONES:
            message = f"zone number {counts[service]} of a service; at most {MAX_ZONES} are queried"
            findings.append(Finding(line, "too-many-zones", message, "Query further DNSBLs in PORT_ACCESS."))
        if service and "smtp" not in service:
            message = f"DNSBLs make no sense for service {option.service}"
            findings.append(Finding(line, "zone-service", message, "Move the option to [SERVICE=SMTP]."))
        if inert:
            message = "never queried: an entry of PORT_ACCESS matches every connection"
            hint = "Query the zone in PORT_ACCESS, before its last entry."
            findings.append(Finding(line, "inert-zone", message, hint))
    findings.extend(_closed_shorthand(option) for option in parsed.options if _is_shorthand(option))
    return sorted(set(findings))


def _is_shorthand(option: Option) -> bool:
    return fold(option.name) == "enable_rbl" and option.value not in {"0", ""}


def _closed_shorthand(option: Option) -> Finding:
    message = "ENABLE_RBL queries maps.vix.com, which is dead"
    return Finding(option.line.number, "dead-zone", message, "Remove it.")


def _port_access_catches_all(mappings: str) -> bool:
    for table in parse_mappings(mappings).tables:
        if table.name.upper() != PORT_ACCESS:
            continue
        for entry in table.entries:
            try:
                pattern, ops = compile_pattern(entry.pattern), compile_template(entry.template)
            except (PatternError, TemplateError):
                continue
            if catches_all(table, pattern) and not any(is_fallible(op) for op in ops):
                return True
    return False
