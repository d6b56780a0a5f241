# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The vectors about rewriting and whole sessions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.filter.mapping_probe import mapping_probe
from ansible_collections.mailhost.hardening.plugins.filter.rewrite_probe import rewrite_probe
from ansible_collections.mailhost.hardening.plugins.filter.smtp_decision import smtp_decision
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.replies import rejection
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping_flags import decide

VECTORS = {
    vector["id"]: vector
    for vector in json.loads(
        (Path(__file__).parents[2] / "vectors" / "messaging_server.json").read_text(encoding="utf-8")
    )
}


def split(config: str) -> tuple[str, str]:
    """The vectors write several files into one text; give imta.cnf and the mapping file."""
    channels_and_rules, _mark, mappings = config.partition("! mappings:\n")
    channels, mark, rules = channels_and_rules.partition("! rules\n")
    return (f"{rules.rstrip()}\n\n{channels}" if mark else channels), mappings


@pytest.mark.parametrize("name", [name for name, vector in VECTORS.items() if vector["kind"] == "rewrite"])
def test_rewrite_vectors(name: str) -> None:
    vector = VECTORS[name]
    imta_cnf, mappings = split(vector["config"])
    probe = dict(vector["probe"])
    result = rewrite_probe(probe.pop("address"), imta_cnf, mappings, **probe)
    expected = {{"routing_system": "system"}.get(key, key): value for key, value in vector["expect"].items()}
    assert {key: result[key] for key in expected} == expected


@pytest.mark.parametrize("name", ["v164", "v165", "v167"])
def test_source_channel_vectors(name: str) -> None:
    vector = VECTORS[name]
    imta_cnf, mappings = split(vector["config"])
    probe = vector["probe"]
    session = {
        "client": probe["client"],
        "authenticated": probe["auth_ok"],
        "service_channel": probe["service_channel"],
    }
    result = smtp_decision(session, {"imta_cnf": imta_cnf, "mappings": mappings})
    assert result["source_channels"][-1]["channel"] == vector["expect"]["source_channel"]


@pytest.mark.parametrize("name", ["v084", "v085"])
def test_dispatcher_looks_only_when_no_entry_matched(name: str) -> None:
    vector = VECTORS[name]
    server, port, client = vector["probe"].split("|")[1:4]
    config = {
        "mappings": vector["config"].partition("# dispatcher")[0],
        "dispatcher_cnf": "[SERVICE=SMTP]\nPORT=25,587\nDNS_VERIFY_DOMAIN=bl.example.\n",
    }
    result = smtp_decision({"server": server, "port": int(port), "client": client}, config)
    looked = any(step.startswith("DNS_VERIFY_DOMAIN bl.example.") for step in result["trace"])
    assert looked is vector["expect"]["dispatcher_dns_lookup"]


def test_dispatcher_reply() -> None:
    vector = VECTORS["v086"]
    session = {"client": "198.51.100.7", "port": 25, "dns": {"7.100.51.198.bl.example": {"A": vector["probe"]["A"]}}}
    connect = smtp_decision(session, {"dispatcher_cnf": vector["config"]})["connect"]
    assert not connect["accepted"]
    assert connect["reply"] == "500 5.7.1 access_control: host 198.51.100.7 found on DNS list and rejected"
    assert connect["reply"].startswith(vector["expect"]["reply_prefix"])
    assert connect["reply"].endswith(vector["expect"]["reply_suffix"])


def test_error_answers_of_block_lists_count_as_listed() -> None:
    vector = VECTORS["v170"]
    mappings = "PORT_ACCESS\n\n  TCP|*|25|*|*  $C$[x,dns_verify_domain,$1,zen.spamhaus.org.]$E\n"
    session = {"client": "198.51.100.7", "dns": {"7.100.51.198.zen.spamhaus.org": vector["probe"]["A"]}}
    assert (
        smtp_decision(session, {"mappings": mappings})["connect"]["accepted"] is not vector["expect"]["listed_by_ims"]
    )


REPLIES = [
    (name, access_errors, vector[key])
    for name, vector in VECTORS.items()
    for key, access_errors in (("smtp", 0), ("smtp_access_errors_0", 0), ("smtp_access_errors_1", 1))
    if key in vector
]


@pytest.mark.parametrize(("name", "access_errors", "reply"), REPLIES)
def test_replies(name: str, access_errors: int, reply: str) -> None:
    vector = VECTORS[name]
    result = mapping_probe(vector["config"], vector["table"], vector["probe"])
    decision = decide(vector["table"], result["flags"], result["output"])
    assert rejection(decision, vector["probe"].rsplit("|", 1)[1], access_errors) == reply


def test_vectors_left_are_lint_vectors() -> None:
    tested = {"v164", "v165", "v167", "v084", "v085", "v086", "v170"}
    left = {
        name
        for name, vector in VECTORS.items()
        if vector["kind"] == "probe" and "table" not in vector and name not in tested
    }
    assert left == {"v168", "v171"}


def test_session_errors_name_the_path() -> None:
    good: dict[str, Any] = {"client": "198.51.100.7"}
    for session, config, message in [
        ([], {}, "_input: a list is not accepted; write a dictionary"),
        ({}, {}, "_input.client: is missing; write the client's address"),
        ({"client": "x"}, {}, "_input.client: \"x\" is not accepted; write an IPv4 or IPv6 address"),
        ({**good, "port": "25"}, {}, "_input.port: \"25\" is not accepted; write a port from 1 to 65535"),
        ({**good, "rcpt_to": "a@b"}, {}, "_input.rcpt_to: \"a@b\" is not accepted; write a list of addresses"),
        ({**good, "mail_from": "a|b@c"}, {}, "_input.mail_from: \"a|b@c\" is not accepted; write text without \"|\" and control characters"),
        ({**good, "mail_from": "<>"}, {}, "_input.mail_from: \"<>\" is not accepted; write an address without angle brackets"),
        ({**good, "rcpt_to": ["<a@b>"]}, {}, "_input.rcpt_to[0]: \"<a@b>\" is not accepted; write an address without angle brackets"),
        ({"client": "fe80::1%a|b"}, {}, "_input.client: \"fe80::1%a|b\" is not accepted; write an address without scope"),
        (
            {**good, "dns": {"b.example": "127.0.0.2"}},
            {},
            "_input.dns[\"b.example\"]: \"127.0.0.2\" is not accepted; "
            'write a list of answers, a dictionary of lists, or "SERVFAIL"',
        ),
        (
            {**good, "dns": {"b.example": {"A": None}}},
            {},
            "_input.dns[\"b.example\"][\"A\"]: null is not accepted; "
            'write a list of answers, a dictionary of lists, or "SERVFAIL"',
        ),
        ({**good, "dns": {"b.example": [5]}}, {}, "_input.dns[\"b.example\"][0]: 5 is not accepted; write a string"),
        ({**good, "tls": "no"}, {}, "_input.tls: \"no\" is not accepted; write a boolean"),
        (good, {"mappings": None}, "config.mappings: null is not accepted; write a string"),
        (good, {"access_errors": 2}, "config.access_errors: 2 is not accepted; write 0 or 1"),
        (good, {"imta": ""}, "config: \"imta\" is not a key; write one of access_errors, dispatcher_cnf, general, imta_cnf, includes, mappings"),
        (good, {"mappings": "  x $Y\n"}, "config: mappings:1:3: an entry before any table; expected a table name in column 1 before it"),
        ({**good, "rcpt_to": ["x"]}, {}, "_input: 'x' is no address; expected user@host"),
    ]:  # fmt: skip
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the class differs between core versions
            smtp_decision(session, config)
        parameter, _colon, text = message.partition(": ")
        assert str(caught.value) == f"parameter {parameter} of filter mailhost.hardening.smtp_decision: {text}"
