# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers to callouts that the caller gives as data.

The shape is that of the filter ``mailhost.hardening.mapping_probe``.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .dns_verify import ROUTINES, Resolver, StaticResolver, call_routine

if TYPE_CHECKING:
    from collections.abc import Mapping

EXISTING_NAMES = "dns_exists"
"""The key beside the routines that lists the names that exist, for ``dns_verify``."""


class Callouts:
    """Answers from texts: routine -> {expanded argument: template text}; an absent argument means failure.

    ``resolver``, when given, answers the ``dns_verify`` family where no text does.
    """

    def __init__(self, texts: Mapping[str, Mapping[str, str]], resolver: Resolver | None = None) -> None:
        self._texts = texts
        self._resolver = resolver

    def __call__(self, _image: str, routine: str, argument: str) -> str | None:
        """The template text that a routine returns for an argument, or None."""
        answer = self._texts.get(routine, {}).get(argument)
        if answer is None and self._resolver is not None and routine in ROUTINES:
            return call_routine(self._resolver, routine, argument)
        return answer


def callouts_from(data: Mapping[str, object]) -> Callouts:
    """Callouts from checked data: texts by routine, and the list of existing names under ``dns_exists``."""
    texts = {name: value for name, value in data.items() if isinstance(value, dict)}
    names = data.get(EXISTING_NAMES)
    known = {str(name): {"A": ["192.0.2.1"]} for name in names} if isinstance(names, (list, tuple)) else None
    return Callouts(texts, None if known is None else StaticResolver(known))
