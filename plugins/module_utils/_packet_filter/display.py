# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is live and what is wanted, as a user reads it in a diff.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter import loader

SHOWN_MEMBERS = 2000
"""Members of a set up to which a diff shows them one by one; ten thousands would take a diff minutes."""


def shown_sets(texts: Mapping[str, str], digests: Mapping[str, str]) -> str:
    """Return sets, given by their texts and the digests of their members, as a diff shows them.

    That is member by member, or of a long set their number and digest.
    """
    lines = []
    for name in sorted(texts):
        count = texts[name].count("\nadd ") + texts[name].startswith("add ")
        lines.append(f"# set {name}")
        if count > SHOWN_MEMBERS:
            lines.append(f"# {count} networks, digest {digests[name][:16]}")
        else:
            lines += sorted(line for line in texts[name].splitlines() if line.startswith("add "))
    return "".join(f"{line}\n" for line in lines)


def describe(text: str, jumps: Mapping[str, int]) -> str:
    """Return a text of chains with its jumps, as iptables-save would show them."""
    lines = text.splitlines()[:-1]
    lines += [f"-A {builtin} -j {loader.JUMPS[builtin]}" for builtin, count in jumps.items() for _each in range(count)]
    return "".join(f"{line}\n" for line in lines)
