# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""dispatcher.cnf as data: options by service, without loss, and setting them.

Grammar: docs/reference/messaging-server-facts.md#dispatcher-services.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import NamedTuple

from .text import (
    BLANKS,
    COMMENTS,
    INCLUDE,
    EditError,
    Fault,
    LogicalLine,
    content,
    ended,
    fold,
    is_blank,
    line_ending,
    logical_lines,
    written,
)

MAX_ZONES = 5
"""The most zones a service may name in DNS_VERIFY_DOMAIN:
docs/reference/messaging-server-facts.md#dispatcher-dnsbls."""

REPEATABLE = frozenset({"dns_verify_domain"})
"""Options of which a service may have several; each line is one value."""

ZONE_OPTION = "DNS_VERIFY_DOMAIN"

SMTP_SERVICE, SUBMISSION_SERVICE = "SMTP", "SMTP_SUBMIT"
SUBMISSION_PORT = 587

DEFAULT_CHANNEL = "tcp_local"
"""The channel of a service that names none: that of port 25 in every installation."""

CHANNEL_PARAMETER = "CHANNEL="
"""What a text before the channel's name means in the option PARAMETER of a service."""


class Option(NamedTuple):
    """An option: name and value as written, the service it is for (empty: all services that follow)."""

    line: LogicalLine
    service: str
    name: str
    value: str


class DispatcherFile(NamedTuple):
    """The lines as read, the services in order with the line of their section, the options, the faults.

    ``by_name`` has the values of each option by folded service and option name.
    """

    lines: tuple[LogicalLine, ...]
    services: dict[str, LogicalLine]
    options: tuple[Option, ...]
    faults: tuple[Fault, ...]
    by_name: dict[tuple[str, str], list[str]]

    def require_sound(self) -> DispatcherFile:
        """This file, or the error of its first fault."""
        if self.faults:
            raise self.faults[0].error
        return self

    def values(self, service: str, name: str) -> list[str]:
        """Values of an option for a service: its own, else the global ones."""
        key = fold(name)
        return self.by_name.get((fold(service), key)) or self.by_name.get(("", key), [])

    def has_service(self, service: str) -> bool:
        """Whether there is a section of this service."""
        return any(fold(known) == fold(service) for known in self.services)

    def channel_of(self, service: str) -> str:
        """The channel on which a session of a service begins."""
        for value in self.values(service, "PARAMETER"):
            if fold(value).startswith(fold(CHANNEL_PARAMETER)):
                return value[len(CHANNEL_PARAMETER) :]
        return DEFAULT_CHANNEL

    def service_of_port(self, port: int) -> str | None:
        """The service that listens on a port, in clear or, with TLS_PORT, with TLS."""
        for service in self.services:
            for value in (*self.values(service, "PORT"), *self.values(service, "TLS_PORT")):
                if str(port) in (part.strip(BLANKS) for part in value.split(",")):
                    return service
        return None


def parse_dispatcher(text: str, file: str = "dispatcher.cnf") -> DispatcherFile:
    """Read sections and options. Comments begin in column 1; there are no continuation lines."""
    lines = logical_lines(text, file, joined=False)
    services: dict[str, LogicalLine] = {}
    options: list[Option] = []
    faults: list[Fault] = []
    service = ""
    for line in lines:
        stripped = line.text.strip(BLANKS)
        if not stripped or line.text[0] in (*COMMENTS, INCLUDE):
            continue
        if stripped.startswith("["):
            kind, equals, name = stripped[1:-1].partition("=")
            if not stripped.endswith("]") or fold(kind) != "service" or not equals or not name:
                faults.append(Fault("section", line.error(0, f'"{stripped[:60]}"', '"[SERVICE=name]"')))
                continue
            service = name
            services.setdefault(service, line)
            continue
        name, equals, value = stripped.partition("=")
        if not equals or not name.strip(BLANKS):
            faults.append(Fault("option", line.error(0, f'"{stripped[:60]}"', '"OPTION=value"')))
            continue
        options.append(Option(line, service, name.strip(BLANKS), value.strip(BLANKS)))
    by_name: dict[tuple[str, str], list[str]] = {}
    for option in options:
        by_name.setdefault((fold(option.service), fold(option.name)), []).append(option.value)
    return DispatcherFile(tuple(lines), services, tuple(options), tuple(faults), by_name)


def print_dispatcher(parsed: DispatcherFile) -> str:
    """The text it was read from, byte for byte."""
    return written(parsed.lines)


def set_option(text: str, service: str, name: str, values: list[str]) -> str:
    """Give an option of a service exactly these values (none: remove it); every other byte stays.

    Lines with a wanted value stay where they are, lines with another value go, missing ones are added after the last
    line of the option or else after the last option of the section, which is made when it is not there. Raises
    EditError for values that would not stay in their line, and for more values than the option may have.
    """
    parsed = parse_dispatcher(text)
    for what in (service, name, *values):
        if not what or what != what.strip(BLANKS) or any(ord(char) < 32 or ord(char) == 127 for char in what):
            raise EditError(f"{what!r} cannot stand in dispatcher.cnf; expected text without control characters")
    if "=" in name or "]" in service or name.startswith((*COMMENTS, INCLUDE, "[")):
        raise EditError(f"{name!r} for service {service!r} is no option name")
    if len(values) > 1 and fold(name) not in REPEATABLE:
        raise EditError(f"{name} takes one value; got {values!r}")
    if fold(name) == fold(ZONE_OPTION) and len(values) > MAX_ZONES:
        raise EditError(f"{ZONE_OPTION} takes at most {MAX_ZONES} values for a service; got {len(values)}")
    return _with_option(text, parsed, service, name, values)


def remove_section(text: str, service: str) -> str:
    """Take the section of a service away that has no options left, with the blank line before it."""
    parsed = parse_dispatcher(text)
    own = next((number for known, number in _section_lines(parsed) if fold(known) == fold(service)), None)
    if own is None or any(fold(option.service) == fold(service) for option in parsed.options):
        return text
    first = own - 1 if own and is_blank(content(parsed.lines[own - 1].raw[0])) else own
    return written(line for number, line in enumerate(parsed.lines) if not first <= number <= own)


def _section_lines(parsed: DispatcherFile) -> list[tuple[str, int]]:
    """The services with the index of the line that begins their section."""
    numbers = {line.number: index for index, line in enumerate(parsed.lines)}
    return [(service, numbers[line.number]) for service, line in parsed.services.items()]


def _with_option(text: str, parsed: DispatcherFile, service: str, name: str, values: list[str]) -> str:
    ending = line_ending(text)
    own = [o for o in parsed.options if fold(o.service) == fold(service)]
    present = [o for o in own if fold(o.name) == fold(name)]
    wanted = list(values)
    dropped: set[int] = set()
    for option in present:
        if option.value in wanted:
            wanted.remove(option.value)
        else:
            dropped.add(option.line.number)
    anchors = [o.line for o in present] or [o.line for o in own]
    section = next((line for known, line in parsed.services.items() if fold(known) == fold(service)), None)
    anchor = anchors[-1].number if anchors else (section.number if section else 0)
    added = [f"{name}={value}{ending}" for value in wanted]
    result: list[str] = []
    for line in parsed.lines:
        if line.number not in dropped:
            result.append(line.raw[0])
        if line.number == anchor and added:
            result[-1:] = [ended(result[-1], ending), *added]
    if not anchor and added:
        if result:
            result[-1] = ended(result[-1], ending)
        if result and not is_blank(content(result[-1])):
            result.append(ending)
        result.extend([f"[SERVICE={service}]{ending}", *added])
    return "".join(result)
