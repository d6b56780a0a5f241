# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where an external client may enter by unmanaged services, rewrite rules of domain literals, and entries.

The sessions that follow from the policy know nothing of these, so they are looked for in the files: each gives further
sessions to evaluate.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, NamedTuple

from .._sessions.relay_forms import EXTERNAL_SENDER
from ._evaluator.mapping_match import Subject, TooCostlyError, match
from ._formats.mapping import Pair
from ._formats.mapping_pattern import Pattern, compile_pattern
from ._formats.tables import ORIG_SEND_ACCESS, send_probe
from ._formats.text import fold
from .settings import Extra, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._formats.dispatcher import DispatcherFile
    from ._formats.imta import ImtaFile

_FILL = ("77", "77", "77")
"""Part of a literal pattern that a rule leaves open is filled with these."""

MOST = 200
"""Rules and entries that are looked at; an installation with more has other troubles."""

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9]+(?:\.[0-9]+){3}\]")

WILDCARD = re.compile(r"\$\[[^\]]*\][*%]|\$_?@?[A-Za-z][*%]|\$_[*%]|[*%]")


class Service(NamedTuple):
    """A port of the Dispatcher that external clients reach: its first channel, and whether it begins with TLS."""

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
        for option, tls in (("PORT", False), ("TLS_PORT", True)):
            for value in dispatcher.values(name, option):
                ports = [part for part in map(str.strip, value.split(",")) if part.isdecimal() and len(part) < 6]
                found += [Service(name, int(port), dispatcher.channel_of(name), tls) for port in ports]
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
            found[written(ipaddress.ip_address(text))] = None
        except ValueError:
            continue
    return tuple(found)[:MOST]


def written(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """An address as a session has it: an IPv4 client is one of IPv4, however a rule or a table spells it."""
    return str(getattr(address, "ipv4_mapped", None) or address)


def inner_hosts(imta: ImtaFile, local: str) -> tuple[str, ...]:
    """Official host names without a dot, which are names of channels alone: no external client needs them."""
    others = [one for one in imta.channels if one.hosts and fold(one.name) != fold(local)]
    return tuple(one.hosts[0] for one in others if "." not in one.hosts[0])[:MOST]


def outer_hosts(imta: ImtaFile, domains: Iterable[str], settings: Settings) -> tuple[str, ...]:
    """Hosts that a rewrite rule takes, and for which external clients may not relay wherever it leads.

    Left out is what the policy names, what an extra entry decides, and, where the policy names no domains,
    what goes to the internal channel.
    """
    own = {fold(domain) for domain in domains}
    inner = imta.channel(settings.channels.internal)
    inside = {fold(host) for host in inner.hosts} if inner and not own else set()
    named = {fold(host) for channel in imta.channels for host in channel.hosts}
    decided = [compile_pattern(one[0]) for one in settings.extra_entries.get(ORIG_SEND_ACCESS, Extra()).before]
    found: dict[str, bool] = {}
    for rule in imta.rules:
        host = _host_of(rule.pattern)
        system = rule.template.rpartition("@")[2]
        if not host or fold(host) in own | named or fold(system) in inside or (not own and "$" in system):
            continue
        target = imta.channel_of_host(system)
        name = target.name if target else settings.channels.external
        probe = send_probe(settings.channels.external, EXTERNAL_SENDER, name, f"victim@{host}")
        if not any(_matches(pattern, probe) for pattern in decided):
            found[host] = fold(name) == fold(settings.channels.external)
    # Those that go elsewhere first: an included list of top-level domains has more than are looked at.
    return tuple(sorted(found, key=found.__getitem__))[:MOST]


def _matches(pattern: Pattern, probe: str) -> bool:
    try:
        return match(pattern, Subject(probe)) is not None
    except TooCostlyError:
        return False


def _host_of(pattern: str) -> str:
    """A host that a rule's pattern takes; empty for those that take every host, and where it cannot be said."""
    if pattern.startswith("."):
        pattern = f"any{pattern}" if len(pattern) > 1 else ""
    elif pattern.startswith("[") and pattern.endswith(".]"):
        octets = pattern[1:-2].split(".")
        pattern = f"[{'.'.join([*octets, *_FILL][:4])}]"
    return pattern if _HOST.fullmatch(pattern) else ""


def senders_of_entries(entries: Iterable[Pair], external: str) -> tuple[str, ...]:
    """Senders that extra entries accept from and to the external channel, however they are meant."""
    found: dict[str, None] = {}
    for pattern, _template in entries:
        fields = [WILDCARD.sub("x", field) for field in pattern.split("|")]
        if len(fields) < 4 or fold(fields[-4]) not in {fold(external), "x", "tcp_x"}:
            continue
        sender = fields[-3] if "@" in fields[-3] else f"x@{fields[-3]}"
        if re.fullmatch(r"[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+", sender) and sender != "x@x":
            found[sender] = None
    return tuple(found)[:MOST]
