# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains of the policy that main.cf has in another class, also by reference, as $mydomain; public suffixes.

Sources: ADDRESS_CLASS_README, postconf(5).

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..._policy.domains import is_public_suffix, public_suffixes
from ..._policy.errors import shown
from .._config.main_cf import MainCf, items
from .._config.settings import LOCAL, RELAY, UNMANAGED, VIRTUAL
from .context import Finding, PolicyContext, Problem, Warn

_CLASSES = {
    "mydestination": LOCAL,
    "virtual_alias_domains": UNMANAGED,
    "virtual_mailbox_domains": VIRTUAL,
    "relay_domains": RELAY,
}
"""Parameters of domains and their classes, in the order in which Postfix looks: the first that has a domain counts."""

_EXPANDED = (*_CLASSES, "myhostname")

_RECIPIENTS = {VIRTUAL: "virtual_mailbox_maps", RELAY: "relay_recipient_maps"}
"""Parameters that say which addresses of such domains there are; without one, every address counts as there."""


def domain_classes(context: PolicyContext) -> Iterator[Finding]:
    """Find domains of the policy in another class as well, of which Postfix takes one, and whole public suffixes."""
    main, kind, path = context.composed.main, context.settings.domain_class, context.variable("domain_class")
    for name, other in _CLASSES.items():
        for word in _words(main.get(name, "")) if kind not in (UNMANAGED, other) else ():
            if word in context.policy.domains and name in context.restored:
                yield Problem(
                    f"{path}: {shown(kind)}, and {word} is in the value of {name} from before this role, which would "
                    f"be restored; write {other}, or set {name} without it in postfix_extra_settings"
                )
            elif word in context.policy.domains:
                yield Problem(
                    f"{path}: {shown(kind)}, and {word} is in {name} of main.cf as well; write {other}, or remove it "
                    "there"
                )
    for word in _words(main.get("relay_domains", "")):
        if is_public_suffix(word) and word not in context.policy.domains:
            yield Problem(
                f"{path}: relay_domains of main.cf has {word}, a public suffix: any client could relay to every domain "
                "below it; remove it there"
            )


def recipient_maps(context: PolicyContext) -> Iterator[Finding]:
    """Find domains for which mail to unknown addresses is accepted, and bounced to whatever sender it names.

    Unmanaged restrictions may reject such mail, and at the border relaying to hosts that know their users is usual:
    there it is a warning.
    """
    settings, main = context.settings, context.composed.main
    name = _RECIPIENTS.get(settings.domain_class)
    added = settings.extra_restrictions.get("recipient", ())
    if name is None or not context.policy.domains or main.get(name) or "reject_unverified_recipient" in added:
        return
    place = f"{context.variable('domain_class')}: {shown(settings.domain_class)}, and main.cf has no {name}"
    if settings.domain_class == VIRTUAL and not added:
        yield Problem(f"{place}: mail to every address would be accepted and bounced later; set it, or write local")
    elif main != context.live.main:
        yield Warn(
            f"{place}: mail to every address is accepted and bounced later, unless something else rejects it; set it, "
            "as by postfix_extra_settings"
        )


def domain_references(context: PolicyContext) -> Iterator[Finding]:
    """Find references that have a domain of the policy in another class, or that open a whole public suffix."""
    main, kind, path = context.composed.main, context.settings.domain_class, context.variable("domain_class")
    expanded = context.host.expanded(main, _EXPANDED)
    domains = context.policy.domains
    order = list(_CLASSES.values())
    # After its own class a domain of the policy does no harm.
    for name in [] if kind == UNMANAGED else list(_CLASSES)[: order.index(kind)]:
        for word in _referred(main, expanded, name):
            if word in domains:
                yield Problem(
                    f"{path}: {shown(kind)}, and {word} is in {_place(main, name)} as well; write {_CLASSES[name]}, or "
                    f"set {name} without it"
                )
    ends = {end for domain in (*domains, expanded.get("myhostname", "")) for end in public_suffixes(domain)}
    referred = _referred(main, expanded, "relay_domains")
    for word in _words(expanded.get("relay_domains", "")):
        if word.lstrip(".") in ends - {*domains} and (word in referred or "." in word):
            yield Problem(
                f"{path}: {word} is in {_place(main, 'relay_domains')}: any client could relay to every domain below "
                "it; set relay_domains without it"
            )


def _referred(main: MainCf, expanded: Mapping[str, str], name: str) -> list[str]:
    """The domains of a parameter that do not stand there themselves."""
    literal = _words(main.get(name, ""))
    return [word for word in _words(expanded.get(name, "")) if word not in literal]


def _words(value: str) -> list[str]:
    return list(dict.fromkeys(items(value.lower())))


def _place(main: MainCf, name: str) -> str:
    return f"{name} of main.cf ({shown(main[name])})" if name in main else f"the default of {name}"
