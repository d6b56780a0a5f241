# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a plan into main.cf and master.cf: what is the site's stays, what is no longer wanted leaves.

Private to this collection. Source: master(5), for the options of a service.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.files import (
    FileError,
    Lines,
    LiveService,
    folded,
    parameter_lines,
    read_main,
    read_master,
    service_lines,
    set_parameters,
    set_services,
    words_of,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.maps import MapFile
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.record import Owned, Place, Record
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.services import (
    PORTS,
    SITE_CLEANUP,
    option_pair,
    read_options,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.settings import PREFIX
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import Plan
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.services import CLEANUP, Service
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.submission import HEADER_CHECKS

#: The plan of a host from which our part is to leave.
NO_PLAN = Plan({}, (), {}, ())

#: Who reads the PROXY protocol: smtpd does not where postscreen stands in front.
SMTPD_PROXY, POSTSCREEN_PROXY = "smtpd_upstream_proxy_protocol", "postscreen_upstream_proxy_protocol"


class Composed(NamedTuple):
    """Texts of main.cf and master.cf, the tables, the record that belongs to them, and what a person should know."""

    main: str
    master: str
    maps: dict[str, MapFile]
    record: Record
    warnings: tuple[str, ...]


def compose(main: str, master: str, plan: Plan, record: Record) -> Composed:
    """The files with the plan in them. Raises FileError."""
    new_main, owned_main = _compose_main(main, plan, record)
    new_master, owned_services, warnings = _compose_master(master, read_main(new_main), plan, record)
    maps = dict(plan.maps)
    return Composed(new_main, new_master, maps, Record(owned_main, owned_services, tuple(sorted(maps))), warnings)


def _compose_main(text: str, plan: Plan, record: Record) -> tuple[str, dict[str, Owned]]:
    live, lines = read_main(text), parameter_lines(text)
    wanted: dict[str, str | None] = dict(plan.main)
    for name, owned in record.main.items():
        # What somebody has changed since stays his.
        if name not in wanted and live.get(name) == folded(owned.managed or ""):
            wanted[name] = owned.before
    found = {
        name: Owned(record.main[name].before if name in record.main else lines.get(name), value)
        for name, value in plan.main.items()
    }
    return set_parameters(text, wanted), found


def _compose_master(
    text: str, main: Mapping[str, str], plan: Plan, record: Record
) -> tuple[str, dict[Place, Owned], tuple[str, ...]]:
    live, lines = read_master(text), service_lines(text)
    wanted: dict[Place, str | None] = {}
    places: dict[Place, Place] = {}
    found: dict[Place, Owned] = {}
    warnings: list[str] = []
    before = {(one.name, one.type): _former(one, live, lines, record, places) for one in plan.services}
    models = {**before, SITE_CLEANUP: lines.get(SITE_CLEANUP)}
    for service in plan.services:
        place = (service.name, service.type)
        merged, left_out = _with_site_options(service, models, plan)
        merged += _proxy_option(service, before.get(place), main, plan)
        warnings += [f"master.cf: {service.name} {service.type}: {one}, and left out" for one in left_out]
        wanted[places.get(place, place)] = merged
        found[place] = Owned(before[place], merged)
    for place, owned in record.services.items():
        if place in found:
            continue
        if words_of(lines.get(place)) == words_of(owned.managed):
            wanted[place] = owned.before
        else:
            _refuse_dependent(place, lines.get(place, Lines("")))
    return set_services(text, wanted), found, tuple(warnings)


def _refuse_dependent(place: Place, text: Lines) -> None:
    """What somebody has changed since stays his, but not where it needs what leaves with the rest of ours."""
    if any(
        f"{PREFIX}submission" in word or word.endswith(f"={CLEANUP}") or word == "postscreen"
        for word in words_of(text) or ()
    ):
        raise FileError(
            f"master.cf: {' '.join(place)} was edited, and uses managed objects that are being removed; undo that "
            "edit, or remove the service"
        )


def _former(
    service: Service,
    live: tuple[LiveService, ...],
    lines: Mapping[Place, Lines],
    record: Record,
    places: dict[Place, Place],
) -> Lines | None:
    """What stood in the place of a service before us. A service of the same port under another name gives its place."""
    place = (service.name, service.type)
    others = [one for one in live if _same_port(one, service)]
    addressed = [one for one in others if ":" in one.name]
    if addressed:
        raise FileError(
            f"master.cf: {addressed[0].name} inet listens at one address of port {PORTS[service.name]}, which is to be "
            f"{service.name} inet; remove the address there, and set inet_interfaces in main.cf instead"
        )
    if place in record.services:
        return record.services[place].before
    if place not in lines and others:
        places[place] = (others[0].name, others[0].type)
        return lines[others[0].name, others[0].type]
    return lines.get(place)


def _same_port(one: LiveService, service: Service) -> bool:
    """Whether a live service listens where one of ours does, under another name."""
    if one.type != "inet" or service.type != "inet" or one.name == service.name:
        return False
    return PORTS.get(one.name.rpartition(":")[2]) == PORTS[service.name]


# Options


def _with_site_options(service: Service, before: Mapping[Place, Lines | None], plan: Plan) -> tuple[str, list[str]]:
    """A service of ours with the site's own options, as a content filter; and which are left out, and why.

    Postscreen hands over to smtpd, which then gets the options of what listened at port 25. Our cleanup gets those of
    the site's, and its jail: what its tables need is there.
    """
    place = (service.name, service.type)
    sources = [place]
    if place == ("smtpd", "pass"):
        sources.insert(0, ("smtp", "inet"))
    elif service.name == CLEANUP:
        sources = [SITE_CLEANUP]
    decided = {*plan.main, *(name for name, _value in service.options)}
    kept: list[str] = []
    dropped: list[str] = []
    foreign: list[str] = []
    for source in sources:
        former = before.get(source)
        if former is None:
            continue
        (one,) = read_master(former)[-1:]
        if one.command != service.command:
            handed_on = (one.command, service.command) == ("smtpd", "postscreen")
            if source in (place, SITE_CLEANUP) and not handed_on:
                words_of_it = [words for _name, words in read_options(one.arguments)]
                foreign += [f"{words} is an option of {one.columns[7]}" for words in words_of_it]
            continue
        if service.name == CLEANUP:
            service = service._replace(chroot=one.columns[4])
        if service.limit == "-":
            service = service._replace(limit=one.columns[6])
        # Its checks of headers hold, by parameters of ours.
        honoured = HEADER_CHECKS if service.name == CLEANUP else ()
        for name, words in read_options(one.arguments):
            if name in honoured or (name == SMTPD_PROXY and source != (service.name, service.type)):
                continue
            (dropped if name in decided or name.endswith("_restrictions") else kept).append(words)
    left_out = [f"{words} is decided by the policy" for words in _without_ours(dropped, service)]
    return service.lines() + "".join(f"  {words}\n" for words in dict.fromkeys(kept)), [*left_out, *foreign]


def _proxy_option(service: Service, former: Lines | None, main: Mapping[str, str], plan: Plan) -> str:
    """Has postscreen expect the PROXY protocol where the smtpd expects it in whose place it comes.

    Else all clients would have the address of the proxy, which may be inside.
    """
    if service.command != "postscreen" or former is None or POSTSCREEN_PROXY in plan.main:
        return ""
    (one,) = read_master(former)[-1:]
    if one.command != "smtpd":
        return ""
    value = main.get(SMTPD_PROXY, "")
    for name, words in read_options(one.arguments):
        if name == SMTPD_PROXY and name not in plan.main:
            value = option_pair(words)[1]
    if value == main.get(POSTSCREEN_PROXY, ""):
        return ""
    setting = f"{POSTSCREEN_PROXY}={value}"
    return f"  -o {{ {setting} }}\n" if " " in value else f"  -o {setting}\n"


def _without_ours(dropped: list[str], service: Service) -> list[str]:
    """What is dropped only to be said again in the same words is not worth a warning."""
    managed = set(service.options)
    return [words for words in dropped if option_pair(words) not in managed]
