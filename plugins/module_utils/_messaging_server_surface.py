# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a stranger may come in by what an installation has of its own: services, literal rules, entries of the site.

Private to this collection. The sessions that follow from the policy know nothing of these, so they are looked for in
the files: each gives further sessions to evaluate.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.mailhost.hardening.plugins.module_utils._mta_text import fold

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ansible_collections.mailhost.hardening.plugins.module_utils._dispatcher_file import DispatcherFile
    from ansible_collections.mailhost.hardening.plugins.module_utils._imta_file import ImtaFile

DEFAULT_CHANNEL = "tcp_local"
_CHANNEL = "channel="

#: Part of a literal pattern that a rule leaves open is filled with these.
_FILL = ("77", "77", "77")

#: Rules and entries that are looked at; an installation with more has other troubles.
MOST = 200

_WILD = re.compile(r"\$\[[^\]]*\][*%]|\$_?@?[A-Za-z][*%]|\$_[*%]|[*%]")


class Service(NamedTuple):
    """A port of the Dispatcher that strangers can reach: the channel it begins on, and whether it begins with TLS."""

    name: str
    port: int
    channel: str
    tls: bool


def services_of(dispatcher: DispatcherFile) -> tuple[Service, ...]:
    """All services with an SMTP image that listen on more than the loopback address."""
    found = []
    for name in dispatcher.services:
        images = dispatcher.values(name, "IMAGE")
        if images and "smtp" not in fold(images[-1]):
            continue
        if any(_loopback(address) for address in dispatcher.values(name, "INTERFACE_ADDRESS")):
            continue
        parameters = dispatcher.values(name, "PARAMETER")
        channels = [value[len(_CHANNEL) :] for value in parameters if fold(value).startswith(_CHANNEL)]
        for option, tls in (("PORT", False), ("TLS_PORT", True)):
            for value in dispatcher.values(name, option):
                ports = [part.strip() for part in value.split(",") if part.strip().isdigit()]
                found += [Service(name, int(port), (channels or [DEFAULT_CHANNEL])[0], tls) for port in ports]
    return tuple(one for one in found if 0 < one.port < 65536)


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


def literal_clients(imta: ImtaFile) -> tuple[str, ...]:
    """A client for each rewrite rule of a domain literal, as ``[192.0.2.]``, which comes before the rule ``[]``."""
    found: dict[str, None] = {}
    for rule in imta.rules:
        if not rule.pattern.startswith("[") or not rule.pattern.endswith("]") or len(rule.pattern) < 3:
            continue
        inner = rule.pattern[1:-1]
        parts = [part for part in inner.split(".") if part]
        text = inner if not inner.endswith(".") else ".".join([*parts, *_FILL][:4])
        text = re.sub("(?i)^ipv6:", "", text)
        try:
            found[str(ipaddress.ip_address(text))] = None
        except ValueError:
            continue
    return tuple(found)[:MOST]


def inner_hosts(imta: ImtaFile, local: str) -> tuple[str, ...]:
    """Official host names that are names of channels alone, without a dot: nobody outside has a reason to use them."""
    others = [one for one in imta.channels if one.hosts and fold(one.name) != fold(local)]
    return tuple(one.hosts[0] for one in others if "." not in one.hosts[0])[:MOST]


def senders_of_entries(entries: Iterable[tuple[str, str]], external: str) -> tuple[str, ...]:
    """Senders whom entries of the site's own let pass from outside to outside, however they are meant."""
    found: dict[str, None] = {}
    for pattern, _template in entries:
        fields = [_WILD.sub("x", field) for field in pattern.split("|")]
        if len(fields) < 4 or fold(fields[-4]) not in {fold(external), "x", "tcp_x"}:
            continue
        sender = fields[-3] if "@" in fields[-3] else f"x@{fields[-3]}"
        if re.fullmatch(r"[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+", sender) and sender != "x@x":
            found[sender] = None
    return tuple(found)[:MOST]
