# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action of any mail server.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ansible.errors import AnsibleActionFail

from ansible_collections.mailhost.hardening.plugins.module_utils._policy import mail as mail_policy
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.policy_tests import read_policy_tests
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.variables import (
    ACCEPTED_EFFECTS,
    BLOCKED_FILES,
)
from ansible_collections.mailhost.hardening.plugins.plugin_utils._policy_action import PolicyAction


class MailServerAction(PolicyAction):
    """Checks a policy on the controller; one call to the host makes the whole change.

    ``options``: the action's own options, beside those that all have. ``settings``: defaults of the settings.
    ``read``: reads policy, settings, names of variables, and lines of files of blocked networks.
    """

    options: Mapping[str, Any] = MappingProxyType({})
    settings: Mapping[str, Any]
    read: Callable[[Any, Any, Mapping[str, str], Mapping[str, list[str]]], Any]

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self.take_variables(task_vars, self.variables())
        _result, args = self.validate_argument_spec(
            argument_spec={
                "state": {"type": "str", "choices": ["present", "absent", "previous"], "default": "present"},
                "policy": {"type": "dict", "default": {}},
                "settings": {"type": "dict", "default": {}},
                "policy_tests": {"type": "raw", "default": []},
                BLOCKED_FILES: {"type": "raw", "default": []},
                ACCEPTED_EFFECTS: {"type": "raw", "default": []},
                **self.options,
            }
        )
        self.settings_given: Mapping[str, Any] = args["settings"]
        files, effects = args.pop(BLOCKED_FILES), args.pop(ACCEPTED_EFFECTS)
        arguments = dict(args, diff=bool(self._task.diff))
        if args["state"] == "present":
            arguments.update(self._check(args, files))
        try:
            arguments[ACCEPTED_EFFECTS] = list(self.accepted_effects(effects))
        except PolicyError as error:
            raise AnsibleActionFail(str(error)) from None
        result: dict[str, Any] = self._execute_module(
            module_name=f"mailhost.hardening.{self.role}_transaction",
            module_args={"step": "rollback" if args["state"] == "previous" else "apply", "arguments": arguments},
            task_vars=self.vars,
        )
        result.pop("invocation", None)
        self.show_effects(result)
        return result

    @classmethod
    def variables(cls) -> tuple[str, ...]:
        """What follows the role's name in its variables."""
        shared = (BLOCKED_FILES, ACCEPTED_EFFECTS, "policy_tests")
        return (*mail_policy.DEFAULTS, *cls.settings, *cls.options, *shared, "state")

    def _check(self, args: dict[str, Any], files: Any) -> dict[str, Any]:
        """Find every problem before the host is contacted; returns the names of options, and the policy with files."""
        names = self.named(policy=mail_policy.DEFAULTS, settings=self.settings)
        names["policy_tests"] = self.variable("policy_tests") if self.called_by(self.role) else "policy_tests"
        lines = self.blocked_lines(files, names[BLOCKED_FILES])
        problems: list[str] = []
        policy = args["policy"]
        try:
            found, _settings = type(self).read(policy, args["settings"], names, lines)
            if lines:
                policy = {**policy, "blocked_networks": [network.short() for network in found.blocked]}
        except PolicyError as error:
            problems += error.problems
        try:
            read_policy_tests(args["policy_tests"], names["policy_tests"])
        except PolicyError as error:
            problems += error.problems
        if problems:
            raise AnsibleActionFail(str(PolicyError(problems)))
        return {"names": names, "policy": policy}
