# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""main.cf as an object: what it sets, and the same file with other values.

Source: postconf(5).

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from .lines import BLANKS, ConfigFile, Entry, FileError, Lines, folded

_PARAMETER = re.compile(r"([^\s=]+)\s*=\s*(.*)", re.DOTALL | re.ASCII)


class MainCf(ConfigFile, Mapping[str, str]):
    """What main.cf sets; of a parameter that is set twice the last one counts. Raises FileError."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._names: list[str] = []
        self._values: dict[str, str] = {}
        for entry in self.entries:
            match = _PARAMETER.fullmatch(entry.text)
            if match is None:
                raise FileError(f"line {entry.numbers[0] + 1} is no setting: {entry.text[:80]!r}")
            self._names.append(match.group(1))
            self._values[match.group(1)] = match.group(2)

    def __getitem__(self, name: str) -> str:
        """The value of a parameter; KeyError where it is not set."""
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        """The parameters that are set."""
        return iter(self._values)

    def __len__(self) -> int:
        """How many parameters are set."""
        return len(self._values)

    def words(self, name: str, default: str = "") -> list[str]:
        """The items of a list, which blanks or commas separate."""
        return items(self.get(name, default))

    @property
    def lines(self) -> dict[str, Lines]:
        """The lines that set each parameter, as they stand in the file."""
        return self._lines_by(self._names)

    def edited(self, wanted: Mapping[str, str | None]) -> MainCf:
        """The file with the parameters as wanted: a value, Lines, or None for not set.

        A parameter that has its value already keeps its line, byte for byte.
        """

        def stands(name: str, entry: Entry) -> bool:
            value = wanted[name]
            written = entry.text.partition("=")[2].strip(BLANKS)
            return value is not None and self[name] == folded(value) == written

        lines = {name: None if value is None else _setting(name, value) for name, value in wanted.items()}
        return MainCf(self._edited(self._names, lines, stands))


def items(value: str) -> list[str]:
    """The items of a list of Postfix, which blanks or commas separate."""
    return [word for word in re.split(r"[\s,]+", value, flags=re.ASCII) if word]


def _setting(name: str, value: str) -> str:
    if isinstance(value, Lines):
        return value
    if "\n" in value or value != value.strip(BLANKS):
        raise FileError(f"{name}: {value!r} cannot stand in one line")
    return f"{name} = {value}\n" if value else f"{name} =\n"
