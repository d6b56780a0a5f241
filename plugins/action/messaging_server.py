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
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server_plan import read_wanted
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
        arguments = dict(args, diff=bool(self._task.diff))
        if args["state"] == "present":
            arguments["names"] = self._check(args)
        result: dict[str, Any] = self._execute_module(
            module_name=HOST_MODULE,
            module_args={"step": "rollback" if args["state"] == "previous" else "apply", "arguments": arguments},
            task_vars=self.vars,
        )
        result.pop("invocation", None)
        return result

    def _check(self, args: dict[str, Any]) -> dict[str, str]:
        """Find every problem before the host is asked for anything; returns how the user named each option."""
        names = self._names()
        problems: list[str] = []
        for read in (
            lambda: read_wanted(args["policy"], args["settings"], names),
            lambda: read_policy_tests(args["policy_tests"], names["policy_tests"]),
        ):
            try:
                read()
            except PolicyError as error:
                problems += error.problems
        if problems:
            raise AnsibleActionFail(str(PolicyError(problems)))
        return names

    def _names(self) -> dict[str, str]:
        """Name each option as the user wrote it: in the inventory, or as an option of this action."""
        if f"{ROLE}_domains" not in self.vars:
            names = {option: f"policy.{option}" for option in mail_policy.DEFAULTS}
            names.update({option: f"settings.{option}" for option in server_settings.DEFAULTS})
            return dict(names, policy_tests="policy_tests")
        names = {option: self._name(option) for option in (*mail_policy.DEFAULTS, "policy_tests")}
        return dict(names, **{option: f"{ROLE}_{option}" for option in server_settings.DEFAULTS})

    def _name(self, option: str) -> str:
        """The role's own variable where it was set, else the shared one that it defaults to."""
        shared = f"mailhost_{option}"
        return shared if shared in str(self.vars.get(f"{ROLE}_{option}", shared)) else f"{ROLE}_{option}"
