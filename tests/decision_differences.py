# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a product cannot do what a policy means, by name.

Each changes the session to what the product sees of it. For that session the decision table must give the product's
verdict, so a difference that has no name here fails the comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.mailhost.hardening.tests.decision_table import (
    EXISTS,
    SUBMISSION_PORTS,
    Session,
    decide,
    domain_of,
)


def as_messaging_server(policy: Mapping[str, Any], session: Session) -> Session:
    """Messaging Server.

    Port of submissions: there is none; its users take that of submission. Return codes: every answer of a DNSBL counts.
    IPv6: DNSBLs are not queried for such clients.
    """
    if session.port in SUBMISSION_PORTS:
        session = session._replace(port=587)
    if ":" in session.client:
        return session._replace(listed={})
    counted = {one["zone"]: _first(one.get("return_codes")) for one in policy["dnsbls"]}
    answers = {
        zone: answer if isinstance(answer, str) else [counted[zone]] * bool(answer)
        for zone, answer in session.listed.items()
    }
    return session._replace(listed=answers)


def as_postfix(policy: Mapping[str, Any], session: Session) -> Session:
    """Postfix.

    AUTH on port 25: it is not offered. Own domains: one that Postfix serves is not looked up when it is the sender's.
    """
    if session.port == 25:
        session = session._replace(authenticated=False)
    if domain_of(session.mail_from) in policy["domains"]:
        session = session._replace(sender_domain=EXISTS)
    return session


def postfix_agrees(policy: Mapping[str, Any], session: Session, accepted: bool, code: int) -> bool:
    """Whether Postfix answers a session as the policy means it; it may reject later than the policy would.

    DNS trouble: mail is deferred if nothing is known of the sender's domain, where Messaging Server accepts it.
    """
    wanted = decide(policy, as_postfix(policy, session))
    if wanted.may_defer and 400 <= code < 500:
        return True
    return accepted == wanted.accept and (accepted or 500 <= code < 600)


def _first(return_codes: list[str] | None) -> str:
    return (return_codes or ["127.0.0.2"])[0].partition("-")[0].partition("/")[0]
