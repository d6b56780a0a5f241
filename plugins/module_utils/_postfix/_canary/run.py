# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proves the staged files on a canary for every class of the policy, before anything goes live.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..._sessions.smtp import has_tls
from ..._transaction.command import StepError
from ..._transaction.files import encode
from .._config.lines import FileError
from .._host.sandbox import private_folder
from .._host.staging import Staged, ask_postconf, build_indexes, set_past, write_copy
from .cases import EXCEPTIONS, Server, canary_cases, cases_of_user
from .files import SMTP, SUBMISSION, Canary, Place, canary_files, find_entrances
from .instance import CANARY, free_ports, make_folders, sasl_server, started, trouble, watched
from .sessions import hold
from .verdicts import SECONDS, Proof, judge

if TYPE_CHECKING:
    from ..._policy.mail import MailPolicy
    from ..._policy.policy_tests import PolicyTest
    from ..._sessions.cases import Case
    from .._config.settings import Settings

_ASKED = (
    "daemon_directory",
    "mail_owner",
    "setgid_group",
    "inet_protocols",
    "myhostname",
    "mydestination",
    "virtual_mailbox_domains",
    "virtual_alias_domains",
    "relay_domains",
)
_DOMAINS = ("mydestination", "virtual_mailbox_domains", "virtual_alias_domains", "relay_domains")


def prove(staged: Staged, policy: MailPolicy, settings: Settings, tests: tuple[PolicyTest, ...]) -> Proof:
    """Prove the staged files on a canary. Nothing live is touched.

    Raises StepError where Postfix rejects the files, or cannot do what they say.
    """
    try:
        with private_folder() as folder:
            return _prove(folder, staged, (policy, settings, tests))
    except (OSError, LookupError, RuntimeError, FileError) as error:  # a full disk, no such user, no more threads
        raise StepError(CANARY, f"cannot be made: {error}") from error


def _prove(folder: str, staged: Staged, wanted: tuple[MailPolicy, Settings, tuple[PolicyTest, ...]]) -> Proof:
    policy, settings, tests = wanted
    config = f"{folder}/etc"
    write_copy(staged, config)
    build_indexes(staged, config)
    known = ask_postconf(config, _ASKED)
    families = _families(known["inet_protocols"])
    address = "127.0.0.1" if 4 in families else "::1"
    entrances = find_entrances(staged.main, staged.master)
    try:
        ports = free_ports(address, len(entrances))
    except OSError as error:
        return Proof(0, [], [f"this host lets nothing listen on {address} ({error}); no session was held"])
    place = Place(folder, address, f"{folder}/sasl")
    files = canary_files(staged.main, staged.master, place, ports, submission=settings.submission)
    _replace(config, files)
    make_folders(folder, known["mail_owner"], known["setgid_group"])
    server = _server(policy, known, files, address)
    cases, notes = _askable(policy, settings, tests, (server, families))
    with sasl_server(place.sasl), started(folder, f"{known['daemon_directory']}/master"):
        named = {one.name: one for one in files.entrances}
        found = watched(folder, lambda: hold(cases, named, address, time.monotonic() + SECONDS))
        log = [line.replace(config, staged.folder) for line in trouble(folder)]
    notes += _notes(policy, settings, (files, server, families))
    return judge(found, (policy, settings, server), notes, log)


def _replace(config: str, files: Canary) -> None:
    for name, text in (("main.cf", files.main.text), ("master.cf", files.master.text)):
        with open(f"{config}/{name}", "wb") as file:
            file.write(encode(text))
    set_past(config)


def _families(protocols: str) -> frozenset[int]:
    """Versions of IP that Postfix and this host speak."""
    words = protocols.replace(",", " ").lower().split()
    found = {version for version, name in ((4, "ipv4"), (6, "ipv6")) if name in words or "all" in words}
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError:
        found.discard(6)
    return frozenset(found or {4})


def _server(policy: MailPolicy, known: Mapping[str, str], files: Canary, address: str) -> Server:
    words = [word.lower() for name in _DOMAINS for word in known[name].replace(",", " ").split()]
    # Tables and files of domains are not read.
    plain = [word for word in words if not any(char in word for char in ":/$!")]
    domain = (*policy.domains, *(word for word in plain if "." in word), "")[0]
    managed = frozenset([*policy.domains, *plain])
    return Server(domain or known["myhostname"], managed, address, files.entrances, bool(domain), known["myhostname"])


def _askable(
    policy: MailPolicy, settings: Settings, tests: tuple[PolicyTest, ...], host: tuple[Server, frozenset[int]]
) -> tuple[list[Case], list[str]]:
    """The sessions that can be held on this host, and why others of the user's own cannot."""
    server, families = host
    wanted, notes = cases_of_user(tests, policy, settings, server)
    cases = []
    for case in [*canary_cases(policy, settings, server), *wanted]:
        client = case.session["client"]
        needed = {4, 6} if client.startswith("::ffff:") else {6 if ":" in client else 4}
        if needed <= families and (has_tls() or not case.session["tls"]):
            cases.append(case)
    return cases, notes


def _notes(
    policy: MailPolicy,
    settings: Settings,
    host: tuple[Canary, Server, frozenset[int]],
) -> list[str]:
    files, server, families = host
    notes = []
    for version in (4, 6):
        if version not in families:
            notes.append(f"Postfix does not speak IPv{version} here; sessions from IPv{version} were not held")
    if not has_tls():
        notes.append("this Python has no TLS; sessions with TLS were not held")
    if not server.delivers:
        notes.append("no domain of the host is known; sessions to its domains were not held")
    for role, needed in ((SMTP, True), (SUBMISSION, settings.submission)):
        if needed and server.entrance(role) is None:
            notes.append(f"master.cf has no service {role}; its sessions were not held")
    if len(policy.relay_exceptions) > EXCEPTIONS:
        notes.append(f"of {len(policy.relay_exceptions)} relay exceptions {EXCEPTIONS} were tried")
    if policy.dnsbls or policy.sender_domain_check or files.silenced:
        what = ", ".join(files.silenced)
        notes.append(f"what queries the DNS, DNSBLs or other servers was not tried{f': {what}' if what else ''}")
    return notes
