# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every session: domains, TLS, limits, protection of the protocol, what is given away.

Sources: postconf(5), TLS_README, https://www.postfix.org/smtp-smuggling.html.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from .._config.facts import PostfixFacts
from .._config.settings import LOCAL, NORMALIZE, REJECT, RELAY, VIRTUAL, Settings
from .access import PERMIT, Access
from .values import MAILBOXES, is_too_small

_HOST_NAMES = ("$myhostname", "localhost.$mydomain", "localhost")
"""Names that every host has, beside the domains of the policy."""

CERTIFICATES = ("smtpd_tls_chain_files", "smtpd_tls_cert_file", "smtpd_tls_eccert_file")
"""Settings of a site that name a certificate."""

_WEAK = "aNULL, eNULL, EXPORT, LOW, DES, 3DES, RC2, RC4, MD5, SEED, IDEA, PSK, SRP, DSS"


def build_general(access: Access) -> dict[str, str]:
    """Parameters of main.cf for all ports."""
    settings = access.settings
    main = {
        "smtpd_sasl_auth_enable": "no",
        "smtpd_helo_required": "yes",
        "strict_rfc821_envelopes": "yes",
        "disable_vrfy_command": "yes",
        "smtpd_banner": "$myhostname ESMTP",
        "show_user_unknown_table_name": "no",
        "smtpd_recipient_limit": str(settings.recipient_limit),
        "smtpd_client_connection_rate_limit": str(settings.limits.connections_per_minute),
        "smtpd_client_connection_count_limit": str(settings.limits.concurrent_connections),
        "smtpd_client_message_rate_limit": str(settings.limits.messages_per_minute),
        "smtpd_client_recipient_rate_limit": str(settings.limits.recipients_per_minute),
        "smtpd_client_auth_rate_limit": str(settings.limits.logins_per_minute),
        "smtpd_client_event_limit_exceptions": "$mynetworks",
        "anvil_rate_time_unit": "60s",
        **_message_size(settings, access.facts),
        **_domains(access),
        **_tls(access),
    }
    main.update(_smuggling(access))
    return main


def _message_size(settings: Settings, facts: PostfixFacts) -> dict[str, str]:
    main = {"message_size_limit": str(settings.message_size_limit)}
    for name in MAILBOXES:
        limit = facts.site.get(name, facts.parameters.get(name, ""))
        if name not in settings.extra_settings and is_too_small(name, limit, settings.message_size_limit):
            main[name] = str(settings.message_size_limit)
    return main


def _domains(access: Access) -> dict[str, str]:
    """Where the domains of the policy are served; what else main.cf says of domains stays."""
    names, kind = access.policy.domains, access.settings.domain_class
    main = {}
    if "relay_domains" not in access.facts.site:
        # Where compatibility_level is low the default is everything below the host's own domains.
        main["relay_domains"] = ""
    if not names:
        return main
    if kind == LOCAL:
        main["mydestination"] = ", ".join((*_HOST_NAMES, *names))
    elif kind == VIRTUAL:
        main["virtual_mailbox_domains"] = ", ".join(names)
    elif kind == RELAY:
        main["relay_domains"] = ", ".join(names)
        matched = access.facts.parameters.get("parent_domain_matches_subdomains", "").replace(",", " ").split()
        main["parent_domain_matches_subdomains"] = ", ".join(one for one in matched if one != "relay_domains")
    return main


def _tls(access: Access) -> dict[str, str]:
    facts, settings = access.facts, access.settings
    newer = facts.parameters.get("smtpd_tls_mandatory_protocols", "").startswith(">=")
    floor = ">=TLSv1.2" if newer else "!SSLv2, !SSLv3, !TLSv1, !TLSv1.1"
    main = {
        "smtpd_tls_auth_only": "yes",
        "smtpd_tls_protocols": floor,
        "smtpd_tls_mandatory_protocols": floor,
        "smtp_tls_mandatory_protocols": floor,
        "smtpd_tls_ciphers": "medium",
        "smtpd_tls_mandatory_ciphers": "high",
        "smtpd_tls_exclude_ciphers": _WEAK,
        "smtpd_tls_mandatory_exclude_ciphers": "kRSA",
    }
    if settings.tls_certificate and facts.site.get("smtpd_tls_chain_files"):
        main["smtpd_tls_chain_files"] = f"{settings.tls_key}, {settings.tls_certificate}"
    elif settings.tls_certificate:
        main["smtpd_tls_cert_file"] = settings.tls_certificate
        main["smtpd_tls_key_file"] = settings.tls_key
    if has_certificate(settings, facts):
        main["smtpd_tls_security_level"] = _level(facts.site)
    return main


def _level(site: Mapping[str, str]) -> str:
    """Whether TLS is offered, or demanded as the site does; its older parameter counts where the newer one is empty."""
    older = "encrypt" if site.get("smtpd_enforce_tls", "").lower() == "yes" else ""
    level = site.get("smtpd_tls_security_level", "")
    reference = re.fullmatch(r"\$(\w+|\{\w+\}|\(\w+\))", level)
    level = site.get(reference.group(1).strip("{}()"), "") if reference else level
    return "encrypt" if (level or older).lower() == "encrypt" else "may"


def has_certificate(settings: Settings, facts: PostfixFacts) -> bool:
    """Whether TLS can be offered."""
    return bool(settings.tls_certificate or any(facts.site.get(name) for name in CERTIFICATES))


def _smuggling(access: Access) -> dict[str, str]:
    """Line endings that let a message hide a second one, as well as the installed version can reject them."""
    facts, wanted = access.facts, access.settings.bare_newline
    main = {}
    if facts.knows("smtpd_forbid_unauth_pipelining"):
        main["smtpd_forbid_unauth_pipelining"] = "yes"
    if not facts.knows("smtpd_forbid_bare_newline"):
        access.notes.append(
            "smtpd_forbid_bare_newline is unknown to the installed Postfix; unauthorised pipelining is rejected instead"
        )
        main["smtpd_discard_ehlo_keywords"] = "chunking, silent-discard"
        return main
    # The reply code came together with the forms other than yes.
    forms = (NORMALIZE, REJECT) if facts.knows("smtpd_forbid_bare_newline_reject_code") else ()
    main["smtpd_forbid_bare_newline"] = wanted if wanted in forms else "yes"
    if wanted not in forms:
        access.notes.append(
            f"smtpd_forbid_bare_newline of the installed Postfix does not know {wanted}; it is set to yes"
        )
    excluded = access.settings.bare_newline_exclusions
    main["smtpd_forbid_bare_newline_exclusions"] = (
        access.maps.cidr("bare-newline-exclusions.cidr", excluded, PERMIT) if excluded else ""
    )
    return main
