# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything of a host that decides about a packet, as text that a replica in a namespace is made from.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from . import loader

LARGEST = 4096
"""Members of a set that a replica has; those that are tried are among them."""
INTERFACES = 16
HOST_SCOPE = "-i lo -j ACCEPT"
"""The first rule of the managed chain of INPUT, where it decides about all packets; else it returns them."""
COMPATIBLE = ("filter", "nat", "mangle", "raw", "security")
"""Tables of iptables-nft, which iptables-nft-save shows; every other table is native."""
_INCOMPATIBLE = re.compile(r"^# Table `(.*)' is incompatible", re.MULTILINE)


class Interface(NamedTuple):
    """A network interface: name, and its addresses with their prefix lengths."""

    name: str
    addresses: tuple[tuple[str, int], ...]


class Snapshot(NamedTuple):
    """A host's interfaces, sets, tables of iptables by family and variant, and native tables of nftables by name.

    ``truncated``: sets of which only LARGEST members are here. ``gaps``: what could not be read, one sentence each.
    """

    interfaces: tuple[Interface, ...]
    sets: str
    tables: Mapping[tuple[str, str], str]
    native: Mapping[str, str]
    truncated: frozenset[str]
    gaps: tuple[str, ...]


def take_snapshot() -> Snapshot:
    """Read this host. Raises LoadError where iptables cannot be read."""
    gaps: list[str] = []
    sets, truncated = shorten_sets(loader.run(["ipset", "save"]) if loader.ipset_is_installed() else "")
    tables = {}
    for family in loader.FAMILIES:
        if family == "ipv6" and not loader.kernel_has_ipv6():
            continue
        for backend in loader.BACKENDS:
            text = _tables(family, backend)
            gaps += [
                f"table {name} of {family} holds native nftables rules beside those of iptables, which cannot be copied"
                for name in _INCOMPATIBLE.findall(text)
            ]
            tables[family, backend] = text
    native, unreadable = _native_tables()
    return Snapshot(_interfaces(), sets, tables, native, truncated, (*gaps, *unreadable))


def has_host_scope(snapshot: Snapshot) -> bool:
    """Whether the managed rules of a host decide about all of its packets."""
    return any(f"-A {loader.IN} {HOST_SCOPE}\n" in text for text in snapshot.tables.values())


def shorten_sets(text: str) -> tuple[str, frozenset[str]]:
    """Return a text of ipset with at most LARGEST members of each set, and the names of those that had more."""
    lines: list[str] = []
    counts: dict[str, int] = {}
    truncated = set()
    for line in text.splitlines():
        name = line.split(" ", 2)[1]
        if line.startswith("add "):
            counts[name] = counts.get(name, 0) + 1
            if counts[name] > LARGEST:
                truncated.add(name)
                continue
        lines.append(line)
    return "".join(f"{line}\n" for line in lines), frozenset(truncated)


def _tables(family: str, backend: str) -> str:
    names = f"/proc/net/{loader.FAMILIES[family].replace('tables', '_tables')}_names"
    if backend == "legacy" and not loader.read_text(names).split():
        return ""  # iptables-legacy-save would make a table, and other programs would warn of it
    program = loader.command(family, backend, "save")
    if not _is_installed(program):
        return ""  # a host without this variant
    return loader.run([program])


def _native_tables() -> tuple[dict[str, str], list[str]]:
    if not _is_installed("nft"):
        return {}, []  # so no table that it has made
    names = [line.split()[1:] for line in loader.run(["nft", "list", "tables"]).splitlines()]
    found, gaps = {}, []
    for family, name in names:
        if family in ("ip", "ip6") and name in COMPATIBLE:
            continue
        try:
            found[f"{family} {name}"] = loader.run(["nft", "-s", "list", "table", family, name])
        except loader.LoadError as error:
            gaps.append(f"table {name} of nftables family {family} cannot be read: {error}")
    return found, gaps


def _is_installed(program: str) -> bool:
    return shutil.which(program, path=loader.ENVIRONMENT["PATH"]) is not None


def _interfaces() -> tuple[Interface, ...]:
    """Interfaces with addresses, the one with the default route first."""
    listed = json.loads(loader.run(["ip", "-json", "address", "show", "up"]) or "[]")
    found = []
    for raw in listed:
        if not raw or raw.get("ifname") == "lo":
            continue
        addresses = [
            (str(one["local"]), int(one["prefixlen"]))
            for one in raw.get("addr_info", ())
            if "local" in one and not str(one["local"]).startswith("fe80:")
        ]
        found.append(Interface(str(raw["ifname"]), tuple(addresses)))
    default = _default_interfaces()
    return tuple(sorted(found, key=lambda one: (one.name not in default, not one.addresses))[:INTERFACES])


def _default_interfaces() -> Sequence[str]:
    names = []
    for family in ("-4", "-6"):
        with contextlib.suppress(loader.LoadError, ValueError):
            routes = json.loads(loader.run(["ip", family, "-json", "route", "show", "default"]) or "[]")
            names += [str(route["dev"]) for route in routes if "dev" in route]
    return names


def sysctl(path: str, value: str) -> None:
    """Set a setting of the calling process's network namespace, where /proc lets it."""
    with contextlib.suppress(OSError), open(os.path.join("/proc/sys/net", path), "w", encoding="ascii") as file:
        file.write(value)
