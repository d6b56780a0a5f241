# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Private copies of a configuration: what is in them, how old it looks, and that nothing is left."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.main_cf import MainCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.maps import MapFile
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.master_cf import MasterCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host import sandbox as private
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host import staging
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host.sandbox import (
    PREFIX,
    private_folder,
    processes,
    sweep,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host.staging import Staged, write_copy
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.command import StepError

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture(autouse=True)
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.setattr(private, "PARENT", str(folder))
    return folder


@pytest.fixture
def live(tmp_path: Path) -> Path:
    folder = tmp_path / "postfix"
    (folder / "sql").mkdir(parents=True)
    (folder / "mailhost").mkdir()
    (folder / "mailhost" / "former.cidr").write_text("192.0.2.1 REJECT\n")
    (folder / "main.cf").write_text("live\n")
    (folder / "master.cf").write_text("live\n")
    (folder / "sql" / "users.cf").write_text("password = x\n")
    (folder / "sql" / "users.cf").chmod(0o640)
    (tmp_path / "elsewhere").write_text("made\n")
    (folder / "makedefs.out").symlink_to("../elsewhere")
    (folder / "nowhere").symlink_to("/nonexistent/file")
    os.mkfifo(folder / "pipe")
    return folder


def staged(live: Path) -> Staged:
    return Staged(
        MainCf("caf\xe9 = 1\n"), MasterCf(MASTER), {"a.cidr": MapFile("cidr", "192.0.2.2 OK\n")}, str(live), "/queue"
    )


def test_copy_has_the_staged_files_and_the_unmanaged_ones(live: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    write_copy(staged(live), str(target))
    names = sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file())
    assert names == ["mailhost/a.cidr", "main.cf", "makedefs.out", "master.cf", "sql/users.cf"]
    assert (target / "main.cf").read_bytes() == b"caf\xe9 = 1\n"
    assert not (target / "makedefs.out").is_symlink()
    assert (target / "sql" / "users.cf").stat().st_mode & 0o777 == 0o640
    assert (live / "main.cf").read_text() == "live\n"


def test_copy_is_closed_while_files_are_copied(live: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with passwords is readable by all until it has its mode."""
    copy, modes = shutil.copy2, set()

    def looked_at(source: str, target: str) -> None:
        modes.add(os.stat(os.path.dirname(target)).st_mode & 0o777)
        copy(source, target)

    monkeypatch.setattr(shutil, "copy2", looked_at)
    write_copy(staged(live), str(tmp_path / "copy"))
    assert modes == {0o700}
    assert (tmp_path / "copy" / "sql").stat().st_mode == (live / "sql").stat().st_mode


def test_files_of_a_copy_are_old(live: Path, tmp_path: Path) -> None:
    old = time.time() - 100000
    os.utime(live / "sql" / "users.cf", (old, old))
    target = tmp_path / "copy"
    write_copy(staged(live), str(target))
    assert (target / "sql" / "users.cf").stat().st_mtime == pytest.approx(old, abs=1)
    for name in ("main.cf", "master.cf", "mailhost/a.cidr"):
        assert time.time() - (target / name).stat().st_mtime > 50


@pytest.mark.usefixtures("parent")
def test_files_that_are_read_alone_are_old(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every run would wait for Postfix, which waits for them."""
    ages: list[float] = []

    def postconf(_step: str, command: Sequence[str]) -> tuple[int, str, str]:
        ages.extend(time.time() - file.stat().st_mtime for file in Path(command[3]).iterdir())
        return 0, "myhostname = mail.example\n", ""

    monkeypatch.setattr(staging, "call", postconf)
    assert staging.ask_staged(MainCf("myhostname = mail.example\n"), ("myhostname",)) == {"myhostname": "mail.example"}
    assert len(ages) >= 2
    assert min(ages) > 10


MASTER = "smtp inet n - y - - smtpd\npostlog unix-dgram n - n - 1 postlogd\n"
OLD_DEFAULTS = "Postfix is using backwards-compatible default settings"
LINK = "warning: symlink leaves directory: {folder}/./makedefs.out"


class Tools:
    """Tools of which `postfix check` says something of a copy, in its log, each time as another process."""

    def __init__(self, said: dict[str, list[str]]) -> None:
        self.said, self.calls = said, 0

    def __call__(self, _step: str, command: tuple[str, ...], _seconds: float = 0) -> tuple[int, str, str]:
        if command[-1] == "check":
            self.calls += 1
            folder = Path(command[2])
            lines = self.said[folder.parent.name]
            begin = f"Nov 23 03:02:{self.calls + 28:02d} mail postfix"
            begins = (f"{begin}[{99 + self.calls}]: ", f"{begin}/postfix-script[{212 + self.calls}]: ")
            (folder.parent / "log").write_text(
                "".join(f"{begins[line.startswith('warning')]}{line}\n".format(folder=folder) for line in lines)
            )
        return 0, "", ""


@pytest.mark.parametrize(
    ("live_said", "staged_said", "new"),
    [
        ([], [], None),
        ([OLD_DEFAULTS, LINK], [OLD_DEFAULTS, LINK], None),
        ([OLD_DEFAULTS], [OLD_DEFAULTS, LINK], "warning: symlink leaves directory: {folder}/./makedefs.out"),
        ([], [OLD_DEFAULTS], OLD_DEFAULTS),
    ],
)
def test_report_that_the_live_files_get_as_well_is_a_warning(
    live: Path,
    monkeypatch: pytest.MonkeyPatch,
    live_said: list[str],
    staged_said: list[str],
    new: str | None,
) -> None:
    for name, text in (("main.cf", "live = 1\n"), ("master.cf", MASTER)):
        (live / name).write_text(text)
    monkeypatch.setattr(staging, "call", Tools({"live": live_said, "staged": staged_said}))
    monkeypatch.setattr(staging, "ask_postconf", lambda _folder, _names: {"mail_owner": "postfix"})
    monkeypatch.setattr(shutil, "chown", lambda _path, _owner: None)
    wanted = staged(live)._replace(master=MasterCf(MASTER))
    if new is None:
        assert staging.check_staged(wanted) == [line.format(folder=live) for line in staged_said]
    else:
        with pytest.raises(StepError) as caught:
            staging.check_staged(wanted)
        assert (caught.value.step, caught.value.output) == ("postfix check", new.format(folder=live))


def test_parameter_that_only_replaced_options_named_is_a_warning(live: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("main.cf", "live = 1\n"), ("master.cf", MASTER)):
        (live / name).write_text(text)
    unused = "warning: {folder}/main.cf: unused parameter: %s=permit"
    monkeypatch.setattr(staging, "ask_postconf", lambda _folder, _names: {"mail_owner": "postfix"})
    monkeypatch.setattr(shutil, "chown", lambda _path, _owner: None)
    wanted = staged(live)._replace(master=MasterCf(MASTER))
    monkeypatch.setattr(staging, "call", Tools({"live": [], "staged": [unused % "mua_helo_restrictions"]}))
    assert staging.check_staged(wanted) == [
        "main.cf: mua_helo_restrictions is not used any more: the settings that named it are managed now; remove it, or "
        "leave it for the day on which the role is removed"
    ]
    monkeypatch.setattr(staging, "call", Tools({"live": [], "staged": [unused % "mailhost_dnsbls"]}))
    with pytest.raises(StepError):
        staging.check_staged(wanted)


def fail_within() -> None:
    with private_folder() as folder:
        Path(folder, "etc").mkdir()
        raise RuntimeError(folder)


def test_private_folder_is_removed_with_its_processes(parent: Path) -> None:
    with pytest.raises(RuntimeError, match=str(parent)):
        fail_within()
    assert list(parent.iterdir()) == []


def test_folder_of_a_killed_run_is_swept(parent: Path) -> None:
    with private_folder() as alive:
        killed = parent / f"{PREFIX}killed"
        killed.mkdir()
        (killed / "lock").touch()
        fresh = parent / f"{PREFIX}fresh"
        fresh.mkdir()
        other = parent / "other"
        other.mkdir()
        program = [sys.executable, "-c", "import time; time.sleep(300)", "-c", f"{killed}/etc"]
        with subprocess.Popen(program) as process:
            deadline = time.monotonic() + 60
            while processes(str(killed)) != [process.pid] and time.monotonic() < deadline:
                time.sleep(0.01)
            sweep(str(parent))
            assert process.wait(60) == -9
        assert sorted(path.name for path in parent.iterdir()) == sorted([Path(alive).name, fresh.name, "other"])


def test_folder_without_a_lock_is_swept_when_it_is_old(parent: Path) -> None:
    folder = parent / f"{PREFIX}old"
    folder.mkdir()
    old = time.time() - 1000
    os.utime(folder, (old, old))
    sweep(str(parent))
    assert not folder.exists()
