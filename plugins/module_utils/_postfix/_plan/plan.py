# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Postfix must have for a policy: the one result that everything else works with.

Sources: postconf(5), master(5), access(5), RESTRICTION_CLASS_README, POSTSCREEN_README.

Free texts stand in lookup tables alone, where a line is an entry; main.cf and master.cf have names, numbers and paths.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..._policy.dnsbl import shown_zone
from ..._policy.errors import Problems, shown
from ..._policy.mail import DEFAULTS as POLICY_DEFAULTS
from ..._policy.mail import MailPolicy, read_mail_policy
from .._config.facts import PostfixFacts
from .._config.maps import MapFile
from .._config.settings import Settings, read_settings
from .access import Access, build_access
from .general import build_general
from .postscreen import build_postscreen
from .services import Service, build_services, check_services
from .submission import build_submission
from .values import default_of_transports, is_too_small, wrong_form


class Plan(NamedTuple):
    """What the files must have.

    ``main``: parameters of main.cf. ``services``: lines of master.cf. ``maps``: lookup tables by file name, in the
    managed folder. ``notes``: what the installed version cannot do, and what stands in for it.
    """

    main: dict[str, str]
    services: tuple[Service, ...]
    maps: dict[str, MapFile]
    notes: tuple[str, ...]


def read_wanted(
    policy: Any,
    settings: Any,
    names: Mapping[str, str] | None = None,
    blocked_files: Mapping[str, Iterable[str]] | None = None,
) -> tuple[MailPolicy, Settings]:
    """The validated policy and settings, or PolicyError with every problem of both and of the two together.

    ``names``: the inventory variable to name in errors, by option of either. ``blocked_files``: the lines of each
    file of blocked networks.
    """
    problems = Problems()
    found_policy = problems.collect(lambda: read_mail_policy(policy, names, blocked_files))
    found_settings = problems.collect(lambda: read_settings(settings, names))
    if found_policy is not None:
        _check_lists(problems, found_policy, found_settings, names or {})
    problems.raise_if_any()
    if found_policy is None or found_settings is None:
        raise AssertionError("a problem was found, or both were read")
    return found_policy, found_settings


def compile_plan(
    policy: MailPolicy, settings: Settings, facts: PostfixFacts, names: Mapping[str, str] | None = None
) -> Plan:
    """The plan for a host, or PolicyError with everything that its Postfix cannot do."""
    problems = Problems()
    check_services(problems, settings, facts, names or {})
    access = Access(policy, settings, facts)
    main = build_access(access)
    if access.postscreen:
        main.update(build_postscreen(access))
    if settings.submission:
        _check_tables(problems, settings, facts, names or {})
        main.update(build_submission(access))
    main.update(build_general(access))
    unknown = [name for name in main if not facts.knows(name) and name not in access.own]
    if unknown:
        problems.add("Postfix", f"does not know {', '.join(unknown)}; it is too old for this collection")
    main.update(_extra(problems, main, settings, facts, names or {}))
    problems.raise_if_any()
    return Plan(main, build_services(access), access.maps.files, tuple(access.notes))


def _path(names: Mapping[str, str], option: str) -> str:
    return names.get(option, f"{'mailhost' if option in POLICY_DEFAULTS else 'postfix'}_{option}")


def _check_lists(problems: Problems, policy: MailPolicy, settings: Settings | None, names: Mapping[str, str]) -> None:
    """Answers of a DNSBL must be named: what counts as listed decides about all mail when it answers with an error."""
    path = _path(names, "dnsbls")
    for one in policy.dnsbls:
        if not one.return_codes:
            problems.add(
                f"{path}[{one.place}].return_codes",
                f'is missing; name the answers of {shown_zone(one.zone)} that mean listed, as ["127.0.0.2-127.0.0.11"]',
            )
    zones = {one.zone for one in policy.dnsbls if one.stage != "mail"}
    for zone in settings.dnsbl_weights if settings else ():
        if zone not in zones:
            problems.add(
                f"{_path(names, 'dnsbl_weights')}[{shown(zone)}]",
                f"is no list of {path} with stage connect; remove it, or correct the zone",
            )


def _check_tables(problems: Problems, settings: Settings, facts: PostfixFacts, names: Mapping[str, str]) -> None:
    """Tables of owners are of a type that the installed Postfix has; where it has none mail is deferred."""
    for index, table in enumerate(settings.sender_login_maps):
        kinds = table.split(":", 2)[: 2 if table.startswith("proxy:") else 1]
        for kind in [one for one in kinds if one not in facts.map_types]:
            problems.add(
                f"{_path(names, 'sender_login_maps')}[{index}]",
                f"{shown(table)} is of the type {kind}, which the installed Postfix has not; install it, or write one "
                f"of {', '.join(sorted(facts.map_types))}",
            )


def _extra(
    problems: Problems,
    main: Mapping[str, str],
    settings: Settings,
    facts: PostfixFacts,
    names: Mapping[str, str],
) -> dict[str, str]:
    """The user's own parameters: such as the program knows, and none that the policy decides."""
    path = _path(names, "extra_settings")
    for name, value in settings.extra_settings.items():
        if name in main:
            problems.add(f"{path}[{shown(name)}]", "is decided by the policy and the variables of the role; remove it")
        elif not facts.knows(name) and not facts.knows(default_of_transports(name)):
            problems.add(f"{path}[{shown(name)}]", "is no parameter that the installed Postfix knows; remove it")
        elif wrong := wrong_form(name, value, facts.parameters):
            problems.add(f"{path}[{shown(name)}]", wrong)
        elif is_too_small(name, value, settings.message_size_limit):
            problems.add(
                f"{path}[{shown(name)}]",
                f"{shown(value)} is below {_path(names, 'message_size_limit')} ({settings.message_size_limit}), and "
                "Postfix would deliver nothing; write at least as much, or 0 for no limit",
            )
    return settings.extra_settings
