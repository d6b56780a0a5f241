# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is live on a host: its files with the record of what is managed in them, and what follows from them.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from .facts import PostfixFacts
from .lines import folded
from .main_cf import MainCf
from .master_cf import SITE_CLEANUP, MasterCf
from .record import Record


class Live(NamedTuple):
    """The files, the record, and the facts.

    ``defaults``: what Postfix takes where main.cf says nothing, as far as that depends on compatibility_level.
    """

    main: MainCf
    master: MasterCf
    record: Record
    facts: PostfixFacts
    defaults: Mapping[str, str] = MappingProxyType({})


def site_settings(main: MainCf, record: Record) -> dict[str, str]:
    """What main.cf would set without the managed parameters; one that was edited since counts as unmanaged."""
    site = dict(main)
    for name, owned in record.main.items():
        if site.get(name, "") != folded(owned.managed or ""):
            continue
        site.pop(name, None)
        if owned.before is not None:
            site.update(MainCf(owned.before))
    return site


def has_postscreen(master: MasterCf, record: Record) -> bool:
    """Whether the unmanaged service at port 25 is postscreen."""
    managed = record.services.get(("smtp", "inet"))
    services = master if managed is None else MasterCf(managed.before or "")
    return any(one.type == "inet" and one.name in ("smtp", "25") and one.command == "postscreen" for one in services)


def in_chroot(master: MasterCf) -> bool:
    """Whether the smtpd of port 25 runs in the queue directory."""
    servers = [one for one in master if one.command == "smtpd"]
    first = [one for one in servers if one.name.rpartition(":")[2] in ("smtp", "25", "smtpd")] or servers
    return bool(first) and first[0].columns[4] == "y"


def cleanup_options(master: MasterCf) -> dict[str, str]:
    """What master.cf sets for the unmanaged cleanup beyond main.cf."""
    found: dict[str, str] = {}
    for one in master:
        if one.place == SITE_CLEANUP:
            found.update(one.options)
    return found
