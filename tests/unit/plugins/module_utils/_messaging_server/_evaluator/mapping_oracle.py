# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A second matcher, written for being obviously right: it tries everything, longest first, and remembers nothing.

It reads the pattern text itself and shares no code with the plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLASSES = {
    "A": "abcdefghijklmnopqrstuvwxyz",
    "B": "01",
    "D": "0123456789",
    "H": "0123456789abcdef",
    "O": "01234567",
    "S": "0123456789abcdefghijklmnopqrstuvwxyz_$",
    "T": "\t\v ",
}


def naive_match(pattern: str, text: str) -> list[str] | None:
    """Saved texts of the first way the pattern fits in the order a backtracking matcher tries."""
    return next(_ways(pattern, text, []), None)


def _ways(pattern: str, text: str, saved: list[str]) -> Iterator[list[str]]:
    if not pattern:
        if not text:
            yield saved
        return
    if pattern[0] not in "*%$" or (pattern[0] == "$" and pattern[1] in "$*% \t"):
        literal = pattern[0] if pattern[0] != "$" else pattern[1]
        if text[:1].lower() == literal.lower():
            yield from _ways(pattern[1:] if pattern[0] != "$" else pattern[2:], text[1:], saved)
        return
    lazy, save, allowed, back, char, rest = _wildcard(pattern)
    if back is not None:
        lengths = [len(saved[back])] if text.lower().startswith(saved[back].lower()) else []
    elif char == "*":
        lengths = list(range(len(text), -1, -1))
    else:
        lengths = [1] if text else []
    for length in reversed(lengths) if lazy else lengths:
        piece = text[:length]
        if allowed is None or all(one.lower() in allowed.lower() for one in piece):
            yield from _ways(rest, text[length:], [*saved, piece] if save else saved)


def _wildcard(pattern: str) -> tuple[bool, bool, str | None, int | None, str, str]:
    """Minimal, saved, allowed characters, back match, the wildcard, the rest of the pattern."""
    lazy, save, rest = False, True, pattern.lstrip("$")
    allowed, back = None, None
    while rest[0] in "_@^":
        lazy = lazy or rest[0] == "_"
        save = {"@": False, "^": True}.get(rest[0], save)
        rest = rest[1:]
    if rest[0].isdigit():
        back, rest = int(rest[0]), rest[1:]
    elif rest[0] == "[":
        allowed, _bracket, rest = rest[1:].partition("]")
        allowed = allowed.replace("a-b", "ab")
    elif rest[0] in _CLASSES:
        allowed, rest = _CLASSES[rest[0]], rest[1:]
    return lazy, save, allowed, back, rest[0], rest[1:]
