# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run prints to be pasted: variables in YAML, and only values that are accepted.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..._policy.errors import PolicyError
from ..._policy.mail import read_mail_policy
from .._config.settings import read_settings

_PLAIN = re.compile(r"[a-z][A-Za-z0-9./_-]*|\d{1,3}(\.\d{1,3}){3}(/\d{1,2})?")
_WORDS = re.compile("y|n|yes|no|on|off|true|false|null", re.IGNORECASE)
"""What YAML reads as something else than text."""


def is_accepted(option: str, value: Any, **others: Any) -> bool:
    """Whether an option of the settings takes a value; ``others``: options beside it."""
    return not _problems(read_settings, {option: value, **others})


def policy_problem(option: str, value: Any, **others: Any) -> str:
    """What the policy has against a value, without the name of the variable; empty where it takes it."""
    found = _problems(read_mail_policy, {option: value, **others})
    return found[0].partition(": ")[2] if found else ""


def _problems(read: Any, options: Mapping[str, Any]) -> list[str]:
    try:
        read(options)
    except PolicyError as error:
        return error.problems
    return []


def yaml_lines(variable: str, value: Any) -> list[str]:
    """The lines that set a variable."""
    return _lines(f"{variable}:", value, "  ")


def quoted(text: str) -> str:
    """A text as YAML reads it back."""
    if _PLAIN.fullmatch(text) and not _WORDS.fullmatch(text):
        return text
    return "'" + text.replace("'", "''") + "'"


def _lines(head: str, value: Any, indent: str) -> list[str]:
    if isinstance(value, Mapping) and value:
        found = [head]
        for key, one in value.items():
            found += _lines(f"{indent}{quoted(key)}:", one, f"{indent}  ")
        return found
    if isinstance(value, (list, tuple)) and value:
        found = [head]
        for one in value:
            if not isinstance(one, Mapping):
                found.append(f"{indent}- {_scalar(one)}")
                continue
            rows = [line for key, item in one.items() for line in _lines(f"{indent}  {key}:", item, f"{indent}    ")]
            rows[0] = f"{indent}- {rows[0].strip()}"
            found += rows
        return found
    return [f"{head} {_scalar(value)}"]


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (Mapping, list, tuple)):
        return "{}" if isinstance(value, Mapping) else "[]"
    return str(value) if isinstance(value, int) else quoted(str(value))
