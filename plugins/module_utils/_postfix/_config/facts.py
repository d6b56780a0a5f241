# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Postfix of a host says of itself, so that nothing about a version is guessed.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ..._policy.errors import Problems, shown

DEFAULTED = ("mynetworks_style", "relay_domains")
"""Parameters whose default may depend on compatibility_level."""

BUILT_IN = ("cidr", "regexp", "texthash")
"""Types of maps that every Postfix has built in and that the managed files use."""

INDEXED = ("lmdb", "hash", "cdb", "btree")
"""Types with an index, in the order in which they are taken when the installation's own default is none of them."""


class PostfixFacts(NamedTuple):
    """``parameters``: every known parameter with its default, from ``postconf -d``. ``map_types``: from ``postconf
    -m``. ``sasl_types``: from ``postconf -a``. ``chroot``: whether the live master.cf runs smtpd in the queue
    directory. ``site``: what the live main.cf sets, without managed parameters. ``postscreen``: whether the site has
    an unmanaged postscreen at port 25. ``cleanup``: what master.cf sets for the unmanaged cleanup beyond main.cf.
    """

    parameters: Mapping[str, str]
    map_types: frozenset[str]
    sasl_types: frozenset[str]
    chroot: bool
    site: Mapping[str, str]
    postscreen: bool = False
    cleanup: Mapping[str, str] = MappingProxyType({})

    def knows(self, parameter: str) -> bool:
        """Whether the installed program has a parameter."""
        return parameter in self.parameters

    @property
    def indexed_type(self) -> str:
        """The type of map for long lists, empty when there is none."""
        default = self.parameters.get("default_database_type", "")
        return next((one for one in (default, *INDEXED) if one in INDEXED and one in self.map_types), "")


def read_parameters(lines: Iterable[str]) -> dict[str, str]:
    """Return the parameters that ``postconf`` prints, as ``name = value``, in one line each."""
    found: dict[str, str] = {}
    for line in lines:
        name, equals, value = line.partition("=")
        if equals:
            found[name.strip()] = value.strip()
    return found


FIELDS = {
    "parameters": (Mapping, "a dictionary from parameter to default, as postconf -d prints them"),
    "map_types": ((list, tuple), "a list, as postconf -m prints it"),
    "sasl_types": ((list, tuple), "a list, as postconf -a prints it"),
    "chroot": (bool, "true or false"),
    "site": (Mapping, "a dictionary of what main.cf sets, as postconf -n prints it"),
    "postscreen": (bool, "true or false"),
    "cleanup": (Mapping, "a dictionary of what -o sets for cleanup in master.cf"),
}
_REQUIRED = ("parameters", "map_types")
_ABSENT: dict[str, Any] = {"sasl_types": (), "chroot": False, "site": {}, "postscreen": False, "cleanup": {}}


def read_facts(data: Any, path: str = "facts") -> PostfixFacts:
    """Return facts given as plain data, or raise PolicyError."""
    problems = Problems()
    if not isinstance(data, Mapping):
        problems.add(path, f"{shown(data)} is not a dictionary; write {', '.join(FIELDS)}")
        problems.raise_if_any()
    for key in data:
        if key not in FIELDS:
            problems.add(path, f"{shown(key)} is not a fact; write one of {', '.join(FIELDS)}")
    found: dict[str, Any] = {}
    for key, (kind, accepted) in FIELDS.items():
        value = data.get(key, None if key in _REQUIRED else _ABSENT[key])
        if not isinstance(value, kind):  # type: ignore[arg-type]
            problems.add(f"{path}.{key}", f"{shown(value)} is not accepted; write {accepted}")
        found[key] = value
    problems.raise_if_any()
    return PostfixFacts(
        parameters={str(name): str(value) for name, value in found["parameters"].items()},
        map_types=frozenset(str(one) for one in found["map_types"]),
        sasl_types=frozenset(str(one) for one in found["sasl_types"]),
        chroot=found["chroot"],
        site={str(name): str(value) for name, value in found["site"].items()},
        postscreen=found["postscreen"],
        cleanup={str(name): str(value) for name, value in found["cleanup"].items()},
    )
