# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the host's file systems can take what a change writes, before it begins; and what to say where they do not.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator, Mapping

from . import loader

SPARE = 65536
"""Bytes beside the texts: small files, directories, and what a file system keeps."""
FILES = 32
"""Files and directories that a change makes at most."""


class DiskError(loader.LoadError):
    """A directory cannot be written, or has no space: the path and the remedy."""


def check_space(needed: Mapping[str, int]) -> None:
    """Raise DiskError where directories, which need not exist yet, cannot take these numbers of bytes."""
    problems = [problem for path, size in needed.items() for problem in _problems(path, size)]
    if problems:
        raise DiskError(f"nothing was changed: {'; '.join(dict.fromkeys(problems))}; then run again")


def _problems(path: str, size: int) -> Iterator[str]:
    there = path
    while not os.path.isdir(there):
        there = os.path.dirname(there)
    about, mounted = os.statvfs(there), mount_point(there)
    free = about.f_bfree * about.f_frsize
    if about.f_flag & os.ST_RDONLY:
        yield f"{path} is on a read-only file system; make it writable by mount -o remount,rw {mounted}"
    elif not os.access(there, os.W_OK | os.X_OK):
        yield f"{there} cannot be written, not even by root; see lsattr -d {there}"
    elif free < size:
        wanted = (size + 1023) // 1024
        yield f"{path} needs {wanted} KiB and the file system has {free // 1024} KiB left; free space on {mounted}"
    elif about.f_files and about.f_ffree < FILES:
        yield f"{path} needs {FILES} inodes and the file system has {about.f_ffree} left; delete files on {mounted}"


def mount_point(path: str) -> str:
    """Return where the file system of a path is mounted, bind mounts included."""
    real = os.path.realpath(path)
    found = "/"
    for line in loader.read_text("/proc/self/mountinfo").splitlines():
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), line.split(" ")[4])
        if f"{real}/".startswith(f"{point.rstrip('/')}/") and len(point) > len(found):
            found = point
    return found


def describe(error: OSError) -> str:
    """Return an error of a file as a sentence with its path, and a remedy where one is known."""
    path = str(error.filename or "a file of the packet filter")
    remedies = {
        errno.ENOSPC: f"free space on {mount_point(os.path.dirname(path))}",
        errno.EDQUOT: f"raise the quota on {mount_point(os.path.dirname(path))}",
        errno.EROFS: f"make it writable by mount -o remount,rw {mount_point(os.path.dirname(path))}",
    }
    remedy = remedies.get(error.errno or 0)
    return f"{path} cannot be written: {error.strerror or error}" + (f"; {remedy}, then run again" if remedy else "")
