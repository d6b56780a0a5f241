# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run for any mail server: recover, read, want, prove, change, apply, record; or roll back.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import contextlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from .._policy.dnsbl import hide_keys
from .._policy.effects import AcceptedEffects, Effect, EffectsError, check_effects
from .._policy.errors import ReportedError
from .._policy.variables import ACCEPTED_EFFECTS
from . import backup, transaction
from .command import StepError
from .files import PRIVATE, read_file, remove, replace_file
from .transaction import Change, Confirm, Driver

INTERRUPTED = "a run was killed in the middle of its change; the next run that is not in check mode rolls back first"

NEEDED = ("state", "policy", "settings", "policy_tests")
"""Arguments of each change."""

Result = dict[str, Any]
LiveT = TypeVar("LiveT")
WantedT = TypeVar("WantedT")


class Proof(NamedTuple):
    """How many sessions were held with the wanted files, what to warn of, what a result has besides, and effects."""

    evaluated: int
    warnings: Sequence[str]
    more: Mapping[str, Any] = {}
    effects: Sequence[Effect] = ()


class Run(ABC, Generic[LiveT, WantedT]):
    """What a mail server brings to a run. The methods are called in this order.

    ``state``: the state folder. ``driver``: of its transactions. ``arguments``: those of the module; ``accepted``:
    effects that the inventory accepts. Each method raises ReportedError or OSError.
    """

    state: str
    driver: Driver

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.arguments = arguments
        self.accepted = AcceptedEffects(*arguments.get(ACCEPTED_EFFECTS, ("", ())))

    @abstractmethod
    def read(self) -> LiveT:
        """Read what is live."""

    @abstractmethod
    def want(self, live: LiveT) -> WantedT:
        """Compose what the policy asks for."""

    @abstractmethod
    def changes(self, live: LiveT, wanted: WantedT) -> list[Change]:
        """Return the files that differ."""

    @abstractmethod
    def digest(self, live: LiveT, wanted: WantedT) -> str:
        """Return a digest of all that the proof depends on, nothing where there is nothing to prove."""

    @abstractmethod
    def prove(self, live: LiveT, wanted: WantedT, changes: Sequence[Change], *, proven: bool) -> Proof:
        """Hold the wanted files against the policy. ``proven``: an earlier run has proven exactly these."""

    @abstractmethod
    def details(self, changes: Sequence[Change]) -> Mapping[str, Any]:
        """Return what the driver has to know of these changes."""

    @abstractmethod
    def activation(self, details: Mapping[str, Any]) -> list[str]:
        """Return the commands that activate a change."""

    @abstractmethod
    def record(self, wanted: WantedT) -> bytes | None:
        """Return the record of what is managed, None where nothing is."""

    def confirm(self, live: LiveT, wanted: WantedT) -> Confirm | None:  # noqa: ARG002 (for products that have none)
        """Return what tries the live service before a change is final."""
        return None

    def prepared(self) -> contextlib.AbstractContextManager[None]:
        """Make what files need that are new, and remove it again where it stays empty."""
        return contextlib.nullcontext()


def run_step(module: Any, product: str, begin: Callable[[Mapping[str, Any]], Run[Any, Any]]) -> None:
    """Do the step that an AnsibleModule was called for, and end it; an error that is a bug shows as one.

    The arguments are not returned: a list of a million networks would be.
    """
    step = {"apply": run_change, "rollback": run_rollback}[module.params["step"]]
    arguments, short = module.params["arguments"], {"module_args": {"step": module.params["step"]}}
    missing = [name for name in NEEDED if name not in arguments] if module.params["step"] == "apply" else []
    if missing:
        role = product.lower().replace(" ", "_")
        text = f"arguments are missing: {', '.join(missing)}; call mailhost.hardening.{role} instead, which makes them"
        module.fail_json(msg=text, invocation=short)
    if os.geteuid() != 0:
        module.fail_json(msg=f"{product} can be changed by root alone; set ansible_become: true", invocation=short)
    try:
        result = step(begin(arguments), check_mode=module.check_mode, diff=bool(arguments.get("diff")))
        for warning in result.pop("warnings"):
            module.warn(hide_keys(warning))
        module.exit_json(invocation=short, **result)
    except StepError as error:
        text, output = hide_keys(str(error)), hide_keys(error.output)
        module.fail_json(msg=text, step=error.step, output=output, restored=error.restored, invocation=short)
    except (ReportedError, OSError) as error:
        for warning in error.warnings if isinstance(error, EffectsError) else ():
            module.warn(hide_keys(warning))
        module.fail_json(msg=hide_keys(str(error)), invocation=short)


def run_change(run: Run[Any, Any], *, check_mode: bool, diff: bool) -> Result:
    """Bring the files into the wanted state; returns the result of the module."""
    if check_mode and transaction.interrupted(run.state):
        return {"changed": True, "files": [], "evaluated": 0, "effects": [], "warnings": [INTERRUPTED]}
    notice = "" if check_mode else transaction.recover(run.state, run.driver)
    try:
        result = _change(run, check_mode=check_mode, diff=diff)
    except StepError as error:
        # What was restored of an earlier run is reported once only, so not by the next run.
        output = f"{notice}\n{error.output}" if notice else error.output
        raise StepError(error.step, output, error.restored) from error
    except (ReportedError, OSError):
        if notice:
            backup.leave_notice(run.state, notice)  # for the next run
        raise
    result["warnings"] = [*([notice] if notice else []), *result["warnings"]]
    return result


def _change(run: Run[Any, Any], *, check_mode: bool, diff: bool) -> Result:
    place = f"{run.state}/record.json"
    known = read_file(place)
    live = run.read()
    wanted = run.want(live)
    changes = run.changes(live, wanted)
    digest, proven = run.digest(live, wanted).encode(), f"{run.state}/proven"
    proof = run.prove(live, wanted, changes, proven=digest == read_file(proven))
    result = {**_described(changes, diff=diff), **proof.more}
    effects = [one._replace(before=hide_keys(one.before), remedy=hide_keys(one.remedy)) for one in proof.effects]
    check_effects(effects, run.accepted, proof.warnings)
    result.update(evaluated=proof.evaluated, warnings=list(proof.warnings), effects=[one.to_dict() for one in effects])
    details = run.details(changes) if changes else {}
    if changes:
        result["activation"] = run.activation(details)
    if check_mode:
        return result
    content = run.record(wanted)
    if changes:
        # The record goes with the files: it is restored when they are.
        changes = [*changes, Change(place, known, content, PRIVATE)]
        with run.prepared():
            result["backup"] = transaction.apply(run.state, run.driver, changes, details, run.confirm(live, wanted))
    elif content != known:
        with transaction.locked(run.state):
            if read_file(place) != known:
                raise StepError("record", "another run has changed the host meanwhile; run again")
            _write(place, content)  # what was there already is managed from now on
    if proof.evaluated:
        with contextlib.suppress(OSError):  # what is live is live; the next run proves it once more
            _write(proven, digest)
    return result


def run_rollback(run: Run[Any, Any], *, check_mode: bool, diff: bool) -> Result:
    """Restore what was live before the last change; returns the result of the module."""
    if check_mode and transaction.interrupted(run.state):
        return {"changed": True, "files": [], "warnings": [INTERRUPTED]}
    notice = "" if check_mode else transaction.recover(run.state, run.driver)
    if notice:
        # What was live before the last change is live again: another step back would go too far.
        return {"changed": True, "files": [], "warnings": [notice]}
    changes = transaction.plan_rollback(run.state)
    files = [one for one in changes if one.before != one.after and one.path != f"{run.state}/record.json"]
    result = {**_described(files, diff=diff), "warnings": []}
    if not check_mode:
        details = run.details(files)
        with run.prepared():
            result["backup"] = transaction.apply(run.state, run.driver, changes, details)
        result["activation"] = run.activation(details)
    return result


def _described(changes: Sequence[Change], *, diff: bool) -> Result:
    result: Result = {"changed": bool(changes), "files": [one.path for one in changes]}
    return {**result, "diff": [one.diff() for one in changes]} if changes and diff else result


def _write(path: str, content: bytes | None) -> None:
    """Write a file of the state folder, None for no file, where it differs."""
    if content is None:
        remove(path)
    elif read_file(path) != content:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        replace_file(path, content, PRIVATE)
