# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Proves the staged files on a canary for every class of the policy, before anything goes live.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import contextlib
import functools
import re
import socket
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ..._policy.networks import LOOPBACK, Network, NetworkError, parse_networks
from ..._sessions.cases import parties_of
from ..._sessions.smtp import has_tls
from ..._transaction.command import StepError
from ..._transaction.files import decode, encode, read_file
from .._config.lines import FileError
from .._config.main_cf import MainCf
from .._config.maps import FOLDER
from .._config.master_cf import MasterCf
from .._host.sandbox import end_processes, private_folder
from .._host.staging import Staged, ask_postconf, build_indexes, copy_live, set_past, write_copy
from .cases import EXCEPTIONS, Server, canary_cases, cases_of_user
from .deciders import Files
from .differences import LIMITS, Pair, find_effects, find_limits, unclear
from .files import SMTP, SUBMISSION, Canary, Place, all_entrances, canary_files
from .instance import CANARY, free_ports, make_folders, sasl_server, started, trouble, watched
from .questions import Question, Site, all_questions, at_service, senders_of
from .sessions import Heard, hold
from .verdicts import SECONDS, Proof, judge
from .waits import describe_waits

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
    "mydomain",
    "mynetworks",
    *(limit.parameter for limit in LIMITS),
)
_ELSEWHERE = frozenset(":/$!")
"""Characters of tables, files and references, in a list of domains."""

_NO_LIVE = "the live files could not be tried, so what this run changes for clients is not known: {}"

_ALIASES = "virtual_alias_domains"
_DOMAINS = ("mydestination", "virtual_mailbox_domains", _ALIASES, "relay_domains")


class Wanted(NamedTuple):
    """What the files are to do."""

    policy: MailPolicy
    settings: Settings
    tests: tuple[PolicyTest, ...]


class _Instance(NamedTuple):
    """A canary before it is started: its folder, the files it is made of, and what Postfix says of those."""

    folder: str
    staged: Staged
    known: Mapping[str, str]

    @property
    def config(self) -> str:
        return f"{self.folder}/etc"

    @property
    def files(self) -> Files:
        return Files(self.staged.main, self.staged.master)

    @property
    def texts(self) -> tuple[MainCf, MasterCf]:
        return self.staged.main, self.staged.master

    @property
    def families(self) -> frozenset[int]:
        return _families(self.known["inet_protocols"])

    @property
    def address(self) -> str:
        return "127.0.0.1" if 4 in self.families else "::1"

    def written(self, existing: Mapping[str, str], *, submission: bool) -> Canary:
        """Write the files of the canary. Raises OSError where the host lets no program listen."""
        ports = free_ports(self.address, 2 * len(all_entrances(*self.texts)))
        place = Place(self.folder, self.address, f"{self.folder}/sasl", existing)
        made = canary_files(*self.texts, place, ports, submission=submission)
        _replace(self.config, made)
        make_folders(self.folder, self.known["mail_owner"], self.known["setgid_group"])
        return made

    def hold(self, made: Canary, cases: Iterable[Case]) -> tuple[list[tuple[Case, Heard]], list[str]]:
        """Run the canary, and hold the sessions; returns how they ended, and lines of the log."""
        named = {one.name: one for one in made.entrances}
        with sasl_server(f"{self.folder}/sasl"), started(self.folder, f"{self.known['daemon_directory']}/master"):
            found = watched(self.folder, lambda: hold(cases, named, self.address, time.monotonic() + SECONDS))
            return found, [line.replace(self.config, self.staged.folder) for line in trouble(self.folder)]


def prove(staged: Staged, wanted: Wanted, live: Staged | None = None) -> Proof:
    """Prove the staged files on a canary, and compare them with the live ones on another. Nothing live is touched.

    Raises StepError where Postfix rejects the files, or cannot do what they say.
    """
    try:
        with private_folder() as folder:
            write_copy(staged, f"{folder}/etc")
            build_indexes(staged, f"{folder}/etc")
            return _prove(_Instance(folder, staged, ask_postconf(f"{folder}/etc", _ASKED)), wanted, live)
    except (OSError, LookupError, RuntimeError, FileError) as error:  # a full disk, no such user, no more threads
        raise StepError(CANARY, f"cannot be made: {error}") from error


def _prove(new: _Instance, wanted: Wanted, live: Staged | None) -> Proof:
    policy, settings, _tests = wanted
    server = _server(policy, new)
    existing = senders_of(server, settings, parties_of(policy, server.domain).own)
    try:
        files = new.written(existing, submission=settings.submission)
    except OSError as error:
        return Proof(0, [], [f"this host lets nothing listen on {new.address} ({error}); no session was held"])
    server = server._replace(entrances=tuple(one for one in files.entrances if not one.inner))
    cases, notes = _askable(wanted, (server, new.families))
    notes += _notes(policy, settings, (files, server, new.families))
    with contextlib.ExitStack() as stack:
        comparison = None
        if live is not None:
            comparison = _comparison(stack, live, existing, notes)
        if comparison is None:
            found, log = new.hold(files, cases)
            return judge(found, (policy, settings, server), notes, log, functools.partial(_waits, new, files))
        return _compared(comparison, (new, files), (wanted, server, cases), notes)


def _comparison(
    stack: contextlib.ExitStack, live: Staged, existing: Mapping[str, str], notes: list[str]
) -> tuple[_Instance, Canary] | None:
    """The canary of the live files; None where none can be made, with a note."""
    try:
        folder = stack.enter_context(private_folder())
        copy_live(live.folder, f"{folder}/etc")
        old = _Instance(folder, live, ask_postconf(f"{folder}/etc", _ASKED))
        return old, old.written(existing, submission=False)
    except (OSError, LookupError, FileError, StepError) as error:
        notes.append(_NO_LIVE.format(error))
        return None


def _compared(
    before: tuple[_Instance, Canary],
    after: tuple[_Instance, Canary],
    proof: tuple[Wanted, Server, list[Case]],
    notes: list[str],
) -> Proof:
    """Hold all sessions with both, side by side."""
    (old, former), (new, files), (wanted, server, cases) = before, after, proof
    policy, settings, _tests = wanted
    questions = _questions(wanted, server, (old, former), (new, files))
    there = [at_service(one, former.entrances) for one in questions]
    here = [at_service(one, files.entrances) for one in questions]
    known = {_session(case) for case in cases}
    more = [case for case in here if case is not None and _session(case) not in known]
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(old.hold, former, [case for case in there if case is not None])
        try:
            found, log = new.hold(files, [*cases, *more])
        except BaseException:
            end_processes(old.folder)  # so that its sessions are not waited for
            raise
        proven = {id(case) for case in cases}
        held = [pair for pair in found if id(pair[0]) in proven]
        result = judge(held, (policy, settings, server), notes, log, functools.partial(_waits, new, files))
        try:
            answers = {_session(case): heard for case, heard in asked.result()[0]}
        except (OSError, StepError) as error:
            return replace(result, notes=[*result.notes, _NO_LIVE.format(error)])
    now = {_session(case): heard for case, heard in found}
    pairs = [
        Pair(question, _heard(one, answers), _heard(other, now)) for question, one, other in zip(questions, there, here)
    ]
    managed = server.managed | _server(policy, old).managed
    both = (
        old.files._replace(relay_rejection=_rejection(old)),
        new.files._replace(relay_rejection=policy.relay_rejection),
    )
    effects = find_effects(pairs, *both, managed)
    effects += find_limits(files.entrances, (old.known, new.known), both, settings)
    count = unclear(pairs)
    if count:
        result = replace(result, notes=[*result.notes, f"{count} sessions with the live files had no clear end"])
    return replace(result, effects=tuple(effects))


def _waits(new: _Instance, made: Canary, services: Collection[str]) -> str:
    """What may make clients wait at services of the canary."""
    return describe_waits([one.key for one in made.entrances if one.name in services], new.files, live=False)


def _questions(
    wanted: Wanted, server: Server, before: tuple[_Instance, Canary], after: tuple[_Instance, Canary]
) -> list[Question]:
    """The sessions that this host can hold, at the services of both."""
    (old, former), (new, files) = before, after
    services = {one.key: one for one in (*former.entrances, *files.entrances)}
    site = _site(wanted.policy, old)
    families = old.families & new.families
    return [
        one
        for one in all_questions(
            wanted.policy, wanted.settings, server._replace(entrances=tuple(services.values())), site
        )
        if _can_be_held(one.case, families)
    ]


def _site(policy: MailPolicy, old: _Instance) -> Site:
    known, managed = old.known, f"{old.config}/{FOLDER}"
    trusted = [*known["mynetworks"].replace(",", " ").split(), *_first_words(f"{managed}/internal.cidr")]
    blocked = [*_first_words(f"{managed}/blocked.cidr"), *_first_words(f"{managed}/blocked-addresses")]
    domains = {word for name in _DOMAINS if name != _ALIASES for word in _plain_domains(known[name])}
    names = {*policy.domains, known["myhostname"].lower(), f"localhost.{known['mydomain']}".lower()}
    return Site(
        _without(_networks(trusted), (*policy.internal, *LOOPBACK)),
        _without(_networks(blocked), policy.blocked),
        tuple(sorted(domains - names)),
        tuple(_plain_domains(known[_ALIASES])),
    )


def _plain_domains(value: str) -> list[str]:
    """The domains of a list; tables and files are not read."""
    return [word for word in value.lower().replace(",", " ").split() if "." in word and not _ELSEWHERE & set(word)]


def _networks(words: Iterable[str]) -> list[Network]:
    found: list[Network] = []
    for word in words:
        with contextlib.suppress(NetworkError):
            found += parse_networks(re.sub(r"[\[\]]", "", word))
    return found


def _without(networks: Iterable[Network], known: Sequence[Network]) -> tuple[Network, ...]:
    return tuple(one for one in networks if not any(other.overlaps(one) for other in known))


def _first_words(path: str) -> list[str]:
    """The keys of a managed table."""
    return [line.split()[0] for line in _lines(path) if line.split()]


def _rejection(old: _Instance) -> str:
    """What the live files reply to clients that may not relay, where that is managed."""
    lines = _lines(f"{old.config}/{FOLDER}/relay-rejection.regexp")
    return next((line.partition(" 5.7.1 ")[2].strip() for line in lines if " 5.7.1 " in line), "")


def _lines(path: str) -> list[str]:
    content = read_file(path)
    return [] if content is None else decode(content).splitlines()


def _session(case: Case) -> tuple[object, ...]:
    """What makes a session the same as another."""
    session = case.session
    what = ("service", "client", "tls", "authenticated", "helo", "mail_from")
    return (*(session[name] for name in what), session["rcpt_to"][0], session.get("keyword"), session.get("message"))


def _heard(case: Case | None, answers: Mapping[tuple[object, ...], Heard]) -> Heard | None:
    return None if case is None else answers[_session(case)]


def _can_be_held(case: Case, families: frozenset[int]) -> bool:
    client = case.session["client"]
    needed = {4, 6} if client.startswith("::ffff:") else {6 if ":" in client else 4}
    return needed <= families and (has_tls() or not case.session["tls"])


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


def _server(policy: MailPolicy, instance: _Instance) -> Server:
    known = instance.known
    words = [word.lower() for name in _DOMAINS for word in known[name].replace(",", " ").split()]
    # Tables and files of domains are not read.
    plain = [word for word in words if not _ELSEWHERE & set(word)]
    domain = (*policy.domains, *(word for word in plain if "." in word), "")[0]
    managed = frozenset([*policy.domains, *plain])
    return Server(domain or known["myhostname"], managed, instance.address, (), bool(domain), known["myhostname"])


def _askable(wanted: Wanted, host: tuple[Server, frozenset[int]]) -> tuple[list[Case], list[str]]:
    """The sessions that can be held on this host, and why others of the user's own cannot."""
    (policy, settings, tests), (server, families) = wanted, host
    own, notes = cases_of_user(tests, policy, settings, server)
    cases = [*canary_cases(policy, settings, server), *own]
    return [case for case in cases if _can_be_held(case, families)], notes


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
