# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worked examples of the documentation give what they say, and the filters document themselves."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml

REPOSITORY = Path(__file__).parents[4]
PAGE = (REPOSITORY / "docs" / "messaging-server-files.md").read_text(encoding="utf-8")
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
    name: importlib.import_module(f"ansible_collections.mailhost.hardening.plugins.filter.{name}") for name in NAMES
}
TEXTS = dict(re.findall(r"With `(\w+)` being\n\n```text\n(.*?)```", PAGE, re.DOTALL))
WORKED = re.findall(r"```jinja\n\{\{ (.*?) \}\}\n```\n```json\n(.*?)```", PAGE, re.DOTALL)


def evaluate(expression: str, **variables: Any) -> Any:
    environment = jinja2.Environment(autoescape=False)  # noqa: S701 - no HTML here
    for name, module in MODULES.items():
        environment.filters[f"mailhost.hardening.{name}"] = module.FilterModule().filters()[name]
    return environment.compile_expression(expression)(**variables)


@pytest.mark.parametrize(("expression", "expected"), WORKED)
def test_worked_examples(expression: str, expected: str) -> None:
    assert evaluate(expression, **TEXTS) == json.loads(expected)


def test_every_filter_has_a_worked_example() -> None:
    for name in NAMES:
        assert any(f"mailhost.hardening.{name}" in expression for expression, _expected in WORKED)


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
    assert list(documentation["options"])[1:] == parameters
