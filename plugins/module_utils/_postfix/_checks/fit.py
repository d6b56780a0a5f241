# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the policy does not fit what the host does already: told before anything is touched, as mail would be lost.

Private to this collection. Sources: ADDRESS_CLASS_README, postconf(5), master(5).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.domains import is_public_suffix
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError, shown
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.mail import MailPolicy
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.files import read_main, read_master
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.record import Record
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.services import (
    PORTS,
    is_loopback,
    options_of,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.settings import (
    DEFAULTS,
    LOCAL,
    RELAY,
    UNMANAGED,
    VIRTUAL,
    Settings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import Plan

_CLASSES = {
    "mydestination": LOCAL,
    "virtual_mailbox_domains": VIRTUAL,
    "relay_domains": RELAY,
    "virtual_alias_domains": UNMANAGED,
}
"""Parameters of domains, and the class that each is to the policy."""

_LOGIN, _RELAY_RESTRICTIONS = "smtpd_sasl_auth_enable", "smtpd_relay_restrictions"


_RECIPIENTS = {VIRTUAL: "virtual_mailbox_maps", RELAY: "relay_recipient_maps"}
"""Parameters that say which addresses of such domains there are; without one, every address counts as there."""


def restored(live: str, main: str, before: Record, after: Record) -> set[str]:
    """Parameters that get back what stood there before the role. ``live``: main.cf as it is, ``main``: to be."""
    found, wanted = read_main(live), read_main(main)
    return {name for name in {*before.main} - {*after.main} if wanted.get(name) != found.get(name)}


def check_domain_classes(
    main: str, policy: MailPolicy, settings: Settings, path: str, back: Collection[str] = ()
) -> None:
    """Raise PolicyError where a domain of the policy is of another class as well: Postfix takes one of the two.

    ``main``: main.cf with the policy in it. ``path``: the variable to name. ``back``: parameters that get back what
    stood there before the role.
    """
    parameters = read_main(main)
    managed = settings.domain_class != UNMANAGED
    problems = [
        f"{path}: {shown(settings.domain_class)}, and {word} stands in "
        + (
            f"what stood in {name} before this role and would come back; "
            f"write {kind}, or set {name} without it in postfix_extra_settings"
            if name in back
            else f"{name} of main.cf as well; write {kind}, or remove it there"
        )
        for name, kind in _CLASSES.items()
        if managed and kind != settings.domain_class
        for word in re.split(r"[\s,]+", parameters.get(name, "").lower(), flags=re.ASCII)
        if word in policy.domains
    ]
    problems += [
        f"{path}: relay_domains of main.cf has {word}, a registry's domain: everybody could relay to all below it; "
        "remove it there"
        for word in re.split(r"[\s,]+", parameters.get("relay_domains", "").lower(), flags=re.ASCII)
        if is_public_suffix(word) and word not in policy.domains
    ]
    if problems:
        raise PolicyError(problems)


def check_recipient_maps(main: str, policy: MailPolicy, settings: Settings, path: str) -> list[str]:
    """Warn, or raise PolicyError, where mail to addresses that nobody has is taken, and bounced to whom it names.

    ``main`` and ``path`` as above. Restrictions of the site may refuse such mail, and at the border relaying to hosts
    that know their users is usual: there it is a warning.
    """
    name = _RECIPIENTS.get(settings.domain_class)
    added = settings.extra_restrictions.get("recipient", ())
    if name is None or not policy.domains or read_main(main).get(name) or "reject_unverified_recipient" in added:
        return []
    told = f"{path}: {shown(settings.domain_class)}, and main.cf has no {name}: every address "
    if settings.domain_class == VIRTUAL and not added:
        raise PolicyError([f"{told}would be taken and bounced later; set it, or write local"])
    return [f"{told}is taken and bounced later, unless something else refuses it; set it, as by postfix_extra_settings"]


def replaced_settings(
    site: Mapping[str, str], plan: Plan, record: Record, defaults: Mapping[str, str], master: str = ""
) -> dict[str, tuple[str, ...]]:
    """What a first run would replace that users or neighbours live by, by parameter.

    ``site``: main.cf without us. ``defaults``: values of DEFAULTED in the live files, as Postfix reads them.
    ``master``: master.cf.
    """
    found: dict[str, tuple[str, ...]] = {}
    if "mynetworks" not in site and "mynetworks" not in record.main:
        style = site.get("mynetworks_style", "")
        if not style and defaults.get("mynetworks_style", "host") != "host":
            style = f"{defaults['mynetworks_style']}, by the low compatibility_level; host trusts no neighbours"
        if style not in ("host", ""):
            found["mynetworks_style"] = (style,)
    for name, usual, given in (
        ("smtpd_sender_login_maps", "", ""),
        ("smtpd_sasl_type", "dovecot", _type_of_logins(site, master)),
    ):
        value = site.get(name, given)
        if name in plan.main and name not in record.main and value not in (usual, plan.main[name]):
            found[name] = (value,)
    found.update(_socket(site, plan, record))
    return found


def _type_of_logins(site: Mapping[str, str], master: str) -> str:
    """Who sets up logins and says not by what has those of Cyrus SASL."""
    services = [options_of(service.arguments) for service in read_master(master)]
    logins = any(one.get(_LOGIN, "").lower() == "yes" for one in (site, *services) if "smtpd_sasl_type" not in one)
    return "cyrus" if logins or "smtpd_sasl_path" in site else "dovecot"


def relayed_by_default(site: Mapping[str, str], record: Record, defaults: Mapping[str, str]) -> list[str]:
    """A remark where mail for all domains below those of the host was taken, which ends. Arguments as above."""
    value = defaults.get("relay_domains", "")
    if not value or "relay_domains" in site or "relay_domains" in record.main:
        return []
    told = "mail for domains below these was taken, and is no longer; where some are to stay, set it in main.cf"
    return [f"relay_domains is {shown(value)} by the low compatibility_level: {told}"]


def _socket(site: Mapping[str, str], plan: Plan, record: Record) -> dict[str, tuple[str, ...]]:
    """The socket of the site's Dovecot, where the inventory names none and the usual one is another."""
    name, usual = "smtpd_sasl_path", DEFAULTS["sasl_path"]
    if name in record.main or plan.main.get(name) != usual or site.get("smtpd_sasl_type") != "dovecot":
        return {}
    path = site.get(name, usual)
    path = path[len("unix:") :] if path.startswith("unix:") else path
    queue = site.get("queue_directory", "/var/spool/postfix")
    path = re.sub(r"^\$(?:queue_directory\b|\{queue_directory\}|\(queue_directory\))", lambda _reference: queue, path)
    return {} if path in (usual, f"{queue}/{usual}") else {name: (path,)}


def foreign_submission(master: str, settings: Settings, site: Mapping[str, str]) -> list[str]:
    """Remarks on services of the site's own where users log in and what they need for it came from main.cf.

    ``site``: main.cf without us. Who comes from the loopback address needs no login.
    """
    managed = (25, 465, 587) if settings.submission else (25,)
    inherited = site.get(_LOGIN, "no")
    found = []
    for service in read_master(master):
        address, _colon, port = service.name.rpartition(":")
        foreign = service.type == "inet" and service.command == "smtpd" and PORTS.get(port) not in managed
        options = options_of(service.arguments)
        if not foreign or is_loopback(address) or options.get(_LOGIN, inherited).lower() != "yes":
            continue
        place = f"master.cf: {service.name} {service.type} is the site's own and says nothing of"
        if _LOGIN not in options:
            found.append(f"{place} {_LOGIN}, which is no in main.cf now; nobody can log in there any more")
        elif _RELAY_RESTRICTIONS not in options:
            found.append(f"{place} {_RELAY_RESTRICTIONS}; who logs in there cannot send to others any more")
    return found
