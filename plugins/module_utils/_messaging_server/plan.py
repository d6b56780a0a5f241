# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Messaging Server must have for a policy: the one result that everything else works with.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .._policy.errors import Problems, shown
from .._policy.mail import DEFAULTS, STAGE_CONNECT, STAGE_DISPATCHER, MailPolicy, read_mail_policy
from ._evaluator.mapping_match import Subject, TooCostlyError, match
from ._formats.dispatcher import MAX_ZONES, ZONE_OPTION
from ._formats.mapping import Pair
from ._formats.mapping_pattern import compile_pattern
from ._formats.mapping_quote import LIMITS, QuoteError, format_entry
from ._formats.tables import PORT_ACCESS, port_probe
from ._formats.text import fold
from .channels import ChannelBlock, Setting, build_blocks, build_keywords, build_options, build_rules, read_hosts
from .settings import DEFAULTS as SETTINGS
from .settings import Extra, Settings, read_settings
from .tables import Row, Sources, build_tables

_EXTERNAL_PROBES = (
    port_probe("198.51.100.255"),
    port_probe("203.0.113.1", "10.0.0.25"),
    port_probe("2001:db8:ffff::1", "2001:db8::25"),
)
"""An entry that matches one of these probes of external clients hides the zones of the Dispatcher."""


class HostFacts(NamedTuple):
    """What only the host knows. The defaults stand for a host of which nothing is known.

    ``text_database``: the option USE_TEXT_DATABASES has bit 0, so that general.txt is used. ``channel_hosts``: the
    official host name of each channel of the live imta.cnf, by folded channel name. ``submission_service``: whether
    dispatcher.cnf has [SERVICE=SMTP_SUBMIT]. ``skipped_zones``: DNSBLs that are left out. ``smtp_image``: the
    option IMAGE of [SERVICE=SMTP]. ``leaving``: folded names of the channels by which mail leaves the host; without
    keywords to look at, those of ``channel_hosts`` that are called tcp_*.
    """

    text_database: bool = False
    channel_hosts: Mapping[str, str] = {}
    submission_service: bool = False
    skipped_zones: frozenset[str] = frozenset()
    smtp_image: str = ""
    leaving: frozenset[str] | None = None


class Plan(NamedTuple):
    """What the files must have.

    ``tables``: complete content of the tables that are needed. ``blocks``: channel blocks that are missing (name,
    keywords, official host name). ``keywords``: (channel or ``defaults``, keyword, arguments). ``rules``: rewrite
    rules that must be the first of their pattern. ``options``: (service, option, values) of dispatcher.cnf.
    ``general``: keys of general.txt, all of which begin with ``MAILHOST-``.
    """

    tables: dict[str, tuple[Pair, ...]]
    blocks: tuple[ChannelBlock, ...]
    keywords: tuple[Setting, ...]
    rules: tuple[Pair, ...]
    options: tuple[Setting, ...]
    general: dict[str, str]

    def accepted_findings(self) -> frozenset[str]:
        """Codes of mapping_lint that are no fault of these tables.

        A long list is long. Where the Dispatcher queries DNSBLs PORT_ACCESS must not have an entry for every client.
        Releases from 6.3 on take longer entries than the lint, which knows no release, lets pass.
        """
        codes = {"large-table", "long-pattern", "long-template"}
        if any(option.name == ZONE_OPTION for option in self.options):
            codes.add("missing-catch-all")
        return frozenset(codes)


FILTER_NAMES = {
    **{option: f"_input.{option}" for option in DEFAULTS},
    **{option: f"settings.{option}" for option in SETTINGS},
}
"""Names of the options in the errors of filters, which get them as two dictionaries."""


def plan_of_dictionaries(policy: Any, settings: Any, hosts: Any = None, *, submission: bool = False) -> Plan:
    """The plan of a filter: from its input and parameters, as if the host were not known. Raises PolicyError."""
    facts = HostFacts(channel_hosts=read_hosts(hosts), submission_service=submission)
    found = read_wanted(policy, {} if settings is None else settings, FILTER_NAMES)
    return compile_plan(*found, facts, FILTER_NAMES)


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
        known, others = found_policy, found_settings or read_settings({})
        problems.collect(lambda: compile_plan(known, others, HostFacts(), names))
    problems.raise_if_any()
    if found_policy is None or found_settings is None:
        raise AssertionError("a problem was found, or both were read")
    return found_policy, found_settings


def compile_plan(
    policy: MailPolicy, settings: Settings, facts: HostFacts, names: Mapping[str, str] | None = None
) -> Plan:
    """The plan for a host, or PolicyError with everything that Messaging Server cannot do."""
    check = _Check(names or {})
    check.dispatcher(policy, settings)
    check.channels(settings, facts)
    policy = policy.without_dnsbls(facts.skipped_zones)
    hosts = facts.channel_hosts
    try:
        leaving = facts.leaving
        if leaving is None:
            leaving = frozenset(name for name in hosts if name.startswith("tcp_"))
        tables = build_tables(Sources(policy, settings, hosts, facts.text_database, tuple(sorted(leaving))))
    except QuoteError as error:
        check.problems.add("imta.cnf", f"{error}; rename the channel")
        check.problems.raise_if_any()
        raise
    for rows in tables.rows.values():
        for row in rows:
            check.row(row, settings.release)
    check.problems.raise_if_any()
    return Plan(
        tables={name: tuple(Pair(row.pattern, row.template) for row in rows) for name, rows in tables.rows.items()},
        blocks=build_blocks(settings, hosts),
        keywords=build_keywords(policy, settings),
        rules=build_rules(settings, hosts),
        options=build_options(policy, settings, facts.submission_service, facts.smtp_image),
        general=tables.general,
    )


class _Check:
    """What cannot be had on Messaging Server, with the variable to change."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.problems = Problems()
        self.names = names
        self.long: set[str] = set()

    def path(self, option: str) -> str:
        return self.names.get(option, f"{'mailhost' if option in DEFAULTS else 'messaging_server'}_{option}")

    def dispatcher(self, policy: MailPolicy, settings: Settings) -> None:
        """Lists of the Dispatcher: few, without text, and only where PORT_ACCESS does not hide them."""
        path = self.path("dnsbls")
        lists = policy.dnsbls_at(STAGE_DISPATCHER)
        for number, one in enumerate(lists[MAX_ZONES:], MAX_ZONES + 1):
            self.problems.add(
                f"{path}[{one.place}].stage",
                f'"{one.zone}" is list number {number} of the dispatcher, '
                f"which queries {MAX_ZONES}; write connect or mail",
            )
        for one in lists:
            if one.text:
                self.problems.add(
                    f"{path}[{one.place}].text", "the dispatcher has its own text; leave it out, or write stage connect"
                )
        for one in policy.dnsbls_at(STAGE_CONNECT) if lists else ():
            self.problems.add(
                f"{path}[{one.place}].stage",
                f"a list of stage connect is an entry of {PORT_ACCESS} that matches every external client, and then "
                f"the dispatcher does not query {path}[{lists[0].place}]; write one stage for both",
            )
        extra = settings.extra_entries.get(PORT_ACCESS, Extra())
        for place, pairs in extra._asdict().items() if lists else ():
            for index, pair in enumerate(pairs):
                if _matches_external(pair.pattern):
                    self.problems.add(
                        f"{self.path('extra_entries')}.{PORT_ACCESS}.{place}[{index}]",
                        f"{shown(pair.pattern)} matches external clients, and then the dispatcher does not query "
                        f"{path}[{lists[0].place}]; write stage connect for its lists, or remove the entry",
                    )

    def channels(self, settings: Settings, facts: HostFacts) -> None:
        """The channels that are there must fit those that the settings name."""
        hosts = facts.channel_hosts
        if not hosts:
            return
        path = self.path("channels")
        if fold(settings.channels.external) not in hosts:
            self.problems.add(
                f"{path}.external",
                f"{shown(settings.channels.external)} is no channel of imta.cnf; "
                "name the channel by which mail from external clients enters",
            )
        owners = {fold(host): name for name, host in hosts.items()}
        for name, _keywords, host in build_blocks(settings, hosts):
            if fold(host) in owners:
                kind = next(kind for kind, known in settings.channels._asdict().items() if known == name)
                self.problems.add(
                    f"{path}.{kind}",
                    f"{shown(name)} is no channel of imta.cnf, and its host name {shown(host)} belongs to "
                    f"{shown(owners[fold(host)])}; name that channel, or rename one of them",
                )

    def row(self, row: Row, release: str) -> None:
        """An entry must be one entry, and within the limits of the release."""
        path = self.path(row.option) + row.place
        limits = LIMITS[release]
        for what, text, limit in (
            ("pattern", row.pattern, limits.pattern),
            ("template", row.template, limits.template),
        ):
            if len(text) > limit:
                if path not in self.long:
                    self.problems.add(
                        path,
                        f"makes a {what} of {len(text)} characters; release {release} takes {limit}; shorten it",
                    )
                self.long.add(path)
                return
        try:
            format_entry(row.pattern, row.template, release)
        except QuoteError as error:
            self.problems.add(path, str(error))


def _matches_external(pattern: str) -> bool:
    try:
        compiled = compile_pattern(pattern)
        return any(match(compiled, Subject(probe)) is not None for probe in _EXTERNAL_PROBES)
    except TooCostlyError:
        return True
