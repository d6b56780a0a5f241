# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Unmanaged services with SMTP AUTH that use settings of main.cf which the role replaces, and options that keep them.

Source: master(5), for values with blanks.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re

from .._config.master_cf import is_loopback
from .context import PolicyContext

_AUTH = "smtpd_sasl_auth_enable"

_NAMES = (
    _AUTH,
    "smtpd_sender_login_maps",
    "smtpd_delay_reject",
    "smtpd_helo_required",
    *(f"smtpd_{stage}_restrictions" for stage in ("client", "helo", "sender", "relay", "recipient", "data")),
    "smtpd_end_of_data_restrictions",
)
"""What decides about a client that authenticates."""

_REFERENCE = re.compile(r"\$[{(]*(\w+)")


def kept_options(context: PolicyContext) -> dict[str, tuple[str, ...]]:
    """Lines for each such service of master.cf, by its name and type, with which it works as before."""
    managed = (25, 465, 587) if context.settings.submission else (25,)
    replaced = [name for name in _NAMES if name in context.plan.main and name not in context.live.record.main]
    values = {name: _before(name, context) for name in replaced}
    auth = context.live.facts.site.get(_AUTH, "no")
    found = {}
    for service in context.live.master:
        own = service.options
        if service.type != "inet" or service.command != "smtpd" or service.port in managed:
            continue
        if is_loopback(service.host) or own.get(_AUTH, auth).lower() != "yes":
            continue
        lines = [
            _option(name, values[name]) for name in replaced if name not in own and _changes(name, values, context)
        ]
        if lines:
            found[f"{service.name} {service.type}"] = tuple(lines)
    return found


def _before(name: str, context: PolicyContext) -> str:
    """What main.cf gave to services so far; references stay where their parameters do."""
    site, facts = context.live.facts.site, context.live.facts
    value = site.get(name, facts.parameters.get(name, ""))
    if (name not in site and "$" in value) or any(one in context.plan.main for one in _REFERENCE.findall(value)):
        return context.host.expanded(context.live.main, (name,)).get(name, value)
    return value


def _changes(name: str, values: dict[str, str], context: PolicyContext) -> bool:
    return re.split(r"[\s,]+", values[name]) != re.split(r"[\s,]+", context.plan.main[name])


def _option(name: str, value: str) -> str:
    value = re.sub(r"\s*,\s*", ",", value) if "{" not in value else value
    return f"  -o {{ {name} = {value} }}" if re.search(r"\s", value) else f"  -o {name}={value}"
