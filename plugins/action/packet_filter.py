# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.plugins.connection import ConnectionBase

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.host import HostReport, Question
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.loader import State
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.probe_plan import plan_probes
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.rules import (
    PacketFilterFacts,
    Ruleset,
    compile_packet_filter,
    mail_services,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.sockets import without_network
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.transaction import (
    PacketFilterChange,
    Status,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.undeclared import (
    Undeclared,
    describe_undeclared,
    find_undeclared,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.packet_filter import (
    CLIENT,
    DEFAULTS,
    MTA_USERS,
    PacketFilterPolicy,
    read_packet_filter_policy,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.variables import (
    ACCEPTED_EFFECTS,
    BLOCKED_FILES,
)
from ansible_collections.mailhost.hardening.plugins.plugin_utils._policy_action import PolicyAction

HOST_MODULE = "mailhost.hardening.packet_filter_transaction"
OPTIONS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "policy": {"type": "dict", "default": {}},
    BLOCKED_FILES: {"type": "raw", "default": []},
    ACCEPTED_EFFECTS: {"type": "raw", "default": []},
    "backend": {"type": "str", "choices": ["auto", "nft", "legacy"], "default": "auto"},
    "jump_after": {"type": "list", "elements": "str", "default": ["f2b-*"]},
    "confirm_timeout": {"type": "int", "default": 30},
    "check_controller": {"type": "bool", "default": True},
    "confirm_without_network": {"type": "bool", "default": False},
    "unknown_effects": {"type": "str", "choices": ["warn", "stop"], "default": "warn"},
}
VARIABLES = tuple(sorted({*DEFAULTS, *OPTIONS} - {"policy"}))
"""What follows ``packet_filter_`` in the role's variables."""
RETRY_PAUSE = 0.5
STATUS_SECONDS = 60
"""Seconds after the host's timer ran in which the status of the change is read."""


def _limited_users(policy: PacketFilterPolicy) -> Sequence[str | int] | str:
    """Return the users to which the policy limits connections to port 25 of other hosts; none where it does not."""
    used = any(flow.direction == CLIENT and flow.service.port == 25 for flow in policy.flows)
    limited = used and not policy.egress_open and policy.smtp_client_users != "any"
    return policy.smtp_client_users if limited else ()


class ActionModule(PolicyAction):
    """Compiles a policy, has the host prove and load it, and confirms it over a new connection."""

    role = "packet_filter"

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self.take_variables(task_vars, VARIABLES)
        _result, self.args = self.validate_argument_spec(argument_spec=OPTIONS)
        timeout = self.args["confirm_timeout"]
        if not 5 <= timeout <= 600:
            raise AnsibleActionFail(
                f"packet_filter_confirm_timeout: {timeout} is not accepted; write a whole number from 5 to 600"
            )
        try:
            self.accepted = self.accepted_effects(self.args[ACCEPTED_EFFECTS])
        except PolicyError as error:
            raise AnsibleActionFail(str(error)) from None
        absent = self.args["state"] == "absent"
        policy = read_packet_filter_policy({}) if absent else self._policy(self.args["policy"])
        users = () if absent else _limited_users(policy)
        question = Question(
            self.args["backend"], self.args["jump_after"], policy.scope, absent, users, candidates=MTA_USERS
        )
        self.warnings: list[str] = []
        report = HostReport.from_dict(self._host("inspect", question=question._asdict())["report"])
        warnings = self.warnings
        warnings += report.warnings
        if absent:
            ruleset, ports = Ruleset("", "", ""), []
            limited = False
        else:
            limited = bool(users)
            ruleset = self._ruleset(policy, report, bool(users), warnings)
            ports = [service.port for service in mail_services(policy)]
        state = State(report.backend, tuple(self.args["jump_after"]), tuple(ports))
        connection = report.connection if self.args["check_controller"] and not absent else None
        plan = plan_probes(policy, next(iter(report.uids), None), limited=limited and report.owner_match, absent=absent)
        required = self._own("unknown_effects") if self.args["unknown_effects"] == "stop" else ""
        texts = ruleset._asdict()
        change = PacketFilterChange(texts, state, absent, connection, timeout, plan, self.accepted, required)
        changed = report.differs(change)
        if changed and not absent:
            self._check_access(policy, report)
        result: dict[str, Any] = {"changed": changed, "backend": report.backend, "warnings": warnings, "effects": []}
        if changed and self._task.diff:
            result["diff"] = report.diff(change)
        if changed and self._task.check_mode:
            proven = self._host("prove", change=change.to_dict())
            warnings += proven["notes"]
            result["effects"] = proven["effects"]
        elif changed:
            warnings += self._go_live(change, result)
            instead = "" if absent else without_network(self._transport(), report.connection)
            if instead:
                warnings.append(
                    f"the new rules were confirmed over {instead}, which does not show that the host can be reached "
                    "over the network; try it before you end your session"
                )
        self.show_effects(result)
        return result

    # What is wanted

    def _policy(self, options: dict[str, Any]) -> PacketFilterPolicy:
        names = self._names()
        files = self.blocked_lines(self.args[BLOCKED_FILES], names[BLOCKED_FILES])
        try:
            return read_packet_filter_policy(options, names, files)
        except PolicyError as error:
            raise AnsibleActionFail(str(error)) from None

    def _names(self) -> dict[str, str]:
        return self.named(policy=DEFAULTS)

    def _ruleset(self, policy: PacketFilterPolicy, report: HostReport, limited: bool, warnings: list[str]) -> Ruleset:
        live = report.connection
        if policy.scope == "host" and live is None and not policy.management:
            raise AnsibleActionFail(
                "packet_filter_management_networks: is empty and this run has no SSH connection to keep open; "
                "name the networks that manage the host"
            )
        uids = self._uids(report, warnings) if limited else None
        return compile_packet_filter(policy, self._facts(report)._replace(smtp_client_uids=uids))

    def _facts(self, report: HostReport) -> PacketFilterFacts:
        live = report.connection
        return PacketFilterFacts(live.controller, live.port) if live else PacketFilterFacts(None, 22)

    def _check_access(self, policy: PacketFilterPolicy, report: HostReport) -> None:
        """Stop where the change would block what is in use, or could close SSH without a confirmation showing it."""
        if report.in_use:
            undeclared = find_undeclared(
                policy, self._facts(report), report.in_use, first=report.first, widened=report.widened
            )
            if undeclared:
                raise AnsibleActionFail(self._describe(undeclared))
        instead = without_network(self._transport(), report.connection)
        if instead and policy.scope == "host" and not self.args["confirm_without_network"]:
            names = self.named(policy=("management_networks", "scope"))
            raise AnsibleActionFail(
                f'{names["scope"]}: "host" can close SSH to everybody, and this run comes over {instead}, so that its '
                "confirmation would not show it; run over SSH from another host, or check "
                f"{names['management_networks']} and write {self._own('confirm_without_network')}: true"
            )

    def _own(self, option: str) -> str:
        """The name of an option that is no part of the policy: a variable of the role, or a parameter of the module."""
        return f"packet_filter_{option}" if self.called_by(self.role) else option

    def _transport(self) -> str:
        return str(getattr(self._connection, "transport", ""))

    def _describe(self, undeclared: list[Undeclared]) -> str:
        names = self._names()
        if self.called_by(self.role) and names["services"] not in self.vars:
            # The inventory declares no flows yet.
            return describe_undeclared(undeclared, {**names, "services": "mailhost_services"}, DEFAULTS["services"])
        return describe_undeclared(undeclared, names)

    def _uids(self, report: HostReport, warnings: list[str]) -> tuple[int, ...] | None:
        accepted = 'write the names of existing users, or "any" not to limit by user'
        if report.unknown_users:
            names = ", ".join(f'"{name}"' for name in report.unknown_users)
            raise AnsibleActionFail(f"packet_filter_smtp_client_users: the host has no user {names}; {accepted}")
        if not report.uids:
            known = ", ".join(MTA_USERS)
            raise AnsibleActionFail(
                f'packet_filter_smtp_client_users: "auto" finds none of {known} on the host; {accepted}'
            )
        if not report.owner_match:
            warnings.append("the host's kernel has no owner match, so every user of the host may connect to port 25")
            return None
        return tuple(report.uids)

    # On the host

    def _host(self, step: str, **arguments: Any) -> dict[str, Any]:
        result: dict[str, Any] = self._execute_module(
            module_name=HOST_MODULE, module_args=dict(arguments, step=step), task_vars=self.vars
        )
        if result.get("failed"):
            text = str(result.get("msg", "the host's part failed"))
            # What a run warns of may say why it stops.
            noted = [*self.warnings, *result.get("notes", ())]
            raise AnsibleActionFail(text, result={"changed": False, "warnings": noted})
        return result

    def _go_live(self, change: PacketFilterChange, result: dict[str, Any]) -> list[str]:
        token = uuid.uuid4().hex
        notes: list[str] = []
        deadline = time.monotonic() + change.timeout
        try:
            proven = self._host("apply", change=change.to_dict(), token=token)
            notes += proven["notes"]
            result["effects"] = proven["effects"]
        except AnsibleConnectionFailure:
            notes.append("the connection broke while the new rules were loaded")
        confirmed = self._confirm(token, deadline)
        if confirmed is None:
            raise AnsibleActionFail(self._describe_unconfirmed(token, deadline, change.timeout))
        return notes + confirmed

    def _new_connection(self) -> None:
        """Close the connection that was open before the change: only a new one proves anything."""
        try:
            if getattr(type(self._connection), "reset", None) is not ConnectionBase.reset:
                self._connection.reset()
                return
        except (AnsibleError, AttributeError, NotImplementedError):
            pass
        # A reset that is not implemented says so in a warning that no user can do anything about.
        self._connection.close()

    def _confirm(self, token: str, deadline: float) -> list[str] | None:
        """Confirm over a new connection; None where none could be opened in time."""
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

    def _describe_unconfirmed(self, token: str, deadline: float, timeout: int) -> str:
        """Read the status of the change from the host, once its timer has run, and return it as a message."""
        words = f"The new packet filter was not confirmed over a new connection within {timeout} seconds"
        last = max(deadline, time.monotonic()) + STATUS_SECONDS
        while time.monotonic() < last:
            try:
                self._new_connection()
                status = Status(**self._host("status", token=token)["status"])
                if status.confirmed:
                    return (
                        f"{words}, but the host received a confirmation whose answer was lost. The new rules are live."
                    )
                if not status.pending:
                    return f"{words}: {status.reason}."
            except AnsibleConnectionFailure:
                pass
            time.sleep(RETRY_PAUSE)
        return f"{words}, and the host cannot be reached. Its own timer restores the previous rules."
