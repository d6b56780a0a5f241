# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Confirms the live Postfix after a change, before it is final: over real connections, and never further than RCPT.

A connection to an address of the host's own comes from that address, so that the host can be an external client of
itself wherever that address is not internal.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv6Address
from typing import NamedTuple

from .._policy.mail import MailPolicy
from .._policy.networks import LOCALHOST, parse_address
from .._policy.services import SMTP_PORT, SUBMISSION_PORT
from .._sessions.relay_forms import EXTERNAL_DOMAIN, EXTERNAL_SENDER, RelayForm, relay_forms
from .._sessions.smtp import Connection, LateError, NoAnswerError, Patience, Place
from .._transaction.command import StepError

STEP = "confirm"
SECONDS = 30.0
"""For one reply, as postscreen makes an external client wait for some seconds."""
LOCAL_SECONDS = 5.0
"""For one reply to the host itself, where no postscreen is."""
OPEN_SECONDS = 15.0
"""For a port to be open after a reload."""
MISTAKE, NO_MILTER = "4.3.", "4.7.1 Service unavailable - try again later"
"""How a reply begins when the system is at fault (RFC 3463, X.3), and when a milter is (milter_default_action)."""
POSTSCREEN = "4.3.2 Service currently unavailable"
"""What a client gets at first whose tests take until after the greeting (postscreen(8)); no mistake of anybody."""
UNTRIED = "not every way of relaying could be tried"
"""How the line of a session begins that did not end in time."""
FORMS = (
    "plain",
    "percent",
    "bang, our domain",
    "source route",
    "quoted, our domain",
    "two domains",
    "null sender",
    "spoofed local sender",
)
"""Relay forms, of those that were tried with the canary: after ten rejections Postfix makes a client wait."""
ERRORS = len(FORMS)
"""Of one connection."""
TOTAL_SECONDS = SECONDS * (3 * len(FORMS) + 6)
"""For all of a session: each reply may take its time, as a slow one does not make a relay any better."""
FIB, IF_INET6 = "/proc/net/fib_trie", "/proc/net/if_inet6"


class Host(NamedTuple):
    """What the live files and the server before them say of what is normal.

    ``deferred``: what port 587 deferred every client with before. ``errors``: rejections that a connection may see
    before its client waits. ``connections``: of one client at the same time, none of which is rejected for their
    number. ``postscreen``: whether it serves port 25, and not smtpd itself. ``waits``: what makes
    clients of port 25 wait, as far as the files say it.
    """

    deferred: str = ""
    errors: int = ERRORS
    connections: int = 1
    postscreen: bool = False
    waits: str = ""


def confirm_live(
    policy: MailPolicy,
    submission: bool,
    addresses: Sequence[str] = (LOCALHOST,),
    *,
    milters: bool = False,
    host: Host = Host(),  # noqa: B008 (it cannot be changed)
) -> None:
    """Raise StepError where the live Postfix relays for external clients, offers a wrong AUTH, or cannot accept mail.

    ``addresses``: where it may listen; the first that answers shows what the ports offer. ``milters``: whether one
    that does not answer is a mistake of the change.
    """
    signs = (MISTAKE, NO_MILTER) if milters else (MISTAKE,)
    clients = _outside(policy, own_addresses())
    # Side by side, as postscreen makes each of them wait.
    with ThreadPoolExecutor(max_workers=2) as pool:
        found = pool.map(lambda address: _external(address, policy, signs, host), clients)
        problems = [line for lines in found for line in lines]
    problems += _offered(SMTP_PORT, addresses, signs)
    if submission:
        problems += _offered_soon(SUBMISSION_PORT, addresses)
        text = "" if host.deferred else deferral(addresses)
        if text:
            problems.append(f"port {SUBMISSION_PORT} defers every client, which it did not before: {text}")
    if host.waits and any(line.startswith(UNTRIED) for line in problems):
        problems.append(host.waits)
    if problems:
        raise StepError(STEP, "\n".join(problems))


def deferral(addresses: Iterable[str] = (LOCALHOST,)) -> str:
    """Return the reply by which port 587 defers every client; nothing where it does not, or is shut.

    What it needs, as a milter, may not be there where it runs; STARTTLS says so. There is no EHLO over TLS, nor a look
    at 465: Postfix would end, and wait for a minute, where no SASL server is there yet.
    """
    for address in addresses:
        with contextlib.suppress(NoAnswerError):
            session = Connection(Place(address, SUBMISSION_PORT), Patience(LOCAL_SECONDS, TOTAL_SECONDS))
            try:
                replies = [("the banner", session.reply())]
                for command in ("EHLO localhost.localdomain", "STARTTLS"):
                    replies.append((command, session.command(command)))
            finally:
                session.quit()
            return next((f"{what}: {reply.text}" for what, reply in replies if reply.temporary), "")
    return ""


def _offered_soon(port: int, addresses: Sequence[str]) -> list[str]:
    """Return the same of a port that a reload has opened, which takes a moment (master(8))."""
    deadline = time.monotonic() + OPEN_SECONDS
    while True:
        problems = _offered(port, addresses)
        if not any("does not answer" in line for line in problems) or time.monotonic() > deadline:
            return problems
        time.sleep(0.1)


def _offered(port: int, addresses: Iterable[str], signs: tuple[str, ...] = ()) -> list[str]:
    """Return what is wrong with what a port offers."""
    errors = []
    for address in addresses:
        problems: list[str] = []
        try:
            with _session(address, port, "localhost.localdomain") as session:
                if "AUTH" in session.keywords:
                    problems.append(f"port {port} offers AUTH without TLS")
                reply = session.command(f"MAIL FROM:<{EXTERNAL_SENDER}>")
                if port == SUBMISSION_PORT and reply.code < 400:
                    problems.append(f"port {port} accepts a sender without authentication: {reply.text}")
                if NO_MILTER in signs and reply.lines[0].startswith(NO_MILTER):
                    problems.append(f"port {port} defers mail, as a milter does not answer: {reply.text}")
            return problems
        except NoAnswerError as error:
            if problems:
                return problems
            errors.append(f"{address}: {error}")
    return [f"port {port} does not answer: {', '.join(errors)}"] if port == SUBMISSION_PORT else []


def _external(address: str, policy: MailPolicy, signs: tuple[str, ...], host: Host) -> list[str]:
    """Return relay forms that are accepted from an address of the host's own that is an external client by policy."""
    domain = policy.domains[0] if policy.domains else "localhost.localdomain"
    forms = [form for form in relay_forms(domain, address) if form.name in FORMS]
    parts = [forms[at : at + host.errors] for at in range(0, len(forms), host.errors)]
    recipients = ["" for _part in parts[1:]] + [f"postmaster@{domain}" if policy.domains else ""]

    def ask(part: list[RelayForm], recipient: str) -> list[str]:
        return _asked(address, part, recipient, signs, host)

    # Some side by side: after each rejection, smtpd_error_sleep_time may pass.
    with ThreadPoolExecutor(max_workers=host.connections) as pool:
        return list(dict.fromkeys(line for lines in pool.map(ask, parts, recipients) for line in lines))


def _asked(address: str, forms: list[RelayForm], recipient: str, signs: tuple[str, ...], host: Host) -> list[str]:
    """Return what is wrong by one connection: relay forms, and mail to a recipient where there is one."""
    problems: list[str] = []
    try:
        with _session(address, SMTP_PORT, EXTERNAL_DOMAIN) as session:
            if "AUTH" in session.keywords:
                problems.append(f"{address} offers AUTH at port {SMTP_PORT}")
            if recipient:
                problems += _mistakes(session, address, recipient, signs, host.postscreen)
            for form in forms:
                problems += _relayed(session, address, form)
    except LateError as error:
        problems.append(f"{UNTRIED} from an external client ({address}): {error}")
    except NoAnswerError:
        pass  # not every address listens, and postscreen may cut an external client off
    return problems


def _relayed(session: Connection, address: str, form: RelayForm) -> list[str]:
    """Return whether a relay form is accepted."""
    session.command("RSET")
    # A sender whose domain does not exist would be rejected for that.
    session.command(f"MAIL FROM:<{'' if form.mail_from == EXTERNAL_SENDER else form.mail_from}>")
    reply = session.command(f"RCPT TO:<{form.rcpt_to}>")
    if reply.code >= 400:
        return []
    return [f"an external client ({address}) may relay: {form.name}, RCPT TO:<{form.rcpt_to}>: {reply.text}"]


def _mistakes(session: Connection, address: str, recipient: str, signs: tuple[str, ...], postscreen: bool) -> list[str]:
    """Return whether mail to own domains is deferred, as Postfix cannot do what its configuration says.

    The canary has no policy service, no milter and nothing else that is elsewhere.
    """
    session.command("RSET")
    for command in ("MAIL FROM:<>", f"RCPT TO:<{recipient}>"):
        reply = session.command(command)
        tested = postscreen and reply.lines[0].endswith(POSTSCREEN)
        if reply.temporary and reply.lines[0].startswith(signs) and not tested:
            return [f"mail from an external client ({address}) to own domains is deferred, {command}: {reply.text}"]
    return []


@contextlib.contextmanager
def _session(address: str, port: int, name: str) -> Iterator[Connection]:
    """Connect and say EHLO. Raises NoAnswerError."""
    session = Connection(Place(address, port), Patience(SECONDS, TOTAL_SECONDS))
    try:
        banner = session.reply()
        if banner.code != 220:
            raise NoAnswerError(f"'{banner.line}'")
        session.hello(name)
        yield session
    finally:
        session.quit()


def _outside(policy: MailPolicy, addresses: Iterable[str]) -> list[str]:
    """One address of each family that nothing in the policy speaks of."""
    named = [*policy.internal, *policy.blocked, *(n for one in policy.relay_exceptions for n in one.networks)]
    found: dict[int, str] = {}
    for text in addresses:
        version, value = parse_address(text)
        if not any(one.version == version and one.value <= value <= one.last for one in named):
            found.setdefault(version, text)
    return list(found.values())


def own_addresses() -> list[str]:
    """Addresses of the host, without those of the loopback and of single links (proc(5))."""
    return [*_own_ipv4(_read(FIB)), *_own_ipv6(_read(IF_INET6))]


def _own_ipv4(lines: list[str]) -> list[str]:
    found: dict[str, None] = {}
    for above, line in zip(lines, lines[1:]):
        if line.strip() == "/32 host LOCAL" and "--" in above:
            address = above.split()[-1]
            if not address.startswith(("127.", "169.254.")):
                found[address] = None
    return list(found)


def _own_ipv6(lines: list[str]) -> list[str]:
    addresses = [IPv6Address(int(line.split()[0], 16)) for line in lines if line.split()]
    return [str(one) for one in addresses if not one.is_loopback and not one.is_link_local]


def _read(path: str) -> list[str]:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().splitlines()
    except OSError:
        return []
