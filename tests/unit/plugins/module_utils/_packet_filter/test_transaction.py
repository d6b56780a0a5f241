# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The transaction of the packet filter as far as it needs no kernel."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter import loader, transaction
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.effects import Compared
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.effects import EffectsError
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._packet_filter.test_host import CHANGE

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


GAP = "the effects of this run are not known: the host allows no network namespace (Operation not permitted)"


@pytest.mark.parametrize(
    ("required", "gaps", "stops"),
    [
        ("packet_filter_unknown_effects", [GAP], True),
        ("packet_filter_unknown_effects", [], False),
        ("", [GAP], False),
    ],
)
def test_unknown_effects_stop_a_run_that_has_to_know_them(
    monkeypatch: pytest.MonkeyPatch, required: str, gaps: list[str], stops: bool
) -> None:
    monkeypatch.setattr(transaction, "compare", lambda _plan, _stage: Compared([], gaps))
    wanted = CHANGE._replace(effects_required=required)
    wanted = transaction.PacketFilterChange.from_dict(json.loads(json.dumps(wanted.to_dict())))
    if not stops:
        assert transaction.prove_effects(wanted) == (gaps, [])
        return
    with pytest.raises(EffectsError) as caught:
        transaction.prove_effects(wanted)
    assert str(caught.value) == (
        f'nothing was changed, as packet_filter_unknown_effects is "stop":\n  {GAP}\n'
        "to go on without it, write packet_filter_unknown_effects: warn"
    )
