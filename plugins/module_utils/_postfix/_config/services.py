# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the services of master.cf are made of: names of ports, and the options of a command.

Source: master(5), services(5).

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.files import BLANKS

SITE_CLEANUP = ("cleanup", "unix")
"""Name and type of the unmanaged cleanup, which the managed one works like."""

PORTS = {
    **dict.fromkeys(("smtp", "mail", "25"), 25),
    **dict.fromkeys(("submission", "587"), 587),
    **dict.fromkeys(("submissions", "smtps", "ssmtp", "urd", "465"), 465),
}
"""Names that a service of these ports may have in master.cf (/etc/services)."""

_LOOPBACK_HOST = re.compile(r"127(\.\d+){3}|localhost|\[?::1\]?|loopback-only")


def is_loopback(host: str) -> bool:
    """Whether a host of master.cf or inet_interfaces is the loopback address."""
    return _LOOPBACK_HOST.fullmatch(host) is not None


def option_pair(words: str) -> tuple[str, str]:
    """Parameter and value of ``-o name=value``, which may also be written ``-o { name = value }``."""
    setting = words[2:].strip(BLANKS)
    setting = setting[1:].rpartition("}")[0] if setting.startswith("{") else setting
    name, _equals, value = setting.partition("=")
    return name.strip(BLANKS), value.strip(BLANKS)


def read_options(arguments: tuple[str, ...]) -> list[tuple[str, str]]:
    """Arguments of a service as pairs of the parameter that is set (empty: none) and the words that do it."""
    found: list[tuple[str, str]] = []
    rest = list(arguments)
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


def options_of(arguments: Iterable[str]) -> dict[str, str]:
    """What ``-o`` sets, in any of its spellings; of two the last counts."""
    return dict(option_pair(words) for name, words in read_options(tuple(arguments)) if name)


def _open_braces(words: list[str]) -> bool:
    text = " ".join(words)
    return text.count("{") > text.count("}")
