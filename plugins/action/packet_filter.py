# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
import uuid
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.adoption import (
    Cut,
    describe_cuts,
    find_cuts,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.change import Change
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.rules import (
    HostFacts,
    Ruleset,
    compile_packet_filter,
    mail_services,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError, shown
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.packet_filter import (
    CLIENT,
    DEFAULTS,
    MTA_USERS,
    PacketFilterPolicy,
    read_packet_filter_policy,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.variables import misspelt

display = Display()

HOST_MODULE = "mailhost.hardening.packet_filter_transaction"
FILES = "blocked_network_files"
SHARED = {
    "services": "mailhost_services",
    "blocked_networks": "mailhost_blocked_networks",
    "internal_networks": "mailhost_internal_networks",
    FILES: "mailhost_blocked_network_files",
}
OPTIONS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "policy": {"type": "dict", "default": {}},
    FILES: {"type": "raw", "default": []},
    "backend": {"type": "str", "choices": ["auto", "nft", "legacy"], "default": "auto"},
    "jump_after": {"type": "list", "elements": "str", "default": ["f2b-*"]},
    "confirm_timeout": {"type": "int", "default": 30},
    "check_controller": {"type": "bool", "default": True},
}
VARIABLES = tuple(sorted({*DEFAULTS, *OPTIONS} - {"policy", "internal_networks"}))
"""What follows ``packet_filter_`` in the role's variables."""
RETRY_PAUSE = 0.5
LAST_WORD = 60
"""Seconds in which the host is asked, after its timer ran, what became of the change."""


class ActionModule(ActionBase):
    """Compiles a policy, has the host prove and load it, and confirms it over a new connection."""

    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self.vars: dict[str, Any] = task_vars or {}
        for note in misspelt(self.vars, "packet_filter", VARIABLES):
            display.warning(note)
        _result, self.args = self.validate_argument_spec(argument_spec=OPTIONS)  # type: ignore[no-untyped-call]
        timeout = self.args["confirm_timeout"]
        if not 5 <= timeout <= 600:
            raise AnsibleActionFail(
                f"packet_filter_confirm_timeout: {timeout} is not accepted; write a whole number from 5 to 600"
            )
        absent = self.args["state"] == "absent"
        policy = read_packet_filter_policy({}) if absent else self._policy(self.args["policy"])
        facts = self._inspect(policy, absent)
        warnings: list[str] = [] if absent else list(facts["misplaced"])
        change = self._absence(facts) if absent else self._change(policy, facts, warnings)
        needed = change.needed(facts)
        result: dict[str, Any] = {"changed": needed, "backend": facts["backend"], "warnings": warnings}
        if not needed:
            return result
        if self._task.diff:
            result["diff"] = change.diff(facts)
        connection = facts["connection"] if self.args["check_controller"] and not absent else None
        payload = dict(change.payload(), connection=connection, timeout=timeout)
        if self._task.check_mode:
            warnings.extend(self._host("prove", change=payload)["notes"])
            return result
        warnings.extend(self._go_live(payload, timeout))
        return result

    # What is wanted

    def _policy(self, options: dict[str, Any]) -> PacketFilterPolicy:
        paths = self.args[FILES]
        if not isinstance(paths, (list, tuple)) or not all(isinstance(path, str) for path in paths):
            raise AnsibleActionFail(
                f"{self._name_of_files()}: {shown(paths)} is not accepted; write a list of files on the controller"
            )
        files = {path: self._lines(path) for path in paths}
        try:
            return read_packet_filter_policy(options, self._names(), files)
        except PolicyError as error:
            raise AnsibleActionFail(str(error)) from None

    def _names(self) -> dict[str, str]:
        """Name each option as the user wrote it: in the inventory, or as an option of this action."""
        if "packet_filter_services" not in self.vars:
            return {**{option: f"policy.{option}" for option in DEFAULTS}, FILES: FILES}
        return {
            option: shared
            for option, shared in SHARED.items()
            if shared in self.vars and shared in str(self.vars.get(f"packet_filter_{option}", shared))
        }

    def _name_of_files(self) -> str:
        return self._names().get(FILES, f"packet_filter_{FILES}")

    def _lines(self, path: str) -> list[str]:
        try:
            found = self._find_needle("files", path)  # type: ignore[no-untyped-call]
            with open(found, encoding="ascii") as file:
                return file.read().splitlines()
        except UnicodeDecodeError:
            raise AnsibleActionFail(
                f"{self._name_of_files()}: {path} has characters outside of ASCII; write one network a line"
            ) from None
        except (AnsibleError, OSError):
            raise AnsibleActionFail(
                f"{self._name_of_files()}: {shown(path)} is no file on the controller that can be read"
            ) from None

    def _inspect(self, policy: PacketFilterPolicy, absent: bool) -> dict[str, Any]:
        limited = (
            not absent
            and not policy.egress_open
            and any(flow.direction == CLIENT and flow.service.port == 25 for flow in policy.flows)
        )
        limited = limited and policy.smtp_client_users != "any"
        users: str | tuple[str | int, ...] = policy.smtp_client_users if limited else ()
        question = {
            "backend": self.args["backend"],
            "jump_after": self.args["jump_after"],
            "users": users if users == "auto" else list(users),
            "candidates": list(MTA_USERS),
            "absent": absent,
            "scope": policy.scope,
        }
        facts: dict[str, Any] = self._host("inspect", question=question)["facts"]
        facts["users_limited"] = bool(users)
        return facts

    def _absence(self, facts: dict[str, Any]) -> Change:
        return Change(Ruleset("", "", ""), facts["backend"], self.args["jump_after"], [], absent=True)

    def _change(self, policy: PacketFilterPolicy, facts: dict[str, Any], warnings: list[str]) -> Change:
        live = facts["connection"]
        if policy.scope == "host" and live is None and not policy.management:
            raise AnsibleActionFail(
                "packet_filter_management_networks: is empty and this run has no SSH connection to keep open; "
                "name the networks that manage the host"
            )
        host = HostFacts(
            live["controller"] if live else None, live["port"] if live else 22, self._uids(facts, warnings)
        )
        ports = [service.port for service in mail_services(policy)]
        if facts["in_use"] is not None:
            cuts = find_cuts(policy, host, facts["in_use"], facts["first"])
            if cuts:
                raise AnsibleActionFail(self._describe(cuts))
        return Change(compile_packet_filter(policy, host), facts["backend"], self.args["jump_after"], ports)

    def _describe(self, cuts: list[Cut]) -> str:
        names = self._names()
        if "services" not in names and SHARED["services"] in str(self.vars.get("packet_filter_services")):
            # The inventory declares no flows yet.
            return describe_cuts(cuts, {**names, "services": SHARED["services"]}, DEFAULTS["services"])
        return describe_cuts(cuts, names)

    def _uids(self, facts: dict[str, Any], warnings: list[str]) -> tuple[int, ...] | None:
        if not facts["users_limited"]:
            return None
        accepted = 'write the names of existing users, or "any" not to limit by user'
        if facts["unknown_users"]:
            names = ", ".join(f'"{name}"' for name in facts["unknown_users"])
            raise AnsibleActionFail(f"packet_filter_smtp_client_users: the host has no user {names}; {accepted}")
        if not facts["uids"]:
            known = ", ".join(MTA_USERS)
            raise AnsibleActionFail(
                f'packet_filter_smtp_client_users: "auto" finds none of {known} on the host; {accepted}'
            )
        if not facts["owner_match"]:
            warnings.append("the host's kernel has no owner match, so every user of the host may connect to port 25")
            return None
        return tuple(facts["uids"])

    # The way to the host

    def _host(self, step: str, **arguments: Any) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(
            module_name=HOST_MODULE, module_args=dict(arguments, step=step), task_vars=self.vars
        )
        if result.get("failed"):
            raise AnsibleActionFail(str(result.get("msg", "the host's part failed")), result={"changed": False})
        return result

    def _go_live(self, payload: dict[str, Any], timeout: int) -> list[str]:
        token = uuid.uuid4().hex
        notes: list[str] = []
        started = time.monotonic()
        try:
            notes += self._host("apply", change=payload, token=token)["notes"]
        except AnsibleConnectionFailure:
            notes.append("the connection broke while the new rules were loaded")
        confirmed = self._confirm(token, started + timeout)
        if confirmed is None:
            raise AnsibleActionFail(self._what_became_of(token, started + timeout, timeout))
        return notes + confirmed

    def _new_connection(self) -> None:
        """Leave the connection that was there before the change: only a new one proves anything."""
        try:
            self._connection.reset()
        except (AnsibleError, AttributeError, NotImplementedError):
            self._connection.close()

    def _confirm(self, token: str, deadline: float) -> list[str] | None:
        """Confirm over a new connection; None where none came about in time."""
        while True:
            try:
                self._new_connection()
                result = self._execute_module(
                    module_name=HOST_MODULE, module_args={"step": "confirm", "token": token}, task_vars=self.vars
                )
                return None if result.get("failed") else [str(note) for note in result["notes"]]
            except AnsibleConnectionFailure:
                if time.monotonic() > deadline:
                    return None
                time.sleep(RETRY_PAUSE)

    def _what_became_of(self, token: str, deadline: float, timeout: int) -> str:
        """Ask the host, once its timer has run, and say it in words for the user."""
        words = f"The new packet filter was not confirmed over a new connection within {timeout} seconds"
        last = max(deadline, time.monotonic()) + LAST_WORD
        while time.monotonic() < last:
            try:
                self._new_connection()
                status = self._host("status", token=token)["status"]
                if status["confirmed"]:
                    return (
                        f"{words}, but the host has taken a confirmation whose answer was lost. The new rules are live."
                    )
                if not status["pending"]:
                    return f"{words}: {status['reason']}."
            except AnsibleConnectionFailure:
                pass
            time.sleep(RETRY_PAUSE)
        return f"{words}, and the host cannot be reached. Its own timer puts the former rules back."
