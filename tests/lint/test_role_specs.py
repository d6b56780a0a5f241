"""The lists of a role's options agree: task, defaults, specification, what the code reads, and its defaults and choices."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from ansible_collections.mailhost.hardening.plugins.action import packet_filter as packet_filter_action
from ansible_collections.mailhost.hardening.plugins.action.messaging_server import ActionModule as MessagingServer
from ansible_collections.mailhost.hardening.plugins.action.postfix import ActionModule as Postfix
from ansible_collections.mailhost.hardening.plugins.doc_fragments import (
    mail_policy,
    mail_server,
    messaging_server_settings,
    packet_filter_policy,
    postfix_settings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server import settings as messaging_server
from ansible_collections.mailhost.hardening.plugins.module_utils._policy import mail, packet_filter, policy_tests
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.variables import SHARED_BY_ROLES
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config import settings as postfix

ROOT = Path(__file__).parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
OWN = re.compile(r"{{ (\w+) }}")
SHARED = re.compile(r"{{ lookup\('mailhost.hardening.variable', '(\w+)', 'mailhost_(\w+)',\s*default=(.*)\) }}")
TYPES = {bool: "bool", int: "int", str: "str", list: "list", dict: "dict"}


class Code(NamedTuple):
    """What the code reads for a role: options with their defaults, and the choices of some."""

    defaults: dict[str, Any]
    choices: dict[str, tuple[str, ...]]


def code_of(role: str) -> Code:
    if role == "packet_filter":
        options: Mapping[str, Any] = {
            name: option for name, option in packet_filter_action.OPTIONS.items() if name != "policy"
        }
        parts = [packet_filter.DEFAULTS]
        choices = [packet_filter._CHOICES]
    else:
        action, module = (Postfix, postfix) if role == "postfix" else (MessagingServer, messaging_server)
        shared = {
            "policy_tests": {"default": []},
            "blocked_network_files": {"default": []},
            "accepted_effects": {"default": []},
        }
        state = {"state": {"default": "present", "choices": ["present", "absent"]}}
        options = {**action.options, **shared, **state}
        parts, choices = [mail.DEFAULTS, module.DEFAULTS], [module._CHOICES]
    defaults = {name: option["default"] for name, option in options.items()}
    listed = {name: tuple(option["choices"]) for name, option in options.items() if "choices" in option}
    for part in parts:
        defaults.update(part)
    for one in choices:
        listed.update(one)
    return Code(defaults, listed)


def load(role: str, path: str) -> Any:
    return yaml.safe_load((ROOT / "roles" / role / path).read_text())


def options_of(role: str) -> dict[str, Any]:
    found: dict[str, Any] = load(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"]
    return {name.removeprefix(f"{role}_"): option for name, option in found.items()}


def task_of(role: str) -> dict[str, str]:
    """Return the expression for each option of the role's only task."""
    (task,) = load(role, "tasks/main.yml")
    arguments = dict(task[f"mailhost.hardening.{role}"])
    return {**arguments.pop("policy"), **arguments.pop("settings", {}), **arguments}


def values_of(role: str) -> dict[str, Any]:
    """Return what each option is where the inventory says nothing."""
    defaults, found = load(role, "defaults/main.yml"), {}
    for option, expression in task_of(role).items():
        own, shared = OWN.fullmatch(expression), SHARED.fullmatch(expression)
        if own:
            assert own[1] == f"{role}_{option}"
            found[option] = defaults[own[1]]
        elif shared:
            assert shared.groups()[:2] == (f"{role}_{option}", option)
            found[option] = yaml.safe_load(shared[3])
    return found


@pytest.mark.parametrize("role", ROLES)
def test_names_begin_with_the_role(role: str) -> None:
    names = [
        *load(role, "meta/argument_specs.yml")["argument_specs"]["main"]["options"],
        *load(role, "defaults/main.yml"),
    ]
    assert [name for name in names if not name.startswith(f"{role}_")] == []


@pytest.mark.parametrize("role", ROLES)
def test_task_passes_every_option_that_the_code_reads(role: str) -> None:
    assert set(task_of(role)) == set(code_of(role).defaults)


@pytest.mark.parametrize("role", ROLES)
def test_options_without_variables_have_the_defaults_of_the_code(role: str) -> None:
    assert values_of(role) == code_of(role).defaults


@pytest.mark.parametrize("role", ROLES)
def test_options_that_roles_share_have_no_default_in_the_role(role: str) -> None:
    """A default of the role would hide which variable was set, and so which one an error names."""
    defaults = {name.removeprefix(f"{role}_") for name in load(role, "defaults/main.yml")}
    assert defaults == set(values_of(role)) - set(SHARED_BY_ROLES)


@pytest.mark.parametrize("role", ROLES)
def test_specification_has_options_defaults_choices_and_types_of_the_code(role: str) -> None:
    code, spec, values = code_of(role), options_of(role), values_of(role)
    assert set(spec) == set(values)
    for name, option in spec.items():
        assert option.get("default", values[name]) == values[name], name
        assert ("default" in option) is (name not in SHARED_BY_ROLES), name
        assert tuple(option.get("choices", ())) == code.choices.get(name, ()), name
        assert option["type"] in (TYPES[type(values[name])], "raw"), name


@pytest.mark.parametrize("role", ROLES)
def test_specification_of_shared_options_names_the_shared_variable(role: str) -> None:
    for name, option in options_of(role).items():
        text = " ".join([option["description"]] if isinstance(option["description"], str) else option["description"])
        assert (f"Default, the value of C(mailhost_{name}), else" in text) is (name in SHARED_BY_ROLES), name


def documented(text: str) -> dict[str, Any]:
    (option,) = yaml.safe_load(text)["options"].values()
    return dict(option["suboptions"])


@pytest.mark.parametrize(
    ("text", "defaults", "choices"),
    [
        (mail_policy.ModuleDocFragment.DOCUMENTATION, mail.DEFAULTS, {}),
        (mail_policy.ModuleDocFragment.MODULE, mail.DEFAULTS, {}),
        (packet_filter_policy.ModuleDocFragment.DOCUMENTATION, packet_filter.DEFAULTS, packet_filter._CHOICES),
        (packet_filter_policy.ModuleDocFragment.MODULE, packet_filter.DEFAULTS, packet_filter._CHOICES),
        (postfix_settings.ModuleDocFragment.DOCUMENTATION, postfix.DEFAULTS, postfix._CHOICES),
        (
            messaging_server_settings.ModuleDocFragment.DOCUMENTATION,
            messaging_server.DEFAULTS,
            messaging_server._CHOICES,
        ),
    ],
)
def test_documentation_has_options_defaults_choices_and_types_of_the_code(
    text: str, defaults: dict[str, Any], choices: dict[str, tuple[str, ...]]
) -> None:
    options = documented(text)
    assert {name: option["default"] for name, option in options.items()} == defaults
    for name, option in options.items():
        assert tuple(option.get("choices", ())) == choices.get(name, ()), name
        assert option["type"] in (TYPES[type(defaults[name])], "raw"), name


def test_documentation_of_lists_has_the_keys_of_the_code() -> None:
    policy = documented(mail_policy.ModuleDocFragment.DOCUMENTATION)
    assert tuple(policy["relay_exceptions"]["suboptions"]) == mail._EXCEPTION_KEYS
    assert tuple(policy["dnsbls"]["suboptions"]) == mail._LIST_KEYS
    assert tuple(policy["dnsbls"]["suboptions"]["stage"]["choices"]) == mail.STAGES
    flows = documented(packet_filter_policy.ModuleDocFragment.DOCUMENTATION)
    for option in ("services", "host_flows"):
        assert tuple(flows[option]["suboptions"]) == packet_filter._FLOW_KEYS


@pytest.mark.parametrize("role", ROLES)
def test_specification_of_lists_has_the_keys_of_the_documentation(role: str) -> None:
    fragment = packet_filter_policy if role == "packet_filter" else mail_policy
    spec = options_of(role)
    for name, option in documented(fragment.ModuleDocFragment.DOCUMENTATION).items():
        if "suboptions" in option:
            assert set(spec[name]["options"]) == set(option["suboptions"]), name


def test_policy_tests_have_the_keys_and_values_of_the_code() -> None:
    written = yaml.safe_load(mail_server.ModuleDocFragment.DOCUMENTATION)["options"]["policy_tests"]["suboptions"]
    specs = [options_of(role)["policy_tests"]["options"] for role in ROLES if role != "packet_filter"]
    for options in (written, *specs):
        assert tuple(options) == policy_tests.KEYS
        assert tuple(options["expect"]["choices"]) == policy_tests.EXPECTATIONS
        assert {name for name, option in options.items() if option.get("required")} == {
            *("client", "mail_from", "rcpt_to", "expect")
        }
    assert tuple(written["port"]["choices"]) == policy_tests.PORTS
