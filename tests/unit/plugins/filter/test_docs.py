# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worked examples of the documentation give what they say, inventories in it are accepted, messages in it are real,
and the filters document themselves."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server import evaluation
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server import wanted as aim
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.compose import Texts
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.live import Live
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.plan import read_wanted
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.record import NOTHING
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.settings import DEFAULTS as SETTINGS
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.mail import DEFAULTS as POLICY
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.policy_tests import read_policy_tests
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.checks import POLICY_CHECKS
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.context import PolicyContext
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.facts import read_facts
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.live import Live as PostfixLive
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.main_cf import MainCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.master_cf import MasterCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.record import (
    NOTHING as POSTFIX_NOTHING,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.settings import (
    DEFAULTS as POSTFIX_SETTINGS,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import (
    read_wanted as read_wanted_of_postfix,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix.proof import run_checks
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix.wanted import want_policy
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions import dnsbl
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.dnsbl import Answers
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.command import StepError
from ansible_collections.mailhost.hardening.tests import decision_differences as differences
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._checks.contexts import StubHost

REPOSITORY = Path(__file__).parents[4]
INSTALLED = REPOSITORY / "molecule" / "_lab" / "standin" / "root" / "opt" / "SUNWmsgsr" / "config"


def read_page(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


PAGE = read_page("docs/messaging-server-files.md")
OPERATORS = read_page("docs/messaging-server.md")
POSTFIX = read_page("docs/postfix.md")
VECTORS = json.loads((REPOSITORY / "tests" / "unit" / "vectors" / "postfix.json").read_text(encoding="utf-8"))
GENERATING = ["internal_ip", "relay_block", "dnsbl_entries", "channel_keywords", "dispatcher_options"]
NAMES = [
    "mapping_match",
    "mapping_probe",
    "rewrite_probe",
    "smtp_decision",
    "mapping_lint",
    "imta_cnf_lint",
    "dispatcher_lint",
]
MODULES = {
    name: importlib.import_module(f"ansible_collections.mailhost.hardening.plugins.filter.{name}")
    for name in [*NAMES, *GENERATING]
}
TEXTS = {
    **dict(re.findall(r"With `(\w+)` being\n\n```text\n(.*?)```", PAGE, re.DOTALL)),
    **{
        name: yaml.safe_load(text)
        for name, text in re.findall(r"With `(\w+)` being\n\n```yaml\n(.*?)```", OPERATORS, re.DOTALL)
    },
}
WORKED = re.findall(r"```jinja\n\{\{ (.*?) \}\}\n```\n```json\n(.*?)```", PAGE + OPERATORS, re.DOTALL)


def evaluate(expression: str, **variables: Any) -> Any:
    environment = jinja2.Environment(autoescape=False)  # noqa: S701 - no HTML here
    for name, module in MODULES.items():
        environment.filters[f"mailhost.hardening.{name}"] = module.FilterModule().filters()[name]
    return environment.compile_expression(expression)(**variables)


@pytest.mark.parametrize(("expression", "expected"), WORKED)
def test_worked_examples(expression: str, expected: str) -> None:
    assert evaluate(expression, **TEXTS) == json.loads(expected)


def test_every_filter_has_a_worked_example() -> None:
    for name in MODULES:
        assert any(f"mailhost.hardening.{name}" in expression for expression, _expected in WORKED)


def inventories() -> list[tuple[str, dict[str, Any]]]:
    """The inventory variables in the pages, with the page and the first variable of each example."""
    found = []
    for name in ("README.md", "docs/policy.md", "docs/messaging-server.md", "docs/postfix.md"):
        for text in re.findall(r"```yaml\n(.*?)```", read_page(name), re.DOTALL):
            data = yaml.safe_load(text)
            data = data["mailhosts"]["vars"] if "mailhosts" in data else data
            if isinstance(data, dict) and any(
                key.startswith(("mailhost_", "messaging_server_", "postfix_")) for key in data
            ):
                found.append((f"{name}: {next(iter(data))}", data))
    return found


INVENTORIES = inventories()


def options_of(variables: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
    """Policy, settings and policy tests of an example; what it has beside these must be known by name."""
    others = {"mailhost_mail_server", "mailhost_services", "mailhost_policy_tests", "messaging_server_state"}
    policy = {key[9:]: value for key, value in variables.items() if key[9:] in POLICY}
    settings = {key[17:]: value for key, value in variables.items() if key[17:] in SETTINGS}
    assert len(policy) + len(settings) + len(others & set(variables)) == len(variables)
    return policy, settings, variables.get("mailhost_policy_tests", [])


def options_of_postfix(variables: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any], list[Any]]:
    """The same of an example for Postfix."""
    settings = {key[8:]: value for key, value in variables.items() if key[8:] in POSTFIX_SETTINGS}
    policy, none, tests = options_of({key: value for key, value in variables.items() if key[8:] not in settings})
    assert none == {}
    return policy, settings, tests


@pytest.mark.parametrize(("name", "variables"), INVENTORIES, ids=[name for name, _variables in INVENTORIES])
def test_inventories_are_accepted(name: str, variables: dict[str, Any]) -> None:
    if "docs/postfix.md" in name or variables.get("mailhost_mail_server") == "postfix":
        policy, settings, tests = options_of_postfix(variables)
        read_wanted_of_postfix(policy, settings)
    else:
        policy, settings, tests = options_of(variables)
        read_wanted(policy, settings)
    assert len(read_policy_tests(tests)) == len(tests)
    assert name


def host() -> Live:
    """A host as the installer leaves it."""
    files = ("imta.cnf", "mappings", "dispatcher.cnf", "general.txt")
    texts = Texts(*((INSTALLED / name).read_text(encoding="latin-1") for name in files))
    return Live(texts, True, {}, {}, NOTHING)


def first_run(monkeypatch: pytest.MonkeyPatch, answer: str, **more: str) -> aim.Wanted:
    """What the operator's page asks for on such a host, with block lists that give this answer."""
    monkeypatch.setattr(dnsbl, "query_dnsbls", lambda zones: {zone: Answers([answer], []) for zone in zones})
    policy, settings, tests = options_of(
        next(data for name, data in INVENTORIES if name.startswith("docs/messaging-server.md: mailhost_mail_server"))
    )
    arguments = {"policy": policy, "settings": {**settings, **more}, "policy_tests": tests}
    return aim.present(arguments, host())


def messages(page: str = OPERATORS) -> list[str]:
    return re.findall(r"```text\n(.*?)\n```", page, re.DOTALL)


def test_the_message_of_the_first_run(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StepError) as caught:
        first_run(monkeypatch, "127.0.0.2")
    assert str(caught.value) == messages()[0]


def test_the_message_of_the_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PolicyError) as caught:
        first_run(monkeypatch, "127.255.255.254")
    assert str(caught.value) == messages()[1]


def test_the_policy_tests_of_the_page_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = first_run(monkeypatch, "127.0.0.2", unknown_entries="replace")
    assert sum(case.name.startswith("mailhost_policy_tests[") for case in wanted.cases) == 4
    assert evaluation.evaluate(wanted, host()) == len(list(wanted.cases))


def test_the_play_of_the_page_has_the_role() -> None:
    plays = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(- hosts:.*?)```", OPERATORS, re.DOTALL)]
    assert [play[0]["roles"] for play in plays] == [["mailhost.hardening.messaging_server"]]
    plays = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(- hosts:.*?)```", POSTFIX, re.DOTALL)]
    assert [play[0]["roles"] for play in plays] == [["mailhost.hardening.postfix"]]


FAX = ("\ntcp_fax smtp mx\ntcp_fax-daemon\n", "\n[SERVICE=FAX]\nPORT=2525\nPARAMETER=CHANNEL=tcp_fax\n")


@pytest.mark.parametrize("closed", [True, False])
def test_the_entries_of_the_page_pass_the_proof(closed: bool) -> None:
    """Backup MX, and a service that relays until the page's entry closes it."""
    extras = [
        data["messaging_server_extra_entries"]
        for _name, data in INVENTORIES
        if len(data) == 1 and "_extra_" in str(data)
    ]
    entries = [pair for extra in extras for pair in extra["ORIG_SEND_ACCESS"]["before"]]
    assert len(entries) == 2
    live = host()
    texts = live.texts._replace(
        imta_cnf=live.texts.imta_cnf + FAX[0], dispatcher_cnf=live.texts.dispatcher_cnf + FAX[1]
    )
    live = live._replace(texts=texts)
    settings = {"unknown_entries": "replace", "extra_entries": {"ORIG_SEND_ACCESS": {"before": entries[: 1 + closed]}}}
    arguments = {"policy": {"domains": ["example.org"]}, "settings": settings, "policy_tests": []}
    wanted = aim.present(arguments, live)
    if closed:
        assert evaluation.evaluate(wanted, live) > 100
    else:
        with pytest.raises(StepError, match="port 2525"):
            evaluation.evaluate(wanted, live)


FIRST = """\
myhostname = mx1.example.org
mydestination = $myhostname, lists.example.org, localhost
mynetworks = 127.0.0.0/8 [::1]/128 198.51.100.0/24
smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination, check_policy_service unix:private/greylist
"""


def first_run_of_postfix(monkeypatch: pytest.MonkeyPatch, release: str, **more: str) -> PolicyContext:
    """What the page asks for on a host with something of its own."""
    monkeypatch.setattr(dnsbl, "query_dnsbls", lambda zones: {zone: Answers(["127.0.0.2"], []) for zone in zones})
    policy, settings, tests = options_of_postfix(
        next(data for name, data in INVENTORIES if name == "docs/postfix.md: mailhost_mail_server")
    )
    assert len(tests) == 3
    facts = read_facts(VECTORS[release])._replace(site=dict(MainCf(FIRST)))
    live = PostfixLive(MainCf(FIRST), MasterCf("smtp inet n - y - - smtpd\n"), POSTFIX_NOTHING, facts)
    arguments = {"policy": policy, "settings": {**settings, **more}, "policy_tests": tests}
    wanted = want_policy(arguments, live, StubHost())  # no parameter refers to another here
    run_checks(wanted, POLICY_CHECKS)
    return wanted


def test_the_message_of_the_first_run_of_postfix(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StepError) as caught:
        first_run_of_postfix(monkeypatch, "debian_12")
    assert str(caught.value) == messages(POSTFIX)[0]


@pytest.mark.parametrize("release", ["debian_12", "debian_13"])
def test_the_inventory_of_postfix_has_a_plan(monkeypatch: pytest.MonkeyPatch, release: str) -> None:
    wanted = first_run_of_postfix(monkeypatch, release, unknown_entries="replace")
    assert "smtpd_forbid_bare_newline = normalize\n" in wanted.composed.main.text
    assert ("smtpd_hide_client_session" in wanted.composed.master.text) == (release == "debian_13")


def test_the_message_about_return_codes() -> None:
    with pytest.raises(PolicyError) as caught:
        read_wanted_of_postfix({"dnsbls": [{"zone": "zen.spamhaus.org"}]}, {})
    assert str(caught.value) == messages(POSTFIX)[1]


def test_the_differences_of_the_page_are_those_of_the_comparison() -> None:
    named = {name.lower() for name in re.findall(r"^\| ([a-zA-Z0-9 ]+) \| [^|]+ \| [^|]+ \|$", POSTFIX, re.MULTILINE)}
    texts = (differences.as_messaging_server, differences.as_postfix, differences.postfix_agrees)
    compared = [name for one in texts for name in re.findall(r"\b([A-Z][A-Za-z0-9 ]+): ", str(one.__doc__))]
    assert compared
    assert [name for name in compared if name.lower() not in named] == []


def test_closed_dnsbls_are_errors_as_the_policy_page_says() -> None:
    with pytest.raises(PolicyError) as caught:
        read_wanted({"dnsbls": [{"zone": "dnsbl.sorbs.net"}]}, {})
    assert f"`{caught.value}`" in read_page("docs/policy.md")


def test_every_variable_is_in_the_policy_page() -> None:
    page = read_page("docs/policy.md")
    assert [option for option in [*POLICY, "policy_tests"] if f"| `mailhost_{option}` |" not in page] == []


def test_links_lead_somewhere() -> None:
    pages = ["README.md", *(f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md"))]
    links = [(page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)[^):]*\)", read_page(page))]
    assert len(links) > 10
    assert [one for one in links if not (REPOSITORY / one[0]).parent.joinpath(one[1]).exists()] == []


def test_the_scenarios_of_the_page_exist() -> None:
    named = set(re.findall(r"`((?:messaging_server|packet_filter)_\w+)` \|$", OPERATORS, re.MULTILINE))
    postfix = r"`(postfix_(?:adopt|decisions|dnsbl|faults|load|relay|smuggling|submission)|mail_and_packet_filter)`"
    named.update(re.findall(postfix, POSTFIX))
    assert len(named) >= 8
    assert [name for name in named if not (REPOSITORY / "molecule" / name / "molecule.yml").exists()] == []


def run_example(task: dict[str, Any]) -> Any:
    """The value of a debug task's message, with the task's variables."""
    variables: dict[str, Any] = {}
    for key, value in sorted(task.get("vars", {}).items(), key=lambda item: "{{" in str(item[1])):
        variables[key] = evaluate(value.strip("{} "), **variables) if "{{" in str(value) else value
    module, options = next((key, value) for key, value in task.items() if key.startswith("ansible.builtin."))
    if module == "ansible.builtin.assert":
        conditions = options["that"] if isinstance(options["that"], list) else [options["that"]]
        assert all(evaluate(condition, **variables) is True for condition in conditions)
        return None
    return evaluate(options["msg"].strip("{} "), **variables)


@pytest.mark.parametrize("name", NAMES)
def test_examples_of_the_filter_give_what_they_say(name: str) -> None:
    text = MODULES[name].EXAMPLES
    comments = [
        " ".join(re.findall(r"^ *#(?: =>)? *(.*)$", block, re.MULTILINE)) for block in re.split(r"(?m)^- ", text)[1:]
    ]
    for task, comment in zip(yaml.safe_load(text), comments):
        result = run_example(task)
        if result is None or not comment:
            continue
        if isinstance(result, dict) and "trace" in result:
            result["trace"] = [...]
        shown = comment.replace("true", "True").replace("false", "False")
        assert str(result).replace("Ellipsis", "...") == shown or result == comment


@pytest.mark.parametrize("name", NAMES)
def test_documentation_is_complete(name: str) -> None:
    module = MODULES[name]
    documentation = yaml.safe_load(module.DOCUMENTATION)
    assert documentation["name"] == name
    assert documentation["version_added"] == "1.0.0"
    assert documentation["author"]
    assert documentation["positional"].split(", ")[0] == "_input"
    assert set(yaml.safe_load(module.RETURN)) == {"_value"}
    function = module.FilterModule().filters()[name]
    parameters = list(function.__code__.co_varnames[: function.__code__.co_argcount])[1:]
    fragments = [
        importlib.import_module(
            f"ansible_collections.mailhost.hardening.plugins.doc_fragments.{fragment.rpartition('.')[2]}"
        ).ModuleDocFragment
        for fragment in documentation.get("extends_documentation_fragment", ())
    ]
    options = [option for one in fragments for option in yaml.safe_load(one.DOCUMENTATION).get("options", {})]
    assert [*options, *documentation.get("options", {})] == ["_input", *parameters]
