# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stays on the host and uses tables or parameters that are being removed: mail would be deferred or rejected.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .._config.maps import FOLDER
from .._config.settings import PREFIX
from .context import Conflict, Context, Finding

_CONFIG = ("${config_directory}", "$(config_directory)", "$config_directory")


def dangling_references(context: Context) -> Iterator[Finding]:
    """Find settings that reference objects the role is removing.

    Where a managed parameter was edited, the edit stays, and so do references in it.
    """
    main, before, after = context.composed.main, context.live.record, context.composed.record
    removed = {name for name in {*before.main} - {*main} if name.startswith(PREFIX)}
    patterns = {name: re.compile(rf"(?<!\w){name}(?!\w)") for name in removed}
    folders = "|".join(map(re.escape, (*_CONFIG, context.host.folder)))
    for name in {*before.maps} - {*after.maps}:
        path = rf"(?<![\w./-])(?:{folders})/+{FOLDER}/+{re.escape(name)}"
        patterns[f"{FOLDER}/{name}"] = re.compile(rf"{path}(?![\w.-])")
    values = [(f"main.cf: {name}", value) for name, value in main.items()]
    values += [(f"master.cf: {one.name} {one.type}", " ".join(one.arguments)) for one in context.composed.master]
    found = [
        f"{place} uses {name}"
        for place, value in values
        for name, pattern in sorted(patterns.items())
        if pattern.search(value)
    ]
    if found:
        advice = (
            "these managed objects are being removed, but the settings above still use them, and mail would be "
            "deferred or rejected; remove the references first"
        )
        yield Conflict("read", "\n".join([*found, advice]))
