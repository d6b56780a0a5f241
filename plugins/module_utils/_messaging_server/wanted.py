# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run on the host aims at: from policy, settings and live files to wanted files and the sessions to evaluate.

Everything that can be found wrong by reading alone is an error here.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, islice
from typing import Any, NamedTuple

from .._policy.errors import PolicyError
from .._policy.mail import MailPolicy
from .._policy.policy_tests import read_policy_tests
from .._sessions.cases import Case, cases_of_tests
from .._sessions.dnsbl import ERRORS_ARE_LISTINGS, unusable_dnsbls
from .._transaction.command import StepError
from ._evaluator.context import surroundings
from ._evaluator.mapping import load_mappings
from ._formats.dispatcher import CHANNEL_PARAMETER, SMTP_SERVICE, SUBMISSION_PORT, SUBMISSION_SERVICE, parse_dispatcher
from ._formats.imta import parse_imta
from ._formats.mapping import parse_mappings
from ._formats.option_file import changing_options
from ._formats.tables import INTERNAL_IP, SAMPLE_SERVER
from ._formats.text import fold
from .cases import Server, policy_cases
from .compose import Composed, Texts, compose, describe_unknown
from .effects import named_by, site_cases
from .literals import entering
from .live import Live
from .plan import HostFacts, Plan, compile_plan, read_wanted
from .settings import Settings
from .surface import MOST, inner_hosts, literal_clients, outer_hosts, senders_of_entries, services_of
from .tables import ways_out

NO_PLAN = Plan({}, (), (), (), (), {})
"""The plan of state absent."""


class WantedFiles(NamedTuple):
    """What a run aims at. Without settings the managed part is removed, and there are no cases.

    ``compared``: sessions about which the policy says nothing, which are to end as before.
    """

    composed: Composed
    cases: tuple[Case, ...]
    compared: tuple[Case, ...]
    settings: Settings | None
    accepted: frozenset[str]
    warnings: tuple[str, ...]


def absent(live: Live) -> WantedFiles:
    """Return the files without what is managed."""
    return WantedFiles(compose(live.texts, NO_PLAN, live.record), (), (), None, NO_PLAN.accepted_findings(), ())


def present(arguments: Mapping[str, Any], live: Live) -> WantedFiles:
    """Return the files that the policy demands; a StepError where it cannot be had."""
    changing = list(changing_options(live.options))
    if changing:
        raise StepError("read", "\n".join(changing))
    names = arguments.get("names") or {}
    policy, settings = read_wanted(arguments["policy"], arguments["settings"], names)
    tests = read_policy_tests(arguments["policy_tests"], names.get("policy_tests", "mailhost_policy_tests"))
    facts = host_facts(live)
    skipped, warnings = _unusable_lists(policy, settings, live, names)
    facts = facts._replace(skipped_zones=frozenset(skipped))
    _check_submission(settings, live, names)
    plan = compile_plan(policy, settings, facts, names)
    _reject_included(live, plan)
    composed = compose(live.texts, plan, live.record)
    if composed.texts.general and (live.record.general_made or not live.has_general):
        composed = composed._replace(record=composed.record._replace(general_made=True))
    if composed.unknown and settings.unknown_entries == "stop":
        raise StepError("unknown entries", _describe_unknown(composed))
    policy = policy.without_dnsbls(skipped)
    server, unclear = _server(policy, settings, composed.texts, live.includes)
    warnings += unclear
    shut = [] if policy.domains else ways_out(settings, sorted(facts.leaving or ()))
    if shut and composed.texts.mappings != live.texts.mappings:
        warnings.append(
            f"{names.get('domains', 'mailhost_domains')}: is empty, so mail from external clients is rejected for "
            f"channel {', '.join(shut)}; name the domains whose mail goes there"
        )
    cases = chain(
        policy_cases(policy, server),
        cases_of_tests(tests, policy.domains),
    )
    named = named_by(live.texts.mappings, {name.upper(): one.managed for name, one in live.record.tables.items()})
    replace = settings.unknown_entries == "replace"
    compared = tuple(site_cases(policy, server.domain, server.services, named, replace=replace))
    return WantedFiles(composed, tuple(cases), compared, settings, plan.accepted_findings(), tuple(warnings))


def _check_submission(settings: Settings, live: Live, names: Mapping[str, str]) -> None:
    """Port 587 must be free or that of the service of submission, whose parameters must not be set otherwise."""
    if not settings.submission:
        return
    dispatcher = parse_dispatcher(live.texts.dispatcher_cnf)
    path = names.get("submission", "messaging_server_submission")
    owner = dispatcher.service_of_port(SUBMISSION_PORT)
    if owner is not None and fold(owner) != fold(SUBMISSION_SERVICE):
        raise PolicyError(
            [f"{path}: port 587 is that of [SERVICE={owner}] in dispatcher.cnf; rename it SMTP_SUBMIT, or write false"]
        )
    wanted = f"{CHANNEL_PARAMETER}{settings.channels.submission}"
    others = [value for value in dispatcher.by_name.get((fold(SUBMISSION_SERVICE), "parameter"), []) if value != wanted]
    if any(not fold(value).startswith(fold(CHANNEL_PARAMETER)) for value in others):
        problem = f"{path}: [SERVICE=SMTP_SUBMIT] has PARAMETER={others[0]}, which the role would replace"
        raise PolicyError([f"{problem}; remove it, or write false"])


def require_includes(live: Live) -> None:
    """Rules and tables that cannot be read cannot be evaluated."""
    missing = [
        *parse_imta(live.texts.imta_cnf, includes=live.includes).missing,
        *parse_mappings(live.texts.mappings, includes=live.includes).missing,
    ]
    if missing:
        raise StepError(
            "read",
            f"included files cannot be read: {', '.join(dict.fromkeys(missing))}; "
            "put them in place, or remove the lines",
        )


def _reject_included(live: Live, plan: Plan) -> None:
    """A managed table in an included file would be there twice."""
    for table in parse_mappings(live.texts.mappings, includes=live.includes).tables:
        if table.name.upper() in plan.tables and table.line.file in live.includes:
            raise StepError(
                "read",
                f"table {table.name} stands in the included file {table.line.file}, which the role does not edit; "
                "move it into the mapping file",
            )


def host_facts(live: Live) -> HostFacts:
    """What the plan has to know of the host."""
    channels = parse_imta(live.texts.imta_cnf, includes=live.includes).channels
    dispatcher = parse_dispatcher(live.texts.dispatcher_cnf)
    images = dispatcher.values(SMTP_SERVICE, "IMAGE")
    # A service that was made here is still to be made: the plan has to say all of it again.
    made_here = any(
        fold(service) == fold(SUBMISSION_SERVICE) and words.before is None
        for (service, _name), words in live.record.options.items()
    )
    return HostFacts(
        text_database=live.text_database,
        channel_hosts={fold(one.name): one.hosts[0] for one in channels if one.hosts},
        submission_service=not made_here and dispatcher.has_service(SUBMISSION_SERVICE),
        smtp_image=images[0] if images else "",
        leaving=frozenset(fold(one.name) for one in channels if one.hosts and one.leaves()),
    )


def _server(
    policy: MailPolicy, settings: Settings, texts: Texts, includes: Mapping[str, str]
) -> tuple[Server, tuple[str, ...]]:
    """What the cases need to know of the server, and a warning for each way in that cannot be evaluated."""
    imta = parse_imta(texts.imta_cnf, includes=includes)
    local = imta.channel(settings.channels.local)
    own = policy.domains or (local.hosts if local else ()) or ("localhost.localdomain",)
    hosts = [imta.channel(name) for name in settings.channels]
    names = tuple(dict.fromkeys(one.hosts[0] for one in hosts if one is not None and one.hosts and one is not local))
    extra = [pair for one in settings.extra_entries.values() for pair in (*one.before, *one.after)]
    clients, unclear = entering(imta, parse_mappings(texts.mappings, includes=includes), settings.channels.external)
    # Clients of an extra entry of INTERNAL_IP are internal, too.
    mappings = load_mappings(texts.mappings, "mappings", tuple(sorted(includes.items())))
    external = (one for one in clients if "Y" not in mappings.probe(INTERNAL_IP, one, surroundings()).flags)
    others = list(islice(external, MOST + 1))
    if len(others) > MOST:
        warning = f"more than {MOST} clients of tables that rewrite rules look up are not internal by policy"
        unclear += (f"{warning}, and only so many are evaluated; check the others",)
    server = Server(
        own[0],
        SAMPLE_SERVER,
        names,
        settings.submission,
        services_of(parse_dispatcher(texts.dispatcher_cnf)),
        tuple(dict.fromkeys((*literal_clients(imta), *others[:MOST]))),
        senders_of_entries(extra, settings.channels.external),
        inner_hosts(imta, settings.channels.local),
        outer_hosts(imta, policy.domains, settings),
    )
    return server, unclear


def _describe_unknown(composed: Composed) -> str:
    return (
        "these entries stand in tables that the policy fills, and neither the inventory nor an earlier run knows them. "
        "Put those that are to stay into the inventory, and remove the others from the file, or write "
        "messaging_server_unknown_entries: replace\n" + describe_unknown(composed.unknown)
    )


def _unusable_lists(
    policy: MailPolicy, settings: Settings, live: Live, names: Mapping[str, str]
) -> tuple[set[str], list[str]]:
    """DNSBLs that are not in use yet and fail their self-test, each with a warning; PolicyError to stop."""
    templates = [template for table in live.record.tables.values() for _pattern, template in table.managed]
    zones = [value for words in live.record.options.values() for value in words.managed]
    new = {
        one.zone: one.place
        for one in policy.dnsbls
        if f"{one.zone}." not in zones and not any(f",{one.zone}.," in template for template in templates)
    }
    return unusable_dnsbls(new, names, "messaging_server", settings.unusable_dnsbls == "skip", ERRORS_ARE_LISTINGS)
