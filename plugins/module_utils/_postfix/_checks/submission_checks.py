# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a site checks of authenticated clients on 587 and 465, and the managed services would not.

Sources: postconf(5), SMTPD_ACCESS_README.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ..._policy.dnsbl import hide_keys
from .._config.master_cf import MasterService, is_loopback
from .._config.settings import STAGES
from .context import PolicyContext
from .paste import is_accepted
from .restrictions import closes, restrictions_of

_AUTH = "smtpd_sasl_auth_enable"
_PORTS = (587, 465)

_RCPT_STAGES = ("client", "helo", "sender", "relay", "recipient")
"""Their restrictions are evaluated at RCPT TO (smtpd_delay_reject), where postfix_submission_restrictions are."""

_LATER_STAGES = tuple(stage for stage in STAGES if stage not in _RCPT_STAGES)

_COVERED = re.compile(
    r"reject_(?:authenticated_|known_|unauthenticated_)?sender_login_mismatch"
    # The sender is one of the login's own addresses.
    r"|reject_(?:non_fqdn|unknown|unlisted)_(?:sender|sender_domain|address)"
    r"|reject_non_fqdn_recipient|reject_unlisted_recipient|(?:reject|defer)_unauth_destination"
    # TLS is required, and mail programs of users may greet as they like.
    r"|reject_plaintext_session|reject_unauth_pipelining|reject_(?:invalid|non_fqdn)_(?:helo_)?hostname"
)
"""What the managed services do as well, or the policy decides."""


class SubmissionChecks(NamedTuple):
    """Restrictions for postfix_submission_restrictions, and those that it cannot have, by service and parameter."""

    restrictions: tuple[str, ...] = ()
    elsewhere: Mapping[str, tuple[str, ...]] = MappingProxyType({})


def submission_checks(context: PolicyContext) -> SubmissionChecks:
    """Find them, where a run takes over services that are not managed yet."""
    if not context.settings.submission:
        return SubmissionChecks()
    found: dict[str, None] = {}
    elsewhere: dict[str, tuple[str, ...]] = {}
    for service in _taken_over(context):
        place = f"{service.name} {service.type}"
        for stage in _RCPT_STAGES:
            name = f"smtpd_{stage}_restrictions"
            items = [one for one in _of_logins(_value(name, service, context)) if not _COVERED.fullmatch(one)]
            kept = [one for one in items if _can_be_pasted(one)]
            found.update(dict.fromkeys(kept))
            elsewhere[f"{place}: {name}"] = tuple(hide_keys(one) for one in items if one not in kept)
        for stage in _LATER_STAGES:
            name = f"smtpd_{stage}_restrictions"
            items = list(_of_logins(service.options.get(name, "")))
            elsewhere[f"{place}: {name}"] = tuple(hide_keys(one) for one in items if not _COVERED.fullmatch(one))
    known = context.settings.submission_restrictions
    # The variable is to be as it is printed.
    whole = (*known, *(one for one in found if one not in known)) if any(one not in known for one in found) else ()
    return SubmissionChecks(whole, {name: items for name, items in elsewhere.items() if items})


def _taken_over(context: PolicyContext) -> Iterator[MasterService]:
    """The services of users that the role replaces for the first time."""
    auth = context.live.facts.site.get(_AUTH, "no")
    for service in context.live.master:
        logs_in = service.options.get(_AUTH, auth).lower() == "yes"
        smtpd = service.type == "inet" and service.command == "smtpd" and service.port in _PORTS
        if smtpd and logs_in and not is_loopback(service.host) and service.place not in context.live.record.services:
            yield service


def _value(name: str, service: MasterService, context: PolicyContext) -> str:
    """What holds at a service; a parameter of main.cf that it refers to as the whole value is read."""
    site = context.live.facts.site
    value = service.options.get(name, site.get(name, ""))
    reference = re.fullmatch(r"\$(?:\{(\w+)\}|\((\w+)\)|(\w+))", value.strip())
    return site.get(next(filter(None, reference.groups())), "") if reference else value


def _of_logins(value: str) -> Iterator[str]:
    """The restrictions that an authenticated client meets: up to the first that lets it past the others."""
    for one in restrictions_of(value):
        if one in ("permit_sasl_authenticated", "permit") or closes(one):
            return
        if not one.startswith("permit"):
            yield one


def _can_be_pasted(restriction: str) -> bool:
    """Whether the inventory can have it; one with the key of a DNSBL is never printed."""
    return hide_keys(restriction) == restriction and is_accepted("submission_restrictions", [restriction])
