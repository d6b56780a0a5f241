# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restrictions of a site: which the policy has, which the inventory can keep, and which have no place in it.

Sources: postconf(5), SMTPD_ACCESS_README.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import NamedTuple

from ..._policy.mail import MailPolicy

_WITH_ARGUMENT = {
    "reject_rbl_client",
    "permit_dnswl_client",
    "permit_rhswl_client",
    "reject_rhsbl_client",
    "reject_rhsbl_helo",
    "reject_rhsbl_reverse_client",
    "reject_rhsbl_sender",
    "reject_rhsbl_recipient",
    "warn_if_reject",
    "sleep",
}
"""Restrictions that have an argument, beside all that begin with ``check_``."""

_WORD = re.compile(r"(?:[^\s,{}]|\{(?:[^{}]|\{[^{}]*\})*\})+", re.ASCII)
"""Braces keep blanks and commas together, and stand by themselves or in a word as ``inline:{ {a = b} }``."""

_FLOW = ("permit_mynetworks", "permit", "permit_auth_destination")
"""What lets clients past the restrictions behind it, and does nothing where none is behind it."""

_CLOSES = re.compile(r"reject|defer|check_\w+_access static:\{?\s*(?:REJECT|DEFER|[45]\d\d)\b.*", re.IGNORECASE)
"""What ends a list for every client that gets there."""

_DECIDED = {
    # There is no SMTP AUTH at port 25, and smtpd_relay_restrictions decide about relaying.
    "permit_sasl_authenticated",
    "reject_authenticated_sender_login_mismatch",
    "reject_unauth_destination",
    "defer_unauth_destination",
    # postfix_helo_check
    "reject_invalid_helo_hostname",
    "reject_invalid_hostname",
    "reject_non_fqdn_helo_hostname",
    "reject_non_fqdn_hostname",
    # The managed lists have them, whatever the stage of the site is.
    "reject_non_fqdn_sender",
    "reject_unauth_pipelining",
}
"""Restrictions whose subject the policy decides, whatever main.cf said of it."""

_SENDER_DOMAIN = "reject_unknown_sender_domain"

_LOGINS = re.compile("reject_(?:(?:known|unauthenticated)_)?sender_login_mismatch")
"""What the managed lists do for authenticated clients alone."""

NO_LOGINS = (
    "holds for authenticated clients on 587 and 465; at port 25 is no SMTP AUTH, without which Postfix ignores it; a "
    "check_sender_access can reject external clients that use these senders"
)

ETRN = {"permit_mynetworks", "permit_sasl_authenticated", "reject", "defer"}
"""What the managed list of ETRN has, and what comes to the same."""


class Sorted(NamedTuple):
    """Restrictions of one stage: those to keep, in their order, and what other variables stand for.

    ``sender_domain``: whether the domain of the sender was checked, and is not any more. ``logins``: checks of the
    sender that hold for authenticated clients alone.
    """

    kept: tuple[str, ...] = ()
    sender_domain: bool = False
    logins: tuple[str, ...] = ()


def restrictions_of(value: str) -> list[str]:
    """The restrictions of a list, each with its argument."""
    words = _WORD.findall(value)
    found: list[str] = []
    while words:
        one = [words.pop(0)]
        while words and (one[-1] in _WITH_ARGUMENT or (one[-1].startswith("check_") and ":" not in one[-1])):
            one.append(words.pop(0))
        found.append(" ".join(one))
    return found


def sort_restrictions(
    found: Iterable[str], managed: Collection[str], known: Collection[str], policy: MailPolicy
) -> Sorted:
    """Sort the restrictions of a stage.

    ``managed``: those that the stage has by the policy. ``known``: those that it has by the inventory.
    """
    kept: list[str] = []
    logins: list[str] = []
    sender_domain = False
    for one in found:
        if one == _SENDER_DOMAIN and one not in known:
            sender_domain = sender_domain or not policy.sender_domain_check
        elif _LOGINS.fullmatch(one):
            logins.append(one)
        elif one in known or not (one in managed or _is_represented(one, policy)):
            kept.append(one)
    if any(map(closes, kept)):
        # Behind these two, only mail for other domains is left, which is rejected as it is relaying.
        first = next(index for index, one in enumerate(kept) if closes(one))
        if first and kept[first - 1] == "permit_auth_destination":
            kept = kept[: first - 1]
    while kept and kept[-1] in _FLOW:
        kept.pop()
    return Sorted(tuple(kept), sender_domain, tuple(logins))


def closes(restriction: str) -> bool:
    """Whether no client gets past a restriction."""
    return _CLOSES.fullmatch(restriction) is not None


def closed_for_own_domains(relay: Iterable[str]) -> str:
    """What ends a list of relay restrictions for mail to the server's own domains; empty where it is accepted."""
    for one in relay:
        if one in ("permit", "permit_auth_destination"):
            return ""
        if closes(one):
            return one
    return ""


def is_relay(restriction: str) -> bool:
    """Whether the managed relay restrictions have the same, or decide it otherwise."""
    return restriction in _DECIDED or restriction in _FLOW or closes(restriction)


def _is_represented(one: str, policy: MailPolicy) -> bool:
    name, _blank, argument = one.partition(" ")
    if name == "reject_rbl_client":
        return argument.partition("=")[0] in {dnsbl.zone for dnsbl in policy.dnsbls}
    return one in _DECIDED
