# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is live and what is wanted, as a user reads it in a diff.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ansible_collections.mailhost.hardening.plugins.module_utils import _packet_filter_loader as loader

SHOWN_MEMBERS = 2000
"""Members of a set up to which a diff shows them one by one; ten thousands would take a diff minutes."""


def shown_sets(sets: Mapping[str, Iterable[str]]) -> str:
    """Return sets, given by the lines of their texts, as a diff shows them: members, or of a long set a digest."""
    lines = []
    for name in sorted(sets):
        members = sorted(line for line in sets[name] if line.startswith("add "))
        lines.append(f"# set {name}")
        if len(members) > SHOWN_MEMBERS:
            members = [f"# {len(members)} networks, digest {loader.members_digest(chr(10).join(members))[:16]}"]
        lines += members
    return "".join(f"{line}\n" for line in lines)


def describe(text: str, jumps: Mapping[str, int]) -> str:
    """Return a text of chains with its jumps, as iptables-save would show them."""
    lines = text.splitlines()[:-1]
    lines += [f"-A {builtin} -j {loader.JUMPS[builtin]}" for builtin, count in jumps.items() for _each in range(count)]
    return "".join(f"{line}\n" for line in lines)
