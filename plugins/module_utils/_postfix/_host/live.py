# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what is live on the host.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..._transaction.command import StepError
from ..._transaction.files import decode, read_file
from .._config.facts import DEFAULTED, PostfixFacts
from .._config.lines import FileError
from .._config.live import Live, cleanup_options, has_postscreen, in_chroot, site_settings
from .._config.main_cf import MainCf
from .._config.master_cf import MasterCf
from .._config.record import RecordError, load_record
from .product import Postfix, ask_parameters, ask_words
from .staging import ask_postconf

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
