# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The skeleton of a run: what it reports, what it remembers, and what check mode leaves alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.effects import Effect, EffectsError
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import ReportedError
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction import backup
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction import run as skeleton
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.command import StepError
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.run import Proof, Run, run_change
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.transaction import Change
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._messaging_server.installation_stub import (
    DETAILS,
    NEW,
    OLD,
    Installation,
)


class StubRun(Run[bytes, bytes]):
    """Wants another imta.cnf; its record is the content, and the proof holds three sessions."""

    effects: Sequence[Effect] = ()

    def __init__(self, host: Installation, wanted: bytes = NEW["imta.cnf"], accepted: Sequence[str] = ()) -> None:
        super().__init__({"accepted_effects": ["mailhost_accepted_effects", accepted]})
        self.path, self.wanted = host.root / "config" / "imta.cnf", wanted
        self.state, self.driver = host.state, host.driver()
        self.proven: list[bool] = []

    def read(self) -> bytes:
        return self.path.read_bytes()

    def want(self, live: bytes) -> bytes:  # noqa: ARG002
        return self.wanted

    def changes(self, live: bytes, wanted: bytes) -> list[Change]:
        return [Change(str(self.path), live, wanted)] if live != wanted else []

    def digest(self, live: bytes, wanted: bytes) -> str:  # noqa: ARG002
        return wanted.decode()

    def prove(self, live: bytes, wanted: bytes, changes: Sequence[Change], *, proven: bool) -> Proof:  # noqa: ARG002
        self.proven.append(proven)
        return Proof(0 if proven else 3, ["a warning"], {"notes": ["a note"]}, self.effects)

    def details(self, changes: Sequence[Change]) -> Mapping[str, Any]:  # noqa: ARG002
        return DETAILS

    def activation(self, details: Mapping[str, Any]) -> list[str]:
        return list(details["parts"])

    def record(self, wanted: bytes) -> bytes | None:
        return wanted or None


@pytest.fixture
def host(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def kept(host: Installation) -> dict[str, bytes]:
    places = [Path(host.state, name) for name in ("record.json", "proven")]
    return {path.name: path.read_bytes() for path in places if path.exists()}


def test_run_applies_changes_and_remembers_record_and_proof(host: Installation) -> None:
    run = StubRun(host)
    result = run_change(run, check_mode=False, diff=True)
    assert result.pop("backup").startswith(host.state)
    assert [one["after"] for one in result.pop("diff")] == [NEW["imta.cnf"].decode()]
    assert result == {
        "changed": True,
        "files": [str(run.path)],
        "evaluated": 3,
        "effects": [],
        "notes": ["a note"],
        "warnings": ["a warning"],
        "activation": DETAILS["parts"],
    }
    assert kept(host) == {"record.json": NEW["imta.cnf"], "proven": NEW["imta.cnf"]}
    again = run_change(run, check_mode=False, diff=True)
    assert (again["changed"], again["evaluated"], run.proven) == (False, 0, [False, True])
    assert kept(host) == {"record.json": NEW["imta.cnf"], "proven": NEW["imta.cnf"]}


LOST = Effect("opened", "port", 25, "external client", "was 554 by 0123456789abcdef0123456789.zone.example")


@pytest.mark.parametrize("check_mode", [False, True])
def test_effect_without_a_reason_stops_the_run_before_anything_is_live(host: Installation, check_mode: bool) -> None:
    old, run = host.snapshot(), StubRun(host)
    run.effects = [LOST]
    with pytest.raises(
        EffectsError, match=r"opened port 25, external client: was 554 by <key [0-9a-f]{4}>\.zone\.example"
    ):
        run_change(run, check_mode=check_mode, diff=False)
    assert host.snapshot() == old
    assert kept(host) == {}


def test_accepted_effect_is_listed_without_keys(host: Installation) -> None:
    run = StubRun(host, accepted=[LOST.entry])
    run.effects = [LOST]
    (effect,) = run_change(run, check_mode=False, diff=False)["effects"]
    assert (effect["kind"], effect["subject"]) == ("opened", "port 25, external client")
    assert "0123456789abcdef" not in str(effect)


def test_run_in_check_mode_changes_nothing(host: Installation) -> None:
    old = host.snapshot()
    result = run_change(StubRun(host), check_mode=True, diff=False)
    assert (result["changed"], result["activation"]) == (True, DETAILS["parts"])
    assert {"diff", "backup"} & set(result) == set()
    assert host.snapshot() == old
    assert kept(host) == {}


def test_run_without_changes_writes_and_removes_the_record(host: Installation) -> None:
    run_change(StubRun(host, OLD["imta.cnf"]), check_mode=False, diff=False)
    assert kept(host)["record.json"] == OLD["imta.cnf"]

    class Nothing(StubRun):
        def record(self, wanted: bytes) -> bytes | None:  # noqa: ARG002
            return None

    run_change(Nothing(host, OLD["imta.cnf"]), check_mode=False, diff=False)
    assert "record.json" not in kept(host)


def test_run_reports_what_was_restored_with_its_own_failure(
    host: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(skeleton.transaction, "recover", lambda *_args: "restored of an earlier run")

    class Fails(StubRun):
        def prove(self, *_args: Any, **_options: Any) -> Proof:
            raise StepError("canary", "relays")

    with pytest.raises(StepError) as caught:
        run_change(Fails(host), check_mode=False, diff=False)
    assert str(caught.value) == "canary: restored of an earlier run\nrelays\nnothing was changed"
    assert run_change(StubRun(host), check_mode=False, diff=False)["warnings"][0] == "restored of an earlier run"


def test_what_was_restored_is_reported_by_the_next_run_where_this_one_stops_on_the_policy(host: Installation) -> None:
    Path(host.state).mkdir(parents=True, exist_ok=True)
    backup.leave_notice(host.state, "restored of an earlier run")
    run = StubRun(host)
    run.effects = [LOST]
    for _each in range(2):
        with pytest.raises(EffectsError):
            run_change(run, check_mode=False, diff=False)
    assert run_change(StubRun(host), check_mode=False, diff=False)["warnings"][0] == "restored of an earlier run"


def test_rollback_restores_files_and_record_and_goes_forward_again(host: Installation) -> None:
    run = StubRun(host)
    run_change(run, check_mode=False, diff=False)
    assert skeleton.run_rollback(run, check_mode=True, diff=True)["changed"]
    assert run.read() == NEW["imta.cnf"]
    result = skeleton.run_rollback(run, check_mode=False, diff=False)
    assert (result["files"], result["activation"]) == ([str(run.path)], DETAILS["parts"])
    assert run.read() == OLD["imta.cnf"]
    assert "record.json" not in kept(host)
    skeleton.run_rollback(run, check_mode=False, diff=False)
    assert run.read() == kept(host)["record.json"] == NEW["imta.cnf"]


def test_rollback_after_a_killed_run_stops_at_what_was_restored(
    host: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = StubRun(host)
    run_change(run, check_mode=False, diff=False)
    monkeypatch.setattr(skeleton.transaction, "recover", lambda *_args: "restored of an earlier run")
    result = skeleton.run_rollback(run, check_mode=False, diff=False)
    assert result == {"changed": True, "files": [], "warnings": ["restored of an earlier run"]}
    assert run.read() == NEW["imta.cnf"]


class Module:
    """Ends as AnsibleModule does, by an exception."""

    def __init__(self, step: str) -> None:
        self.params = {"step": step, "arguments": {**dict.fromkeys(skeleton.NEEDED), "diff": False}}
        self.check_mode = False
        self.ends: list[dict[str, Any]] = []

    def warn(self, text: str) -> None:
        self.ends.append({"warning": text})

    def exit_json(self, **result: Any) -> None:
        self.ends.append(result)

    fail_json = exit_json


def ended(error: Exception | None, host: Installation, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    monkeypatch.setattr(skeleton.os, "geteuid", lambda: 0)

    def begin(_arguments: Mapping[str, Any]) -> StubRun:
        if error is not None:
            raise error
        return StubRun(host)

    module = Module("apply")
    skeleton.run_step(module, "Postfix", begin)
    return module.ends


def test_step_fails_with_the_text_of_reported_errors_only(host: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [one["msg"] for one in ended(ReportedError("wrong"), host, monkeypatch)] == ["wrong"]
    assert [one["msg"] for one in ended(OSError("full"), host, monkeypatch)] == ["full"]
    (failed,) = ended(StepError("read", "gone"), host, monkeypatch)
    assert (failed["step"], failed["output"], failed["restored"]) == ("read", "gone", "nothing was changed")
    with pytest.raises(ValueError, match="a bug"):
        ended(ValueError("a bug"), host, monkeypatch)


def test_step_returns_warnings_and_not_its_arguments(host: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    warning, result = ended(None, host, monkeypatch)
    assert warning == {"warning": "a warning"}
    assert result["invocation"] == {"module_args": {"step": "apply"}}


def test_step_that_stops_at_an_effect_returns_its_warnings(host: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    run = StubRun(host)
    run.effects = [LOST]
    monkeypatch.setattr(skeleton.os, "geteuid", lambda: 0)
    module = Module("apply")
    skeleton.run_step(module, "Postfix", lambda _arguments: run)
    warning, failed = module.ends
    assert warning == {"warning": "a warning"}
    assert "opened port 25, external client" in failed["msg"]


def test_record_of_another_run_is_not_replaced(host: Installation) -> None:
    class Overtaken(StubRun):
        def prove(self, *words: Any, **options: Any) -> Proof:
            Path(host.state).mkdir(parents=True, exist_ok=True)
            Path(host.state, "record.json").write_bytes(b"of another run")
            return super().prove(*words, **options)

    with pytest.raises(StepError, match="another run has changed the host meanwhile; run again"):
        run_change(Overtaken(host, OLD["imta.cnf"]), check_mode=False, diff=False)
    assert kept(host)["record.json"] == b"of another run"
