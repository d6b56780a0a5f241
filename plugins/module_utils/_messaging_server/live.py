# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live files of an installed Messaging Server as texts, with what they include and what they say of the host.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import NamedTuple

from .._transaction.command import StepError
from .._transaction.files import decode, read_file
from ._formats.imta import parse_imta
from ._formats.mapping import parse_mappings
from ._formats.option_file import as_integer, parse_options
from .compose import Texts
from .product import DISPATCHER_CNF, GENERAL_TXT, IMTA_CNF, MAPPINGS, OPTION_DAT, Product
from .record import Record, RecordError, load_record

STATE = "/var/lib/mailhost-hardening/messaging-server"
RECORD = f"{STATE}/record.json"

TEXT_FILES = {"imta_cnf": IMTA_CNF, "mappings": MAPPINGS, "dispatcher_cnf": DISPATCHER_CNF, "general": GENERAL_TXT}
"""The file of the product for each text."""

TEXT_DATABASES = "USE_TEXT_DATABASES"
"""Bit 0 of this option says that the general database is a text file."""

ACCESS_ERRORS = "ACCESS_ERRORS"


class Live(NamedTuple):
    """Texts, whether there is a general.txt, the texts of included files by their name, options, and the record."""

    texts: Texts
    has_general: bool
    includes: dict[str, str]
    options: dict[str, str]
    record: Record

    @property
    def text_database(self) -> bool:
        """Whether keys of general.txt are looked at."""
        return bool(self.number(TEXT_DATABASES) & 1)

    def number(self, option: str) -> int:
        """Return the value of a numeric option of option.dat; 0 where it is not set or no number."""
        return as_integer(self.options.get(option, "")) or 0


def read_live(product: Product) -> Live:
    """Read what is on the host. Raises StepError, OSError."""
    found = {field: read_file(product.files[part]) for field, part in TEXT_FILES.items()}
    for field in ("imta_cnf", "mappings", "dispatcher_cnf"):
        if found[field] is None:
            raise StepError("read", f"{product.files[TEXT_FILES[field]]} does not exist")
    texts = Texts(**{field: decode(content or b"") for field, content in found.items()})
    try:
        record = load_record(read_file(RECORD))
    except RecordError as error:
        raise StepError("read", f"{RECORD} cannot be read: {error}; it has the managed entries") from error
    return Live(
        texts,
        found["general"] is not None,
        _includes(texts, product),
        parse_options(decode(read_file(product.files[OPTION_DAT]) or b"")),
        record,
    )


def _includes(texts: Texts, product: Product) -> dict[str, str]:
    """Included files by the name after ``<``, also those that they include; a file that is not there is left out."""
    known: dict[str, str] = {}
    while True:
        missing = {*parse_mappings(texts.mappings, includes=known).missing}
        missing.update(parse_imta(texts.imta_cnf, includes=known).missing)
        found = {}
        for name in sorted(missing):
            path = product.include_path(name)
            content = read_file(path) if path else None
            if content is not None:
                found[name] = decode(content)
        if not found:
            return known
        known.update(found)
