# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.mailhost.hardening.plugins.action.messaging_server import ActionModule as MessagingServer
from ansible_collections.mailhost.hardening.plugins.action.packet_filter import VARIABLES
from ansible_collections.mailhost.hardening.plugins.action.postfix import ActionModule as Postfix
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.variables import (
    SHARED,
    misspelt,
    unread,
)

ROOT = Path(__file__).resolve().parents[5]
POSTFIX = ("domains", "submission", "tls_key", "messages_per_minute", "message_size_limit")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("mailhost_internal_network", "mailhost_internal_networks"),
        ("mailhost_dnsbl", "mailhost_dnsbls"),
        ("mailhost_mailserver", "mailhost_mail_server"),
        ("mailhost_Domains", "mailhost_domains"),
        ("mailhost_verify_form", "mailhost_verify_from"),
        ("postfix_submision", "postfix_submission"),
        ("postfix_message_per_minute", "postfix_messages_per_minute"),
    ],
)
def test_a_near_miss_is_named(name: str, meant: str) -> None:
    variables: dict[Any, Any] = {name: [], "mailhost_domains": [], "postfix_domains": "{{ x }}", 25: "smtp"}
    assert misspelt(variables, "postfix", POSTFIX) == [(name, meant)]


@pytest.mark.parametrize(
    "variables",
    [
        {f"mailhost_{name}": [] for name in SHARED},
        {f"postfix_{name}": [] for name in POSTFIX},
        # Of users.
        {"mailhost_owner": "", "mailhost_internal_networks_office": [], "internal_network": ""},
        # Of other roles.
        {
            "postfix_relayhost": "",
            "postfix_smtpd_tls_key_file": "",
            "postfix_inet_interfaces": "",
            "postfix_aliases": "",
        },
        {"packet_filter_scop": ""},
    ],
)
def test_other_names_are_passed_over(variables: dict[str, Any]) -> None:
    assert misspelt(variables, "postfix", POSTFIX) == []


def test_names_with_a_prefix_of_the_role_that_are_none_of_its_variables_are_unread() -> None:
    variables = {
        "mailhost_owner": "",
        "postfix_relayhost": "",
        # Known, misspelt, of the user's own, of another role, and what a task has registered.
        "mailhost_domains": [],
        "postfix_submision": "",
        "mailhost_internal_networks_office": [],
        "packet_filter_colour": "",
        "mailhost_result": {"changed": False},
    }
    assert unread(variables, "postfix", POSTFIX) == ["mailhost_owner", "postfix_relayhost"]


@pytest.mark.parametrize(
    ("role", "options"),
    [("packet_filter", VARIABLES), ("postfix", Postfix.variables()), ("messaging_server", MessagingServer.variables())],
)
def test_the_actions_know_every_variable_of_their_role(role: str, options: tuple[str, ...]) -> None:
    spec = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())
    assert {f"{role}_{option}" for option in options} == set(spec["argument_specs"]["main"]["options"])


def test_shared_variables_are_those_of_roles_and_playbooks() -> None:
    folders = (ROOT / "roles", ROOT / "playbooks", ROOT / "plugins" / "lookup")
    used = {
        name
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in (".py", ".yml")
        for name in re.findall(r"mailhost_\w+", path.read_text())
    }
    assert {f"mailhost_{name}" for name in SHARED} == used
