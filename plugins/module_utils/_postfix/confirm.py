# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the live Postfix after a change, before it is final: over real connections, and never further than RCPT.

Private to this collection. A connection to an address of the host's own comes from that address, so that the host can
be a stranger to itself wherever that address is not inside.
"""

from __future__ import annotations

import smtplib
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv6Address

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.mail import MailPolicy
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.networks import LOCALHOST, parse_address
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.relay_forms import (
    EXTERNAL_SENDER,
    relay_forms,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.command import StepError

STEP = "ask the live Postfix"
SECONDS = 30.0
"""For one answer; postscreen makes a stranger wait for some seconds."""
OPEN_SECONDS = 15.0
"""For a port to be open after a reload."""
SMTP, SUBMISSION = 25, 587
MISTAKE, NO_MILTER = b"4.3.", b"4.7.1 Service unavailable - try again later"
"""How an answer begins when the system is at fault (RFC 3463, X.3), and when a milter is (milter_default_action)."""
ASKED = (
    "plain",
    "percent",
    "bang, our domain",
    "source route",
    "quoted, our domain",
    "two domains",
    "null sender",
    "spoofed local sender",
)
"""Forms that are asked, of those that the private Postfix was asked: after ten refusals Postfix makes a client wait."""
FIB, IF_INET6 = "/proc/net/fib_trie", "/proc/net/if_inet6"


def ask_live(
    policy: MailPolicy, submission: bool, addresses: Sequence[str] = (LOCALHOST,), *, milters: bool = False
) -> None:
    """Raise StepError where the live Postfix relays for a stranger, has AUTH where it must not be, or cannot take mail.

    ``addresses``: where it may listen; the first that answers is asked what the ports offer. ``milters``: whether one
    that is not there is a mistake of the change.
    """
    signs = (MISTAKE, NO_MILTER) if milters else (MISTAKE,)
    strangers = _outside(policy, own_addresses())
    # Side by side, as postscreen makes each of them wait.
    with ThreadPoolExecutor(max_workers=2) as pool:
        told = [
            line for lines in pool.map(lambda address: _stranger(address, policy, signs), strangers) for line in lines
        ]
    told += _offered(SMTP, addresses, signs)
    if submission:
        told += _offered_soon(SUBMISSION, addresses)
    if told:
        raise StepError(STEP, "\n".join(told))


def _offered_soon(port: int, addresses: Sequence[str]) -> list[str]:
    """The same of a port that a reload has opened, which takes a moment (master(8))."""
    deadline = time.monotonic() + OPEN_SECONDS
    while True:
        told = _offered(port, addresses)
        if not any("does not answer" in line for line in told) or time.monotonic() > deadline:
            return told
        time.sleep(0.1)


def _offered(port: int, addresses: Iterable[str], signs: tuple[bytes, ...] = ()) -> list[str]:
    """What is wrong with what a port offers."""
    errors = []
    for address in addresses:
        told = []
        try:
            with smtplib.SMTP(address, port, local_hostname="localhost.localdomain", timeout=SECONDS) as session:
                session.ehlo()
                if session.has_extn("auth"):
                    told.append(f"port {port} offers AUTH without TLS")
                code, text = session.docmd("MAIL", f"FROM:<{EXTERNAL_SENDER}>")
                if port == SUBMISSION and code < 400:
                    told.append(f"port {port} takes a sender who has not logged in: {code} {_text(text)}")
                if NO_MILTER in signs and text.startswith(NO_MILTER):
                    told.append(f"port {port} puts mail off, as a milter does not answer: {code} {_text(text)}")
            return told
        except (OSError, smtplib.SMTPException) as error:
            if told:
                return told
            errors.append(f"{address}: {error}")
    return [f"port {port} does not answer: {', '.join(errors)}"] if port == SUBMISSION else []


def _stranger(address: str, policy: MailPolicy, signs: tuple[bytes, ...]) -> list[str]:
    """Relay forms that are accepted from an address of the host's own which is a stranger by the policy."""
    domain = policy.domains[0] if policy.domains else "localhost.localdomain"
    forms = [form for form in relay_forms(domain, address) if form.name in ASKED]
    told = []
    try:
        with smtplib.SMTP(address, SMTP, local_hostname="stranger.example", timeout=SECONDS) as session:
            session.ehlo()
            if session.has_extn("auth"):
                told.append(f"{address} offers AUTH at port {SMTP}")
            for form in forms:
                session.docmd("RSET")
                # A sender whose domain does not exist would be refused for that.
                session.docmd("MAIL", f"FROM:<{'' if form.mail_from == EXTERNAL_SENDER else form.mail_from}>")
                code, text = session.docmd("RCPT", f"TO:<{form.rcpt_to}>")
                if code < 400:
                    form_told = f"{form.name}, RCPT TO:<{form.rcpt_to}>: {code} {_text(text)}"
                    told.append(f"a stranger ({address}) may relay: {form_told}")
            if policy.domains:
                told += _mistakes(session, address, f"postmaster@{domain}", signs)
    except (OSError, smtplib.SMTPException):
        pass  # not every address listens, and postscreen may cut a stranger off
    return told


def _mistakes(session: smtplib.SMTP, address: str, recipient: str, signs: tuple[bytes, ...]) -> list[str]:
    """Whether mail to us is put off, as Postfix cannot do what its configuration says.

    The private Postfix asks no policy service, no milter and nothing else that is elsewhere.
    """
    session.docmd("RSET")
    for command, path in (("MAIL", "FROM:<>"), ("RCPT", f"TO:<{recipient}>")):
        code, text = session.docmd(command, path)
        if 400 <= code < 500 and text.startswith(signs):
            return [f"mail to us from a stranger ({address}) is put off, {command} {path}: {code} {_text(text)}"]
    return []


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


def _text(data: bytes) -> str:
    return data.decode("ascii", "replace").replace("\n", " / ")
