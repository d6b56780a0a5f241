# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One configuration file: read it, stage a copy beside it, with owner, mode and extended attributes.

Private to the collection: other collections must not import it.

A file goes live by a rename within its folder and nothing else, so a reader sees
the old text or the new one, and a full disk is met before anything is live.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import stat
from typing import NamedTuple

NOT_COPIED = ("security.capability", "security.evm", "security.ima")
"""Extended attributes that the kernel makes from a file's content; those of one text are wrong on another."""
NEW_FILE_MODE = 0o644
"""Programs of a mail server read their files as a user of their own."""
STAGED, SPARE = "new", "old"
"""What stands beside a live file during a change: the next text, and a copy of the previous file."""


class Attributes(NamedTuple):
    """What a file has beside its content. ``modified`` is in nanoseconds, 0 for now."""

    uid: int
    gid: int
    mode: int
    xattrs: dict[str, bytes]
    modified: int = 0


PRIVATE = Attributes(0, 0, 0o600, {})
"""Of the files in a state folder, which are root's alone."""


def decode(content: bytes) -> str:
    """A file's bytes as text that gives the same bytes back."""
    return content.decode("latin-1")


def encode(text: str) -> bytes:
    """The bytes of a text read by `decode`."""
    return text.encode("latin-1")


def read_file(path: str) -> bytes | None:
    """Return the content of a file, None where there is none; OSError where it is something else."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def read_attributes(path: str) -> Attributes | None:
    """Return owner, mode, extended attributes and time of a file, None where there is none."""
    try:
        found = os.stat(path)
        return Attributes(found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode), _xattrs(path), found.st_mtime_ns)
    except FileNotFoundError:
        return None


def new_attributes(path: str) -> Attributes:
    """Return the attributes of a file that is about to be made: the folder's owner, readable by all."""
    folder = os.stat(os.path.dirname(path))
    return Attributes(folder.st_uid, folder.st_gid, NEW_FILE_MODE, {})


def digest(data: bytes | None) -> str:
    """Return the digest of a content; nothing for no file."""
    return "" if data is None else hashlib.sha256(data).hexdigest()


def beside(path: str, kind: str) -> str:
    """Return the name under which a copy of a file waits in its folder."""
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.mailhost-{kind}")


def write_copy(path: str, data: bytes, attributes: Attributes) -> None:
    """Write a file anew and on disk, with these attributes; nothing is left where that fails."""
    remove(path)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(handle, rest) :]
            _set_attributes(handle, attributes)
            os.fsync(handle)
        finally:
            os.close(handle)
    except BaseException:
        remove(path)
        raise


def replace_file(path: str, data: bytes, attributes: Attributes) -> None:
    """Replace a file in one step, on disk before and after."""
    staged = beside(path, STAGED)
    write_copy(staged, data, attributes)
    os.replace(staged, path)
    sync_folder(path)


def remove(path: str) -> None:
    """Remove a file that may be gone already."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def sync_folder(path: str) -> None:
    """Have the names in the folder of a file on disk."""
    handle = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _xattrs(path: str | int) -> dict[str, bytes]:
    if not hasattr(os, "listxattr"):
        return {}
    try:
        return {name: os.getxattr(path, name) for name in os.listxattr(path) if name not in NOT_COPIED}
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.ENOSYS):
            return {}
        raise


def _set_attributes(handle: int, wanted: Attributes) -> None:
    found = os.fstat(handle)
    if (found.st_uid, found.st_gid) != (wanted.uid, wanted.gid):
        os.fchown(handle, wanted.uid, wanted.gid)
    os.fchmod(handle, wanted.mode)
    # After the mode: an access control list decides over what the mode's group bits mean.
    present = _xattrs(handle)
    for name in present.keys() - wanted.xattrs.keys():
        if not name.startswith("security."):  # a label can be changed, not taken away
            os.removexattr(handle, name)
    for name, value in wanted.xattrs.items():
        if present.get(name) != value:
            os.setxattr(handle, name, value)
    if wanted.modified:
        os.utime(handle, ns=(wanted.modified, wanted.modified))
