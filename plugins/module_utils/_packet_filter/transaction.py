# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A change of the packet filter as one transaction: stage, prove, arm the rollback, load, confirm.

On disk: ``current`` is a link to the confirmed generation, ``pending.json`` names
a change that is live but not confirmed, ``previous`` holds what was live before
it. A kill at any point leaves either nothing changed, or a pending change that
the timer rolls back.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import base64
import contextlib
import glob
import importlib
import json
import os
import shutil
import sys
import tempfile
import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .._policy.effects import AcceptedEffects, Effect, EffectsError, check_effects
from . import loader
from .boot import (
    LOADER_PATH,
    boot_files,
    disable_unit,
    enable_unit,
    install_unit,
    remove_boot,
    space_needed,
    start_unit,
    stop_unit,
    systemd_runs,
)
from .conntrack import track_open_sessions
from .disk import SPARE, DiskError, check_space, describe
from .effects import compare, shortened
from .namespace import NoNamespaceError, prove, test_only
from .probe_plan import ProbePlan
from .sockets import SshConnection

TIMER = "mailhost-packet-filter-rollback"
SETTLE_GRACE = 10
"""Seconds beyond its own timeout after which a pending change counts as abandoned."""


class ProofError(loader.LoadError):
    """The new rules were not loaded: the host's kernel rejects them, or they would block the controller."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(f"the new rules fail their proof on the host, nothing was changed: {cause}")


class PacketFilterChange(NamedTuple):
    """What is to go live: the three texts, what belongs to them, and whether the packet filter is to be removed.

    ``connection``: the SSH connection that must stay possible. ``timeout``: seconds in which a new connection has to
    confirm the change. ``plan``: connections by which the state before and after are compared. ``accepted``: effects
    that the inventory accepts. ``effects_required``: the variable by which a run stops where its effects are not known,
    empty where it goes on.
    """

    texts: Mapping[str, str]
    state: loader.State
    absent: bool
    connection: SshConnection | None
    timeout: int
    plan: ProbePlan
    accepted: AcceptedEffects
    effects_required: str = ""

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> PacketFilterChange:
        """Read what ``to_dict`` returned, also after its way through JSON."""
        texts = {name: zlib.decompress(base64.b64decode(text)).decode("ascii") for name, text in raw["texts"].items()}
        connection = SshConnection(**raw["connection"]) if raw["connection"] else None
        state, plan = loader.State.from_dict(raw["state"]), ProbePlan.from_dict(raw["plan"])
        accepted = AcceptedEffects(*raw["accepted"])
        required = str(raw["effects_required"])
        return cls(texts, state, raw["absent"], connection, raw["timeout"], plan, accepted, required)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, for the way to the host; the texts are compressed."""
        texts = {
            name: base64.b64encode(zlib.compress(text.encode("ascii"), 1)).decode("ascii")
            for name, text in self.texts.items()
        }
        connection = self.connection._asdict() if self.connection else None
        nested = {"state": self.state._asdict(), "plan": self.plan.to_dict(), "accepted": list(self.accepted)}
        return {**self._asdict(), **nested, "texts": texts, "connection": connection}


class Proven(NamedTuple):
    """What could not be proven, one sentence each, and the effects of the change."""

    notes: Sequence[str]
    effects: Sequence[Effect]


# The state on disk


def loader_source() -> str:
    """Return the text of the loader, also out of the archive in which a module travels."""
    module = importlib.import_module(loader.__name__)
    source = module.__loader__.get_source(module.__name__)  # type: ignore[union-attr]
    if not source:
        raise loader.LoadError("the source of the loader is not available")
    return str(source)


def installed(root: str = loader.ROOT) -> loader.State | None:
    """Return the confirmed state, or None where there is none or it is not what was written."""
    current = os.path.join(root, "current")
    try:
        state, texts = loader.State.read(current), loader.read_texts(current)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return state if loader.texts_digest(texts) == state.texts else None


def installed_texts(root: str = loader.ROOT) -> dict[str, str]:
    """Return the texts of the confirmed state."""
    return loader.read_texts(os.path.join(root, "current"))


def installed_sets(root: str = loader.ROOT) -> list[str]:
    """Return the names of those sets of the confirmed state that are live."""
    wanted = loader.split_sets(loader.read_text(root, "current", "sets"))
    return [name for name in loader.live_set_names() if name in wanted]


def settle(root: str, change: bool) -> None:
    """Wait for the pending change of another run; roll back an abandoned one, if ``change`` permits changes."""
    while True:
        pending = loader.Pending.read(root)
        if pending is None:
            return
        boot, now = loader.boot_time()
        if boot != pending.boot or now > pending.deadline + SETTLE_GRACE:
            break
        time.sleep(0.2)
    if not change:
        raise loader.LoadError("an unconfirmed change is still live; the next run outside of check mode rolls it back")
    with loader.locked(root):
        # Meanwhile its timer may have rolled it back, and another run may have made a change of its own.
        if loader.Pending.read(root) == pending:
            loader.restore_previous(root, pending, "the run that made the change ended without confirming it")
            return
    settle(root, change)


def is_absent(lives: Mapping[str, loader.LiveRules], root: str = loader.ROOT) -> bool:
    """Whether nothing managed is live, on disk, or loaded at boot."""
    return (
        not any(live.managed for live in lives.values())
        and not os.path.exists(root)
        and not boot_files()
        and not loader.live_set_names()
    )


# The steps


def stage(texts: Mapping[str, str], state: loader.State, directory: str) -> None:
    """Write a state into a directory."""
    for name, text in texts.items():
        loader.write_file(os.path.join(directory, name), text)
    state._replace(texts=loader.texts_digest(texts)).write(directory)


def prove_staged(directory: str, connection: SshConnection | None) -> list[str]:
    """Prove a staged state on the host; returns what could not be proven, one sentence each."""
    try:
        return prove(directory, connection)
    except NoNamespaceError as error:
        return [
            f"the host allows no network namespace ({error}); iptables-restore --test was used and misses some faults",
            *test_only(directory),
        ]


def prove_effects(change: PacketFilterChange) -> Proven:
    """Compare connections before and after a change.

    Raises EffectsError for effects that stop it, and where they have to be known and are not.
    """
    texts, truncated = shortened(change.texts)
    # What is not in the copies cannot be tried there.
    plan = change.plan.without_networks() if truncated else change.plan
    found = compare(plan, lambda directory: stage(texts, change.state, directory))
    check_effects(found.effects, change.accepted, found.gaps)
    if found.gaps and change.effects_required:
        lines = [f'nothing was changed, as {change.effects_required} is "stop":', *(f"  {gap}" for gap in found.gaps)]
        raise EffectsError("\n".join([*lines, f"to go on without it, write {change.effects_required}: warn"]))
    return Proven(found.gaps, found.effects)


def check_disk(change: PacketFilterChange, root: str = loader.ROOT) -> None:
    """Raise DiskError where the file systems cannot take the change."""
    # The new and the previous state; the live one is as large as the confirmed one.
    texts = sum(map(len, change.texts.values())) + sum(
        len(loader.read_text(root, "current", name)) for name in change.texts
    )
    check_space({root: texts + SPARE, **space_needed(loader_source(), python(), change.absent)})


def prove_only(change: PacketFilterChange) -> Proven:
    """Prove a change without leaving a trace: what check mode does."""
    check_disk(change)
    with tempfile.TemporaryDirectory(prefix="mailhost-packet-filter-") as directory:
        stage(change.texts, change.state, directory)
        try:
            notes = prove_staged(directory, change.connection)
        except loader.LoadError as error:
            raise ProofError(error) from error
    found = prove_effects(change)
    return Proven([*notes, *found.notes], found.effects)


def apply(token: str, change: PacketFilterChange, root: str = loader.ROOT) -> Proven:
    """Prove a change and make it live, with the rollback armed.

    ``token`` names the change for its confirmation.
    """
    check_disk(change, root)
    first = not os.path.exists(root)
    os.makedirs(root, mode=0o700, exist_ok=True)
    with loader.locked(root):
        try:
            return _apply(token, change, root)
        except (ProofError, EffectsError, DiskError):
            # Under the lock: a run that waits for it must not lose what it is about to put there.
            if first and not os.path.lexists(os.path.join(root, "current")):
                remove_boot()
                _remove_files(root)
            raise


def _apply(token: str, change: PacketFilterChange, root: str) -> Proven:
    """Apply a change; the caller holds the lock."""
    if loader.Pending.read(root) is not None:
        raise loader.LoadError("another run's change awaits its confirmation; run again when it is settled")
    _sweep(root)
    generation = os.path.join(root, f"generation-{token}")
    known_sets = loader.live_set_names()
    try:
        os.mkdir(generation, mode=0o700)
        stage(change.texts, change.state, generation)
    except OSError as error:
        shutil.rmtree(generation, ignore_errors=True)
        raise DiskError(f"nothing was changed: {describe(error)}") from error
    lives = {family: loader.read_live(family, change.state.backend) for family in loader.FAMILIES}
    had_rules = any(live.managed for live in lives.values())
    new_sets = loader.begin_sets(change.texts["sets"])
    try:
        notes = prove_staged(generation, change.connection)
        found = prove_effects(change)
        loader.wait_for(new_sets)
    except (loader.LoadError, EffectsError) as error:
        loader.wait_for(new_sets)
        loader.destroy_sets(known_sets)
        shutil.rmtree(generation)
        if isinstance(error, EffectsError):
            raise
        raise ProofError(error) from error
    boot, now = loader.boot_time()
    try:
        pending = loader.Pending(
            token=token,
            generation=os.path.basename(generation),
            timeout=change.timeout,
            boot=boot,
            deadline=now + change.timeout,
            rebuild=_snapshot(root, change, known_sets),
            absent=change.absent,
            passed={family: loader.passed_rules(live, change.state.jump_after) for family, live in lives.items()},
        )
        _install_loader()
        reload = None if change.absent else install_unit(python())
        pending.write(root)
    except OSError as error:
        loader.destroy_sets(known_sets)
        for directory in (generation, os.path.join(root, "previous")):
            shutil.rmtree(directory, ignore_errors=True)
        raise DiskError(f"nothing was changed: {describe(error)}") from error
    try:
        arm(token, change.timeout)
        if not had_rules:
            notes += track_open_sessions()
        loader.load(generation, pending.rebuild)
        loader.wait_for(reload)
        # Sets of the previous state are still there until the change is confirmed.
        live = loader.live_digest(change.state.backend, loader.split_sets(change.texts["sets"]))
        loader.State.read(generation)._replace(live=live).write(generation)
    except BaseException as error:
        # The timer stays armed until this has succeeded; it tries again.
        loader.restore_previous(root, pending, f"loading failed: {error}")
        disarm()
        raise loader.LoadError(f"loading failed, the previous rules are restored: {error}") from error
    return Proven([*notes, *found.notes], found.effects)


def _snapshot(root: str, change: PacketFilterChange, live_names: Sequence[str]) -> list[str]:
    """Write what is live into ``previous``; returns the names of sets whose live members are not the wanted ones."""
    backend = change.state.backend
    previous = os.path.join(root, "previous")
    shutil.rmtree(previous, ignore_errors=True)
    os.mkdir(previous, mode=0o700)
    live_sets = loader.live_sets(live_names)
    texts = {family: loader.read_live(family, backend).text() for family in loader.FAMILIES}
    texts["sets"] = "".join(live_sets.values())
    stage(texts, change.state, previous)
    new_sets = loader.split_sets(change.texts["sets"])
    return [
        name
        for name, text in live_sets.items()
        if name in new_sets and loader.members_digest("\n".join(new_sets[name])) != loader.members_digest(text)
    ]


def _install_loader() -> None:
    os.makedirs(os.path.dirname(LOADER_PATH), mode=0o755, exist_ok=True)
    source = loader_source()
    if loader.read_text(LOADER_PATH) != source:
        loader.write_file(LOADER_PATH, source, 0o644)


def _sweep(root: str) -> None:
    """Remove generations that killed runs left behind."""
    current = os.path.realpath(os.path.join(root, "current"))
    for directory in glob.glob(os.path.join(root, "generation-*")):
        if os.path.realpath(directory) != current:
            shutil.rmtree(directory, ignore_errors=True)


def arm(token: str, timeout: int) -> None:
    """Start the rollback timer on the host, which outlives this run, its connection and its user's session."""
    program = [python(), "-I", LOADER_PATH]
    if systemd_runs():
        timer = [
            "systemd-run",
            "--quiet",
            "--collect",
            f"--unit={TIMER}",
            f"--on-active={timeout}",
            "--timer-property=AccuracySec=100ms",
        ]
        loader.run([*timer, *program, "rollback", token])
        return
    loader.start_detached([*program, "rollback-after", str(timeout), token])


def disarm() -> None:
    """Stop the timer; without systemd it finds nothing pending and ends by itself."""
    if systemd_runs():
        with contextlib.suppress(loader.LoadError):  # it has just run, or ended, by itself
            loader.run(["systemctl", "stop", f"{TIMER}.timer"])


def python() -> str:
    """Return the interpreter for the boot unit and the timer: the system's, which upgrades keep in place."""
    return "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable


def confirm(token: str, root: str = loader.ROOT) -> list[str]:
    """Make the pending change permanent; LoadError where it was rolled back before. Returns warnings.

    May be repeated: a confirmation whose answer was lost is confirmed again.
    """
    with loader.locked(root):
        pending = loader.Pending.read(root)
        if pending is None or pending.token != token:
            if _is_confirmed(token, root):
                enable_unit()
                return start_unit()
            raise loader.LoadError(f"nothing to confirm: {why_rolled_back(token, root)}")
        generation = os.path.join(root, pending.generation)
        if pending.absent:
            disable_unit()
        else:
            link = os.path.join(root, f".current-{token}")
            with contextlib.suppress(FileNotFoundError):  # of a confirmation that was killed
                os.unlink(link)
            os.symlink(pending.generation, link)
            os.replace(link, os.path.join(root, "current"))  # the decisive step
            enable_unit()
        os.unlink(os.path.join(root, "pending.json"))
        disarm()
        loader.destroy_sets(loader.split_sets(loader.read_text(generation, "sets")))
        shutil.rmtree(os.path.join(root, "previous"), ignore_errors=True)
        if not pending.absent:
            _sweep(root)
    if not pending.absent:
        return start_unit()
    stop_unit()
    remove_boot()
    _remove_files(root)
    return []


def _is_confirmed(token: str, root: str) -> bool:
    return os.path.basename(os.path.realpath(os.path.join(root, "current"))) == f"generation-{token}"


class Status(NamedTuple):
    """Whether a change is pending or confirmed, and why it was rolled back where it was."""

    pending: bool
    confirmed: bool
    reason: str


def status(token: str, root: str = loader.ROOT) -> Status:
    """Return the status of a change."""
    pending = loader.Pending.read(root)
    confirmed = _is_confirmed(token, root) or not os.path.exists(root)
    return Status(pending is not None and pending.token == token, confirmed, why_rolled_back(token, root))


def _remove_files(root: str) -> None:
    shutil.rmtree(root, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(LOADER_PATH)
    for directory in (os.path.dirname(root), os.path.dirname(LOADER_PATH)):
        with contextlib.suppress(OSError):  # other software may keep files there
            os.rmdir(directory)


def why_rolled_back(token: str, root: str = loader.ROOT) -> str:
    """Return why a change is no longer pending, for a message."""
    try:
        noted = json.loads(loader.read_text(root, "rolled-back.json") or "{}")
    except ValueError:
        noted = {}
    if noted.get("token") == token:
        return f"the host has restored the previous rules ({noted['reason']})"
    return "the change is not known on the host"
