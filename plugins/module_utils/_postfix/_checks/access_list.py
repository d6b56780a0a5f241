# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a site's postscreen_access_list permits and rejects, read from its tables where they can be read.

Sources: postconf(5), POSTSCREEN_README, cidr_table(5). Tables other than cidr are asked for whole addresses alone.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ..._policy.networks import LOOPBACK
from .context import PolicyContext
from .networks import IPNetwork, within, without
from .restrictions import restrictions_of
from .tables import LISTED

PERMIT, REJECT, DUNNO = "permit", "reject", "dunno"

_INTERNAL = "permit_mynetworks"
_CIDR = re.compile(r"(?:proxy:)?cidr:(/.*)")
_INLINE = re.compile(r"inline:\s*\{(.*)\}", re.DOTALL)
_PAIR = re.compile(r"\{\s*([^\s={}]+)\s*=\s*([^{}]*?)\s*\}|([^\s,={}]+)\s*=\s*([^\s,{}]+)")

LONGEST = 64
"""Networks of each kind that are printed; longer lists are better kept in files."""


class AccessList(NamedTuple):
    """Networks that are permitted and rejected, none of them twice, and entries that cannot be read."""

    permitted: tuple[str, ...] = ()
    rejected: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def read_access_list(value: str, context: PolicyContext) -> AccessList:
    """Return what a list decides that the policy does not, as its first match counts.

    Behind an entry that cannot be read nothing is certain. A table that the inventory has among its restrictions of
    clients is kept there.
    """
    policy, kept = context.policy, context.settings.extra_restrictions.get("client", ())
    found: dict[str, list[IPNetwork]] = {PERMIT: [], REJECT: []}
    decided: list[IPNetwork] = []
    entries = [one for one in restrictions_of(value) if f"check_client_access {one}" not in kept]
    unread: list[str] = []
    for index, entry in enumerate(entries):
        if entry.lower() == _INTERNAL:
            decided += [ipaddress.ip_network(str(one)) for one in (*policy.internal, *LOOPBACK)]
            continue
        if entry.lower() in (PERMIT, DUNNO):
            # The end: clients that nothing else speaks of are tested, or are not.
            unread = [entry] if entry.lower() == PERMIT else []
            break
        rows = _rows(entry, context)
        if rows is None:
            unread = [one for one in entries[index:] if one.lower() not in (_INTERNAL, DUNNO)]
            break
        for network, action in rows:
            found.get(action, []).extend(_rest(network, decided))
            decided.append(network)
    networks = {
        PERMIT: [ipaddress.ip_network(str(one)) for one in (*policy.exempt, *policy.internal)],
        REJECT: [ipaddress.ip_network(str(one)) for one in policy.blocked],
    }
    permitted, rejected = (
        tuple(str(one) for network in found[kind] for one in _rest(network, networks[kind]))
        for kind in (PERMIT, REJECT)
    )
    if max(len(permitted), len(rejected)) > LONGEST:
        return AccessList(unread=tuple(one for one in entries if one.lower() not in (_INTERNAL, DUNNO)))
    return AccessList(permitted, rejected, tuple(unread))


def _rest(network: IPNetwork, known: Sequence[IPNetwork]) -> list[IPNetwork]:
    return [] if any(within(network, one) for one in known) else without(network, known)


def _rows(entry: str, context: PolicyContext) -> list[tuple[IPNetwork, str]] | None:
    """The networks of a table with their actions; None where it cannot be read, or has what is none."""
    listed, inline, cidr = LISTED.fullmatch(entry), _INLINE.fullmatch(entry), _CIDR.fullmatch(entry)
    if listed:
        pairs = list(context.host.table_entries(listed[1])) or None
    elif inline:
        pairs = [(match[1] or match[3], match[2] or match[4]) for match in _PAIR.finditer(inline[1])] or None
    else:
        text = context.host.table_text(cidr[1]) if cidr else None
        pairs = None if text is None else list(_lines(text))
    if pairs is None:
        return None
    rows = []
    for key, action in pairs:
        try:
            network = ipaddress.ip_network(key)
        except ValueError:
            return None
        if action.lower() not in (PERMIT, REJECT, DUNNO) or not (cidr or network.num_addresses == 1):
            return None
        rows.append((network, action.lower()))
    return rows


def _lines(text: str) -> Iterator[tuple[str, str]]:
    """Patterns and results of a cidr table; a line that begins with a blank goes on with the one before."""
    logical: list[str] = []
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0].isspace() and logical:
            logical[-1] += f" {line.strip()}"
        else:
            logical.append(line.strip())
    for line in logical:
        pattern, *result = line.split(None, 1)
        yield pattern, "".join(result)
