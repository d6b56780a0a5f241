# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNSBLs, access lists and tests of a site's own postscreen that the policy replaces and the inventory does not have.

Sources: POSTSCREEN_README, postconf(5).

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from typing import Any

from ..._policy.dnsbl import hide_keys
from .._config.main_cf import items
from .._config.settings import PREGREET, TESTS
from .access_list import read_access_list
from .context import PolicyContext
from .paste import policy_problem

_SITE = re.compile(r"([^=*\s]+)(?:=([^*\s]+))?(?:\*(-?\d+))?")
"""A DNSBL of postscreen_dnsbl_sites: its zone, the answers that count, its points."""

ANY_ANSWER = "127.0.0.0-127.255.254.255"
"""Every answer but those that report an error."""

_SITES, ACCESS_LIST = "postscreen_dnsbl_sites", "postscreen_access_list"

_NAMED = ("postscreen_dnsbl_reply_map",)
"""Parameters without a variable that stands for their value."""

_IGNORE = (
    "postscreen_dnsbl_action",
    "postscreen_greet_action",
    "postscreen_denylist_action",
    "postscreen_blacklist_action",
)
"""What only observes on a site that says so, and rejects by the policy."""


def paste_of_postscreen(context: PolicyContext) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
    """Options with what the inventory lacks of a site's postscreen, and what has no place in it."""
    plan, record, site = context.plan.main, context.live.record.main, context.live.facts.site
    if not context.live.facts.postscreen:
        return {}, {}
    taken = {
        name: site[name] for name in plan if name.startswith("postscreen_") and name in site and name not in record
    }
    options, others = _lists(context, items(taken.get(_SITES, "")))
    threshold = taken.get("postscreen_dnsbl_threshold", "1")
    if "dnsbls" in options and threshold.isdecimal() and 0 < int(threshold) != context.settings.dnsbl_threshold:
        options["dnsbl_threshold"] = int(threshold)
    clients, tables = _clients(taken.get(ACCESS_LIST, ""), context)
    options.update(clients)
    found = {_SITES: others, ACCESS_LIST: tables}
    tests = [test for test in TESTS if test != PREGREET and taken.get(f"postscreen_{test}_enable", "").lower() == "yes"]
    missing = [test for test in tests if test not in context.settings.postscreen_tests]
    if missing:
        options["postscreen_tests"] = [*context.settings.postscreen_tests, *missing]
    for name in _NAMED:
        found[name] = [taken[name]] if taken.get(name) else []
    for name in _IGNORE:
        found[name] = ["ignore (the policy rejects)"] if taken.get(name, "").lower() == "ignore" else []
    return options, {name: tuple(map(hide_keys, one)) for name, one in found.items() if one}


def _lists(context: PolicyContext, sites: list[str]) -> tuple[dict[str, Any], list[str]]:
    """DNSBLs with their points, and those that the inventory cannot have as they are."""
    known = {one.zone for one in context.policy.dnsbls}
    answers: dict[str, list[str]] = {}
    weights: dict[str, set[int]] = {}
    others = []
    for text in sites:
        match = _SITE.fullmatch(text)
        zone = match[1].lower().rstrip(".") if match else ""
        if zone and zone in known:
            continue
        codes = _return_codes(match[2] or "") if match else []
        entry = {"zone": zone, "stage": "connect", "return_codes": codes}
        if match is None or not codes or hide_keys(text) != text or policy_problem("dnsbls", [entry]):
            others.append(text)
            continue
        answers[zone] = [*answers.get(zone, []), *codes]
        weights.setdefault(zone, set()).add(int(match[3] or 1))
    entries = []
    for zone, codes in answers.items():
        entry = {"zone": zone, "stage": "connect", "return_codes": codes}
        if len(weights[zone]) > 1 or policy_problem("dnsbls", [entry]):
            others += [text for text in sites if re.split("[=*]", text.lower())[0].rstrip(".") == zone]
        else:
            entries.append(entry)
    if not entries:
        return {}, others
    points = {str(entry["zone"]): weights[str(entry["zone"])].pop() for entry in entries}
    return {"dnsbls": entries, "dnsbl_weights": {**context.settings.dnsbl_weights, **points}}, others


def _return_codes(pattern: str) -> list[str]:
    """The answers that a pattern matches, as ranges; none where it is too wide to be listed."""
    if not pattern:
        return [ANY_ANSWER]
    octets = pattern.replace("[", "").replace("]", "").split(".")
    if ".." in pattern:
        octets = re.findall(r"\[[^\]]*\]|\d+", pattern)
    parts = [one.strip("[]").split(";") for one in octets]
    if len(parts) != 4 or any(not re.fullmatch(r"\d+(\.\.\d+)?", item) for part in parts for item in part):
        return []
    if any(len(part) != 1 or ".." in part[0] for part in parts[:3]):
        return []
    head = ".".join(part[0] for part in parts[:3])
    found = []
    for item in parts[3]:
        low, _dots, high = item.partition("..")
        found.append(f"{head}.{low}-{head}.{high}" if high and high != low else f"{head}.{low}")
    return found


def _clients(value: str, context: PolicyContext) -> tuple[dict[str, Any], list[str]]:
    """Options with clients that the tables of an access list permit or reject, and tables that have to be read."""
    found = read_access_list(value, context)
    internal = [str(one) for one in context.policy.internal]
    options: dict[str, Any] = {}
    others = []
    exempt, blocked = (
        context.names.get(option, f"mailhost_{option}") for option in ("dnsbl_exempt_networks", "blocked_networks")
    )
    for option, networks, beside in (
        ("dnsbl_exempt_networks", found.permitted, {}),
        ("blocked_networks", found.rejected, {"internal_networks": internal}),
    ):
        problem = policy_problem(option, list(networks), **beside) if networks else ""
        if problem:
            others.append(f"{', '.join(networks)} ({problem})")
        elif networks:
            options[option] = list(networks)
    others += [f"{one} (put what it permits into {exempt}, and what it rejects into {blocked})" for one in found.unread]
    return options, others
