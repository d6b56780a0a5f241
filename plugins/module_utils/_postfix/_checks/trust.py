# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings by which a client may name another client's address, or is not checked: it is internal whenever it likes.

Sources: XCLIENT_README, postconf(5), qmqpd(8). No proof finds these: the sessions of the canary name their client
themselves, and speak SMTP alone.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from .._config.main_cf import MainCf, items
from .._config.master_cf import is_loopback, option_pair
from .._plan.compose import POSTSCREEN_PROXY, SMTPD_PROXY
from .context import Conflict, Context, Finding, PolicyContext, Warn

XCLIENT = "smtpd_authorized_xclient_hosts"
QMQP = "qmqpd_authorized_clients"
PROXIES = (SMTPD_PROXY, POSTSCREEN_PROXY)


def untrusted_hosts(context: PolicyContext) -> Iterator[Finding]:
    """Find what lets a client that is not internal name another client's address, or send to any recipient."""
    inside = [ipaddress.ip_network(str(one)) for one in context.policy.internal]
    main = context.composed.main
    named = [(XCLIENT, *one) for one in _values(context, XCLIENT)]
    named += [(QMQP, *one) for one in _qmqp_clients(context)]
    found = [
        f"{place}: {name} has {host}, which is not in mailhost_internal_networks"
        for name, place, value in dict.fromkeys(named)
        for host in items(value.replace("$mynetworks", " "))
        if not host.startswith("!") and not _is_inside(host, inside, main)
    ]
    if found:
        advice = (
            "these clients can relay: they may claim an internal address (XCLIENT), or are not checked (QMQP); remove "
            "them there, or add them to mailhost_internal_networks"
        )
        yield Conflict("trust", "\n".join([*found, advice]))


def _qmqp_clients(context: Context) -> Iterator[tuple[str, str]]:
    """The clients that may send by QMQP to any recipient, of each qmqpd that others than the host itself can reach."""
    main = context.composed.main
    interfaces = main.words("inet_interfaces", "all")
    shut = bool(interfaces) and all(is_loopback(one) for one in interfaces)
    for service in context.composed.master:
        if service.type != "inet" or service.command != "qmqpd":
            continue
        if is_loopback(service.host) or (shut and not service.host):
            continue
        own = service.options
        place = f"master.cf: {service.name} inet" if QMQP in own else "main.cf"
        yield place, own.get(QMQP, main.get(QMQP, ""))


def proxies(context: Context) -> Iterator[Finding]:
    """Warn of services that take the client's address from the connection's first line."""
    for name in PROXIES:
        for place, value in _values(context, name):
            if value and context.changed:
                yield Warn(
                    f"{place}: {name} = {value}: a client that reaches this port directly can claim an internal "
                    "address; let the packet filter accept the proxy alone"
                )


def soft_bounces(context: Context) -> Iterator[Finding]:
    """Warn of rejects that are deferred instead."""
    for place, value in _values(context, "soft_bounce"):
        if value.lower() == "yes" and context.changed:
            yield Warn(
                f"{place}: soft_bounce = {value}: rejected mail gets 4xx instead of 5xx, and the sender retries for "
                "days; remove it"
            )


def other_instances(context: Context) -> Iterator[Finding]:
    """Warn where Postfix runs in more than one instance (postmulti(1)): this role sees the first alone."""
    named = ", ".join(context.composed.main.words("multi_instance_directories"))
    if named and context.changed:
        yield Warn(
            f"main.cf: multi_instance_directories has {named}: other instances are not checked, and may relay for "
            "external clients; test them by the playbook verify"
        )


def _values(context: Context, name: str) -> Iterator[tuple[str, str]]:
    value = context.composed.main.get(name)
    if value:
        yield "main.cf", value
    for service in context.composed.master:
        for option, words in service.option_words:
            if option == name:
                yield f"master.cf: {service.name} {service.type}", option_pair(words)[1]


def _is_inside(host: str, inside: list[ipaddress.IPv4Network | ipaddress.IPv6Network], main: MainCf) -> bool:
    # Of a reference only that to an empty parameter is no client; a default or a condition may be any.
    if host == "${mynetworks}" or (host.startswith("$") and main.get(host.strip("${}"), "?") == ""):
        return True
    try:
        network = ipaddress.ip_network(re.sub(r"[\[\]]", "", host), strict=False)
    except ValueError:
        return False  # a name or a table: which clients these are is unknown
    if network.is_loopback:
        return True
    return any(
        network.version == one.version and int(one[0]) <= int(network[0]) and int(network[-1]) <= int(one[-1])
        for one in inside
    )
