# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live files of a Postfix as texts, with what is known of the host.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.facts import DEFAULTED, PostfixFacts
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.files import (
    FileError,
    folded,
    read_main,
    read_master,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.record import (
    Record,
    RecordError,
    load_record,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.services import (
    SITE_CLEANUP,
    options_of,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host.product import (
    Postfix,
    ask_parameters,
    ask_words,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host.staging import ask_postconf
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.command import StepError
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.files import decode, read_file

STATE = "/var/lib/mailhost-hardening/postfix"
RECORD = f"{STATE}/record.json"


class Live(NamedTuple):
    """Texts of main.cf and master.cf, the record of what is ours in them, and the facts.

    ``defaults``: what Postfix takes where main.cf says nothing, as far as that depends on compatibility_level.
    """

    main: str
    master: str
    record: Record
    facts: PostfixFacts
    defaults: Mapping[str, str] = MappingProxyType({})


def read_live(product: Postfix) -> Live:
    """Read what is on the host. Raises StepError, OSError."""
    main, master = (decode(read_file(path) or b"") for path in (product.main_cf, product.master_cf))
    try:
        record = load_record(read_file(RECORD))
    except RecordError as error:
        raise StepError("read", f"{RECORD} cannot be read: {error}; it says which settings are ours") from error
    for path, read, text in ((product.main_cf, read_main, main), (product.master_cf, read_master, master)):
        try:
            read(text)
        except FileError as error:
            raise StepError("read", f"{path}: {error}") from error
    facts = PostfixFacts(
        parameters=ask_parameters(),
        map_types=ask_words("-m"),
        sasl_types=ask_words("-a"),
        chroot=_in_jail(master),
        site=site_settings(main, record),
        postscreen=has_postscreen(master, record),
        cleanup=_cleanup_options(master),
    )
    return Live(main, master, record, facts, ask_postconf(product.folder, DEFAULTED))


def site_settings(main: str, record: Record) -> Mapping[str, str]:
    """What main.cf would set without us; what somebody has changed since is his."""
    site = read_main(main)
    for name, owned in record.main.items():
        if site.get(name, "") != folded(owned.managed or ""):
            continue
        site.pop(name, None)
        if owned.before is not None:
            site.update(read_main(owned.before))
    return site


def _in_jail(master: str) -> bool:
    """Whether the smtpd of port 25 runs in the queue directory."""
    servers = [one for one in read_master(master) if one.command == "smtpd"]
    first = [one for one in servers if one.name.rpartition(":")[2] in ("smtp", "25", "smtpd")] or servers
    return bool(first) and first[0].columns[4] == "y"


def _cleanup_options(master: str) -> dict[str, str]:
    return {
        name: value
        for one in read_master(master)
        if (one.name, one.type) == SITE_CLEANUP
        for name, value in options_of(one.arguments).items()
    }


def has_postscreen(master: str, record: Record) -> bool:
    """Whether the site has postscreen at port 25 without us."""
    managed = record.services.get(("smtp", "inet"))
    text = master if managed is None else (managed.before or "")
    return any(
        one.type == "inet" and one.name in ("smtp", "25") and one.command == "postscreen" for one in read_master(text)
    )
