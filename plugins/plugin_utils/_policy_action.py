# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of a role, and files of blocked networks: what all actions that take a policy share.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from jinja2 import Environment, TemplateSyntaxError
from jinja2.meta import find_undeclared_variables

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.dnsbl import hide_keys_of_value
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.effects import (
    AcceptedEffects,
    Effect,
    describe_effects,
    read_accepted_effects,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import shown
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.variables import (
    ACCEPTED_EFFECTS,
    BLOCKED_FILES,
    FOREIGN,
    SHARED,
    SHARED_BY_ROLES,
    misspelt,
    unread,
)

display = Display()


class PolicyAction(ActionBase):
    """An action that a role of the same name calls with its variables. ``role``: their prefix."""

    _requires_connection = True

    role: str

    def take_variables(self, task_vars: dict[str, Any] | None, options: Iterable[str]) -> None:
        """Keep the variables of the task, and warn of names that are none, or nearly one, of the role's ``options``."""
        self.vars: dict[str, Any] = task_vars or {}
        known = tuple(options)
        for name, meant in misspelt(self.vars, self.role, known):
            if name not in _references(self.vars.get(meant)):
                display.warning(f"{name}: is no variable of this collection; did you mean {meant}?")
        used = {
            name
            for variable in (*(f"mailhost_{one}" for one in SHARED), *(f"{self.role}_{one}" for one in known))
            for name in _references(self.vars.get(variable))
        }
        others = [name for name in unread(self.vars, self.role, known) if name not in used]
        for prefix in ("mailhost_", f"{self.role}_"):
            names = ", ".join(name for name in others if name.startswith(prefix))
            if names:
                foreign = self.role in FOREIGN and prefix != "mailhost_"
                (display.v if foreign else display.warning)(
                    f"{names}: no variable of this collection, and not read by it"
                )

    def validate_argument_spec(self, *args: Any, **kwargs: Any) -> Any:
        """Check the arguments; Ansible's own errors quote values, in which a key may stand."""
        try:
            return super().validate_argument_spec(*args, **kwargs)  # type: ignore[no-untyped-call]
        except AnsibleActionFail as error:
            raise AnsibleActionFail(hide_keys_of_value(str(error))) from None

    def called_by(self, role: str) -> bool:
        """Return whether a role of this collection runs the task."""
        return self.vars.get("ansible_role_name") in (role, f"mailhost.hardening.{role}")

    def variable(self, option: str, role: str = "") -> str:
        """Return the variable that sets an option of a role: its own, else the shared one where there is one."""
        own, shared = f"{role or self.role}_{option}", f"mailhost_{option}"
        return shared if option in SHARED_BY_ROLES and own not in self.vars else own

    def blocked_lines(self, paths: Any, name: str) -> dict[str, list[str]]:
        """Return the lines of each file of blocked networks on the controller; ``name``: what the user called them."""
        if not isinstance(paths, (list, tuple)) or not all(isinstance(path, str) for path in paths):
            raise AnsibleActionFail(f"{name}: {shown(paths)} is not accepted; write a list of files on the controller")
        return {path: self._lines(path, name) for path in paths}

    def _lines(self, path: str, name: str) -> list[str]:
        try:
            found = self._find_needle("files", path)  # type: ignore[no-untyped-call]
            with open(found, encoding="ascii") as file:
                return file.read().splitlines()
        except UnicodeError:
            raise AnsibleActionFail(
                f"{name}: {path} has characters outside of ASCII; write one network a line"
            ) from None
        except (AnsibleError, OSError):
            raise AnsibleActionFail(f"{name}: {shown(path)} is no file on the controller that can be read") from None

    def accepted_effects(self, value: Any) -> AcceptedEffects:
        """Return the effects that the inventory accepts. Raises PolicyError."""
        own, shared = f"{self.role}_{ACCEPTED_EFFECTS}", f"mailhost_{ACCEPTED_EFFECTS}"
        # What a run prints to be pasted goes into the shared variable, unless the inventory uses the role's own.
        name = own if own in self.vars else shared
        return read_accepted_effects(value, name if self.called_by(self.role) else ACCEPTED_EFFECTS)

    def show_effects(self, result: dict[str, Any]) -> None:
        """Show the effects in a result above its diff, or with -v where no diff is shown."""
        effects = [Effect.from_dict(raw) for raw in result.get("effects") or ()]
        table = describe_effects(effects, str(self.vars.get("inventory_hostname", "the host")))
        if table and self._task.diff:
            result["diff"] = [{"prepared": table}, *result.get("diff", [])]
        elif table:
            display.v(table)

    def named(self, **options: Iterable[str]) -> dict[str, str]:
        """Name each option as the user wrote it: as a variable, or as an option of this action.

        ``options``: the names below each option of the action that is a dictionary.
        """
        by_role = self.called_by(self.role)
        names = {BLOCKED_FILES: self.variable(BLOCKED_FILES) if by_role else BLOCKED_FILES}
        for parent, children in options.items():
            names.update({child: self.variable(child) if by_role else f"{parent}.{child}" for child in children})
        return names


def _references(value: Any) -> set[str]:
    """Return the variables that the templates in a value read: these names are the user's own."""
    return {name for text in _texts(value) for name in _undeclared(text)}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from _texts([*value, *value.values()])
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one)


def _undeclared(text: str) -> set[str]:
    try:
        return find_undeclared_variables(Environment().parse(text))  # noqa: S701 (parsed only)
    except TemplateSyntaxError:
        return set()
