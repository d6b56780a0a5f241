# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether file systems can take a change, and what is said where they do not."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter import disk, loader

ROOMY = {"f_flag": 0, "f_bfree": 1000, "f_frsize": 1024, "f_files": 1000, "f_ffree": 1000}
MOUNTS = """\
22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 8:1 /usr/local /usr/local ro - ext4 /dev/sda1 rw
31 22 8:1 /x /srv/a\\040b rw - ext4 /dev/sda1 rw
"""


@pytest.fixture
def about(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What statvfs(2) returns; the mounts are MOUNTS."""
    values: dict[str, Any] = dict(ROOMY)
    monkeypatch.setattr(disk.os, "statvfs", lambda _path: SimpleNamespace(**values))
    monkeypatch.setattr(disk.os, "access", lambda _path, _mode: True)
    monkeypatch.setattr(loader, "read_text", lambda *_path: MOUNTS)
    return values


def test_space_that_suffices_is_no_problem(about: dict[str, Any]) -> None:
    assert disk.check_space({"/usr/local/lib/x": 1000 * 1024, "/srv": 0}) is None
    about.update(f_files=0, f_ffree=0)  # btrfs counts no inodes
    assert disk.check_space({"/srv": 10}) is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"f_flag": os.ST_RDONLY},
            "/usr/local/lib/x is on a read-only file system; make it writable by mount -o remount,rw /usr/local",
        ),
        (
            {"f_bfree": 12},
            "/usr/local/lib/x needs 100 KiB and the file system has 12 KiB left; free space on /usr/local",
        ),
        (
            {"f_ffree": 3},
            "/usr/local/lib/x needs 32 inodes and the file system has 3 left; delete files on /usr/local",
        ),
    ],
)
def test_lack_names_path_and_remedy(about: dict[str, Any], values: dict[str, Any], words: str) -> None:
    about.update(values)
    with pytest.raises(disk.DiskError) as caught:
        disk.check_space({"/usr/local/lib/x": 100 * 1024})
    assert str(caught.value) == f"nothing was changed: {words}; then run again"


@pytest.mark.usefixtures("about")
def test_directory_that_not_even_root_can_write_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk.os, "access", lambda _path, _mode: False)
    with pytest.raises(disk.DiskError, match=r"/ cannot be written, not even by root; see lsattr -d /;"):
        disk.check_space({"/no such directory": 1})


@pytest.mark.usefixtures("about")
def test_mount_point_is_the_longest_that_holds_the_path() -> None:
    assert disk.mount_point("/usr/local/lib") == "/usr/local"
    assert disk.mount_point("/usr/localized") == "/"
    assert disk.mount_point("/srv/a b/c") == "/srv/a b"


@pytest.mark.usefixtures("about")
def test_error_of_a_file_is_described_with_its_path() -> None:
    full = OSError(28, "No space left on device", "/usr/local/lib/x")
    assert disk.describe(full) == (
        "/usr/local/lib/x cannot be written: No space left on device; free space on /usr/local, then run again"
    )
    assert disk.describe(OSError(5, "Input/output error", "/a/b")) == "/a/b cannot be written: Input/output error"


def test_write_file_names_the_file_in_its_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loader.os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*/ipv4'"):
        loader.write_file(str(tmp_path / "ipv4"), "text")
    assert list(tmp_path.iterdir()) == []
