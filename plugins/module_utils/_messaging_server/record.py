# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the collection has put into Messaging Server's files, and what stood there before.

It lets a later run distinguish managed entries from unmanaged ones, and lets ``messaging_server_state: absent`` remove
exactly the managed ones. It lives on the host, as JSON.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from .._policy.errors import ReportedError
from ._formats.mapping import Pair

VERSION = 1


class RecordError(ReportedError):
    """A record that cannot be read."""


class OwnedTable(NamedTuple):
    """Entries of a table: those found when it was first taken over (None: there was none), and the managed ones.

    ``lines`` are the former entries as they were written, ``notes`` the comments among them, each with the number of
    entries before it.
    """

    before: tuple[Pair, ...] | None
    managed: tuple[Pair, ...]
    lines: tuple[str, ...] = ()
    notes: tuple[tuple[int, str], ...] = ()


class OwnedWords(NamedTuple):
    """A keyword with its arguments, or the values of an option: what stood there before, and what is managed there."""

    before: tuple[str, ...] | None
    managed: tuple[str, ...]


class Record(NamedTuple):
    """Everything that is managed, by its place.

    ``keywords`` is filed under channel and keyword, ``options`` under service and option. ``defaults`` holds for each
    keyword what stood in its place in each line of defaults (empty: nothing; no line at all: the line is managed).
    ``general_made`` says that there was no general.txt before.
    """

    tables: dict[str, OwnedTable]
    keywords: dict[tuple[str, str], OwnedWords]
    defaults: dict[str, tuple[str, ...]]
    rules: tuple[Pair, ...]
    channels: tuple[str, ...]
    options: dict[tuple[str, str], OwnedWords]
    general_made: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing on the host is managed."""
        return not any(self)


NOTHING = Record({}, {}, {}, (), (), {})


def dump_record(record: Record) -> bytes:
    """The record as text, the same for the same record."""
    data = {
        "version": VERSION,
        "tables": {name: table._asdict() for name, table in record.tables.items()},
        "keywords": [[*place, words._asdict()] for place, words in record.keywords.items()],
        "defaults": record.defaults,
        "rules": record.rules,
        "channels": record.channels,
        "options": [[*place, words._asdict()] for place, words in record.options.items()],
        "general_made": record.general_made,
    }
    return (json.dumps(data, indent=1, sort_keys=True) + "\n").encode()


def load_record(text: bytes | None) -> Record:
    """Read a record; None is the record of a host where nothing is managed. Raises RecordError."""
    if text is None:
        return NOTHING
    try:
        data = json.loads(text)
        if data["version"] != VERSION:
            raise RecordError(f"it is of version {data['version']}; this release reads version {VERSION}")
        return Record(
            tables={
                name: OwnedTable(
                    _pairs(one["before"]),
                    _pairs(one["managed"]) or (),
                    tuple(map(str, one["lines"])),
                    tuple((int(count), str(note)) for count, note in one["notes"]),
                )
                for name, one in data["tables"].items()
            },
            keywords={(str(place[0]), str(place[1])): _words(place[2]) for place in data["keywords"]},
            defaults={str(name): tuple(map(str, words)) for name, words in data["defaults"].items()},
            rules=_pairs(data["rules"]) or (),
            channels=tuple(map(str, data["channels"])),
            options={(str(place[0]), str(place[1])): _words(place[2]) for place in data["options"]},
            general_made=data["general_made"] is True,
        )
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise RecordError(f"{type(error).__name__}: {error}") from error


def _pairs(data: Any) -> tuple[Pair, ...] | None:
    return None if data is None else tuple(Pair(str(pattern), str(template)) for pattern, template in data)


def _words(data: Any) -> OwnedWords:
    before = data["before"]
    if not data["managed"]:
        raise RecordError("it names a managed place without its content")
    return OwnedWords(None if before is None else tuple(map(str, before)), tuple(map(str, data["managed"])))
