# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What roles and playbooks make of variables on the controller.

Each case has a host of its own, at an address where nothing answers: a run that gets past the variables ends there.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
NOWHERE = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_ssh_common_args": "-o ConnectTimeout=5"}
MAIL = [
    "mailhost_domains",
    "mailhost_internal_networks",
    "mailhost_blocked_networks",
    "mailhost_relay_rejection",
    "mailhost_relay_exceptions",
    "mailhost_dnsbls",
    "mailhost_dnsbl_exempt_networks",
    "mailhost_sender_domain_check",
    "mailhost_policy_tests",
    "mailhost_blocked_network_files",
]
READ = {
    "packet_filter": [
        "mailhost_services",
        "mailhost_blocked_networks",
        "mailhost_blocked_network_files",
        "mailhost_internal_networks",
    ],
    "postfix": MAIL,
    "messaging_server": MAIL,
    "mailhost.hardening.harden": ["mailhost_mail_server"],
    "mailhost.hardening.rollback": ["mailhost_mail_server"],
    "mailhost.hardening.verify": [
        "mailhost_services",
        "mailhost_domains",
        "mailhost_internal_networks",
        "mailhost_blocked_networks",
        "mailhost_relay_exceptions",
        "mailhost_dnsbls",
        "mailhost_verify_addresses",
        "mailhost_verify_from",
        "mailhost_verify_skip",
        "mailhost_verify_timeout",
    ],
}


def run(folder: Path, playbook: str, hosts: dict[str, dict[str, Any]], *options: str) -> str:
    """Return what a playbook, or one with this role alone, printed of these hosts."""
    (folder / "ansible.cfg").write_text("[defaults]\n")
    inventory = folder / "inventory.yml"
    inventory.write_text(json.dumps({"mailhosts": {"hosts": hosts, "vars": NOWHERE}}))
    if "." not in playbook:
        roles = [f"mailhost.hardening.{playbook}"]
        playbook = str(folder / "playbook.yml")
        Path(playbook).write_text(json.dumps([{"hosts": "all", "gather_facts": False, "roles": roles}]))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".venv" / "collections"),
        "ANSIBLE_HOME": str(folder),
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
    }
    program = Path(sys.executable).with_name("ansible-playbook")
    command = [str(program), "--inventory", str(inventory), *options, playbook]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False, env=environment)
    return done.stdout + done.stderr


def ends(printed: str) -> dict[str, str]:
    """Return how each host ended."""
    lines = [line for line in printed.splitlines() if line.startswith("fatal: [")]
    return {re.split("]| ->", line.removeprefix("fatal: ["))[0]: line for line in lines}


@pytest.mark.parametrize("playbook", READ)
def test_shared_variable_falls_back_to_its_default_only_when_absent(tmp_path: Path, playbook: str) -> None:
    hosts: dict[str, dict[str, Any]] = {name: {name: f"{{{{ company_{name} }}}}"} for name in READ[playbook]}
    hosts["plain"] = {"mailhost_mail_server": "postfix"} if playbook.endswith("rollback") else {}
    for variables in hosts.values():
        variables.setdefault("mailhost_verify_from", "plain")
    printed = run(tmp_path, playbook, hosts)
    end = ends(printed)
    for name in READ[playbook]:
        assert f"'company_{name}' is undefined" in end[name], printed
    assert "UNREACHABLE" in end["plain"], printed


def test_rollback_without_a_known_mail_server_stops(tmp_path: Path) -> None:
    end = ends(run(tmp_path, "mailhost.hardening.rollback", {"absent": {}, "exim": {"mailhost_mail_server": "exim"}}))
    accepted = "nothing was rolled back; write messaging_server, postfix or none"
    assert f'"msg": "mailhost_mail_server: is missing, {accepted}"' in end["absent"]
    assert rf'"msg": "mailhost_mail_server: \"exim\" is not accepted, {accepted}"' in end["exim"]


@pytest.mark.parametrize(
    ("role", "name", "meant"),
    [
        ("packet_filter", "packet_filter_scop", "packet_filter_scope"),
        ("postfix", "postfix_submision", "postfix_submission"),
        ("messaging_server", "messaging_server_channel", "messaging_server_channels"),
    ],
)
def test_role_warns_of_a_misspelt_variable(tmp_path: Path, role: str, name: str, meant: str) -> None:
    printed = run(tmp_path, role, {"one": {name: 1, "mailhost_dnsbl": []}})
    for wrong, right in ((name, meant), ("mailhost_dnsbl", "mailhost_dnsbls")):
        sentence = f"{wrong}: is no variable of this collection; did you mean {right}?"
        assert sentence in " ".join(printed.split()), printed
    assert printed.count("WARNING") == 2, printed


@pytest.mark.parametrize(("role", "warned"), [("packet_filter", True), ("messaging_server", True), ("postfix", False)])
def test_role_names_variables_that_it_does_not_read(tmp_path: Path, role: str, warned: bool) -> None:
    variables = {f"{role}_colour": "red", "mailhost_owner": "me", "mailhost_helper": ["example.org"]}
    printed = run(tmp_path, role, {"one": {**variables, "mailhost_domains": "{{ mailhost_helper }}"}})
    shown = " ".join(printed.split())
    assert "mailhost_owner: no variable of this collection, and not read by it" in shown, printed
    # Other roles have variables of the prefix postfix_.
    assert (f"{role}_colour: no variable of this collection, and not read by it" in shown) is warned, printed


@pytest.mark.parametrize("playbook", ["harden", "rollback", "verify"])
def test_playbook_stops_for_hosts_that_are_not_in_the_inventory(tmp_path: Path, playbook: str) -> None:
    printed = run(tmp_path, f"mailhost.hardening.{playbook}", {"one": {}}, "-e", "mailhost_hosts=mailservers")
    sentence = 'mailhost_hosts: "mailservers" matches no host and no group of the inventory; write one of its groups'
    assert sentence in printed
    assert "PLAY RECAP" not in printed


@pytest.mark.parametrize(
    ("options", "reached"),
    [
        (["-e", "mailhost_hosts=one"], {"one"}),
        (["-e", '{"mailhost_hosts": ["two", "nope"]}'], {"two"}),
        (["-e", "mailhost_hosts=mailhosts:!one"], {"two"}),
        (["-e", "mailhost_hosts=ungrouped"], set()),  # a group without hosts
        (["--limit", "two"], {"two"}),
        (["--tags", "messaging_server"], set()),
    ],
)
def test_harden_reaches_the_hosts_of_its_patterns_and_options(
    tmp_path: Path, options: list[str], reached: set[str]
) -> None:
    printed = run(tmp_path, "mailhost.hardening.harden", {"one": {}, "two": {}}, *options)
    assert set(ends(printed)) == reached, printed
    assert "PLAY RECAP" in printed


def test_variable_that_a_shared_one_reads_is_no_misspelling(tmp_path: Path) -> None:
    variables = {
        "mailhost_domain": "a.example",
        "mailhost_domains": ["{{ mailhost_domain }}"],
        "mailhost_service": "smtp",
        "mailhost_services": [{"service": "{{ mailhost_service }}", "direction": "server"}],
    }
    assert "WARNING" not in run(tmp_path, "postfix", {"one": variables})


@pytest.mark.parametrize("role", ["postfix", "messaging_server"])
def test_mail_servers_read_blocked_network_files_and_report_wrong_ones(tmp_path: Path, role: str) -> None:
    for name, text in {
        "good.txt": "192.0.2.0/25\n192.0.2.7 # within\n",
        "bad.txt": "x\n",
        "own.txt": "10.1.0.0/16\n",
    }.items():
        (tmp_path / name).write_text(text)
    files = "mailhost_blocked_network_files"
    hosts: dict[str, dict[str, Any]] = {
        "good": {files: ["good.txt"], "mailhost_blocked_networks": ["198.51.100.7"]},
        "bad": {files: ["bad.txt"]},
        "missing": {files: ["missing.txt"]},
        "text": {files: "good.txt"},
        "own": {f"{role}_blocked_network_files": "bad.txt", files: ["good.txt"]},
        "internal": {files: ["own.txt"], "mailhost_internal_networks": ["10.1.2.0/24"]},
    }
    end = ends(run(tmp_path, role, hosts))
    assert "UNREACHABLE" in end["good"]
    assert r"bad.txt:1: \"x\" is not an address; write an address" in end["bad"]
    assert rf'{files}: \"missing.txt\" is no file on the controller that can be read"' in end["missing"]
    accepted = r"is not accepted; write a list of files on the controller"
    assert rf'"msg": "{files}: \"good.txt\" {accepted}"' in end["text"]
    assert rf'"msg": "{role}_blocked_network_files: \"bad.txt\" {accepted}"' in end["own"]
    assert r"mailhost_internal_networks: \"10.1.2.0/24\" overlaps \"10.1.0.0/16\" of " in end["internal"]


@pytest.mark.parametrize("role", ["postfix", "packet_filter"])
def test_problem_names_the_variable_that_the_user_set(tmp_path: Path, role: str) -> None:
    option = "domains" if role == "postfix" else "services"
    shared, own = f"mailhost_{option}", f"{role}_{option}"
    hosts = {"shared": {shared: "x"}, "own": {own: "x"}, "both": {own: "x", shared: ["y"]}}
    hosts["templated"] = {own: f"{{{{ {shared} }}}}", shared: "x"}
    end = ends(run(tmp_path, role, hosts))
    for host, name in (("shared", shared), ("own", own), ("both", own), ("templated", own)):
        assert rf'"msg": "{name}: \"x\" is not a list; write a list, as ' in end[host]


def test_problem_of_a_task_without_the_role_names_the_module_option(tmp_path: Path) -> None:
    tasks = [{"mailhost.hardening.postfix": {"policy": {"domains": "x"}}}]
    play = [{"hosts": "all", "gather_facts": False, "tasks": tasks}]
    (tmp_path / "own.yml").write_text(json.dumps(play))
    printed = run(tmp_path, str(tmp_path / "own.yml"), {"one": {"postfix_domains": [], "mailhost_domains": []}})
    assert r'"msg": "policy.domains: \"x\" is not a list; write a list, as ' in ends(printed)["one"]


def test_wrong_blocked_network_files_are_reported_under_their_variable(tmp_path: Path) -> None:
    hosts = {
        "shared": {"mailhost_blocked_network_files": "bad.txt"},
        "missing": {"mailhost_blocked_network_files": ["missing.txt"]},
        "own": {"packet_filter_blocked_network_files": "bad.txt"},
    }
    end = ends(run(tmp_path, "packet_filter", hosts))
    wrong = r'_blocked_network_files: \"bad.txt\" is not accepted; write a list of files on the controller"'
    assert f'"msg": "mailhost{wrong}' in end["shared"]
    assert f'"msg": "packet_filter{wrong}' in end["own"]
    missing = r"mailhost_blocked_network_files: \"missing.txt\" is no file on the controller that can be read"
    assert missing in end["missing"]


def test_shared_variable_is_not_looked_at_where_the_own_one_is_set(tmp_path: Path) -> None:
    broken = {"mailhost_domains": "{{ company_domains }}"}
    hosts = {"own": {**broken, "postfix_domains": ["example.com"]}, "wrong": {**broken, "postfix_domains": "x"}}
    end = ends(run(tmp_path, "postfix", hosts))
    assert "UNREACHABLE" in end["own"]
    assert r'"msg": "postfix_domains: \"x\" is not a list; write a list, as ' in end["wrong"]
