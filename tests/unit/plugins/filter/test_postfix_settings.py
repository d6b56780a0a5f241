# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter as templates call it, and its words for what it does not accept."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from ansible_collections.mailhost.hardening.plugins.filter import postfix_settings
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.facts import FIELDS

FACTS = json.loads((Path(__file__).parents[2] / "vectors" / "postfix.json").read_text())
OPTIONS = yaml.safe_load(postfix_settings.DOCUMENTATION)["options"]


def template(expression: str, **variables: Any) -> Any:
    facts = {"facts": FACTS["debian_12"]}
    return Templar(DataLoader(), variables={**facts, **variables}).template(
        trust_as_template("{{ " + expression + " }}")
    )


def test_the_documented_example() -> None:
    found = template(
        "policy | mailhost.hardening.postfix_settings({'submission': false}, facts)",
        policy={"internal_networks": ["192.0.2.80-192.0.2.99"]},
    )
    assert set(found) == {"main", "master", "maps", "notes"}
    text = found["maps"]["internal.cidr"]["text"]
    shown = [line.lstrip("#= >") for line in postfix_settings.EXAMPLES.splitlines() if line.startswith("#")]
    assert text.splitlines() == shown
    assert found["master"][0]["text"] == "smtp       inet  n       -       y       -       -       smtpd\n"


def test_the_documented_facts_are_what_postconf_says() -> None:
    (expression,) = re.findall(r'parameters: "\{\{ (.*) \}\}"', postfix_settings.EXAMPLES)
    policy = "smtp_tls_dane_insecure_mx_policy = ${{$smtp_tls_security_level} == {dane} ? {dane} : {may}}"
    assert template(expression, postconf_d={"stdout_lines": [policy, "mynetworks =", "biff = yes"]}) == {
        "smtp_tls_dane_insecure_mx_policy": policy.partition(" = ")[2],
        "mynetworks": "",
        "biff": "yes",
    }


def test_the_result_is_plain_data() -> None:
    found = template("{} | mailhost.hardening.postfix_settings({}, facts)")
    assert json.loads(json.dumps(found)) == found
    submission = next(one for one in found["master"] if one["name"] == "submission")
    assert ["smtpd_sasl_auth_enable", "yes"] in submission["options"]
    assert "  -o smtpd_tls_security_level=encrypt\n" in submission["text"]


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("'x' | mailhost.hardening.postfix_settings({}, facts)", '_input: "x" is not a dictionary; write the variables without mailhost_'),
        ("{} | mailhost.hardening.postfix_settings('x', facts)", 'settings: "x" is not a dictionary; write the variables without postfix_'),
        ("{} | mailhost.hardening.postfix_settings({}, {'map_types': []})", "facts.parameters: null is not accepted; "
         "write a dictionary from parameter to default, as postconf -d prints them"),
        ("{'domains': 'x'} | mailhost.hardening.postfix_settings({}, facts)", '_input.domains: "x" is not a list; write a list, as ["example.com"]'),
        ("{} | mailhost.hardening.postfix_settings({'helo_check': 'x'}, facts)", 'settings.helo_check: "x" is not accepted; write "fqdn" or "syntax" or "off"'),
        ("{} | mailhost.hardening.postfix_settings({'extra_settings': {'mynetworks': 'x'}}, facts)", 'settings.extra_settings["mynetworks"]: '
         'is decided by the policy and the variables of the role; remove it'),
    ],
)  # fmt: skip
def test_error_names_parameter_filter_and_value(expression: str, message: str) -> None:
    with pytest.raises(AnsibleError) as caught:
        template(expression)
    parameter, _colon, text = message.partition(": ")
    assert f"parameter {parameter} of filter mailhost.hardening.postfix_settings: {text}" in str(caught.value)


def test_documentation_has_every_fact() -> None:
    assert set(OPTIONS["facts"]["suboptions"]) == set(FIELDS)
