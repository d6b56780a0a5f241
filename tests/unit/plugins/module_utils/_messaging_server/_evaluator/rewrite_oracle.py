# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rewriting as the vendor's guides tell it, word by word, for comparison: it shares no code with the collection.

Sources: 6.3 Administration Guide, 11.3 (patterns), 11.4 (forms of templates), 11.6 (substitutions and tests).
"""

from __future__ import annotations

import re

PERCENT, AT = "\x01", "\x02"
TOKEN = re.compile(r"\$([MNQC])([^@%$]*)|\$([&!*#])([0-9])|\$([0-9]?)([A-Za-z$%@])|(.)")


class FailsError(Exception):
    """The rule does not hold."""


def looked_for(host: str) -> list[tuple[str, str, str, bool]]:
    """Patterns in their order, each with host part, domain part, and whether it has asterisks."""
    if host[0] == "[":
        found = []
        numbers = host[1:-1].split(".")
        while len(numbers) > 1:
            numbers.pop()
            found.append(("[" + ".".join(numbers) + ".]", "", ".".join(numbers) + ".", False))
        return [
            (host, "", host, False),
            *found,
            ("[]", "", "", False),
            ("[*.*.*.*]", host, "", True),
            (".", host, ".", False),
        ]
    labels = host.split(".")
    found = [(host, "", host, False)]
    for number in range(1, len(labels) + 1):
        left, right = labels[:number], labels[number:]
        stars = ["*"] * number
        if right:
            domain = "." + ".".join(right)
            found += [(".".join(stars) + domain, ".".join(left), domain, True), (domain, ".".join(left), domain, False)]
        else:
            found += [(".".join(stars), host, "", True)]
    return [*found, (".", host, ".", False)]


def filled(  # noqa: C901 (one branch for each sequence of the guide)
    template: str, address: tuple[str, str], under: tuple[str, str, bool], place: dict[str, object]
) -> str:
    user, host = address
    host_part, domain, stars = under
    channels: dict[str, list[str]] = {}
    text = ""
    for match in TOKEN.finditer(template):
        test, name, single, index, number, letter, plain = match.groups()
        if plain:
            text += {"%": PERCENT, "@": AT}.get(plain, plain)
        elif test:
            channels.setdefault(test, []).append(name)
        elif single:
            labels = [label for label in (domain if single in "*#" else host_part).split(".") if label]
            at = int(index)
            if at >= len(labels):
                raise FailsError
            text += labels[at] if single in "&*" else labels[len(labels) - 1 - at]
        elif letter in "$%@":
            text += letter
        elif letter == "U":
            text += {"": user, "0": user.split("+")[0], "1": user.partition("+")[2]}[number]
        elif letter in "DH":
            assert not stars
            whole = domain if letter == "D" else host_part
            text += ".".join(whole.split(".")[int(number) :]) if number not in ("", "0") else whole
        elif letter == "L":
            text += "" if domain == host else host[1:-1][len(domain) :]
        elif letter in "EBFR":
            holds = {
                "E": place["envelope"],
                "B": not place["envelope"],
                "F": place["forward"],
                "R": not place["forward"],
            }
            if not holds[letter]:
                raise FailsError
    source = str(place["source"])
    if ("M" in channels and source not in channels["M"]) or source in channels.get("N", []):
        raise FailsError
    return text


def rewritten(
    rules: list[tuple[str, str]], hosts: set[str], address: str, place: dict[str, object]
) -> tuple[str, str, str] | None:
    """Pattern, system and address; empty pattern and system for no rule; None where it never ends."""
    for _again in range(21):
        user, host = address.rsplit("@", 1)
        result = None
        for number, (pattern, host_part, domain, stars) in enumerate(looked_for(host)):
            if number == 1 and host in hosts:
                return host, host, address
            for known, template in rules:
                if known != pattern or result:
                    continue
                try:
                    result = pattern, filled(template, (user, host), (host_part, domain, stars), place)
                except FailsError:
                    continue
            if result:
                break
        if result is None:
            return "", "", address
        pattern, text = result
        parts = re.split(f"[{PERCENT}{AT}]", text)
        if PERCENT in text and AT not in text:
            address = "@".join(parts)
        elif PERCENT in text:
            return pattern, parts[2], f"{parts[0]}@{parts[1]}"
        elif len(parts) == 2:
            return pattern, parts[1], f"{parts[0]}@{parts[1]}"
        else:
            return pattern, parts[-1], f"@{parts[2]}:{parts[0]}@{parts[1]}"
    return None
