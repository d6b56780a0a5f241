# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is kept of a change: backup folders with a manifest, and the journal of the change under way.

Private to the collection: other collections must not import it.

In the state folder::

    lock              held by the run, and by its watchdog, until all is settled
    tool              the tool that is running (see _configuration_tool)
    journal.json      names the backup of a change that is under way
    notice            what was restored after a run was killed, for the next run to report
    backups/000007-20261122T195301Z/
        manifest.json   what was there before, and digests of what came after
        0, 1, ...       the contents
        committed.json  the journal, moved here in one step when the change succeeded

A backup without ``committed.json`` that the journal does not name is the rest of
a change that did not happen.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .files import (
    SPARE,
    STAGED,
    Attributes,
    beside,
    digest,
    read_attributes,
    read_file,
    remove,
    replace_file,
    sync_folder,
    write_copy,
)

KEPT = 10
"""Backups that are kept."""
STAGING, SWAPPING = "staging", "swapping"
"""Phases of a journal: nothing live was touched yet; anything may have been."""
OWN = Attributes(-1, -1, 0o600, {})


class Entry(NamedTuple):
    """One file of a backup.

    ``stored`` names its content within the backup, nothing where there was no file; ``built`` says that a tool of the
    product writes it. ``before`` and ``after`` are digests; what a tool writes has no ``after``.
    """

    path: str
    built: bool
    stored: str
    attributes: Attributes | None
    before: str
    after: str


class Manifest(NamedTuple):
    """What belongs to a backup: when (UTC), for the driver's activation, whether port 25 answered, the files, and
    whether the service was known to run.
    """

    made: str
    driver: str
    details: Mapping[str, Any]
    alive: bool
    entries: tuple[Entry, ...]
    ran: bool = False


class Journal(NamedTuple):
    """The change under way: its backup, and how far it may have come."""

    backup: str
    phase: str


# Paths


def backups_folder(state: str) -> str:
    """Return the folder of all backups."""
    return os.path.join(state, "backups")


def backup_folder(state: str, name: str) -> str:
    """Return the folder of one backup."""
    return os.path.join(backups_folder(state), name)


def register_path(state: str) -> str:
    """Return the file that names the running tool."""
    return os.path.join(state, "tool")


def _journal_path(state: str) -> str:
    return os.path.join(state, "journal.json")


# Backups


def next_name(state: str) -> str:
    """Return the name for a new backup: a number for the order, as clocks are set back, and the time."""
    numbers = [int(name.partition("-")[0]) for name in _names(state) if name[:1].isascii()]
    return f"{max(numbers, default=0) + 1:06d}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"


def write_backup(
    state: str, name: str, manifest: Manifest, wanted: Mapping[str, bytes | None], built: Sequence[str]
) -> Manifest:
    """Copy files into a new backup, on disk; ``wanted`` is the next content by path. Returns the full manifest."""
    folder = backup_folder(state, name)
    os.makedirs(folder, mode=0o700)
    entries = []
    for number, path in enumerate([*wanted, *(path for path in built if path not in wanted)]):
        data, attributes = read_file(path), read_attributes(path)
        after = digest(wanted[path]) if path in wanted else ""
        stored = "" if data is None else str(number)
        if data is not None:
            _write(os.path.join(folder, stored), data)
        entries.append(Entry(path, path not in wanted, stored, attributes, digest(data), after))
    full = manifest._replace(entries=tuple(entries))
    _write(os.path.join(folder, "manifest.json"), _dump_manifest(full))
    sync_folder(os.path.join(folder, "manifest.json"))
    sync_folder(folder)
    return full


def read_manifest(state: str, name: str) -> Manifest:
    """Read what belongs to a backup; OSError where it cannot be read."""
    path = os.path.join(backup_folder(state, name), "manifest.json")
    try:
        with open(path, encoding="utf-8") as file:
            raw = json.load(file)
        entries = [{**entry, "attributes": _load_attributes(entry["attributes"])} for entry in raw["entries"]]
        return Manifest(**{**raw, "entries": tuple(Entry(**entry) for entry in entries)})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise OSError(f"{path} cannot be read: {error}") from error


def stored_content(state: str, name: str, entry: Entry) -> bytes | None:
    """Return what a file of a backup contained, None where there was no file; OSError where the backup is damaged."""
    if not entry.stored:
        return None
    path = os.path.join(backup_folder(state, name), entry.stored)
    data = read_file(path)
    if digest(data) != entry.before:
        raise OSError(f"{path} is damaged or gone")
    return data


def committed(state: str) -> list[str]:
    """Return the names of the backups of changes that succeeded, oldest first."""
    return [
        name for name in _names(state) if os.path.exists(os.path.join(backup_folder(state, name), "committed.json"))
    ]


def sweep(state: str) -> None:
    """Remove what changes that did not happen, or were killed at their very end, left behind, and old backups."""
    if read_journal(state) is not None:
        return
    kept = committed(state)
    for name in _names(state):
        if name not in kept:
            shutil.rmtree(backup_folder(state, name), ignore_errors=True)
    for name in kept[:-KEPT]:
        # In this order: half a backup must not look like a whole one.
        remove(os.path.join(backup_folder(state, name), "committed.json"))
        shutil.rmtree(backup_folder(state, name), ignore_errors=True)
    if kept:
        with contextlib.suppress(OSError):
            remove_copies(read_manifest(state, kept[-1]))


def remove_copies(manifest: Manifest) -> None:
    """Remove what waited beside the live files of a change."""
    for entry in manifest.entries:
        remove(beside(entry.path, STAGED))
        remove(beside(entry.path, SPARE))


# The journal


def read_journal(state: str) -> Journal | None:
    """Return the change under way, or None; OSError where the journal cannot be read."""
    data = read_file(_journal_path(state))
    if data is None:
        return None
    try:
        journal = Journal(**json.loads(data))
        if not all(isinstance(word, str) for word in journal):
            raise ValueError("it has other values than texts")
        return journal
    except (ValueError, TypeError, RecursionError) as error:
        raise OSError(f"{_journal_path(state)} cannot be read: {error}") from error


def write_journal(state: str, journal: Journal) -> None:
    """Note a change under way, on disk."""
    _replace(_journal_path(state), json.dumps(journal._asdict()).encode("ascii"))


def commit(state: str, journal: Journal) -> None:
    """Make a change final: one rename ends it and marks its backup as that of a change that happened."""
    place = os.path.join(backup_folder(state, journal.backup), "committed.json")
    os.rename(_journal_path(state), place)
    with contextlib.suppress(OSError):
        sync_folder(place)
        sync_folder(_journal_path(state))


def abandon(state: str, journal: Journal) -> None:
    """End a change that did not happen, or was rolled back."""
    remove(_journal_path(state))
    sync_folder(_journal_path(state))
    shutil.rmtree(backup_folder(state, journal.backup), ignore_errors=True)


# The notice


def leave_notice(state: str, text: str) -> None:
    """Leave a sentence for the next run."""
    with contextlib.suppress(OSError):
        _replace(os.path.join(state, "notice"), text.encode("utf-8"))


def take_notice(state: str) -> str:
    """Return the sentence that was left, and forget it."""
    path = os.path.join(state, "notice")
    data = read_file(path)
    remove(path)
    return (data or b"").decode("utf-8", "replace")


# Details


def _names(state: str) -> list[str]:
    try:
        found = os.listdir(backups_folder(state))
    except FileNotFoundError:
        return []
    return sorted(
        (name for name in found if name.partition("-")[0].isdigit()), key=lambda name: int(name.partition("-")[0])
    )


def _own() -> Attributes:
    return OWN._replace(uid=os.geteuid(), gid=os.getegid())


def _write(path: str, data: bytes) -> None:
    write_copy(path, data, _own())


def _replace(path: str, data: bytes) -> None:
    replace_file(path, data, _own())


def _dump_manifest(manifest: Manifest) -> bytes:
    entries = [
        {**entry._asdict(), "attributes": entry.attributes and _dump_attributes(entry.attributes)}
        for entry in manifest.entries
    ]
    return json.dumps({**manifest._asdict(), "entries": entries}, indent=1).encode("ascii")


def _dump_attributes(attributes: Attributes) -> dict[str, Any]:
    xattrs = {name: base64.b64encode(value).decode("ascii") for name, value in attributes.xattrs.items()}
    return {**attributes._asdict(), "xattrs": xattrs}


def _load_attributes(raw: Mapping[str, Any] | None) -> Attributes | None:
    if raw is None:
        return None
    return Attributes(**{**raw, "xattrs": {name: base64.b64decode(value) for name, value in raw["xattrs"].items()}})
