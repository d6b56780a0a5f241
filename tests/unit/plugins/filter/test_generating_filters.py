# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filters that generate: their examples give what they say, their documentation is complete, their errors have words."""

from __future__ import annotations

import ast
import importlib
import re
from typing import Any

import jinja2
import pytest
import yaml
from ansible.errors import AnsibleFilterError

PLUGINS = "ansible_collections.mailhost.hardening.plugins"
NAMES = ["internal_ip", "relay_block", "dnsbl_entries", "channel_keywords", "dispatcher_options"]
MODULES = {name: importlib.import_module(f"{PLUGINS}.filter.{name}") for name in NAMES}


def call(name: str, *args: Any, **kwargs: Any) -> Any:
    return MODULES[name].FilterModule().filters()[name](*args, **kwargs)


@pytest.mark.parametrize("name", NAMES)
def test_examples_give_what_they_say(name: str) -> None:
    text = MODULES[name].EXAMPLES
    task = yaml.safe_load(text)[0]
    environment = jinja2.Environment(autoescape=False)  # noqa: S701 - no HTML here
    environment.filters[f"mailhost.hardening.{name}"] = MODULES[name].FilterModule().filters()[name]
    expression = task["ansible.builtin.debug"]["msg"].removeprefix("{{").removesuffix("}}").strip()
    shown = " ".join(re.findall(r"^ *#(?: =>)? *(.*)$", text, re.MULTILINE))
    assert environment.compile_expression(expression)(**task["vars"]) == ast.literal_eval(shown)


@pytest.mark.parametrize("name", NAMES)
def test_documentation_is_complete(name: str) -> None:
    documentation = yaml.safe_load(MODULES[name].DOCUMENTATION)
    assert documentation["name"] == name
    assert documentation["version_added"] == "1.0.0"
    assert documentation["positional"] == "_input"
    assert documentation["extends_documentation_fragment"] == [
        "mailhost.hardening.mail_policy",
        "mailhost.hardening.messaging_server_settings",
    ]
    function = MODULES[name].FilterModule().filters()[name]
    parameters = set(function.__code__.co_varnames[: function.__code__.co_argcount]) - {"policy"}
    assert {*documentation.get("options", {}), "settings"} == parameters
    assert set(yaml.safe_load(MODULES[name].RETURN)) == {"_value"}


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_is_in_one_error(name: str) -> None:
    policy = {"domains": "example.com", "dnsbls": [{"zone": "bl.example", "stage": "conect"}]}
    with pytest.raises(AnsibleFilterError) as caught:
        call(name, policy, {"release": 7, "channels": {"internal": "a b"}})
    problems = [
        ("_input.domains", '"example.com" is not a list; write a list, as ["example.com"]'),
        ("_input.dnsbls[0].stage", '"conect" is not accepted; write connect, mail or dispatcher'),
        ("settings.release", '7 is not accepted; write "6-2005q4" or "6.3"'),
        (
            "settings.channels.internal",
            '"a b" is not the name of a channel; write a letter, then up to 31 letters, digits, underscores or hyphens',
        ),
    ]
    assert str(caught.value).split("\n") == [
        f"parameter {parameter} of filter mailhost.hardening.{name}: {text}" for parameter, text in problems
    ]


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        ("tcp-daemon", 'hosts: "tcp-daemon" is not a dictionary; write one, as {tcp_local: tcp-daemon}'),
        ({"a b": "x"}, 'hosts: "a b" is not the name of a channel'),
        ({"tcp_local": "a$b"}, 'hosts.tcp_local: "a$b" is no host name; write the second line of the channel'),
        ({"tcp_local": None}, "hosts.tcp_local: null is no host name; write the second line of the channel"),
        (
            {"tcp_local": "tcp-daemon", "a|b": "c"},
            "hosts: 'a|b': '|' cannot stand in the pattern of a mapping entry; rename the channel",
        ),
    ],
)
def test_hosts_are_checked(hosts: Any, expected: str) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        call("relay_block", {}, hosts=hosts)
    parameter, _colon, text = expected.partition(": ")
    assert str(caught.value) == f"parameter {parameter} of filter mailhost.hardening.relay_block: {text}"


def test_a_flag_must_be_one() -> None:
    with pytest.raises(
        AnsibleFilterError,
        match=r'^parameter submission_exists of filter \S+: "no" is not accepted; write true or false$',
    ):
        call("dispatcher_options", {}, submission_exists="no")


def test_the_shared_table_is_the_same_from_both_filters() -> None:
    policy = {
        "relay_exceptions": [{"networks": ["192.0.2.7"], "sender_domains": ["a.example"]}],
        "dnsbls": [{"zone": "bl.example"}],
    }
    relay, lists = call("relay_block", policy), call("dnsbl_entries", policy)
    assert relay["ORIG_MAIL_ACCESS"] == lists["ORIG_MAIL_ACCESS"]
    assert (list(relay), list(lists)) == (["ORIG_SEND_ACCESS", "ORIG_MAIL_ACCESS"], ["ORIG_MAIL_ACCESS"])
    assert call("dnsbl_entries", {}) == {}


def test_channels_that_are_there_get_no_block() -> None:
    hosts = {"TCP_LOCAL": "tcp-daemon", "Tcp_Intranet": "inside", "tcp_auth": "auth", "tcp_submit": "submit"}
    found = call("channel_keywords", {"sender_domain_check": True}, hosts=hosts)
    assert (found["blocks"], found["rules"][0][1][-6:]) == ([], "inside")
    assert {"channel": "tcp_local", "keyword": "mailfromdnsverify", "arguments": []} in found["keywords"]
