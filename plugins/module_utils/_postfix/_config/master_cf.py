# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""master.cf as an object: its services, and the same file with other ones.

Sources: master(5), services(5).

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from .lines import BLANKS, ConfigFile, FileError, Lines, split_words, words_of

Place = tuple[str, str]
"""Name and type of a service; no other service has both."""

SITE_CLEANUP: Place = ("cleanup", "unix")
"""The unmanaged cleanup, which the managed one works like."""

PORTS = {
    **dict.fromkeys(("smtp", "mail", "25"), 25),
    **dict.fromkeys(("submission", "587"), 587),
    **dict.fromkeys(("submissions", "smtps", "ssmtp", "urd", "465"), 465),
}
"""Names that a service of these ports may have in master.cf (/etc/services)."""

_LOOPBACK_HOST = re.compile(r"127(\.\d+){3}|localhost|\[?::1\]?|loopback-only")


class MasterService(NamedTuple):
    """A service as it stands in master.cf: eight columns, and the arguments of its command."""

    columns: tuple[str, ...]
    arguments: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name; of a service of the network host and port."""
        return self.columns[0]

    @property
    def type(self) -> str:
        """The type, as inet or unix."""
        return self.columns[1]

    @property
    def place(self) -> Place:
        """Name and type."""
        return self.columns[0], self.columns[1]

    @property
    def command(self) -> str:
        """The name of the program, which may stand there with a path."""
        return os.path.basename(self.columns[7])

    @property
    def host(self) -> str:
        """Where a service of the network listens; empty for everywhere."""
        return self.name.rpartition(":")[0]

    @property
    def port(self) -> int:
        """The mail port that a service of the network listens on; 0 for any other."""
        return PORTS.get(self.name.rpartition(":")[2], 0) if self.type == "inet" else 0

    @property
    def option_words(self) -> list[tuple[str, str]]:
        """The arguments as pairs of the parameter that is set (empty: none) and the words that do it."""
        found: list[tuple[str, str]] = []
        rest = list(self.arguments)
        while rest:
            words = [rest.pop(0)]
            if words == ["-o"] and rest:
                words.append(rest.pop(0))
                while words[1].startswith("{") and _open_braces(words) and rest:
                    words.append(rest.pop(0))
            text = " ".join(words)
            setting = text[2:].strip(" {}") if text.startswith("-o") else ""
            found.append((setting.partition("=")[0].strip(BLANKS), text))
        return found

    @property
    def options(self) -> dict[str, str]:
        """What ``-o`` sets, in any of its spellings; of two the last counts."""
        return dict(option_pair(words) for name, words in self.option_words if name)


class MasterCf(ConfigFile):
    """The services of master.cf, in order. Raises FileError."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        found = []
        for entry in self.entries:
            words = split_words(entry.text)
            if len(words) < 8:
                raise FileError(f"line {entry.numbers[0] + 1} is no service: {entry.text[:80]!r}")
            found.append(MasterService(tuple(words[:8]), tuple(words[8:])))
        self.services = tuple(found)

    def __iter__(self) -> Iterator[MasterService]:
        """The services, in order."""
        return iter(self.services)

    def numbered(self) -> Iterator[tuple[int, MasterService]]:
        """The services, each with the number of its line from 1."""
        return ((entry.numbers[0] + 1, service) for entry, service in zip(self.entries, self.services))

    @property
    def lines(self) -> dict[Place, Lines]:
        """The lines of each service, as they stand in the file."""
        return self._lines_by(service.place for service in self.services)

    def edited(self, wanted: Mapping[Place, str | None]) -> MasterCf:
        """The file with services as the lines that are wanted, or None for none."""
        places = [service.place for service in self.services]
        text = self._edited(places, wanted, lambda place, entry: words_of(wanted[place]) == split_words(entry.text))
        return MasterCf(text)


def is_loopback(host: str) -> bool:
    """Whether a host of master.cf or inet_interfaces is the loopback address."""
    return _LOOPBACK_HOST.fullmatch(host) is not None


def option_pair(words: str) -> tuple[str, str]:
    """Parameter and value of ``-o name=value``, which may also be written ``-o { name = value }``."""
    setting = words[2:].strip(BLANKS)
    setting = setting[1:].rpartition("}")[0] if setting.startswith("{") else setting
    name, _equals, value = setting.partition("=")
    return name.strip(BLANKS), value.strip(BLANKS)


def _open_braces(words: list[str]) -> bool:
    text = " ".join(words)
    return text.count("{") > text.count("}")
