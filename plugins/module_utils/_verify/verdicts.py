# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts on what was seen of a mail server from outside, each with a sentence for the operator.

Private to the collection: other collections must not import it.

A deviation is what was seen to be wrong. What could not be seen is skipped, and says why.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from .._sessions.dnsbl import ERROR_CODES, ERROR_PREFIX, Answers
from .relay import ACCEPTED, DEFERRED, LOCAL, REJECTED, UNANSWERED, Control, Tried
from .surface import Surface
from .tls import ACCEPTED as TLS_ACCEPTED
from .tls import FLOOR, OLD
from .tls import REJECTED as TLS_REJECTED

OK, DEVIATION, SKIPPED = "ok", "deviation", "skipped"

POINTS = ("ports", "relay", "auth", "tls", "starttls", "banner", "vrfy", "xclient", "dnsbls")

_PRODUCT = re.compile(
    r"postfix|exim|sendmail|qmail|opensmtpd|haraka|exchange|microsoft|zimbra|mdaemon|hmailserver|courier|domino|kerio|"
    r"icewarp|axigen|communigate|stalwart|iplanet|\bsun java|\boracle|python|aiosmtpd|debian|ubuntu|centos|red ?hat",
    re.IGNORECASE,
)
"""Names of mail servers and of distributions, as banners have them; a host's own name is not looked at."""
_VERSION = re.compile(r"(?<![\w.\[])v?[0-9]+(?:\.[0-9]+){1,2}(?![\w.]*\.[0-9])")


class Point(NamedTuple):
    """One of POINTS, its verdict (ok, deviation, skipped), and what was seen, in one line."""

    point: str
    verdict: str
    detail: str


class Expected(NamedTuple):
    """What follows from the inventory for the probing host.

    ``ports``: for each declared port whether it is declared for the probing host; None where nothing is declared.
    ``domain`` is one that the server accepts mail for, and ``guessed`` says that it is the server's own name instead.
    """

    ports: Mapping[int, bool] | None
    domain: str
    guessed: bool

    def declares(self, port: int) -> bool:
        """Whether a port is declared for the probing host."""
        return bool(self.ports and self.ports.get(port))


class Relay(NamedTuple):
    """What came of the relay forms. ``note``: why none was tried. ``client``: the address that they came from."""

    client: str
    note: str = ""
    control: Control | None = None
    tried: Sequence[Tried] = ()


def numbers(ports: Sequence[int]) -> str:
    """Ports as a sentence has them."""
    words = [str(port) for port in ports]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _verdict(point: str, wrong: list[str], unclear: list[str], right: list[str], nothing: str) -> Point:
    """What is wrong, else what is unclear and what is right, else why there is nothing to say."""
    if wrong:
        return Point(point, DEVIATION, "; ".join(wrong))
    if unclear:
        return Point(point, SKIPPED, "; ".join([*right, *unclear]))
    return Point(point, OK, "; ".join(right)) if right else Point(point, SKIPPED, nothing)


def judge_ports(answers: Mapping[int, bool | None], expected: Expected, client: str) -> Point:
    """Which ports answer; without a declaration 25 alone has to."""
    wrong = []
    for port in sorted(answers):
        declared = expected.ports is not None and port in expected.ports
        if answers[port] and expected.ports is not None and not expected.declares(port):
            others = f"is declared in mailhost_services for other peers than {client} alone"
            wrong.append(f"{port} answers but {others if declared else 'is not declared in mailhost_services'}")
        elif answers[port] is False and (expected.declares(port) or (expected.ports is None and port == 25)):
            where = " but is declared in mailhost_services" if expected.ports is not None else ""
            wrong.append(f"{port} does not answer{where}")
    open_ones = [port for port in sorted(answers) if answers[port]]
    right = f"{numbers(open_ones)} answer{'' if len(open_ones) > 1 else 's'}" if open_ones else "none answers"
    rest = [port for port in sorted(answers) if answers[port] is False]
    untried = [port for port in sorted(answers) if answers[port] is None]
    unclear = [f"no time was left to try {numbers(untried)}"] if untried else []
    return _verdict("ports", wrong, unclear, [right + (f", {numbers(rest)} not" if rest else "")], "")


def judge_relay(relay: Relay, expected: Expected) -> Point:
    """Whether external clients can relay; 4xx and silence prove nothing, nor does rejecting all mail."""
    tried, control = relay.tried, relay.control
    by = {outcome: [one for one in tried if one.outcome == outcome] for outcome in (ACCEPTED, DEFERRED, UNANSWERED)}
    if by[ACCEPTED]:
        first = by[ACCEPTED][0]
        names = ", ".join(one.form.name for one in by[ACCEPTED][:3])
        more = f" and {len(by[ACCEPTED]) - 3} more" if len(by[ACCEPTED]) > 3 else ""
        detail = (
            f"{len(by[ACCEPTED])} of {len(tried)} forms are accepted ({names}{more}): from <{first.form.mail_from}> "
            f"to <{first.form.rcpt_to}> got {first.detail}; if {relay.client} is an internal client, add it to "
            "mailhost_internal_networks"
        )
        return Point("relay", DEVIATION, detail)
    if relay.note or control is None or not tried:
        return Point("relay", SKIPPED, relay.note or "nothing was tried")
    if not control.accepted:
        hint = "set mailhost_domains, or verify" if expected.guessed else "verify"
        detail = (
            f"even mail to <{control.rcpt_to}> is rejected ('{control.detail}'), so that {len(tried)} rejections of "
            f"relaying prove nothing; {hint} from another host (mailhost_verify_from)"
        )
        return Point("relay", SKIPPED, detail)
    local = [one for one in tried if one.outcome == LOCAL]
    if not (by[DEFERRED] or by[UNANSWERED] or local):
        return Point("relay", OK, f"{len(tried)} forms tried from {relay.client}, all rejected")
    rejected = sum(one.outcome == REJECTED for one in tried)
    parts = [f"none of {len(tried)} forms was accepted for relaying, {rejected} were rejected"]
    if by[DEFERRED]:
        parts.append(f"{len(by[DEFERRED])} deferred, which proves nothing ({by[DEFERRED][0].detail})")
    if by[UNANSWERED]:
        parts.append(f"{len(by[UNANSWERED])} not answered ({by[UNANSWERED][0].detail})")
    if local:
        parts.append(
            f"{len(local)} accepted like any invented local name ({local[0].form.name}), "
            "so only a message would show more"
        )
    return Point("relay", SKIPPED, ", ".join(parts))


def judge_auth(surfaces: Sequence[Surface], expected: Expected) -> Point:
    """Where login is offered: never in the clear, not on 25, and on declared ports of submission under TLS."""
    wrong, right = [], []
    for one in surfaces:
        clear = "AUTH" in (one.clear or {})
        protected = "AUTH" in (one.protected or {})
        how = "after STARTTLS" if one.clear is not None else "under TLS"
        if clear:
            wrong.append(f"{one.port} offers AUTH in the clear")
        elif protected and one.port == 25 and expected.ports is not None:
            wrong.append(f"25 offers AUTH {how}; login belongs on 465 and 587")
        elif protected:
            right.append(f"{one.port} offers AUTH {how} alone")
        elif one.port != 25 and one.protected is not None and expected.declares(one.port):
            wrong.append(f"{one.port} offers no AUTH {how}")
        elif one.clear is not None or one.protected is not None:
            right.append(f"{one.port} offers none")
    return _verdict("auth", wrong, _silent(surfaces), right, _silence(surfaces))


def judge_tls(surfaces: Sequence[Surface], untried: Sequence[str], expected: Expected) -> Point:
    """The floor is 1.2. ``untried`` are the versions that the probing host cannot speak."""
    wrong: list[str] = []
    unclear: list[str] = []
    right: list[str] = []
    good: list[int] = []
    for one in surfaces:
        if one.clear is not None and not one.starttls:
            detail = f"{one.port} offers no STARTTLS"
            (wrong if one.port != 25 and expected.declares(one.port) else right).append(detail)
        floor = one.trials.get(FLOOR)
        if floor is None:
            continue
        if floor.outcome == TLS_REJECTED:
            wrong.append(f"{one.port} rejects TLS {FLOOR} ({floor.detail})")
        elif floor.outcome != TLS_ACCEPTED:
            unclear.append(f"{one.port}: TLS {FLOOR} is not known ({floor.detail})")
        else:
            good.append(one.port)
        wrong += [f"{one.port} accepts TLS {version}" for version in OLD if _outcome(one, version) == TLS_ACCEPTED]
        unclear += [
            f"{one.port}: TLS {version} is not known ({one.trials[version].detail})"
            for version in OLD
            if version in one.trials and _outcome(one, version) not in {TLS_ACCEPTED, TLS_REJECTED}
        ]
    if good:
        plural = "" if len(good) > 1 else "s"
        trials = [one.trials for one in surfaces if one.port in good]
        rejected = [one for one in OLD if all(one in each and each[one].outcome == TLS_REJECTED for each in trials)]
        right.insert(
            0, f"{numbers(good)} accept{plural} TLS {FLOOR}" + (f", not {' or '.join(rejected)}" if rejected else "")
        )
        if untried:
            unclear.append(f"{' and '.join(untried)} not tried, as the OpenSSL of the probing host cannot speak it")
    return _verdict("tls", wrong, unclear, right, _silence(surfaces))


def _outcome(surface: Surface, version: str) -> str:
    return surface.trials[version].outcome if version in surface.trials else ""


def judge_starttls(surfaces: Sequence[Surface]) -> Point:
    """Whether what came in the clear counts under TLS."""
    wrong = [
        f"{one.port} executes what was sent in the clear with STARTTLS (CVE-2011-0411)"
        for one in surfaces
        if one.injected
    ]
    right = [str(one.port) for one in surfaces if one.injected is False]
    unclear = [f"{one.port} gave no answer" for one in surfaces if one.starttls and one.injected is None]
    detail = f"what is sent in the clear with STARTTLS is discarded on {' and '.join(right)}"
    return _verdict("starttls", wrong, unclear, [detail] if right else [], "no port offers STARTTLS")


def judge_banner(surfaces: Sequence[Surface]) -> Point:
    """Whether a banner names product or version."""
    wrong, right = [], []
    for one in surfaces:
        if one.banner is None:
            continue
        text = _without_name(one.banner.lines)
        found = [match.group(0) for match in (_PRODUCT.search(text), _VERSION.search(text)) if match]
        if found:
            wrong.append(f"the banner of {one.port}, '{one.banner.line}', names {' '.join(found)}")
        else:
            right.append(one.port)
    detail = [f"neither product nor version in the banner of {numbers(right)}"] if right else []
    return _verdict("banner", wrong, [], detail, _silence(surfaces))


def _without_name(lines: Sequence[str]) -> str:
    """Return a banner without the host's name, the first word, which further lines may repeat (RFC 5321 4.2)."""
    name = lines[0].partition(" ")[0].lower()
    words = [line.partition(" ") for line in lines]
    return " ".join(rest if first.lower() == name else f"{first} {rest}" for first, _blank, rest in words)


def judge_words(surfaces: Sequence[Surface]) -> Point:
    """Whether VRFY and EXPN show which mailboxes exist."""
    wrong, right = [], []
    for one in surfaces:
        for word, (known, unknown) in one.words.items():
            if known.code in {250, 251} or (known.good and unknown.code in {550, 551, 553}):
                wrong.append(
                    f"{word} shows which mailboxes exist ('{known.line}', and '{unknown.line}' for an invented one)"
                )
            else:
                right.append(word)
    detail = [f"{' and '.join(right)} show{'' if len(right) > 1 else 's'} nothing"] if right else []
    return _verdict("vrfy", wrong, [], detail, _silence(surfaces))


def judge_xclient(surfaces: Sequence[Surface]) -> Point:
    """Whether an external client may claim another address or login."""
    wrong: list[str] = []
    right: list[int] = []
    for one in surfaces:
        if one.clear is None and one.protected is None:
            continue
        offered = [word for word in ("XCLIENT", "XFORWARD") if word in {**(one.clear or {}), **(one.protected or {})}]
        if offered:
            wrong.append(
                f"{one.port} offers {' and '.join(offered)}, by which any client may claim any address or login"
            )
        else:
            right.append(one.port)
    detail = [f"neither XCLIENT nor XFORWARD on {numbers(right)}"] if right else []
    return _verdict("xclient", wrong, _silent(surfaces), detail, _silence(surfaces))


def judge_lists(answers: Sequence[Answers]) -> Point:
    """Whether the DNSBLs of mailhost_dnsbls work, in order. Their zones are not shown, as one may hold a key.

    What a DNSBL answers to the resolver of this host alone, a code of an error or nothing, shows nothing about the
    mail host.
    """
    wrong: list[str] = []
    unclear: list[str] = []
    right: list[str] = []
    for index, one in enumerate(answers):
        path = f"mailhost_dnsbls[{index}]"
        found = [*(one.listed or ()), *(one.unlisted or ())]
        errors = [code for code in found if code.startswith(ERROR_PREFIX)]
        if errors:
            why = ERROR_CODES.get(errors[0], "an error, not a listing")
            (wrong if errors[0].endswith(".252") else unclear).append(f"{path} answers {errors[0]} here: {why}")
        elif one.unlisted:
            wrong.append(f"{path} lists 127.0.0.1, as a DNSBL does that has closed and lists every address")
        elif one.listed is None or one.unlisted is None:
            unclear.append(f"{path} gives no answer here")
        elif not one.listed:
            wrong.append(f"{path} does not list its test entry 127.0.0.2, as if closed or misspelt")
        else:
            right.append(path)
    detail = [f"{', '.join(right)} work{'' if len(right) > 1 else 's'} as seen from here"] if right else []
    return _verdict("dnsbls", wrong, unclear, detail, "mailhost_dnsbls names none")


def _silent(surfaces: Sequence[Surface]) -> list[str]:
    """Ports that take connections and then say nothing to judge by."""
    return [f"{one.port}: {one.silent}" for one in surfaces if one.silent and one.clear is None and not one.protected]


def _silence(surfaces: Sequence[Surface]) -> str:
    """Why there is nothing to say, in the words of the first port that said nothing."""
    for one in surfaces:
        if one.silent:
            return f"{one.port}: {one.silent}"
    return "no SMTP port answers"


def judge(surfaces: Sequence[Surface], untried: Sequence[str], expected: Expected) -> list[Point]:
    """The points about what SMTP ports show."""
    seen = [one for one in surfaces if not one.closed]
    return [
        judge_auth(seen, expected),
        judge_tls(seen, untried, expected),
        judge_starttls(seen),
        judge_banner(seen),
        judge_words(seen),
        judge_xclient(seen),
    ]
