# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of a site by which a client may say who it is, or is not asked: whoever can do so is inside when he likes.

Private to this collection. Sources: XCLIENT_README, postconf(5), qmqpd(8). No dialogue finds these: the one who asks is
himself somebody who may say who he is, and knows SMTP alone.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable, Iterator

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.networks import Network
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.files import read_main, read_master
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.services import (
    is_loopback,
    option_pair,
    options_of,
    read_options,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.compose import (
    POSTSCREEN_PROXY,
    SMTPD_PROXY,
)

XCLIENT = "smtpd_authorized_xclient_hosts"
QMQP = "qmqpd_authorized_clients"
PROXIES = (SMTPD_PROXY, POSTSCREEN_PROXY)


def untrusted_hosts(main: str, master: str, internal: Iterable[Network]) -> list[str]:
    """What lets somebody who is not inside name another client's address, or send to anybody, each with its place."""
    inside = [ipaddress.ip_network(str(one)) for one in internal]
    parameters = read_main(main)
    found = []
    named = [(XCLIENT, *one) for one in _values(main, master, XCLIENT)]
    named += [(QMQP, *one) for one in _qmqp_clients(parameters, master)]
    for name, place, value in dict.fromkeys(named):
        for host in re.split(r"[\s,]+", value.replace("$mynetworks", " "), flags=re.ASCII):
            if host and not host.startswith("!") and not _is_inside(host, inside, parameters):
                found.append(f"{place}: {name} has {host}, which is not inside by mailhost_internal_networks")
    return found


def _qmqp_clients(main: dict[str, str], master: str) -> Iterator[tuple[str, str]]:
    """Who may send by QMQP to anybody, for each qmqpd to which others than the host itself can come."""
    interfaces = main.get("inet_interfaces", "all").replace(",", " ").split()
    shut = bool(interfaces) and all(is_loopback(one) for one in interfaces)
    for service in read_master(master):
        host = service.name.rpartition(":")[0]
        if service.type != "inet" or os.path.basename(service.columns[7]) != "qmqpd":
            continue
        if is_loopback(host) or (shut and not host):
            continue
        own = options_of(service.arguments)
        place = f"master.cf: {service.name} inet" if QMQP in own else "main.cf"
        yield place, own.get(QMQP, main.get(QMQP, ""))


def proxies(main: str, master: str) -> list[str]:
    """Remarks on services that take the client's address from whoever connects."""
    return [
        f"{place}: {name} = {value}: whoever reaches this port directly can say that he is inside; let the packet "
        "filter admit the proxy alone"
        for name in PROXIES
        for place, value in _values(main, master, name)
        if value
    ]


def soft_bounces(main: str, master: str) -> list[str]:
    """Remarks on refusals that are none."""
    return [
        f"{place}: soft_bounce = {value}: who is refused gets 4xx instead of 5xx, and tries again for days; remove it"
        for place, value in _values(main, master, "soft_bounce")
        if value.lower() == "yes"
    ]


def other_instances(main: str) -> list[str]:
    """A remark where Postfix runs in more than one instance (postmulti(1)): this role sees the first alone."""
    folders = re.split(r"[\s,]+", read_main(main).get("multi_instance_directories", ""), flags=re.ASCII)
    named = ", ".join(filter(None, folders))
    told = "other instances are not looked at, and may relay for anybody; ask them by the playbook verify"
    return [f"main.cf: multi_instance_directories has {named}: {told}"] if named else []


def _values(main: str, master: str, name: str) -> Iterator[tuple[str, str]]:
    value = read_main(main).get(name)
    if value:
        yield "main.cf", value
    for service in read_master(master):
        for option, words in read_options(service.arguments):
            if option == name:
                yield f"master.cf: {service.name} {service.type}", option_pair(words)[1]


def _is_inside(host: str, inside: list[ipaddress.IPv4Network | ipaddress.IPv6Network], main: dict[str, str]) -> bool:
    # Of a reference only that to an empty parameter is nobody; a default or a condition may be anybody.
    if host == "${mynetworks}" or (host.startswith("$") and main.get(host.strip("${}"), "?") == ""):
        return True
    try:
        network = ipaddress.ip_network(re.sub(r"[\[\]]", "", host), strict=False)
    except ValueError:
        return False  # a name or a table: nobody can tell who that is
    if network.is_loopback:
        return True
    return any(
        network.version == one.version and int(one[0]) <= int(network[0]) and int(network[-1]) <= int(one[-1])
        for one in inside
    )
