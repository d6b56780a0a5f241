# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the role on the host: from the policy to files that are live, or back.

Private to this collection. The order is the promise: compose, evaluate, ask the product, and only then touch anything.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from itertools import chain
from typing import Any, NamedTuple

from ansible_collections.mailhost.hardening.plugins.module_utils import _configuration_transaction as transaction
from ansible_collections.mailhost.hardening.plugins.module_utils._configuration_files import (
    Attributes,
    new_attributes,
    read_attributes,
    read_file,
    replace_file,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._configuration_tool import StepError
from ansible_collections.mailhost.hardening.plugins.module_utils._dispatcher_file import parse_dispatcher
from ansible_collections.mailhost.hardening.plugins.module_utils._dnsbl_self_test import ask_lists, describe_fault
from ansible_collections.mailhost.hardening.plugins.module_utils._errors import PolicyError, shown
from ansible_collections.mailhost.hardening.plugins.module_utils._imta_file import parse_imta
from ansible_collections.mailhost.hardening.plugins.module_utils._mail_policy import MailPolicy
from ansible_collections.mailhost.hardening.plugins.module_utils._mapping_file import parse_mappings
from ansible_collections.mailhost.hardening.plugins.module_utils._mapping_lint import INTERNAL_TABLE
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server_cases import (
    Case,
    Server,
    cases_of_tests,
    policy_cases,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server_files import (
    Composed,
    Texts,
    compose,
    describe_unknown,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server_live import (
    ACCESS_ERRORS,
    ACCESS_ORCPT,
    PARTS,
    RECORD,
    STATE,
    Live,
    decode,
    encode,
    read_live,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server_notes import (
    new_findings,
    switching_notes,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server_plan import (
    HostFacts,
    Plan,
    compile_plan,
    read_wanted,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server_product import (
    GENERAL,
    MAPPINGS,
    PORT_ACCESS,
    Product,
    activations,
    discover,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server_proof import (
    describe_deviations,
    find_deviations,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server_readback import Staged, read_back
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server_record import dump_record
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server_settings import (
    OWNED_TABLES,
    Channels,
    Settings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server_surface import (
    inner_hosts,
    literal_clients,
    senders_of_entries,
    services_of,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server_tables import shown_zone
from ansible_collections.mailhost.hardening.plugins.module_utils._mta_text import fold
from ansible_collections.mailhost.hardening.plugins.module_utils._policy_tests import read_policy_tests
from ansible_collections.mailhost.hardening.plugins.module_utils._smtp_decision import load_config
from ansible_collections.mailhost.hardening.plugins.module_utils._smtp_session import DEFAULT_SERVER, Config

#: Digest of the texts and sessions that were last evaluated without a deviation.
PROVEN = f"{STATE}/proven"

#: The service of port 587 in dispatcher.cnf, folded.
SUBMIT = "smtp_submit"

#: A template of PORT_ACCESS that may refuse a connection.
_MAY_REFUSE = re.compile(r"\$[NnFf\[{]")


#: What is left when our part is to leave.
NO_PLAN = Plan({}, (), (), (), (), {})

INTERRUPTED = "a run was killed in the middle of its change; the next real run puts the former files back first"

_PRIVATE = Attributes(0, 0, 0o600, {})


class Wanted(NamedTuple):
    """What a run aims at. Without settings our part is to leave, and there are no cases."""

    composed: Composed
    cases: tuple[Case, ...]
    settings: Settings | None
    accepted: frozenset[str]
    warnings: tuple[str, ...]


def change(arguments: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Bring the files into the wanted state; returns the module's result.

    Raises PolicyError, StepError, MtaTextError, OSError.
    """
    product = discover(arguments["root"])
    if check_mode and transaction.interrupted(STATE):
        return {"changed": True, "files": [], "evaluated": 0, "warnings": [INTERRUPTED]}
    notice = "" if check_mode else transaction.recover(STATE, product)
    try:
        result = _change(product, arguments, check_mode)
    except StepError as error:
        # What was put back of an earlier run is told once only, so not by the next run.
        told = f"{notice}\n{error.output}" if notice else error.output
        raise StepError(error.step, told, error.put_back) from error
    result["warnings"] = [*([notice] if notice else []), *result["warnings"]]
    return result


def _change(product: Product, arguments: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    live = read_live(product)
    _require_includes(live)
    wanted = _absent(live) if arguments["state"] == "absent" else _present(arguments, live)
    evaluated = _evaluate(wanted, live)
    changes = _changes(product, live, wanted.composed)
    warnings = list(wanted.warnings)
    if live.record.empty and f"{{{INTERNAL_TABLE},$L}}" in live.texts.imta_cnf and read_file(PROVEN) is not None:
        warnings.append(f"{RECORD} is missing: what the files have of ours counts as found, and absent leaves it")
    result: dict[str, Any] = {"changed": bool(changes), "files": [one.path for one in changes], "evaluated": evaluated}
    if changes:
        if arguments.get("diff"):
            result["diff"] = [_diff(one) for one in changes]
        warnings += new_findings(live.texts, wanted.composed.texts, wanted.accepted)
        if wanted.settings is not None:
            external = wanted.settings.channels.external
            warnings += switching_notes(live.texts, wanted.composed.texts, external, OWNED_TABLES)
        parts = _parts(live.texts, wanted.composed.texts)
        result["activation"] = [f"imsimta {' '.join(words)}" for words in activations(parts)]
        if wanted.settings is not None and wanted.composed.texts.mappings != live.texts.mappings:
            _ask_product(product, live, wanted, wanted.settings.channels)
        if not check_mode:
            changes.append(_record_change(wanted.composed))
            result["backup"] = transaction.apply(STATE, product, changes, {"parts": sorted(parts)})
    elif not check_mode:
        _note_record(wanted.composed)
    if not check_mode:
        with contextlib.suppress(OSError):  # what is live is live; the next run evaluates it once more
            _note_proven(wanted, live)
    result["warnings"] = warnings
    return result


def rollback(arguments: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Put back what was live before the last change; returns the module's result. Raises StepError, OSError."""
    product = discover(arguments["root"])
    if check_mode and transaction.interrupted(STATE):
        return {"changed": True, "files": [], "warnings": [INTERRUPTED]}
    notice = "" if check_mode else transaction.recover(STATE, product)
    if notice:
        # What was live before the last change is live again: another step back would go too far.
        return {"changed": True, "files": [], "warnings": [notice]}
    plan = transaction.plan_rollback(STATE, product)
    transaction.refuse_edited(STATE, plan)
    changes = [one for one in plan.changes if one.before != one.after and one.path != RECORD]
    result: dict[str, Any] = {
        "changed": bool(changes),
        "files": [one.path for one in changes],
        "warnings": [],
    }
    if arguments.get("diff"):
        result["diff"] = [_diff(one) for one in changes]
    if not check_mode:
        result["backup"] = transaction.rollback(STATE, product)
        result["activation"] = [f"imsimta {' '.join(words)}" for words in activations(plan.details["parts"])]
    return result


# What is wanted


def _absent(live: Live) -> Wanted:
    return Wanted(compose(live.texts, NO_PLAN, live.record), (), None, NO_PLAN.accepted_findings(), ())


def _present(arguments: dict[str, Any], live: Live) -> Wanted:
    if live.options.get(ACCESS_ORCPT):
        raise StepError(
            "read",
            "ACCESS_ORCPT is set in option.dat: the recipient tables are then asked with a further field, for which "
            "this role has no entries; remove the option",
            transaction.UNTOUCHED,
        )
    names = arguments.get("names") or {}
    policy, settings = read_wanted(arguments["policy"], arguments["settings"], names)
    tests = read_policy_tests(arguments["policy_tests"], names.get("policy_tests", "mailhost_policy_tests"))
    facts = host_facts(live)
    skipped, warnings = _unusable_lists(policy, settings, live, names)
    facts = facts._replace(skipped_zones=frozenset(skipped))
    _check_submission(settings, live, names)
    plan = compile_plan(policy, settings, facts, names)
    _refuse_included(live, plan)
    composed = compose(live.texts, plan, live.record)
    if composed.texts.general and (live.record.general_made or not live.has_general):
        composed = composed._replace(record=composed.record._replace(general_made=True))
    if composed.unknown and settings.unknown_entries == "stop":
        raise StepError("unknown entries", _describe_unknown(composed), transaction.UNTOUCHED)
    policy = policy._replace(block_lists=tuple(one for one in policy.block_lists if one.zone not in skipped))
    cases = chain(
        policy_cases(policy, _server(policy, settings, composed.texts, live.includes)),
        cases_of_tests(tests, policy.domains),
    )
    return Wanted(composed, tuple(cases), settings, plan.accepted_findings(), tuple(warnings))


def _check_submission(settings: Settings, live: Live, names: Mapping[str, str]) -> None:
    """Port 587 must be free or that of the service of submission, whose parameters must be ours to set."""
    if not settings.submission:
        return
    dispatcher = parse_dispatcher(live.texts.dispatcher_cnf)
    path = names.get("submission", "messaging_server_submission")
    owner = dispatcher.service_of_port(587)
    if owner is not None and fold(owner) != SUBMIT:
        raise PolicyError(
            [f"{path}: port 587 is that of [SERVICE={owner}] in dispatcher.cnf; rename it SMTP_SUBMIT, or write false"]
        )
    wanted = f"CHANNEL={settings.channels.submission}"
    others = [value for value in dispatcher.by_name.get((SUBMIT, "parameter"), []) if value != wanted]
    if any(not fold(value).startswith("channel=") for value in others):
        told = f"{path}: [SERVICE=SMTP_SUBMIT] has PARAMETER={others[0]}, which ours would replace"
        raise PolicyError([f"{told}; remove it, or write false"])


def _require_includes(live: Live) -> None:
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
            transaction.UNTOUCHED,
        )


def _refuse_included(live: Live, plan: Plan) -> None:
    """A table of ours in an included file would be there twice."""
    for table in parse_mappings(live.texts.mappings, includes=live.includes).tables:
        if table.name.upper() in plan.tables and table.line.file in live.includes:
            raise StepError(
                "read",
                f"table {table.name} stands in the included file {table.line.file}, which the role does not edit; "
                "move it into the mapping file",
                transaction.UNTOUCHED,
            )


def host_facts(live: Live) -> HostFacts:
    """What the plan has to know of the host."""
    channels = parse_imta(live.texts.imta_cnf, includes=live.includes).channels
    dispatcher = parse_dispatcher(live.texts.dispatcher_cnf)
    images = dispatcher.values("SMTP", "IMAGE")
    # A service that was made here is still to be made: the plan has to say all of it again.
    made_here = any(fold(place[0]) == SUBMIT and words.before is None for place, words in live.record.options.items())
    return HostFacts(
        text_database=live.text_database,
        channel_hosts={fold(one.name): one.hosts[0] for one in channels if one.hosts},
        submission_service=not made_here and any(fold(service) == SUBMIT for service in dispatcher.services),
        smtp_image=images[0] if images else "",
    )


def _server(policy: MailPolicy, settings: Settings, texts: Texts, includes: Mapping[str, str]) -> Server:
    imta = parse_imta(texts.imta_cnf, includes=includes)
    local = imta.channel(settings.channels.local)
    own = policy.domains or (local.hosts if local else ()) or ("localhost.localdomain",)
    hosts = [imta.channel(name) for name in settings.channels]
    names = tuple(dict.fromkeys(one.hosts[0] for one in hosts if one is not None and one.hosts and one is not local))
    extra = [pair for one in settings.extra_entries.values() for pair in (*one.before, *one.after)]
    return Server(
        own[0],
        DEFAULT_SERVER,
        names,
        settings.submission,
        services_of(parse_dispatcher(texts.dispatcher_cnf)),
        literal_clients(imta),
        senders_of_entries(extra, settings.channels.external),
        inner_hosts(imta, settings.channels.local),
    )


def _describe_unknown(composed: Composed) -> str:
    return (
        "these entries stand in tables that the policy fills, and neither the inventory nor an earlier run knows them. "
        "Put those that are to stay into the inventory, and remove the others from the file, or write "
        "messaging_server_unknown_entries: replace\n" + describe_unknown(composed.unknown)
    )


def _unusable_lists(
    policy: MailPolicy, settings: Settings, live: Live, names: Mapping[str, str]
) -> tuple[set[str], list[str]]:
    """Block lists that are not in use yet and fail their self-test, each with a warning; PolicyError to stop."""
    templates = [template for table in live.record.tables.values() for _pattern, template in table.ours]
    zones = [value for words in live.record.options.values() for value in words.ours]
    new = {
        one.zone: index
        for index, one in enumerate(policy.block_lists)
        if f"{one.zone}." not in zones and not any(f",{one.zone}.," in template for template in templates)
    }
    path = names.get("dnsbls", "mailhost_dnsbls")
    problems = {
        zone: f"{path}[{new[zone]}].zone: {shown(shown_zone(zone))} cannot be used: {why}"
        for zone, answers in ask_lists(new).items()
        for why in [describe_fault(answers)]
        if why
    }
    if problems and settings.unusable_block_lists == "stop":
        hint = "or write messaging_server_unusable_block_lists: skip to go on without it"
        raise PolicyError([f"{problem}; {hint}" for problem in problems.values()])
    return set(problems), [f"{problem}; it is left out" for problem in problems.values()]


# Evaluation


def _evaluate(wanted: Wanted, live: Live) -> int:
    """Evaluate the wanted texts, unless exactly this was evaluated before; returns the number of sessions."""
    if wanted.settings is None or _digest(wanted, live) == (read_file(PROVEN) or b"").decode("ascii", "replace"):
        return 0
    texts = wanted.composed.texts
    config = load_config(
        Config(
            imta_cnf=texts.imta_cnf,
            mappings=texts.mappings,
            dispatcher_cnf=texts.dispatcher_cnf,
            general=texts.general if live.text_database else "",
            includes=live.includes,
            access_errors=live.options.get(ACCESS_ERRORS, 0) & 1,
        )
    )
    count, found = find_deviations(wanted.cases, config, wanted.settings.channels)
    if found:
        raise StepError("evaluate", describe_deviations(found), transaction.UNTOUCHED)
    return count


def _digest(wanted: Wanted, live: Live) -> str:
    whole = [wanted.composed.texts, live.includes, live.options, wanted.cases]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def _note_proven(wanted: Wanted, live: Live) -> None:
    """Remember what was evaluated, so that a run that changes nothing need not do it again."""
    proven = _digest(wanted, live).encode() if wanted.settings is not None else None
    if proven is not None and read_file(PROVEN) != proven:
        os.makedirs(STATE, mode=0o700, exist_ok=True)
        replace_file(PROVEN, proven, _PRIVATE)


def _ask_product(product: Product, live: Live, wanted: Wanted, channels: Channels) -> None:
    """Have the product's own tool read the staged mapping file; what it says must be what was evaluated."""
    live_file = product.files[MAPPINGS]
    with tempfile.TemporaryDirectory(prefix="mailhost-hardening-") as folder:
        os.chmod(folder, 0o711)  # noqa: S103 (the tool may read its files as the mail server's own user)
        path = os.path.join(folder, "mappings")
        attributes = read_attributes(live_file) or new_attributes(live_file)
        replace_file(path, encode(wanted.composed.texts.mappings), attributes)
        staged = Staged(path, wanted.composed.texts.mappings, live.includes, channels)
        read_back(product, staged, [case.session["client"] for case in wanted.cases])


# Files


def _changes(product: Product, live: Live, composed: Composed) -> list[transaction.Change]:
    changes = []
    for field, part in PARTS.items():
        before, after = getattr(live.texts, field), getattr(composed.texts, field)
        if before == after:
            continue
        was_there = field != "general" or live.has_general
        gone = field == "general" and not after and live.record.general_made
        path = product.files[part]
        like = None if was_there else read_attributes(product.files[MAPPINGS])
        changes.append(
            transaction.Change(path, encode(before) if was_there else None, None if gone else encode(after), like)
        )
    return changes


def _record_change(composed: Composed) -> transaction.Change:
    """The record goes with the files: it is put back when they are."""
    return transaction.Change(RECORD, read_file(RECORD), _record(composed), _PRIVATE)


def _note_record(composed: Composed) -> None:
    """Nothing changes on the host, but what was there already is ours from now on."""
    if read_file(RECORD) != _record(composed):
        os.makedirs(STATE, mode=0o700, exist_ok=True)
        content = _record(composed)
        if content is None:
            os.unlink(RECORD)
        else:
            replace_file(RECORD, content, _PRIVATE)


def _record(composed: Composed) -> bytes | None:
    return None if composed.record.empty else dump_record(composed.record)


def _parts(before: Texts, after: Texts) -> set[str]:
    """What the change is about, for the least activation that suffices.

    INTERNAL_IP counts as PORT_ACCESS where that table asks it and may refuse somebody, and so does the general database
    where one of these tables asks it: the Dispatcher has copies of its own.
    """
    parts = {part for field, part in PARTS.items() if getattr(before, field) != getattr(after, field)}
    if not parts & {MAPPINGS, GENERAL}:
        return parts
    tables = [parse_mappings(text).tables for text in (before.mappings, after.mappings)]
    old, new = [{t.name.upper(): [(e.pattern, e.template) for e in t.entries] for t in found} for found in tables]
    changed = {name for name in {*old, *new} if old.get(name) != new.get(name)}
    templates = [template for _pattern, template in new.get(PORT_ACCESS, [])]
    asked = {PORT_ACCESS}
    refuses = any(_MAY_REFUSE.search(template) for template in templates)
    if refuses and any(INTERNAL_TABLE in template.upper() for template in templates):
        asked.add(INTERNAL_TABLE)
        templates += [template for _pattern, template in new.get(INTERNAL_TABLE, [])]
    if changed & asked or (GENERAL in parts and any("${" in template for template in templates)):
        parts.add(PORT_ACCESS)
    return parts - {MAPPINGS} if changed <= {PORT_ACCESS} else parts


def _diff(one: transaction.Change) -> dict[str, str]:
    return {
        "before_header": one.path,
        "after_header": one.path,
        "before": decode(one.before or b""),
        "after": decode(one.after or b""),
    }
