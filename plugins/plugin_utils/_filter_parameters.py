# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks of the parameters of filters, with one form of errors.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from ansible.errors import AnsibleFilterError

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.dnsbl import hide_keys
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError, shown

EMPTY: Mapping[str, Any] = MappingProxyType({})
"""The default of a parameter that is a dictionary."""

_ALIASES = {"policy": "_input", "imta.cnf": "hosts"}
"""Parameters by what the problems of a policy call them."""


class Parameters:
    """Checks the parameters of one filter; each error names parameter and filter. ``name``: the filter's short name."""

    def __init__(self, name: str) -> None:
        self.fqcn = f"mailhost.hardening.{name}"

    def error(self, parameter: str, text: str) -> AnsibleFilterError:
        """Return the error of a parameter."""
        return AnsibleFilterError(hide_keys(f"parameter {parameter} of filter {self.fqcn}: {text}"))

    def wrong(self, parameter: str, value: object, accepted: str) -> AnsibleFilterError:
        """Return the error of a value, with the accepted form."""
        return self.error(parameter, f"{shown(value)} is not accepted; write {accepted}")

    def policy_error(self, error: PolicyError) -> AnsibleFilterError:
        """Return the error of a policy, a line for each problem; their paths begin with the parameters."""
        lines = []
        for line in str(error).splitlines():
            path, colon, text = line.partition(": ")
            lines.append(f"parameter {_ALIASES.get(path, path)} of filter {self.fqcn}: {text}" if colon else line)
        return AnsibleFilterError("\n".join(lines))

    def text(self, parameter: str, value: object) -> str:
        """Return a string."""
        if isinstance(value, str):
            return str(value)
        raise self.wrong(parameter, value, "a string")

    def texts(self, parameter: str, value: object) -> list[str]:
        """Return a list of strings."""
        if isinstance(value, (list, tuple)):
            return [self.text(f"{parameter}[{index}]", item) for index, item in enumerate(value)]
        raise self.wrong(parameter, value, "a list of strings")

    def mapping(self, parameter: str, value: object) -> dict[str, Any]:
        """Return a dictionary whose keys are strings."""
        if isinstance(value, Mapping):
            return {self.text(f"{parameter} key", key): item for key, item in value.items()}
        raise self.wrong(parameter, value, "a dictionary")

    def text_map(self, parameter: str, value: object) -> dict[str, str]:
        """Return a dictionary of strings."""
        items = self.mapping(parameter, value).items()
        return {key: self.text(f"{parameter}[{shown(key)}]", item) for key, item in items}

    def boolean(self, parameter: str, value: object) -> bool:
        """Return true or false."""
        if isinstance(value, bool):
            return value
        raise self.wrong(parameter, value, "true or false")

    def choice(self, parameter: str, value: object, choices: Collection[str]) -> str:
        """Return one of the choices."""
        if isinstance(value, str) and value in choices:
            return str(value)
        raise self.wrong(parameter, value, " or ".join(f'"{choice}"' for choice in choices))
