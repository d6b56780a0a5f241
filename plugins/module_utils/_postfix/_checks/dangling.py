# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stays in a Postfix and names tables or parameters of ours that leave: it would put off or refuse all mail.

Private to this collection.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.files import read_main, read_master
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.maps import FOLDER
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.record import Record
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.settings import PREFIX

_CONFIG = ("${config_directory}", "$(config_directory)", "$config_directory")


def dangling(main: str, master: str, before: Record, after: Record, folder: str) -> list[str]:
    """Places in new texts that name what the record had before the change, and has no more.

    ``folder``: the configuration directory. Where an own parameter was edited, the edit stays, and so do names in it.
    """
    settings = read_main(main)
    gone = {name for name in {*before.main} - {*settings} if name.startswith(PREFIX)}
    patterns = {name: re.compile(rf"(?<!\w){name}(?!\w)") for name in gone}
    for name in {*before.maps} - {*after.maps}:
        path = rf"(?<![\w./-])(?:{'|'.join(map(re.escape, (*_CONFIG, folder)))})/+{FOLDER}/+{re.escape(name)}"
        patterns[f"{FOLDER}/{name}"] = re.compile(rf"{path}(?![\w.-])")
    found = [f"main.cf: {name} names {word}" for name, value in settings.items() for word in _named(value, patterns)]
    for one in read_master(master):
        found += [
            f"master.cf: {one.name} {one.type} names {word}" for word in _named(" ".join(one.arguments), patterns)
        ]
    return found


def _named(value: str, patterns: dict[str, re.Pattern[str]]) -> Iterable[str]:
    return [name for name, pattern in sorted(patterns.items()) if pattern.search(value)]
