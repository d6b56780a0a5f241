# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the actions of all mail servers have in common.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.mailhost.hardening.plugins.module_utils._policy import mail as mail_policy
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.policy_tests import read_policy_tests
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.variables import misspelt

display = Display()


class MailServerAction(ActionBase):
    """Checks a policy on the controller; one call to the host makes the whole change.

    ``role``: the prefix of the role's variables. ``options``: the action's own options, beside those that all have.
    ``settings``: defaults of the settings. ``read``: reads policy and settings, by the names of their variables.
    """

    _requires_connection = True

    role: str
    options: Mapping[str, Any] = MappingProxyType({})
    settings: Mapping[str, Any]
    read: Callable[[Any, Any, Mapping[str, str]], Any]

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self.vars: dict[str, Any] = task_vars or {}
        for note in misspelt(self.vars, self.role, self.variables()):
            display.warning(note)
        _result, args = self.validate_argument_spec(  # type: ignore[no-untyped-call]
            argument_spec={
                "state": {"type": "str", "choices": ["present", "absent", "previous"], "default": "present"},
                "policy": {"type": "dict", "default": {}},
                "settings": {"type": "dict", "default": {}},
                "policy_tests": {"type": "raw", "default": []},
                **self.options,
            }
        )
        arguments = dict(args, diff=bool(self._task.diff))
        if args["state"] == "present":
            arguments["names"] = self._check(args)
        result: dict[str, Any] = self._execute_module(
            module_name=f"mailhost.hardening.{self.role}_transaction",
            module_args={"step": "rollback" if args["state"] == "previous" else "apply", "arguments": arguments},
            task_vars=self.vars,
        )
        result.pop("invocation", None)
        return result

    @classmethod
    def variables(cls) -> tuple[str, ...]:
        """What follows the role's name in its variables."""
        return (*mail_policy.DEFAULTS, *cls.settings, *cls.options, "policy_tests", "state")

    def _check(self, args: dict[str, Any]) -> dict[str, str]:
        """Find every problem before the host is asked for anything; returns how the user named each option."""
        names = self._names()
        problems: list[str] = []
        for read in (
            lambda: type(self).read(args["policy"], args["settings"], names),
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
        if f"{self.role}_domains" not in self.vars:
            names = {option: f"policy.{option}" for option in mail_policy.DEFAULTS}
            names.update({option: f"settings.{option}" for option in self.settings})
            return dict(names, policy_tests="policy_tests")
        names = {option: self._name(option) for option in (*mail_policy.DEFAULTS, "policy_tests")}
        return dict(names, **{option: f"{self.role}_{option}" for option in self.settings})

    def _name(self, option: str) -> str:
        """The role's own variable where it was set, else the shared one that it defaults to."""
        shared, own = f"mailhost_{option}", f"{self.role}_{option}"
        return shared if shared in str(self.vars.get(own, shared)) else own
