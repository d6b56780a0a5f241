# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A private copy of Postfix's configuration with the staged files in it, and what Postfix itself says of those.

Nothing live is written: a copy has a queue directory of its own, into which newer versions write even when they only
check.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ..._policy.errors import ReportedError
from ..._transaction.command import StepError, call
from ..._transaction.files import decode, encode
from .._config.lines import FileError
from .._config.main_cf import MainCf
from .._config.maps import CIDR, FOLDER, REGEXP, TEXT, MapFile
from .._config.master_cf import MasterCf
from .._config.settings import PREFIX
from .sandbox import private_folder

CHECK = "postfix check"
"""The name of the step in errors."""

PAST = 60
"""Postfix waits up to two seconds for files that were just written, so they get a time in the past."""

_LOGGED = r"^.*?\S\[\d+\]: "
"""What a line of the log begins with: when, on which host, and by which process."""

_UNUSED = re.compile(rf"unused parameter: ((?!{PREFIX})\w+)=")
"""What postconf reports of a parameter that a site has made, when the setting that named it is replaced."""

_PLAIN = (CIDR, REGEXP, TEXT)
"""Tables without an index."""


class Staged(NamedTuple):
    """What is about to go live.

    ``maps``: managed tables by file name.
    ``folder``: the live configuration directory. ``queue``: the live queue directory.
    """

    main: MainCf
    master: MasterCf
    maps: Mapping[str, MapFile]
    folder: str
    queue: str


def check_staged(staged: Staged) -> list[str]:
    """Have Postfix check the staged files in a private copy.

    Returns what it says of the live configuration as well, as warnings. Raises StepError with whatever else it says.
    """
    before: list[str] = []
    try:
        with private_folder() as place:
            said, failed = _check(staged, f"{place}/staged")
            if not said and not failed:
                return []
            with contextlib.suppress(OSError, ReportedError):
                before, _failed = _check(_live(staged), f"{place}/live")
    except (OSError, LookupError, FileError) as error:  # a full disk, a user that does not exist
        raise StepError(CHECK, f"cannot be run: {error}") from error
    known = {_without_line(line) for line in before}
    new = [line for line in said if _without_line(line) not in known]
    unused = {line: _UNUSED.search(line) for line in new}
    mistakes = [line for line in new if not unused[line]]
    if mistakes or failed:
        raise StepError(CHECK, "\n".join(mistakes or said or ["failed without output"]))
    return [_without_use(match[1]) if (match := unused.get(line)) else line for line in said]


def _without_use(name: str) -> str:
    return (
        f"main.cf: {name} is not used any more: the settings that named it are managed now; remove it, or leave it for "
        "the day on which the role is removed"
    )


def _live(staged: Staged) -> Staged:
    texts = []
    for name in ("main.cf", "master.cf"):
        with open(f"{staged.folder}/{name}", "rb") as file:
            texts.append(decode(file.read()))
    return Staged(MainCf(texts[0]), MasterCf(texts[1]), {}, staged.folder, staged.queue)


def _check(staged: Staged, place: str) -> tuple[list[str], bool]:
    """What Postfix says of a copy, with the names of the live folders, and whether it rejects it."""
    folder, queue, log = f"{place}/etc", f"{place}/queue", f"{place}/log"
    for path in (place, queue):
        os.mkdir(path)
        os.chmod(path, 0o755)  # noqa: S103 (Postfix's own user comes here, whatever the umask is)
    os.mkdir(f"{place}/data", 0o700)
    owner = ask_postconf(staged.folder, ("mail_owner",))["mail_owner"]
    shutil.chown(f"{place}/data", owner)
    own = {"queue_directory": queue, "data_directory": f"{place}/data"}
    # Postfix reports what it finds in its log alone, unless it runs at a terminal.
    if any(service.name == "postlog" for service in staged.master):
        own.update({"maillog_file": log, "maillog_file_prefixes": place})
    write_copy(staged._replace(main=staged.main.edited(own)), folder)
    lines: list[str] = []
    failed = False
    for command in (("postconf", "-n", "-c", folder), ("postconf", "-M", "-c", folder)):
        code, _out, errors = call(CHECK, command)
        failed = failed or code != 0
        lines += errors.splitlines()
    if not failed:
        code, _out, errors = call(CHECK, ("postfix", "-c", folder, "check"))
        failed = code != 0
        lines += errors.splitlines()
        if os.path.exists(log):
            with open(log, encoding="utf-8", errors="replace") as file:
                lines += [re.sub(_LOGGED, "", line) for line in file.read().splitlines()]
    shown = [_shown(line, {folder: staged.folder, queue: staged.queue}) for line in lines]
    return list(dict.fromkeys(line for line in shown if line)), failed


def _shown(line: str, names: Mapping[str, str]) -> str:
    for name, live in names.items():
        line = line.replace(name, live)
    return re.sub(r"^\S*/(post\w+: )", r"\1", line).strip()


def _without_line(text: str) -> str:
    return re.sub(r"\bline \d+", "line", text)


def write_copy(staged: Staged, target: str) -> None:
    """Make a copy of the live folder with the staged files and tables; the indexes are not built."""
    _copy_tree(staged.folder, target)
    shutil.rmtree(f"{target}/{FOLDER}", ignore_errors=True)
    _write(f"{target}/main.cf", staged.main.text)
    _write(f"{target}/master.cf", staged.master.text)
    os.mkdir(f"{target}/{FOLDER}", 0o755)
    for name, table in staged.maps.items():
        _write(f"{target}/{FOLDER}/{name}", table.text)
    set_past(target)


def copy_live(folder: str, target: str) -> None:
    """Make a copy of the live folder as it is, with its tables and their indexes."""
    _copy_tree(folder, target)
    set_past(target)


def build_indexes(staged: Staged, target: str) -> None:
    """Build the indexes of managed tables in a copy. Raises StepError."""
    for name, table in staged.maps.items():
        if table.type not in _PLAIN:
            code, out, errors = call("postmap", ("postmap", "-c", target, f"{table.type}:{target}/{FOLDER}/{name}"))
            if code:
                raise StepError("postmap", f"{FOLDER}/{name}: {errors or out}")
    set_past(target)


def set_past(folder: str) -> None:
    """Give files that were just written a time in the past: Postfix reads newer ones only after a second or two."""
    now = time.time()
    for path, _names, files in os.walk(folder):
        for name in files:
            file = os.path.join(path, name)
            if os.stat(file, follow_symlinks=False).st_mtime > now - PAST:
                os.utime(file, (now - PAST, now - PAST), follow_symlinks=False)


def ask_postconf(folder: str, names: Sequence[str]) -> dict[str, str]:
    """Values of parameters in a configuration, with what they refer to."""
    code, out, errors = call("postconf", ("postconf", "-x", "-c", folder, *names))
    if code:
        raise StepError("postconf", errors or out)
    pairs = (line.partition("=") for line in out.splitlines())
    return {name.strip(): value.strip() for name, _equals, value in pairs}


def ask_staged(main: MainCf, names: Sequence[str]) -> dict[str, str]:
    """Values of parameters in a main.cf that is not live yet, with what they refer to. Raises StepError, OSError."""
    with private_folder() as place:
        _write(f"{place}/main.cf", main.text)
        _write(f"{place}/master.cf", "")
        set_past(place)
        return ask_postconf(place, names)


def _write(path: str, text: str) -> None:
    """A file that all may read; what stood there keeps its owner and mode."""
    with open(path, "wb") as file:
        file.write(encode(text))
    if os.path.dirname(path).endswith(f"/{FOLDER}"):
        os.chmod(path, 0o644)


def _copy_tree(source: str, target: str) -> None:
    """Copy files with owner, mode and times. Links to files become files, as those of a copy would lead out of it."""
    for folder, names, files in os.walk(source):
        inside = target if folder == source else os.path.join(target, os.path.relpath(folder, source))
        # A new file is readable until it gets its mode, also one with passwords: the folder is closed meanwhile.
        os.mkdir(inside, 0o700)
        for name in names:
            path = os.path.join(folder, name)
            if os.path.islink(path):
                os.symlink(os.path.realpath(path), os.path.join(inside, name))
        for name in files:
            path = os.path.join(folder, name)
            if os.path.isfile(path):  # neither sockets nor links to nothing
                shutil.copy2(path, os.path.join(inside, name))
                _copy_owner(path, os.path.join(inside, name))
        shutil.copystat(folder, inside)
        _copy_owner(folder, inside)


def _copy_owner(source: str, target: str) -> None:
    found = os.stat(source)
    if os.getuid() == 0:
        os.chown(target, found.st_uid, found.st_gid)
        os.chmod(target, stat.S_IMODE(found.st_mode))
