# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Problems of an inventory, collected so that a user sees all of them at once.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from typing import TypeVar

from .dnsbl import hide_keys, hide_keys_of_value

T = TypeVar("T")

SHOWN = 40
"""Problems printed one by one; the rest is counted."""


class ReportedError(Exception):
    """An error that is reported to the user as its text; every other exception is a bug, and shows as one.

    The keys of DNSBLs are hidden in the text, wherever they come from.
    """

    def __str__(self) -> str:
        """Return the text without keys."""
        return hide_keys(super().__str__())


class PolicyError(ReportedError):
    """What is wrong with an inventory, one sentence for each problem.

    Each sentence begins with the path of the variable, shows the value, and
    ends in the accepted form.
    """

    def __init__(self, problems: list[str]) -> None:
        self.problems = list(problems)
        shown = self.problems[:SHOWN]
        if len(self.problems) > SHOWN:
            shown.append(f"... and {len(self.problems) - SHOWN} more problems")
        super().__init__("\n".join(shown))


class Problems:
    """A list of problems that grows while an inventory is read."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, path: str, text: str) -> None:
        """Note that the value at ``path`` is wrong in the way ``text`` says."""
        self.found.append(f"{path}: {text}")

    def collect(self, read: Callable[[], T]) -> T | None:
        """Return what ``read`` returns; of a PolicyError keep the problems, so that others are found as well."""
        try:
            return read()
        except PolicyError as error:
            self.found.extend(error.problems)
            return None

    def raise_if_any(self) -> None:
        """Raise PolicyError with all that was found, if anything was."""
        if self.found:
            raise PolicyError(self.found)


def not_a_list(path: str, value: object, accepted: str) -> str:
    """Return what is wrong with a value that should be a list.

    Text that looks like one, or like several words, comes from quotes, or from ``-e name=value`` on the command line.
    """
    text = f"{shown(value)} is not a list; write {accepted}"
    if not isinstance(value, str) or not re.search(r"^\[|[,\s]", value.strip()) or not path.isidentifier():
        return text
    return f"{text}; -e name=value and INI inventories give text, -e '{{\"{path}\": [...]}}' does not"


def shown(value: object) -> str:
    """Return a value as it is quoted in an error: short, on one line, and readable.

    Control characters appear as escapes, and only the first 80 characters of
    a long text, so that an error can neither break a terminal nor fill it.
    """
    if isinstance(value, str):
        value = hide_keys_of_value(value)
        text = "".join(
            c if c.isprintable() else c.encode("unicode_escape", "replace").decode("ascii") for c in value[:80]
        )
        return f'"{text}"' + ("..." if len(value) > 80 else "")
    if value is None:
        return "null"
    if isinstance(value, (bool, int, float)):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if hasattr(value, "keys"):
        return "a dictionary"
    if isinstance(value, date):  # YAML reads 2026-01-31 as one
        return f"the date {value.isoformat()}"
    return "a list" if isinstance(value, (list, tuple)) else "a value of another kind"
