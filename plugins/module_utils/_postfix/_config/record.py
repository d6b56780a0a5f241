# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role has put into the files of a Postfix, and what stood there before.

Without it managed and unmanaged settings could not be distinguished, nor the former values be restored.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from ..._policy.errors import ReportedError
from .lines import Lines
from .master_cf import Place

VERSION = 1


class RecordError(ReportedError):
    """A record that cannot be read."""


class Owned(NamedTuple):
    """A parameter or a service: its former lines as they were written (None: there were none), and what is managed.

    ``managed`` is the value of a parameter, or the lines of a service; None where a service must not be there.
    """

    before: Lines | None
    managed: str | None


class Record(NamedTuple):
    """Everything managed: parameters of main.cf, services of master.cf by name and type, names of tables."""

    main: dict[str, Owned]
    services: dict[Place, Owned]
    maps: tuple[str, ...]

    @property
    def empty(self) -> bool:
        """Whether nothing on the host is managed."""
        return not any(self)


NOTHING = Record({}, {}, ())


def dump_record(record: Record) -> bytes:
    """The record as text, the same for the same record."""
    data = {
        "version": VERSION,
        "main": {name: owned._asdict() for name, owned in record.main.items()},
        "services": [[*place, owned._asdict()] for place, owned in sorted(record.services.items())],
        "maps": sorted(record.maps),
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
            main={str(name): _owned(one) for name, one in data["main"].items()},
            services={(str(name), str(kind)): _owned(one) for name, kind, one in data["services"]},
            maps=tuple(map(str, data["maps"])),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"{type(error).__name__}: {error}") from error


def _owned(data: Any) -> Owned:
    before, managed = data["before"], data["managed"]
    return Owned(None if before is None else Lines(before), None if managed is None else str(managed))
