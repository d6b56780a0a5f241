# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.mailhost.hardening.plugins.module_utils import _mail_policy as mail_policy
from ansible_collections.mailhost.hardening.plugins.module_utils import _messaging_server_settings as server_settings
from ansible_collections.mailhost.hardening.plugins.module_utils._errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server_plan import check_plan
from ansible_collections.mailhost.hardening.plugins.module_utils._policy_tests import read_policy_tests

HOST_MODULE = "mailhost.hardening.messaging_server_transaction"
ROLE = "messaging_server"


class ActionModule(ActionBase):
    """Checks a policy on the controller; one call to the host makes the whole change."""

    _requires_connection = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self.vars: dict[str, Any] = task_vars or {}
        _result, args = self.validate_argument_spec(
            argument_spec={
                "state": {"type": "str", "choices": ["present", "absent", "previous"], "default": "present"},
                "root": {"type": "str", "default": ""},
                "policy": {"type": "dict", "default": {}},
                "settings": {"type": "dict", "default": {}},
                "policy_tests": {"type": "raw", "default": []},
            }
        )
        arguments = dict(args, step="rollback" if args["state"] == "previous" else "apply")
        if args["state"] == "present":
            self._check(args)
            arguments["names"] = self._names()
        result: dict[str, Any] = self._execute_module(
            module_name=HOST_MODULE, module_args=arguments, task_vars=self.vars
        )
        result.pop("invocation", None)
        return result

    def _check(self, args: dict[str, Any]) -> None:
        """Find every problem of policy, settings and tests before the host is asked for anything."""
        names = self._names()
        problems: list[str] = []
        found: list[Any] = []
        for read, value in (
            (lambda value: mail_policy.read_mail_policy(value, names["policy"]), args["policy"]),
            (lambda value: server_settings.read_settings(value, names["settings"]), args["settings"]),
            (lambda value: read_policy_tests(value, names["policy_tests"]), args["policy_tests"]),
        ):
            try:
                found.append(read(value))
            except PolicyError as error:
                problems += error.problems
        if not problems:
            try:
                check_plan(found[0], found[1], names["policy"])
            except PolicyError as error:
                problems += error.problems
        if problems:
            raise AnsibleActionFail(str(PolicyError(problems)))

    def _names(self) -> dict[str, Any]:
        """Name each option as the user wrote it: in the inventory, or as an option of this action."""
        if f"{ROLE}_domains" not in self.vars:
            return {
                "policy": {option: f"policy.{option}" for option in mail_policy.DEFAULTS},
                "settings": {option: f"settings.{option}" for option in server_settings.DEFAULTS},
                "policy_tests": "policy_tests",
            }
        return {
            "policy": {option: self._name(option) for option in mail_policy.DEFAULTS},
            "settings": {option: f"{ROLE}_{option}" for option in server_settings.DEFAULTS},
            "policy_tests": self._name("policy_tests"),
        }

    def _name(self, option: str) -> str:
        """The role's own variable where it was set, else the shared one that it defaults to."""
        shared = f"mailhost_{option}"
        return shared if shared in str(self.vars.get(f"{ROLE}_{option}", shared)) else f"{ROLE}_{option}"
