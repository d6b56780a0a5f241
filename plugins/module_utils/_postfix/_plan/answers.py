# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Return codes of block lists in the form in which Postfix filters answers: a pattern for each octet.

Private to this collection. Source: postconf(5), reject_rbl_client and postscreen_dnsbl_sites.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.networks import parse_networks

Octets = tuple[tuple[int, int], ...]
_ALL = (0, 255)


def answer_patterns(return_codes: Iterable[str]) -> list[str]:
    """Return the fewest patterns, as ``127.0.0.[2..11;20]``, that match exactly the addresses of the return codes."""
    rows: dict[tuple[str, ...], list[str]] = {}
    for first, last in _ranges(return_codes):
        for octets in _split(first, last, 24):
            *head, end = [_item(*octet) for octet in octets]
            rows.setdefault(tuple(_pattern([item]) for item in head), []).append(end)
    return [".".join((*head, _pattern(ends))) for head, ends in rows.items()]


def _ranges(return_codes: Iterable[str]) -> list[tuple[int, int]]:
    """Ends of the fewest ranges, in order."""
    found: list[tuple[int, int]] = []
    networks = [network for text in return_codes for network in parse_networks(text)]
    for first, last in sorted((network.value, network.last) for network in networks):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found


def _split(first: int, last: int, shift: int) -> Iterator[Octets]:
    """A range as products of octets: the octet at ``shift`` bits and those behind it."""
    low, high = first >> shift & 255, last >> shift & 255
    rest = (1 << shift) - 1
    if first & rest == 0 and last & rest == rest:
        yield ((low, high), *[_ALL] * (shift // 8))
    elif low == high:
        yield from (((low, low), *octets) for octets in _split(first, last, shift - 8))
    else:
        middle = low + 1 if first & rest else low
        end = high - 1 if last & rest != rest else high
        if middle > low:
            yield from _split(first, first | rest, shift)
        if middle <= end:
            yield ((middle, end), *[_ALL] * (shift // 8))
        if end < high:
            yield from _split(last & ~rest, last, shift)


def _item(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}..{high}"


def _pattern(items: list[str]) -> str:
    return items[0] if len(items) == 1 and items[0].isdigit() else f"[{';'.join(items)}]"
