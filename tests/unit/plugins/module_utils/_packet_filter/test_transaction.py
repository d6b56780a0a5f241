# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The transaction of the packet filter as far as it needs no kernel."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter import loader, transaction
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.effects import EffectsError

ABANDONED = loader.Pending("old", "generation-old", 5, "another boot", 5.0, [], False, {})


def test_settle_rolls_back_an_abandoned_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rolled_back = []

    def restore_previous(root: str, pending: loader.Pending, _reason: str) -> None:
        rolled_back.append(pending)
        Path(root, "pending.json").unlink()

    monkeypatch.setattr(loader, "restore_previous", restore_previous)
    ABANDONED.write(str(tmp_path))
    transaction.settle(str(tmp_path), change=True)
    assert rolled_back == [ABANDONED]


def test_settle_leaves_a_newer_change_of_another_run_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boot, now = loader.boot_time()
    newer = loader.Pending("new", "generation-new", 600, boot, now + 600, [], False, {})

    @contextlib.contextmanager
    def locked(root: str) -> Iterator[None]:
        newer.write(root)  # another run was quicker
        yield

    monkeypatch.setattr(loader, "locked", locked)
    monkeypatch.setattr(loader, "restore_previous", lambda *_words: pytest.fail("it belongs to another run"))
    monkeypatch.setattr(transaction.time, "sleep", lambda _seconds: (tmp_path / "pending.json").unlink())
    ABANDONED.write(str(tmp_path))
    transaction.settle(str(tmp_path), change=True)


@pytest.mark.parametrize("confirmed", [False, True])
def test_stopped_first_run_removes_only_what_no_other_run_uses(
    confirmed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, removed = tmp_path / "root", []

    def stops(_token: str, _change: object, folder: str) -> None:
        if confirmed:  # by another run, before this one got the lock
            Path(folder, "current").symlink_to("generation-of-another-run")
        raise EffectsError("lost")

    monkeypatch.setattr(transaction, "check_disk", lambda *_words: None)
    monkeypatch.setattr(transaction, "_apply", stops)
    monkeypatch.setattr(transaction, "remove_boot", lambda: removed.append("boot"))
    monkeypatch.setattr(transaction, "_remove_files", removed.append)
    with pytest.raises(EffectsError):
        transaction.apply("t", None, str(root))  # type: ignore[arg-type]
    assert removed == ([] if confirmed else ["boot", str(root)])
