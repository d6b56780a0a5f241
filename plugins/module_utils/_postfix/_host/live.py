# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what is live on the host.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.facts import DEFAULTED, PostfixFacts
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.lines import FileError
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.live import (
    Live,
    cleanup_options,
    has_postscreen,
    in_chroot,
    site_settings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.main_cf import MainCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.master_cf import MasterCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.record import RecordError, load_record
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

Parsed = TypeVar("Parsed")


def read_live(product: Postfix) -> Live:
    """Read what is on the host. Raises StepError, OSError."""
    try:
        record = load_record(read_file(RECORD))
    except RecordError as error:
        raise StepError("read", f"{RECORD} cannot be read: {error}; it has the managed settings") from error
    main, master = _parse(MainCf, product.main_cf), _parse(MasterCf, product.master_cf)
    facts = PostfixFacts(
        parameters=ask_parameters(),
        map_types=ask_words("-m"),
        sasl_types=ask_words("-a"),
        chroot=in_chroot(master),
        site=site_settings(main, record),
        postscreen=has_postscreen(master, record),
        cleanup=cleanup_options(master),
    )
    return Live(main, master, record, facts, ask_postconf(product.folder, DEFAULTED))


def _parse(read: Callable[[str], Parsed], path: str) -> Parsed:
    try:
        return read(decode(read_file(path) or b""))
    except FileError as error:
        raise StepError("read", f"{path}: {error}") from error
