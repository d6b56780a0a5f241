# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The proof finds what is wrong: each entry that rejects is removed or turned round, and the proof has to see it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.decision import (
    load_config,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.session import Config
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta import parse_imta
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.cases import Server, policy_cases
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.compose import Texts, compose
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.plan import read_wanted
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.proof import find_deviations
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.record import NOTHING
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.settings import Channels
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.surface import (
    inner_hosts,
    outer_hosts,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.policy_tests import read_policy_tests
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.cases import (
    ACCEPT,
    NO_RELAY,
    REJECT,
    Case,
    cases_of_tests,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.report import Deviation, describe_deviations
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._messaging_server.test_plan import (
    DISPATCHER,
    IMTA,
    plan_for,
)

POLICY: dict[str, Any] = {
    "domains": ["example.com", "inside.example"],
    "internal_networks": ["192.0.2.80/28", "10.1.0.0/16", "2001:db8:1::/48"],
    "blocked_networks": ["203.0.113.64/26", "2001:db8:66::/48"],
    "relay_exceptions": [{"networks": ["198.51.100.64/28"], "sender_domains": ["allied.example"]}],
    "dnsbl_exempt_networks": ["203.0.113.0/28"],
    "dnsbls": [{"zone": "c.example", "stage": "connect"}, {"zone": "m.example", "stage": "mail"}],
}
"""Everything that can reject a session."""


def composed(policy: dict[str, Any]) -> Texts:
    return compose(Texts(IMTA, "", DISPATCHER, ""), plan_for(policy), NOTHING).texts


def deviations(policy: dict[str, Any], texts: Texts) -> list[Deviation]:
    config = load_config(Config(texts.imta_cnf, texts.mappings, texts.dispatcher_cnf, texts.general, {}, 0))
    main = ("tcp-daemon", "tcp_intranet-daemon", "tcp_auth-daemon")
    found, settings = read_wanted(policy, {})
    imta = parse_imta(texts.imta_cnf)
    inner, outer = inner_hosts(imta, "l"), outer_hosts(imta, found.domains, settings)
    server = Server("example.com", "192.0.2.25", main, submission=True, inner_hosts=inner, outer_hosts=outer)
    count, wrong = find_deviations(policy_cases(found, server), config, settings.channels)
    assert count > 100
    return wrong


TEXTS = composed(POLICY)
PLAIN = {name: value for name, value in POLICY.items() if name != "relay_exceptions"}
"""Without exceptions there is one bar before relaying, with them two: each policy shows what the other cannot."""

UNSEEN = {
    "tcp_*|*|tcp_intranet|*@tcp_intranet-daemon",
    "tcp_*|*|tcp_tas|*@tcp_tas-daemon",
    "tcp_local|*|tcp_intranet|*",
    "tcp_local|*|*|@*",
}
"""Second bars: they shut ways by which no form of the proof gets out while the others stand."""


def rejects(line: str) -> bool:
    """Whether a line rejects, or looks up a client that may have to be rejected."""
    if not line.startswith("  "):
        return False
    pattern, template = line.split(maxsplit=1)
    return ("$N" in template or "dns_verify" in template) and pattern != "*"


def test_what_is_composed_has_no_deviation() -> None:
    assert deviations(POLICY, TEXTS) == []


def mutants() -> list[Any]:
    found = []
    for name, policy in (("with exceptions", POLICY), ("plain", PLAIN)):
        lines = composed(policy).mappings.splitlines(keepends=True)
        for number, line in enumerate(lines):
            pattern = line.split(maxsplit=1)[0] if line.strip() else ""
            doubled = pattern == "tcp_local|*|tcp_local|*" and policy is POLICY
            if not rejects(line) or pattern in UNSEEN or doubled:
                continue
            for kind, mutant in (("removed", ""), ("accepts", f"  {pattern}  $Y$E\n")):
                mappings = "".join([*lines[:number], mutant, *lines[number + 1 :]])
                found.append(pytest.param(policy, mappings, id=f"{name}, {kind}: {pattern}"))
    return found


@pytest.mark.parametrize(("policy", "mappings"), mutants())
def test_proof_misses_each_rejecting_entry(policy: dict[str, Any], mappings: str) -> None:
    assert deviations(policy, composed(policy)._replace(mappings=mappings))


def test_both_bars_together_are_missed() -> None:
    lines = TEXTS.mappings.splitlines(keepends=True)
    kept = [line for line in lines if not (rejects(line) and "|tcp_local|*|tcp_local|*" in f"|{line.split()[0]}")]
    assert len(kept) == len(lines) - 2
    assert deviations(POLICY, TEXTS._replace(mappings="".join(kept)))


@pytest.mark.parametrize(
    ("rule", "sound"),
    [
        ("a.example.org  $U%$D@mail.example.com", True),
        # To the server a user there is u@a.corp.example, by way of the internal channel.
        ("*.example.org  $U%$&0.corp.example@tcp_intranet-daemon", False),
    ],
)
def test_rule_with_an_asterisk_that_takes_mail_of_a_domain_is_found(rule: str, sound: bool) -> None:
    policy = {**POLICY, "domains": ["example.org", "a.example.org"], "relay_exceptions": [], "dnsbls": []}
    imta = IMTA.replace("! rules\n", f"! rules\nexample.org  $U%$D@mail.example.com\n{rule}\n", 1)
    assert imta != IMTA
    texts = compose(Texts(imta, "", DISPATCHER, ""), plan_for(policy), NOTHING).texts
    wrong = deviations(policy, texts)
    assert (wrong == []) is sound
    assert sound or "a.example.org" in describe_deviations(wrong)


def test_an_internal_network_too_many_is_found() -> None:
    for line in ("  *  $Y\n", "  $(192.0.2.0/24)  $Y\n", "  ${2001:db8::/32}  $Y\n"):
        mappings = TEXTS.mappings.replace("INTERNAL_IP\n\n", f"INTERNAL_IP\n\n{line}")
        assert mappings != TEXTS.mappings
        assert deviations(POLICY, TEXTS._replace(mappings=mappings)), line


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("saslswitchchannel tcp_auth", ""),
        (" switchchannel", " noswitchchannel"),
        ("mustsaslserver", "maysaslserver"),
        ("${INTERNAL_IP,$L}", "${OTHER_IP,$L}"),
    ],
)
def test_a_channel_that_does_otherwise_is_found(old: str, new: str) -> None:
    imta = TEXTS.imta_cnf.replace(old, new)
    assert imta != TEXTS.imta_cnf
    assert deviations(POLICY, TEXTS._replace(imta_cnf=imta))


def deviation(number: int, trace: tuple[str, ...] = ("step one", "step two")) -> Deviation:
    session = {"client": "198.51.100.7", "mail_from": "a@b.example", "rcpt_to": ["c@d.example"]}
    return Deviation(Case(f"case {number}", NO_RELAY, session), "relayed to channel tcp_local", trace)


def test_the_first_deviation_is_shown_with_its_trace() -> None:
    assert describe_deviations([deviation(1), deviation(2)]) == (
        "case 1: relayed to channel tcp_local; the policy says: no relay\n"
        "  client 198.51.100.7, port 25, <a@b.example> to <c@d.example>\n"
        "  step one\n"
        "  step two\n"
        "case 2: relayed to channel tcp_local; the policy says: no relay"
    )


def test_deviation_names_the_policy_test_that_expects_it() -> None:
    wrong = {"client": "198.51.100.7", "mail_from": "a@b.example", "rcpt_to": "c@d.example", "expect": "accept"}
    (case,) = cases_of_tests(read_policy_tests([dict(wrong, comment="managed")]), ())
    assert describe_deviations([Deviation(case, "rejected", ())]).splitlines()[0] == (
        "mailhost_policy_tests[0] (managed): 198.51.100.7, port 25, from <a@b.example> to <c@d.example>: rejected; "
        "the test expects: accept"
    )


def test_of_many_deviations_twelve_are_named() -> None:
    lines = describe_deviations([deviation(number) for number in range(20)]).splitlines()
    assert lines[-2:] == ["case 11: relayed to channel tcp_local; the policy says: no relay", "... and 8 more sessions"]


@pytest.mark.parametrize(
    ("client", "recipient", "expect", "got"),
    [
        ("198.51.100.7", "x@relay-target.example", ACCEPT, "rejected at RCPT TO with "),
        ("198.51.100.7", "x@relay-target.example", REJECT, None),
        ("10.1.2.3", "x@relay-target.example", NO_RELAY, "relayed to channel tcp_local"),
        ("10.1.2.3", "x@example.com", REJECT, "accepted for channel "),
        ("10.1.2.3", "x@example.com", NO_RELAY, None),
        ("203.0.113.70", "x@example.com", ACCEPT, "rejected at connect with "),
    ],
)
def test_verdicts(client: str, recipient: str, expect: str, got: str | None) -> None:
    session = {
        "client": client,
        "mail_from": "a@b.example",
        "rcpt_to": [recipient],
        "dns": {"b.example": ["192.0.2.80"]},
    }
    config = load_config(Config(TEXTS.imta_cnf, TEXTS.mappings, TEXTS.dispatcher_cnf, "", {}, 0))
    count, found = find_deviations([Case("case", expect, session)], config, Channels())
    assert count == 1
    if got is None:
        assert found == []
    else:
        assert found[0].got.startswith(got)
        assert found[0].trace
