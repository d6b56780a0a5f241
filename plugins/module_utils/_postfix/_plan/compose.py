# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a plan into main.cf and master.cf: unmanaged text stays, managed objects that the plan drops are removed.

Source: master(5), for the options of a service.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from .._config.lines import FileError, Lines, folded, words_of
from .._config.main_cf import MainCf
from .._config.maps import MapFile
from .._config.master_cf import PORTS, SITE_CLEANUP, MasterCf, MasterService, Place, option_pair
from .._config.record import Owned, Record
from .._config.settings import PREFIX
from .plan import Plan
from .services import CLEANUP, Service
from .submission import HEADER_CHECKS

NO_PLAN = Plan({}, (), {}, ())
"""The plan of a host from which everything managed is removed."""

SMTPD_PROXY, POSTSCREEN_PROXY = "smtpd_upstream_proxy_protocol", "postscreen_upstream_proxy_protocol"
"""Parameters of the programs that read the PROXY protocol: smtpd does not when postscreen hands it the connection."""


class Composed(NamedTuple):
    """main.cf and master.cf, the tables, the record that belongs to them, and what a person should know."""

    main: MainCf
    master: MasterCf
    maps: dict[str, MapFile]
    record: Record
    warnings: tuple[str, ...]


def compose(main: MainCf, master: MasterCf, plan: Plan, record: Record) -> Composed:
    """The files with the plan in them. Raises FileError."""
    new_main, owned_main = _compose_main(main, plan, record)
    new_master, owned_services, warnings = _compose_master(master, new_main, plan, record)
    maps = dict(plan.maps)
    return Composed(new_main, new_master, maps, Record(owned_main, owned_services, tuple(sorted(maps))), warnings)


def _compose_main(live: MainCf, plan: Plan, record: Record) -> tuple[MainCf, dict[str, Owned]]:
    lines = live.lines
    wanted: dict[str, str | None] = dict(plan.main)
    for name, owned in record.main.items():
        # An edit made since the last run stays.
        if name not in wanted and live.get(name) == folded(owned.managed or ""):
            wanted[name] = owned.before
    found = {
        name: Owned(record.main[name].before if name in record.main else lines.get(name), value)
        for name, value in plan.main.items()
    }
    return live.edited(wanted), found


def _compose_master(
    live: MasterCf, main: MainCf, plan: Plan, record: Record
) -> tuple[MasterCf, dict[Place, Owned], tuple[str, ...]]:
    lines = live.lines
    wanted: dict[Place, str | None] = {}
    found: dict[Place, Owned] = {}
    warnings: list[str] = []
    places = {one.place: _replaced(one, live) for one in plan.services}
    before = {one.place: _former(one.place, places[one.place], lines, record) for one in plan.services}
    models = {place: MasterCf(text).services[-1] for place, text in before.items() if text is not None}
    models.update({one.place: one for one in live if one.place == SITE_CLEANUP})
    for service in plan.services:
        place = service.place
        merged, left_out = _with_site_options(service, models, plan)
        merged += _proxy_option(service, models.get(place), main, plan)
        warnings += [f"master.cf: {service.name} {service.type}: {one}, and left out" for one in left_out]
        wanted[place if place in record.services else places[place]] = merged
        found[place] = Owned(before[place], merged)
    for place, owned in record.services.items():
        if place in found:
            continue
        if words_of(lines.get(place)) == words_of(owned.managed):
            wanted[place] = owned.before
        else:
            _check_dependent(place, lines.get(place, Lines("")))
    return live.edited(wanted), found, tuple(warnings)


def _check_dependent(place: Place, text: Lines) -> None:
    """A service that was edited stays, but not where it uses managed objects that are being removed."""
    if any(
        f"{PREFIX}submission" in word or word.endswith(f"={CLEANUP}") or word == "postscreen"
        for word in words_of(text) or ()
    ):
        raise FileError(
            f"master.cf: {' '.join(place)} was edited, and uses managed objects that are being removed; undo that "
            "edit, or remove the service"
        )


def _replaced(service: Service, live: MasterCf) -> Place:
    """The place that a service takes: its own, or that of the same port under another name."""
    others = [one for one in live if one.port and one.port == PORTS.get(service.name) and one.name != service.name]
    addressed = [one for one in others if one.host]
    if addressed and service.type == "inet":
        raise FileError(
            f"master.cf: {addressed[0].name} inet listens at one address of port {PORTS[service.name]}, which is to be "
            f"{service.name} inet; remove the address there, and set inet_interfaces in main.cf instead"
        )
    taken = service.type == "inet" and others and all(one.place != service.place for one in live)
    return others[0].place if taken else service.place


def _former(place: Place, replaced: Place, lines: Mapping[Place, Lines], record: Record) -> Lines | None:
    """What stood in the place of a service before it was managed."""
    return record.services[place].before if place in record.services else lines.get(replaced)


# Options

_TWINS: Mapping[Place, Place] = {
    ("submissions", "inet"): ("submission", "inet"),
    ("submission", "inet"): ("submissions", "inet"),
}
"""The two ways to submit; a new one works like the one that is there."""


def _with_site_options(service: Service, before: Mapping[Place, MasterService], plan: Plan) -> tuple[str, list[str]]:
    """A managed service with the unmanaged options, as a content filter; and which are left out, and why.

    Postscreen hands over to smtpd, which then gets the options of what listened at port 25. The managed cleanup gets
    those of the unmanaged one. Each keeps the chroot of what it replaces.
    """
    place = service.place
    sources = [place]
    if place == ("smtpd", "pass"):
        sources.insert(0, ("smtp", "inet"))
    elif service.name == CLEANUP:
        sources = [SITE_CLEANUP]
    elif place in _TWINS and place not in before:
        # A content filter or milter of one way to submit is for all mail that users submit.
        sources = [_TWINS[place]]
    decided = {*plan.main, *(name for name, _value in service.options)}
    kept: list[str] = []
    dropped: list[str] = []
    other_program: list[str] = []
    for source in sources:
        one = before.get(source)
        if one is None:
            continue
        if one.command != service.command:
            handed_on = (one.command, service.command) == ("smtpd", "postscreen")
            if source in (place, SITE_CLEANUP) and not handed_on:
                other_program += [f"{words} is an option of {one.columns[7]}" for _name, words in one.option_words]
            continue
        # What its milters, tables and sockets are named by is there.
        service = service._replace(chroot=one.columns[4])
        if service.limit == "-":
            service = service._replace(limit=one.columns[6])
        # Its checks of headers hold, by managed parameters.
        honoured = HEADER_CHECKS if service.name == CLEANUP else ()
        for name, words in one.option_words:
            if name in honoured or (name == SMTPD_PROXY and source != place):
                continue
            (dropped if name in decided or name.endswith("_restrictions") else kept).append(words)
        if source == _TWINS.get(place):
            dropped.clear()  # they are said of the other
    # What is dropped only to be said again in the same words is not worth a warning.
    changed = [words for words in dropped if option_pair(words) not in service.options]
    left_out = [f"{words} is decided by the policy" for words in changed]
    return service.lines() + "".join(f"  {words}\n" for words in dict.fromkeys(kept)), [*left_out, *other_program]


def _proxy_option(service: Service, former: MasterService | None, main: MainCf, plan: Plan) -> str:
    """Has postscreen expect the PROXY protocol where the smtpd that it replaces expects it.

    Else all clients would have the address of the proxy, which may be internal.
    """
    if service.command != "postscreen" or former is None or POSTSCREEN_PROXY in plan.main or former.command != "smtpd":
        return ""
    value = main.get(SMTPD_PROXY, "")
    if SMTPD_PROXY not in plan.main:
        value = former.options.get(SMTPD_PROXY, value)
    if value == main.get(POSTSCREEN_PROXY, ""):
        return ""
    setting = f"{POSTSCREEN_PROXY}={value}"
    return f"  -o {{ {setting} }}\n" if " " in value else f"  -o {setting}\n"
