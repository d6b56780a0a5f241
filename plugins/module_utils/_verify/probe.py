# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at a mail host from outside: inventory values in, sessions over the network, a report of verdicts out.

Private to the collection: other collections must not import it.

Nothing is sent beyond RCPT, nothing is changed, and the mail host needs no login.
"""

from __future__ import annotations

import re
import socket
import textwrap
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from .._policy.errors import PolicyError, shown
from .._policy.mail import MailPolicy, read_mail_policy
from .._policy.networks import LOOPBACK, parse_address
from .._policy.packet_filter import SERVER, Flow, read_packet_filter_policy
from .._policy.services import MAIL_SERVICES, SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT
from .._sessions.clients import NetworkSet
from .._sessions.dnsbl import query_dnsbls
from .._sessions.relay_forms import EXTERNAL_SENDER
from .._sessions.smtp import (
    ClosedError,
    Connection,
    LateError,
    NoAnswerError,
    NoRouteError,
    Patience,
    Place,
    source_address,
)
from .relay import SUBMISSION_FORMS, Envelopes, forms_for, try_control, try_forms
from .surface import Door, Surface, look
from .tls import FLOOR, OLD, context_of
from .verdicts import DEVIATION, POINTS, SKIPPED, Expected, Point, Relay, judge, judge_lists, judge_ports, judge_relay

ALL = 15
"""Times the patience for one answer: the time for all answers of one address, also where each rejection is delayed."""

WIDTH = 74
"""Characters of a line of the report."""

_DOMAIN = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


class Wanted(NamedTuple):
    """What is to be looked at: names or addresses, the policy, declared flows (empty for none), the points that are not
    judged, and the seconds that one answer may take."""

    addresses: tuple[str, ...]
    policy: MailPolicy
    flows: tuple[Flow, ...]
    skip: tuple[str, ...]
    patience: float


class Finding(NamedTuple):
    """A verdict, the address that it is about, or empty, and the address from which it was seen."""

    address: str
    client: str
    point: Point


def read_wanted(options: Mapping[str, Any]) -> Wanted:
    """Read the module's options; raises PolicyError with every problem, named by the inventory's variables."""
    problems: list[str] = []
    policy: MailPolicy | None = None
    flows: tuple[Flow, ...] = ()
    try:
        policy = read_mail_policy(options["policy"])
    except PolicyError as error:
        problems += error.problems
    try:
        if options["services"]:
            flows = read_packet_filter_policy(
                {
                    "services": options["services"],
                    "internal_networks": options["policy"].get("internal_networks", []),
                },
                {"services": "mailhost_services", "internal_networks": "mailhost_internal_networks"},
            ).flows
    except PolicyError as error:
        problems += error.problems
    addresses = tuple(str(one) for one in options["addresses"])
    if not addresses:
        problems.append("mailhost_verify_addresses: is an empty list; write names or addresses of the mail host")
    problems += [
        f"mailhost_verify_addresses[{index}]: {shown(one)} is not accepted; write a name or an address"
        for index, one in enumerate(addresses)
        if not re.fullmatch(r"[A-Za-z0-9.:_-]+", one)
    ]
    problems += [
        f"mailhost_verify_skip[{index}]: {shown(one)} is not a point; write one of {', '.join(POINTS)}"
        for index, one in enumerate(options["skip"])
        if one not in POINTS
    ]
    if not 0.05 <= options["timeout"] <= 300:
        problems.append(f"mailhost_verify_timeout: {options['timeout']:g} is not accepted; write seconds from 1 to 300")
    if problems or policy is None:
        raise PolicyError(list(dict.fromkeys(problems)))
    return Wanted(addresses, policy, flows, tuple(options["skip"]), options["timeout"])


def check(wanted: Wanted) -> dict[str, Any]:
    """Look at all addresses; returns ``points``, ``lines`` (the report), ``deviations`` (how many) and ``summary``."""
    findings: list[Finding] = []
    places: dict[str, str] = {}
    for name in wanted.addresses:
        found = resolve(name)
        if not found:
            findings.append(Finding(name, "", Point("ports", DEVIATION, f"{name} has no address as seen from here")))
        places.update(dict.fromkeys(found, name))
    for address, name in places.items():
        findings += look_at(name, address, wanted)
    if places and all(not one.client for one in findings):
        findings.append(Finding("", "", Point("ports", DEVIATION, "no address can be reached from here")))
    lists = [one.zone for one in wanted.policy.dnsbls]
    answers = query_dnsbls(lists) if lists else {}
    findings.append(Finding("", "", judge_lists([answers[zone] for zone in lists])))
    return report([one._replace(point=_unjudged(one.point, wanted.skip)) for one in findings])


def resolve(name: str) -> list[str]:
    """The addresses of a name, of both families; an address is its own."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def _unjudged(point: Point, skip: Sequence[str]) -> Point:
    if point.point not in skip:
        return point
    return point._replace(verdict=SKIPPED, detail=f"not judged (mailhost_verify_skip): {point.detail}")


def report(findings: Sequence[Finding]) -> dict[str, Any]:
    """The findings as the module returns them."""
    lines: list[str] = []
    last = None
    for one in findings:
        if one.address != last:
            where = f"at {one.address}" if one.address else "in general"
            lines.append(f"{where}, seen from {one.client}" if one.client else where)
            last = one.address
        start = f"{one.point.verdict:<11}{one.point.point:<10}"
        # Ansible breaks longer lines anywhere.
        lines += textwrap.wrap(start + one.point.detail, WIDTH, subsequent_indent=" " * len(start))
    summary = _summary([one.point for one in findings])
    lines += textwrap.wrap(summary, WIDTH)
    return {
        "points": [{"address": one.address, **one.point._asdict()} for one in findings],
        "lines": lines,
        "deviations": sum(one.point.verdict == DEVIATION for one in findings),
        "summary": summary,
    }


def _summary(points: Sequence[Point]) -> str:
    """How many points deviate or are skipped, and which; nothing about relaying is no proof."""
    named = {verdict: [one.point for one in points if one.verdict == verdict] for verdict in (DEVIATION, SKIPPED)}
    which = {verdict: f" ({', '.join(dict.fromkeys(names))})" if names else "" for verdict, names in named.items()}
    count, skipped = len(named[DEVIATION]), len(named[SKIPPED])
    plural = "s" if count == 1 else ""
    text = f"{count} of {len(points)} points deviate{plural}{which[DEVIATION]}, {skipped} skipped{which[SKIPPED]}"
    relay = {one.verdict for one in points if one.point == "relay"}
    unproven = not relay or (SKIPPED in relay and DEVIATION not in relay)
    return f"{text}; relay was not proven" if unproven else text


def look_at(name: str, address: str, wanted: Wanted) -> list[Finding]:
    """All points about one address."""
    try:
        client = source_address(Place(address, SMTP_PORT))
    except NoRouteError as error:
        return [Finding(address, "", Point("ports", SKIPPED, str(error)))]
    peer = parse_address(client)
    if peer in NetworkSet(wanted.policy.blocked):
        text = "seen from an address in mailhost_blocked_networks; name another host in mailhost_verify_from"
        return [Finding(address, client, Point("ports", DEVIATION, text))]
    patience = Patience(wanted.patience, wanted.patience * ALL)
    contexts = {version: context_of(version) for version in (FLOOR, *OLD)}
    literal = f"[IPv6:{client}]" if ":" in client else f"[{client}]"
    doors = {
        port: Door(Place(address, port), port == SUBMISSIONS_PORT, literal, contexts)
        for port in (SMTP_PORT, SUBMISSION_PORT, SUBMISSIONS_PORT)
    }
    declared = _declared(wanted.flows, peer)
    ports = sorted({service.port for service in MAIL_SERVICES.values()} | set(declared or ()))
    note = _not_external(client, address, wanted.policy)
    with ThreadPoolExecutor(len(ports)) as pool:
        looked = {port: pool.submit(look, door, patience, words=port == SMTP_PORT) for port, door in doors.items()}
        simple = {port: pool.submit(_answers, Place(address, port), patience) for port in ports if port not in doors}
        surfaces = {port: future.result() for port, future in looked.items()}
        answers = {port: future.result() for port, future in simple.items()}
        answers.update({port: None if one.untried else not one.closed for port, one in surfaces.items()})
        expected = _expected(declared, wanted.policy, name, surfaces[SMTP_PORT])
        relay = Relay(client, note)
        if not note:
            relay = _try_relay(doors, surfaces, patience, expected.domain, client)
    points = [judge_ports(answers, expected, client), judge_relay(relay, expected)]
    points += judge(list(surfaces.values()), [version for version in OLD if contexts[version] is None], expected)
    return [Finding(address, client, point) for point in points]


def _answers(place: Place, patience: Patience) -> bool | None:
    """Return whether connections are accepted, None where there was no time left to try."""
    try:
        Connection(place, patience).close()
    except ClosedError:
        return False
    except LateError:
        return None
    return True


def _declared(flows: Sequence[Flow], peer: tuple[int, int]) -> dict[int, bool] | None:
    """For each declared port whether it is declared for this client."""
    if not flows:
        return None
    found: dict[int, bool] = {}
    for flow in flows:
        if flow.direction == SERVER:
            meant = flow.peers is None or peer in NetworkSet(flow.peers)
            found[flow.service.port] = found.get(flow.service.port, False) or meant
    return found


def _expected(declared: Mapping[int, bool] | None, policy: MailPolicy, name: str, surface: Surface) -> Expected:
    """What is expected; without domains in the inventory the server's own name has to do, else that of the host."""
    if policy.domains:
        return Expected(declared, policy.domains[0], False)
    named = surface.banner.lines[0].split(" ")[0] if surface.banner is not None else ""
    names = [one for one in (named, name) if _DOMAIN.fullmatch(one) and not one[-1].isdigit()]
    return Expected(declared, names[0].lower() if names else "localhost", True)


def _not_external(client: str, address: str, policy: MailPolicy) -> str:
    """Return why this host is not an external client, or nothing."""
    peer = parse_address(client)
    text = "shows nothing about external clients; name an external host in mailhost_verify_from"
    if client == address or peer in NetworkSet(LOOPBACK):
        return f"seen from the mail host itself: {text}"
    if peer in NetworkSet(policy.internal):
        return f"seen from an internal client ({client} is in mailhost_internal_networks): {text}"
    if any(peer in NetworkSet(one.networks) for one in policy.relay_exceptions):
        return f"seen from {client}, which has a relay exception: {text}"
    return ""


def _try_relay(
    doors: Mapping[int, Door], surfaces: Mapping[int, Surface], patience: Patience, domain: str, client: str
) -> Relay:
    """Try all forms on 25, and a few on the ports of submission."""
    forms, own = forms_for(domain, doors[SMTP_PORT].place.address)
    few = [form for form in forms if form.name in SUBMISSION_FORMS]
    relay = Relay(client, "25 does not answer")
    for port, door in doors.items():
        if surfaces[port].banner is None:
            continue
        envelopes = Envelopes(partial(door.open, patience))
        try:
            if port == SMTP_PORT:
                control = try_control(envelopes, domain)
                relay = Relay(client, "", control, try_forms(envelopes, forms, own, control.sender))
            else:
                found = [
                    one._replace(form=one.form._replace(name=f"{port}: {one.form.name}"))
                    for one in try_forms(envelopes, few, own, EXTERNAL_SENDER)
                ]
                relay = relay._replace(tried=[*relay.tried, *found])
        except NoAnswerError as error:
            relay = Relay(client, f"25 gave no answer: {error}")
        finally:
            envelopes.close()
    return relay
