# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Submission: authenticated clients, over TLS, that send from their own addresses.

What the lines of master.cf need stands in main.cf as managed parameters, so that no value has to be quoted for
master.cf.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..._policy.domains import LABEL
from .._config.maps import REGEXP, literal
from .._config.settings import ADDRESS, LOCAL, PREFIX
from .access import Access

HIDE = "smtpd_hide_client_session"
"""Since Postfix 3.10; the header checks below do the same before."""

HEADER_CHECKS = ("header_checks", "nested_header_checks", "mime_header_checks")
"""Parameters of cleanup with checks of headers. The later ones are as the first where they are not set."""

_LOCAL, _DETAIL, _DOMAIN = '([^@+,"[:space:]]+)', '(\\+[^@,"[:space:]]*)', '([^@,"[:space:]]+)'
"""Parts of an address that stands for itself. A quoted one can have blanks and commas: its parts would be logins."""

_HOST = re.compile(rf"{LABEL}(?:\.{LABEL})+")

_REFERENCE = re.compile(r"\$(?:header_checks\b|\{header_checks\}|\(header_checks\))")
"""How a parameter names the header checks of main.cf, which are the managed ones where this is read."""

_TELLTALES = "/^(User-Agent|X-Mailer|X-Originating-IP|X-MimeOLE):/"
"""What a mail program says of itself and of the user's address."""


def build_submission(access: Access) -> dict[str, str]:
    """Parameters of main.cf for submission and submissions."""
    settings = access.settings
    table = access.maps.add("submission-login.regexp", REGEXP, [("/^/", "530 5.7.0 Authentication required")])
    blocked = [f"check_client_access {table}" for table in access.blocked]
    restrictions = {
        "client": [*blocked, "permit"],
        "sender": [
            "reject_authenticated_sender_login_mismatch",
            "permit_sasl_authenticated",
            f"check_sender_access {table}",
            "reject",
        ],
        "relay": ["permit_sasl_authenticated", "reject"],
        "recipient": [
            "reject_non_fqdn_recipient",
            *settings.submission_restrictions,
            "permit_sasl_authenticated",
            "reject",
        ],
    }
    for stage, found in restrictions.items():
        access.parameter(f"submission_{stage}_restrictions", ", ".join(found))
    _header_checks(access)
    return {
        "smtpd_sasl_type": "dovecot",
        "smtpd_sasl_path": settings.sasl_path,
        "smtpd_sasl_security_options": "noanonymous",
        "smtpd_sasl_tls_security_options": "noanonymous",
        "smtpd_sender_login_maps": ", ".join(_owners(access)),
        **{name: value for name, value in access.own.items() if name.startswith(f"{PREFIX}submission")},
    }


def _owners(access: Access) -> list[str]:
    """The tables that say whose an address is: what the inventory says of addresses, unmanaged tables, of domains.

    With unmanaged tables a login owns no more than they say: not the address of the same name either.
    """
    tables = access.settings.sender_login_maps
    single, wide = _owners_of_addresses(access), _owners_of_domains(access)
    if not tables:
        rows = [*single, *wide, *_namesakes(access)]
        return [access.maps.add("sender-logins.regexp", REGEXP, rows or [("/^$/", "nobody")])]
    first = [access.maps.add("sender-logins.regexp", REGEXP, single)] if single else []
    last = [access.maps.add("sender-login-domains.regexp", REGEXP, wide)] if wide else []
    return [*first, *tables, *last]


def _owners_of_addresses(access: Access) -> list[tuple[str, str]]:
    """Logins that the inventory names for an address, and that of the same name."""
    settings = access.settings
    rows = []
    for sender, logins in settings.sender_logins.items():
        local, _at, domain = sender.partition("@")
        # A login without a domain is of a managed domain, and of an address elsewhere no more than its namesake.
        managed = settings.login_form == ADDRESS or domain in access.policy.domains
        same = [sender if settings.login_form == ADDRESS else local] if managed else []
        if local and (logins or same):
            rows.append((f"/^{literal(sender)}$/", ", ".join([*logins, *same])))
    return rows


def _owners_of_domains(access: Access) -> list[tuple[str, str]]:
    """Logins that the inventory names for all addresses of a domain, beside the one of the same name."""
    settings = access.settings
    rows = []
    for sender, logins in settings.sender_logins.items():
        local, _at, domain = sender.partition("@")
        if local or not logins:
            continue
        own = settings.login_form == ADDRESS
        end = f"@{domain}" if own else ""
        managed = own or domain in access.policy.domains
        rows += _same_name(f"@{literal(domain)}$/", end, logins, managed=managed)
    return rows


def _namesakes(access: Access) -> list[tuple[str, str]]:
    """Whose an address is by its name, with or without a detail."""
    if access.settings.login_form == ADDRESS:
        return [
            (f"/^{_LOCAL}{_DETAIL}@{_DOMAIN}$/", "${1}@${3}, ${1}${2}@${3}"),
            (f"/^{_LOCAL}@{_DOMAIN}$/", "${1}@${2}"),
        ]
    domains = [*access.policy.domains, *_host(access)]
    return [row for domain in domains for row in _same_name(f"@{literal(domain)}$/", "", (), managed=True)]


def _same_name(pattern: str, end: str, logins: Sequence[str], *, managed: bool) -> list[tuple[str, str]]:
    detailed = [f"${{1}}{end}", f"${{1}}${{2}}{end}"] if managed else []
    plain = [f"${{1}}{end}"] if managed else []
    return [
        (f"/^{_LOCAL}{_DETAIL}{pattern}", ", ".join([*logins, *detailed])),
        (f"/^{_LOCAL}{pattern}", ", ".join([*logins, *plain])),
    ]


def _host(access: Access) -> list[str]:
    """The name of the host, which is a local domain as well: a login there is the same user."""
    site, parameters = access.facts.site, access.facts.parameters
    name = site.get("myhostname", parameters.get("myhostname", "")).lower()
    known = access.policy.domains
    local = access.settings.domain_class == LOCAL and known and _HOST.fullmatch(name) and name not in known
    return [name] if local else []


def _header_checks(access: Access) -> None:
    """Hide where a user writes from; unmanaged header checks stay in force."""
    rows = [(_TELLTALES, "IGNORE")]
    if not access.facts.knows(HIDE):
        access.notes.append(f"{HIDE} is unknown to the installed Postfix; header checks hide the client instead")
        received = "/^Received: from .*[[:space:]](by [^[:space:]]+ \\([^()]*\\) with (ESMTP|UTF8SMTP)S?A id .*)$/"
        rows.append((received, "REPLACE Received: ${1}"))
    table = access.maps.add("submission-headers.regexp", REGEXP, rows)
    first, *others = HEADER_CHECKS
    site = _site_checks(access, first, "")
    access.parameter(f"submission_{first}", f"{table}, {site}" if site else table)
    for name in others:
        # An attached message stays as it is: the managed checks are for the outermost header alone.
        value = _site_checks(access, name, "$header_checks")
        access.parameter(f"submission_{name}", _REFERENCE.sub(lambda _reference: site, value))


def _site_checks(access: Access, name: str, default: str) -> str:
    """What holds at port 25 as well: by the options of the site's cleanup, or by main.cf, the inventory's first."""
    places = (access.facts.cleanup, access.settings.extra_settings, access.facts.site)
    return next((place[name] for place in places if name in place), default)
