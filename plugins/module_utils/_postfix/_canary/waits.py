# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may make a client wait so long that a session does not end in time: each with its parameter and file.

Sources: postconf(5), access(5), SMTPD_POLICY_README, MILTER_README.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from ..._transaction.files import decode, read_file
from .deciders import Files

_SLEEP = re.compile(r"(?<![\w$.:/-])sleep[\s,]+[0-9]+", re.ASCII)
_POLICY = re.compile(r"(?<![\w$.:/-])check_policy_service[\s,]+(?:\{\s*)?([^\s,{}]+)", re.ASCII)
_FILE = re.compile(r"(?<![\w$.:/-])(?:cidr|pcre|regexp|texthash|hash|btree|lmdb|cdb|dbm|sdbm):(/[^\s,{}$]+)", re.ASCII)
_REMOTE = re.compile(
    r"(?<![\w$.:/-])(?:proxy:)?(?:tcp|socketmap|unix|ldap|mysql|pgsql|mongodb|memcache|nis):[^\s,{}]+", re.ASCII
)
"""Tables that another program or host answers."""

_ERRORS, _SOFT = "smtpd_error_sleep_time", "smtpd_soft_error_limit"
_MILTERS = ("smtpd_milters", "smtpd_proxy_filter")
_LISTS = re.compile(r"smtpd_\w+_restrictions")
_CLASSES = "smtpd_restriction_classes"
_OUTGOING = ("smtp_", "lmtp_")
"""Parameters of programs that deliver."""

NOTHING_FOUND = "no setting was found that makes clients wait; this host may be too slow for that many sessions"

Read = Callable[[str], str]


def _text(path: str) -> str:
    try:
        return decode(read_file(path) or b"")
    except OSError:
        return ""


def describe_waits(keys: Iterable[tuple[str, str]], files: Files, *, live: bool, read: Read = _text) -> str:
    """Return what may make clients wait at these services, a line each.

    ``live``: whether the server asks policy services and milters, and sleeps, all of which a canary leaves out.
    """
    found = list(dict.fromkeys(line for key in keys for line in _waits(key, files, live, read)))
    if not found:
        return NOTHING_FOUND
    return "\n".join(["clients may wait for:", *found, "remove it for the time of the run, or have it answer sooner"])


def _waits(key: tuple[str, str], files: Files, live: bool, read: Read) -> Iterator[str]:
    options = files.options(key)
    for name in dict.fromkeys([*files.main, *options]):
        if name.startswith(_OUTGOING):
            continue
        value, place = files.value(key, name), files.place(key, name)
        if _is_list(name, files):
            yield from (f"{one!r} in {place}" for one in (_waiting(value) if live else ()))
            for match in _FILE.finditer(value):
                yield from (f"{one!r} in {match[0]}, of {place}" for one in _of_table(read(match[1])))
        if live and name in _MILTERS and value:
            yield f"{value!r}, {place}"
        yield from (f"the answer of {one}, of {place}" for one in _REMOTE.findall(value))
    if live and files.value(key, _ERRORS) not in ("", "0", "0s"):
        limit = files.value(key, _SOFT) or "10"
        yield f"{_ERRORS} = {files.value(key, _ERRORS)!r} after {limit} errors, {files.place(key, _ERRORS)}"


def _is_list(name: str, files: Files) -> bool:
    return bool(_LISTS.fullmatch(name)) or name in files.main.words(_CLASSES)


def _of_table(text: str) -> list[str]:
    """What makes clients wait in the entries of a table of restrictions."""
    rows = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return list(dict.fromkeys(one for line in rows for one in _waiting(line)))


def _waiting(text: str) -> Iterator[str]:
    """The restrictions of a text that make a client wait, as they are written without commas and braces."""
    yield from (" ".join(match[0].replace(",", " ").split()) for match in _SLEEP.finditer(text))
    yield from (f"check_policy_service {match[1]}" for match in _POLICY.finditer(text))
