# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains that main.cf names by reference, as $mydomain.

Private to this collection. Sources: ADDRESS_CLASS_README, postconf(5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.domains import public_suffixes
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError, shown
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.mail import MailPolicy
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.settings import (
    LOCAL,
    RELAY,
    UNMANAGED,
    VIRTUAL,
    Settings,
)

_CLASSES = {
    "mydestination": LOCAL,
    "virtual_alias_domains": UNMANAGED,
    "virtual_mailbox_domains": VIRTUAL,
    "relay_domains": RELAY,
}
"""Parameters of domains and their classes, in the order in which Postfix looks: the first that has a domain counts."""

#: What has to be asked for ``check_references``.
ASKED = (*_CLASSES, "myhostname")


def check_references(
    main: Mapping[str, str], expanded: Mapping[str, str], policy: MailPolicy, settings: Settings, path: str
) -> None:
    """Raise PolicyError where a reference has a domain of the policy in another class, or opens a whole registry.

    ``main``: what main.cf sets, with the policy in it. ``expanded``: values of ASKED as Postfix reads them. ``path``:
    the variable to name.
    """
    order = list(_CLASSES.values())
    # Behind its own class a domain of the policy does no harm.
    first = [] if settings.domain_class == UNMANAGED else list(_CLASSES)[: order.index(settings.domain_class)]
    problems = [
        f"{path}: {shown(settings.domain_class)}, and {word} stands in {_place(main, name)} as well; "
        f"write {_CLASSES[name]}, or set {name} without it"
        for name in first
        for word in _referred(main, expanded, name)
        if word in policy.domains
    ]
    ends = {end for domain in (*policy.domains, expanded.get("myhostname", "")) for end in public_suffixes(domain)}
    referred = _referred(main, expanded, "relay_domains")
    problems += [
        f"{path}: {word} stands in {_place(main, 'relay_domains')}: everybody could relay to all domains below it; "
        "set relay_domains without it"
        for word in _words(expanded.get("relay_domains", ""))
        if word.lstrip(".") in ends - {*policy.domains} and (word in referred or "." in word)
    ]
    if problems:
        raise PolicyError(problems)


def _referred(main: Mapping[str, str], expanded: Mapping[str, str], name: str) -> list[str]:
    """The domains of a parameter that do not stand there themselves."""
    literal = _words(main.get(name, ""))
    return [word for word in _words(expanded.get(name, "")) if word not in literal]


def _words(value: str) -> list[str]:
    return list(dict.fromkeys(re.split(r"[\s,]+", value.strip().lower())))


def _place(main: Mapping[str, str], name: str) -> str:
    return f"{name} of main.cf ({shown(main[name])})" if name in main else f"the default of {name}"
