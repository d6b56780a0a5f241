# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the role on the host: from the policy to a Postfix that works by it, or back.

Private to this collection. The order is the promise: compose, have Postfix read the result, ask a private Postfix of
it, and only then touch anything.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.mail import MailPolicy
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.policy_tests import (
    PolicyTest,
    read_policy_tests,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.instance import answers
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.run import prove
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.dangling import dangling
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.domains import ASKED, check_references
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.fit import (
    check_domain_classes,
    check_recipient_maps,
    foreign_submission,
    relayed_by_default,
    replaced_settings,
    restored,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.trust import (
    other_instances,
    proxies,
    soft_bounces,
    untrusted_hosts,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.unknown import (
    describe_unknown,
    find_unknown,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.files import FileError, read_main
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.maps import FOLDER
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.record import dump_record
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.settings import SKIP, STOP, Settings
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host.certificate import check_certificate
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host.live import (
    STATE,
    Live,
    read_live,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host.ports import taken_ports
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host.product import (
    SMTP_PORT,
    Postfix,
    discover,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host.sandbox import sweep
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host.staging import (
    Staged,
    ask_staged,
    check_staged,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host.tables import check_tables
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.compose import (
    NO_PLAN,
    Composed,
    compose,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import (
    Plan,
    compile_plan,
    read_wanted,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix.confirm import confirm_live
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.dnsbl import unusable_lists
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.report import describe_deviations
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.command import StepError
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.files import (
    Attributes,
    decode,
    encode,
    read_file,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.run import Proof, Run
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.transaction import Change, Confirm

#: Of a new table.
PUBLIC = Attributes(0, 0, 0o644, {})

#: Postfix waits for a file that has changed within the last seconds.
SETTLED = 5


class Wanted(NamedTuple):
    """What a run aims at; without a policy our part is to leave.

    ``notes``: what the installed version cannot do. ``names``: the inventory variable to name for an option.
    """

    composed: Composed
    policy: MailPolicy | None
    settings: Settings | None
    tests: tuple[PolicyTest, ...]
    warnings: tuple[str, ...]
    notes: tuple[str, ...]
    names: Mapping[str, str]


class PostfixRun(Run[Live, Wanted]):
    """A run for Postfix; ``arguments`` are those of the module."""

    state = STATE

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.arguments = arguments
        self.driver = self.product = discover()
        self.folder = os.path.join(self.product.folder, FOLDER)
        sweep()

    def read(self) -> Live:
        """Read the live files, and ask the program for its facts."""
        return read_live(self.product)

    def want(self, live: Live) -> Wanted:
        """Compose the files that the policy asks for."""
        wanted = _absent(live) if self.arguments["state"] == "absent" else _present(self.arguments, live)
        _check_references(wanted, wanted.names)
        _refuse_dangling(self.product, live, wanted.composed)
        return wanted

    def changes(self, live: Live, wanted: Wanted) -> list[Change]:
        """Return the files that differ."""
        return _changes(self.product, live, wanted.composed)

    def digest(self, live: Live, wanted: Wanted) -> str:
        """Return a digest of what the canary is tried with."""
        return _digest(wanted, live) if wanted.settings is not None else ""

    def prove(self, live: Live, wanted: Wanted, changes: Sequence[Change], *, proven: bool) -> Proof:
        """Have Postfix check the wanted files, and hold sessions with a canary of them."""
        product, composed, settings = self.product, wanted.composed, wanted.settings
        staged = Staged(composed.main, composed.master, composed.maps, product.folder, product.queue)
        warnings = list(wanted.warnings)
        if changes:
            warnings += [*check_staged(staged), *composed.warnings]
            warnings += _check_tables(product, live, settings, wanted.names)
            _refuse_taken_ports(product, live, composed)
            warnings += [*proxies(composed.main, composed.master), *soft_bounces(composed.main, composed.master)]
            warnings += [*other_instances(composed.main), *_silence(product)]
            if settings is not None:
                warnings += foreign_submission(composed.master, settings, live.facts.site)
        if settings is not None:
            warnings += _login_trouble(settings, product.queue)
        evaluated, notes = (0, []) if proven else _prove(staged, wanted)
        if notes and not evaluated:  # the host lacks what the canary needs
            warnings += notes
        return Proof(evaluated, warnings, {"notes": [*wanted.notes, *notes]})

    def details(self, changes: Sequence[Change]) -> Mapping[str, Any]:
        """Return the indexed tables before and after."""
        before = decode(read_file(self.product.main_cf) or b"")
        contents = {os.path.realpath(one.path): one.after for one in changes}
        after = contents.get(os.path.realpath(self.product.main_cf))
        return self.product.details(before, before if after is None else decode(after), contents)

    def activation(self, details: Mapping[str, Any]) -> list[str]:  # noqa: ARG002 (one way suffices for all)
        """Return what has Postfix read its files."""
        return ["postfix reload"]

    def record(self, wanted: Wanted) -> bytes | None:
        """Return the record of what is managed."""
        return None if wanted.composed.record.empty else dump_record(wanted.composed.record)

    def confirm(self, live: Live, wanted: Wanted) -> Confirm | None:
        """Return the sessions with the live Postfix."""
        if wanted.policy is None or wanted.settings is None:
            return None
        milters = _milters(live.main) != _milters(wanted.composed.main)
        submission = wanted.settings.submission
        return functools.partial(confirm_live, wanted.policy, submission, self.product.addresses, milters=milters)

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """Make the folder of tables; it stays where there is something in it."""
        if not os.path.isdir(self.folder):
            os.mkdir(self.folder)
            os.chmod(self.folder, 0o755)  # noqa: S103 (programs of users read main.cf as well, whatever the umask is)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.rmdir(self.folder)


def _check_references(wanted: Wanted, names: Mapping[str, str]) -> None:
    if wanted.policy is None or wanted.settings is None:
        return
    main, path = wanted.composed.main, names.get("domain_class", "postfix_domain_class")
    check_references(read_main(main), ask_staged(main, ASKED), wanted.policy, wanted.settings, path)


def _check_tables(product: Postfix, live: Live, settings: Settings | None, names: Mapping[str, str]) -> list[str]:
    if settings is None:
        return []
    path = names.get("extra_settings", "postfix_extra_settings")
    return check_tables(product.folder, read_main(live.main), settings.extra_settings, path)


def _refuse_taken_ports(product: Postfix, live: Live, composed: Composed) -> None:
    taken = taken_ports(live.master, composed.master, product.interfaces)
    if taken:
        raise StepError(
            "ports",
            f"port {', '.join(map(str, taken))} is in use, and not by a service of master.cf: Postfix would end where "
            "it cannot listen; stop the other program, or write postfix_submission: false where it serves submission",
        )


def _refuse_dangling(product: Postfix, live: Live, composed: Composed) -> None:
    found = dangling(composed.main, composed.master, live.record, composed.record, product.folder)
    if found:
        told = "\n".join(found)
        raise StepError(
            "read",
            f"{told}\nthese are ours and are to leave, and without them Postfix would put off or refuse mail; take "
            "them out of what somebody else has written there",
        )


def _silence(product: Postfix) -> list[str]:
    """What runs and does not greet beforehand need not greet afterwards, and is asked nothing."""
    if not product.runs() or product.alive():
        return []
    where = ", ".join(product.addresses)
    told = (
        f"Postfix runs, but port {SMTP_PORT} does not greet at {where}: after the change the live Postfix is not asked"
    )
    return [f"{told} whether it works by the policy, only whether it runs on"]


def _absent(live: Live) -> Wanted:
    return Wanted(_compose(live, NO_PLAN), None, None, (), (), (), {})


def _present(arguments: Mapping[str, Any], live: Live) -> Wanted:
    names = arguments.get("names") or {}
    policy, settings = read_wanted(arguments["policy"], arguments["settings"], names)
    tests = read_policy_tests(arguments["policy_tests"], names.get("policy_tests", "mailhost_policy_tests"))
    skipped, warnings = _unusable_lists(policy, settings, live, names)
    policy = policy.without_dnsbls(skipped)
    plan = compile_plan(policy, settings, live.facts, names)
    if settings.unknown_entries == STOP:
        _refuse_unknown(live, plan, policy, settings)
    composed = _compose(live, plan)
    warnings += relayed_by_default(live.facts.site, live.record, live.defaults)
    path = names.get("domain_class", "postfix_domain_class")
    back = restored(live.main, composed.main, live.record, composed.record)
    check_domain_classes(composed.main, policy, settings, path, back)
    unchecked = check_recipient_maps(composed.main, policy, settings, path)
    if composed.main != live.main:
        warnings += unchecked
    untrusted = untrusted_hosts(composed.main, composed.master, policy.internal)
    if untrusted:
        told = "\n".join(untrusted)
        raise StepError(
            "trust",
            f"{told}\nwho is named there can relay: he says that he is inside (XCLIENT), or is not asked (QMQP)",
        )
    return Wanted(composed, policy, settings, tests, tuple(warnings), plan.notes, names)


def _compose(live: Live, plan: Plan) -> Composed:
    try:
        return compose(live.main, live.master, plan, live.record)
    except FileError as error:
        raise StepError("read", str(error)) from error


def _refuse_unknown(live: Live, plan: Plan, policy: MailPolicy, settings: Settings) -> None:
    site = live.facts.site
    host_name = site.get("myhostname", live.facts.parameters.get("myhostname", ""))
    found = find_unknown(site, plan, live.record, policy=policy, settings=settings, host_name=host_name)
    replaced = replaced_settings(site, plan, live.record, live.defaults, live.master)
    unknown = describe_unknown(found._replace(elsewhere={**found.elsewhere, **replaced}))
    if unknown:
        raise StepError(
            "unknown entries",
            "these stand in main.cf where the policy decides, and the inventory does not have them. Put those that "
            "are to stay into the inventory, and remove the others from main.cf, or write "
            f"postfix_unknown_entries: replace\n{unknown}",
        )


def _unusable_lists(
    policy: MailPolicy, settings: Settings, live: Live, names: Mapping[str, str]
) -> tuple[set[str], list[str]]:
    """Lists that are not in use yet are tested."""
    used = " ".join(owned.managed or "" for owned in live.record.main.values())
    # Whole names: a zone may be the end of another, behind a key.
    zones = set(re.findall(r"(?<![\w.-])[\w.-]+(?==)", used))
    new = {one.zone: one.place for one in policy.dnsbls if one.zone not in zones}
    return unusable_lists(new, names, "postfix", settings.unusable_dnsbls == SKIP)


def _login_trouble(settings: Settings, queue: str) -> list[str]:
    """Whether nobody is there to check passwords; the private Postfix does not need one."""
    path = settings.sasl_path
    path = path if path.startswith(("/", "inet:")) else os.path.join(queue, path)
    if settings.submission and not answers(path):
        return [f"nobody answers at {path} (postfix_sasl_path); users cannot log in until Dovecot does"]
    return []


# The proof


def _prove(staged: Staged, wanted: Wanted) -> tuple[int, list[str]]:
    """Hold the sessions with a canary; returns their number, and notes."""
    if wanted.policy is None or wanted.settings is None:
        return 0, []
    check_certificate(wanted.composed.main, wanted.composed.master, wanted.settings, wanted.names)
    proof = prove(staged, wanted.policy, wanted.settings, wanted.tests)
    if proof.deviations:
        raise StepError("canary", describe_deviations(proof.deviations))
    return proof.count, list(proof.notes)


def _digest(wanted: Wanted, live: Live) -> str:
    composed = wanted.composed
    version = live.facts.parameters.get("mail_version", "")
    # What decides whether the run goes on is no part of what was proven.
    settings = wanted.settings and wanted.settings._replace(unknown_entries="", unusable_dnsbls="")
    whole = [composed.main, composed.master, composed.maps, wanted.policy, settings, wanted.tests, version]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


# Files


def _changes(product: Postfix, live: Live, composed: Composed) -> list[Change]:
    found = [
        Change(path, encode(before), encode(after), age=SETTLED)
        for path, before, after in (
            (product.main_cf, live.main, composed.main),
            (product.master_cf, live.master, composed.master),
        )
    ]
    for name in sorted({*live.record.maps, *composed.maps}):
        path = product.table(name)
        after = encode(composed.maps[name].text) if name in composed.maps else None
        found.append(Change(path, read_file(path), after, PUBLIC, SETTLED))
    return [one for one in found if one.before != one.after]


def _milters(main: str) -> dict[str, str]:
    """What main.cf says of milters for who comes in by SMTP."""
    found = read_main(main)
    return {name: value for name, value in found.items() if name.startswith(("smtpd_milter", "milter_"))}
