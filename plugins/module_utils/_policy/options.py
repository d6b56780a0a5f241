# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading of the options of a role, each problem named as the user wrote the option.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from .domains import DOMAIN, NameForm
from .errors import Problems, not_a_list, shown
from .networks import PRIVATE, WIDE, Network, NetworkError, parse_networks, read_file, read_list, without_nested

_TRANSLATED = (Network(6, 0xFFFF << 32, 96), Network(6, 0x64FF9B << 96, 96))
"""Prefixes whose addresses stand for any IPv4 address (RFC 4291, section 2.5.5.2; RFC 6052)."""


def either(choices: Sequence[str]) -> str:
    """Choices as a problem lists them."""
    return " or ".join(f'"{choice}"' for choice in choices)


def wrong_type(path: str, value: object, accepted: str, meant: str) -> str:
    """What is wrong with a value of another type; ``meant`` is the right value that its text reads like, if any.

    Text that looks like the right value comes from quotes, or from ``-e name=value`` on the command line.
    """
    word = "text" if isinstance(value, str) else "not accepted"
    text = f"{shown(value)} is {word}; write {accepted}"
    if not meant or not path.isidentifier():
        return text
    return f"{text}; -e name=value and INI inventories give text, -e '{{\"{path}\": {meant}}}' does not"


def as_boolean(value: object) -> str:
    """The boolean that a text reads like, as YAML writes it, or nothing."""
    word = value.lower() if isinstance(value, str) else ""
    return "true" if word in ("true", "yes", "on") else "false" if word in ("false", "no", "off") else ""


def as_number(value: object, low: int, high: int) -> str:
    """The whole number in these bounds that a text reads like, or nothing."""
    number = isinstance(value, str) and re.fullmatch("0|-?[1-9][0-9]{0,17}", value)
    return str(value) if number and low <= int(str(value)) <= high else ""


class Known(NamedTuple):
    """The options there are: what their variables begin with, their defaults, the choices and the bounds of some."""

    prefix: str
    defaults: Mapping[str, Any]
    choices: Mapping[str, Sequence[str]]
    ranges: Mapping[str, tuple[int, int]] = MappingProxyType({})


class OptionReader:
    """Reads single options; a value that is wrong becomes a problem and something harmless."""

    known: Known

    def __init__(self, options: Mapping[str, Any], names: Mapping[str, str]) -> None:
        self.problems = Problems()
        self.options = options
        self.names = names

    def reject_unknown(self, what: str) -> None:
        """Note every key that is no option; ``what`` is what the dictionary is called."""
        for key in self.options:
            if key not in self.known.defaults:
                accepted = ", ".join(sorted(self.known.defaults))
                self.problems.add(what, f"{shown(key)} is not an option; write one of {accepted}")

    def path(self, option: str) -> str:
        """The variable to name in a problem."""
        return self.names.get(option, f"{self.known.prefix}_{option}")

    def value(self, option: str) -> Any:
        """What was given, or the default."""
        return self.options.get(option, self.known.defaults[option])

    def choice(self, option: str) -> str:
        """One of the choices; a number stands for its text, as 6.3 without quotes."""
        value, choices = self.value(option), self.known.choices[option]
        if isinstance(value, (str, float)) and str(value) in choices:
            return str(value)
        self.problems.add(self.path(option), f"{shown(value)} is not accepted; write {either(choices)}")
        return choices[0]

    def boolean(self, option: str) -> bool:
        """True or false; a text is neither."""
        value = self.value(option)
        if not isinstance(value, bool):
            path = self.path(option)
            self.problems.add(path, wrong_type(path, value, "true or false", as_boolean(value)))
        return bool(value)

    def integer(self, option: str, path: str = "", value: Any = None) -> int:
        """A whole number in the option's bounds; ``path`` and ``value`` where it stands within another option."""
        low, high = self.known.ranges[option]
        path, value = (path, value) if path else (self.path(option), self.value(option))
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return int(value)
        self.problems.add(
            path, wrong_type(path, value, f"a whole number from {low} to {high}", as_number(value, low, high))
        )
        return low

    def items(self, path: str, value: Any, example: str) -> Sequence[Any]:
        """The elements of a list; a string is none."""
        if isinstance(value, (list, tuple)):
            return value
        self.problems.add(path, not_a_list(path, value, f"a list, as {example}"))
        return ()

    def mapping(self, option: str, example: str) -> Mapping[Any, Any]:
        """A dictionary."""
        value = self.value(option)
        if isinstance(value, Mapping):
            return value
        self.problems.add(self.path(option), f"{shown(value)} is not a dictionary; write one, as {example}")
        return {}

    def networks(self, option: str, *, allow_any: bool = False) -> tuple[Network, ...]:
        """Networks, sorted; ``allow_any`` says whether /0 is one."""
        return tuple(read_list(self.problems, self.path(option), self.value(option), allow_any))

    def internal_networks(self, path: str, value: Any) -> tuple[Network, ...]:
        """Networks whose hosts may relay, so that a network of external clients among them is a hole."""
        found = read_list(self.problems, path, value, False)
        for index, text in enumerate(value if isinstance(value, (list, tuple)) else ()):
            try:
                networks = parse_networks(text)
            except NetworkError:
                continue
            self.check_internal(f"{path}[{index}]", text, networks)
        return tuple(found)

    def check_internal(self, path: str, text: str, networks: Sequence[Network]) -> None:
        """Note networks that are too wide to be those of one organisation."""
        for network in networks:
            if network.prefix and any(network.overlaps(other) for other in _TRANSLATED):
                self.problems.add(
                    path,
                    f"{shown(text)} has addresses that stand for any IPv4 address; "
                    "write the IPv4 networks that are meant",
                )
                return
            private = any(own.contains(network) for own in PRIVATE)
            if 0 < network.prefix < WIDE[network.version] and not private:
                self.problems.add(
                    path,
                    f"{shown(text)} has a network of /{network.prefix}, and all its hosts could relay; "
                    f"write networks of /{WIDE[network.version]} or longer, only those that are yours",
                )
                return

    def blocked(self, files: Mapping[str, Iterable[str]]) -> tuple[Network, ...]:
        """The option ``blocked_networks`` and the lines of files, by path, in which networks may overlap."""
        given = self.networks("blocked_networks")
        read = [network for path, lines in files.items() for network in read_file(self.problems, path, lines)]
        return tuple(without_nested([*given, *read])) if read else given

    def domains(self, path: str, value: Any) -> tuple[str, ...]:
        """Domains in lower case without final dot."""
        found: list[str] = []
        for index, item in enumerate(self.items(path, value, '["example.com"]')):
            name = self.name(f"{path}[{index}]", item, DOMAIN)
            if name in found:
                self.problems.add(
                    f"{path}[{index}]", f"{shown(item)} repeats {path}[{found.index(name)}]; leave one of them out"
                )
            found.append(name)
        return tuple(found)

    def name(self, path: str, value: Any, kind: NameForm) -> str:
        """A name in lower case without final dot; a wrong one becomes a text that equals no other."""
        name = value.lower() if isinstance(value, str) else ""
        name = name[:-1] if name.endswith(".") else name
        if isinstance(value, str) and not value.isascii():
            self.problems.add(
                path,
                f"{shown(value)} is not ASCII; write {kind.what} as the DNS has it, with labels that begin with xn--",
            )
        elif not kind.form.fullmatch(name) or len(name) > kind.longest or name.rpartition(".")[2].isdigit():
            self.problems.add(path, f'{shown(value)} is not {kind.what}; write a name as "{kind.example}"')
        return name or f"{path} is wrong"
