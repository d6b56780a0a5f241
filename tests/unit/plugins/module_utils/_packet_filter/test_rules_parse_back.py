# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No input makes a rule that the policy did not ask for: every text parses back to exactly the declared flows.

The reader of rules in this file knows iptables-save's grammar and nothing of
the compiler. A word that it does not know is a failure.
"""

from __future__ import annotations

import re
import shlex
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.loader import SET_NAME, split_sets
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.rules import (
    PacketFilterFacts,
    Ruleset,
    compile_packet_filter,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.packet_filter import read_packet_filter_policy

PORTS = {
    "smtp": 25,
    "pop3": 110,
    "imap": 143,
    "submissions": 465,
    "submission": 587,
    "imaps": 993,
    "pop3s": 995,
    "managesieve": 4190,
}
CHAINS = ["MAILHOST-IN", "MAILHOST-IN-MAIL", "MAILHOST-OUT", "MAILHOST-OUT-MAIL"]
FACTS = PacketFilterFacts(None, 22, (101, 102))
VALUED = {
    "-s", "-d", "-i", "-o", "-p", "-m", "-j", "--sport", "--dport", "--sports", "--dports", "--ports", "--ctstate",
    "--ctdir", "--state", "--comment", "--log-prefix", "--limit", "--reject-with", "--uid-owner", "--icmp-type",
    "--icmpv6-type", "--hl-eq", "--hashlimit-upto", "--hashlimit-burst", "--hashlimit-mode", "--hashlimit-name",
    "--hashlimit-htable-expire", "--hashlimit-htable-max", "--hashlimit-srcmask",
}  # fmt: skip
PAIRED = {"--tcp-flags", "--match-set"}
TARGETS = {"ACCEPT", "DROP", "REJECT", "RETURN", "LOG", "MAILHOST-IN-MAIL", "MAILHOST-OUT-MAIL"}


class Opening(NamedTuple):
    """What accepts a new connection: the chain, the server's port, the other side, and the user that may open it."""

    chain: str
    port: int
    peer: str
    user: str


def read_rule(line: str) -> dict[str, list[str]]:
    """Return the options of a rule; a word outside of the grammar is a failure."""
    words = shlex.split(line)
    found: dict[str, list[str]] = {}
    negated = ""
    at = 2
    while at < len(words):
        word = words[at]
        if word == "!":
            negated, at = "! ", at + 1
            continue
        length = 1 if word in VALUED else 2 if word in PAIRED else 0
        assert length, f"{word!r} in {line!r}"
        found.setdefault(negated + word, []).append(" ".join(words[at + 1 : at + 1 + length]))
        negated, at = "", at + 1 + length
    assert found["-j"][0] in TARGETS, line
    return found


def read_sets(text: str) -> dict[str, set[str]]:
    sets: dict[str, set[str]] = {}
    for line in text.splitlines():
        words = line.split()
        if words[0] == "create":
            assert re.fullmatch(
                r"create mailhost-[a-z]+[46]-[0-9a-f]{10} hash:net family inet6? hashsize \d+ maxelem \d+", line
            )
            sets[words[1]] = set()
        else:
            assert len(words) == 3, line
            assert words[0] == "add", line
            sets[words[1]].add(words[2])
    return sets


def openings(text: str, sets: dict[str, set[str]]) -> list[Opening]:
    """Return everything in a text that accepts a new connection, and check the rest of it."""
    lines = text.splitlines()
    assert lines[0] == "*filter"
    assert lines[-1] == "COMMIT"
    declared = [line for line in lines if line.startswith(":")]
    assert set(declared) <= {f":{chain} - [0:0]" for chain in CHAINS}
    found = []
    for line in lines[1 + len(declared) : -1]:
        assert re.match(r"-A MAILHOST-(IN|OUT)(-MAIL)? ", line), line
        rule = read_rule(line)
        if rule["-j"] != ["ACCEPT"]:
            continue
        if passes_in_host_scope(rule):
            continue
        states = (rule.get("--ctstate") or rule.get("--state") or ["none"])[0].split(",")
        assert not {"INVALID", "none"} & set(states), line
        if "NEW" not in states:
            assert set(states) <= {"ESTABLISHED", "RELATED"}, line
            continue
        assert rule["-p"] == ["tcp"], line
        assert rule["--sport"] == ["1024:65535"], line
        assert rule["--tcp-flags"] == ["FIN,SYN,RST,ACK SYN"], line
        chain = line.split()[1]
        side = "-s" if chain.startswith("MAILHOST-IN") else "-d"
        assert ("-d" if side == "-s" else "-s") not in rule, line
        peers = rule.get(side, ["any"])
        if "--match-set" in rule:
            name, which = rule["--match-set"][0].split()
            assert which == ("src" if side == "-s" else "dst"), line
            peers = sorted(sets[name])
        user = rule.get("--uid-owner", [""])[0]
        found += [Opening(chain, int(rule["--dport"][0]), with_length(peer), user) for peer in peers]
    return found


MANAGERS = ["198.51.100.0/28", "2001:db8:5::/64", "192.0.2.99/32"]
HOST_PORTS = {"ssh": 22, "http": 80, "https": 443}


def passes_in_host_scope(rule: dict[str, list[str]]) -> bool:
    """Whether this is one of the few accepts of the scope host that are no TCP flow; anything like it must be exact."""
    if rule.get("-i", rule.get("-o")) == ["lo"] or rule.get("-p", [""])[0] in ("icmp", "ipv6-icmp", "udp"):
        return True
    if rule.get("--comment") != ["management"]:
        return False
    incoming = {"-s", "-p", "-m", "--dport", "--comment", "-j"}
    outgoing = {"-d", "-p", "-m", "--sport", "! --tcp-flags", "--comment", "-j"}
    assert set(rule) in (incoming, outgoing), rule
    assert rule.get("-s", rule.get("-d"))[0] in MANAGERS, rule
    assert rule.get("--dport", rule.get("--sport")) == ["22"], rule
    return True


def with_length(peer: str) -> str:
    if peer == "any" or "/" in peer:
        return peer
    return f"{peer}/{128 if ':' in peer else 32}"


def expected_openings(services: list[dict[str, Any]], version: int, users: bool, mail: bool = True) -> list[Opening]:
    """Return what may open a connection, from the declared flows alone."""
    found = []
    for flow in services:
        port = {**PORTS, **HOST_PORTS}.get(flow["service"], flow["service"])
        suffix = "-MAIL" if mail else ""
        chain = ("MAILHOST-IN" if flow["direction"] == "server" else "MAILHOST-OUT") + suffix
        peers = flow.get("peers")
        own = ["any"] if peers is None else [with_length(p) for p in peers if (":" in p) == (version == 6)]
        own = ["any" if peer in ("0.0.0.0/0", "::/0") else peer for peer in own]
        owners = ["101", "102"] if users and chain == "MAILHOST-OUT-MAIL" and port == 25 else [""]
        found += [Opening(chain, port, peer, user) for peer in own for user in owners]
    return found


peer_lists = st.one_of(
    st.none(),
    st.lists(st.integers(0, 199).map(lambda n: f"10.{n}.0.0/16"), min_size=1, max_size=70, unique=True),
    st.lists(st.integers(0, 199).map(lambda n: f"2001:db8:{n + 1:x}::/48"), min_size=1, max_size=70, unique=True),
    st.just(["0.0.0.0/0", "2001:db8::7"]),
    st.just(["192.0.2.1", "2001:db8::/32"]),
)
services = st.one_of(st.sampled_from(sorted(PORTS)), st.sampled_from([1, 2525, 10025, 65535]))
printable = st.text(
    st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="\"'\\"), min_size=1, max_size=60
).filter(lambda text: text != "management")  # the comment by which this test knows the rules of management
flows = st.builds(
    lambda service, direction, peers, comment: {
        "service": service,
        "direction": direction,
        **({} if peers is None else {"peers": peers}),
        **({} if comment.strip() != comment or not comment else {"comment": comment}),
    },
    services,
    st.sampled_from(["server", "client"]),
    peer_lists,
    printable,
)
declared = st.lists(flows, max_size=8, unique_by=lambda flow: (flow["service"], flow["direction"]))


@settings(max_examples=150)
@given(
    declared,
    st.sampled_from(["conntrack", "state"]),
    st.sampled_from(["strict", "generic"]),
    st.integers(0, 200),
    st.lists(st.integers(0, 250).map(lambda n: f"198.18.{n}.0/24"), max_size=60, unique=True),
)
def test_rules_parse_back_to_the_declared_flows(
    services: list[dict[str, Any]], state_match: str, reply_rules: str, per_minute: int, blocked: list[str]
) -> None:
    options = {
        "services": services,
        "state_match": state_match,
        "reply_rules": reply_rules,
        "new_connections_per_minute": per_minute,
        "blocked_networks": blocked,
    }
    ruleset = compile_packet_filter(read_packet_filter_policy(options), FACTS)
    sets = read_sets(ruleset.sets)
    for version, text in ((4, ruleset.ipv4), (6, ruleset.ipv6)):
        assert sorted(openings(text, sets)) == sorted(expected_openings(services, version, users=True))


host_flows = st.lists(
    st.builds(
        lambda service, direction, peers: {
            "service": service,
            "direction": direction,
            **({} if peers is None else {"peers": peers}),
        },
        st.sampled_from([*HOST_PORTS, 8080, 389]),
        st.sampled_from(["server", "client"]),
        peer_lists,
    ),
    max_size=6,
    unique_by=lambda flow: (flow["service"], flow["direction"]),
)


@settings(max_examples=100)
@given(declared, host_flows, st.sampled_from(["strict", "generic"]), st.sampled_from([["imap"], [80, "dns"], []]))
def test_scope_host_opens_declared_flows_and_management_only(
    services: list[dict[str, Any]], others: list[dict[str, Any]], reply_rules: str, closed: list[Any]
) -> None:
    options = {
        "scope": "host",
        "services": services,
        "host_flows": others,
        "management_networks": MANAGERS[:2],
        "close_services": closed,
        "reply_rules": reply_rules,
    }
    ruleset = compile_packet_filter(read_packet_filter_policy(options), PacketFilterFacts("192.0.2.99", 22, (101, 102)))
    sets = read_sets(ruleset.sets)
    for version, text in ((4, ruleset.ipv4), (6, ruleset.ipv6)):
        expected = expected_openings(services, version, users=True) + expected_openings(
            others, version, False, mail=False
        )
        assert sorted(openings(text, sets)) == sorted(expected)
        for chain, verdict in (("MAILHOST-IN", "DROP"), ("MAILHOST-OUT", "REJECT")):
            last = [line for line in text.splitlines() if line.startswith(f"-A {chain} ")][-1]
            assert last.split()[2:4] == ["-j", verdict]


nasty_text = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "smtp\n-A MAILHOST-IN -j ACCEPT",
            '" -j ACCEPT --comment "',
            "$(reboot)",
            "{{ 1 + 1 }}",
            "10.0.0.0/8 -j ACCEPT",
            "! 10.0.0.1",
            "-j",
            "server ",
            "0",
        ]
    ),
)
anything = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.floats(), nasty_text, services, st.just("10.0.0.0/8")
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(nasty_text, st.sampled_from(["service", "direction", "peers", "comment"])), inner, max_size=4
        ),
    ),
    max_leaves=12,
)
half_right = st.fixed_dictionaries(
    {"service": st.one_of(services, anything), "direction": st.one_of(st.just("server"), st.just("client"), anything)},
    optional={"peers": st.one_of(peer_lists, anything), "comment": st.one_of(printable, anything)},
)


@settings(max_examples=400)
@given(
    st.one_of(
        anything,
        st.fixed_dictionaries(
            {},
            optional={
                "services": st.one_of(st.lists(half_right, max_size=4), anything),
                "blocked_networks": anything,
                "log_prefix": anything,
                "scope": st.one_of(st.just("mail"), anything),
                "new_connections_per_minute": anything,
            },
        ),
    )
)
def test_any_input_is_an_error_or_opens_what_it_declares(options: Any) -> None:
    try:
        policy = read_packet_filter_policy(options)
    except PolicyError as error:
        assert str(error)
        assert all(": " in problem and problem.isprintable() for problem in error.problems)
        return
    ruleset = compile_packet_filter(policy, FACTS)
    sets = read_sets(ruleset.sets)
    given_services = options.get(
        "services", [{"service": "smtp", "direction": "server"}, {"service": "smtp", "direction": "client"}]
    )
    for version, text in ((4, ruleset.ipv4), (6, ruleset.ipv6)):
        assert sorted(openings(text, sets)) == sorted(expected_openings(given_services, version, users=True))


def test_openings_fails_for_an_extra_rule() -> None:
    text = compile_packet_filter(read_packet_filter_policy({}), FACTS).ipv4
    extra = text.replace("COMMIT", "-A MAILHOST-IN-MAIL -p tcp -m tcp --dport 25 -j ACCEPT\nCOMMIT")
    with pytest.raises(AssertionError):
        openings(extra, {})
    with pytest.raises(AssertionError):
        openings(text.replace("-j DROP", "-j DROP --unknown"), {})


def test_generic_replies_and_open_egress_leave_no_rule_for_output() -> None:
    ruleset = compile_packet_filter(read_packet_filter_policy({"egress": "open", "reply_rules": "generic"}), FACTS)
    assert "MAILHOST-OUT" not in ruleset.ipv4 + ruleset.ipv6


def test_more_than_fifty_peers_become_one_rule_with_a_managed_set() -> None:
    def compiled(count: int) -> Ruleset:
        peers = [f"10.0.{n}.0/24" for n in range(count)]
        options = {"services": [{"service": "imap", "direction": "server", "peers": peers}]}
        return compile_packet_filter(read_packet_filter_policy(options))

    assert [compiled(count).ipv4.count("imap server") for count in (50, 51, 200)] == [150, 3, 3]
    assert compiled(50).sets == ""
    assert [bool(SET_NAME.fullmatch(name)) for name in split_sets(compiled(51).sets)] == [True]


def test_rate_limit_is_in_the_accepting_rule_only() -> None:
    options = {"services": [{"service": "smtp", "direction": "server", "new_connections_per_minute": 60}]}
    ruleset = compile_packet_filter(read_packet_filter_policy(options), FACTS)
    limited = [line for line in ruleset.ipv4.splitlines() if "hashlimit" in line]
    assert len(limited) == 1, "a second rule with the same table would count every connection twice"
    assert limited[0].endswith("-j ACCEPT")
    # Other limits need another table, because the kernel keeps the one of a name while rules are replaced.
    other = compile_packet_filter(read_packet_filter_policy({**options, "new_connections_burst": 31}), FACTS)
    names = {re.search(r"--hashlimit-name (\S+)", text).group(1) for text in (ruleset.ipv4, other.ipv4)}
    assert len(names) == 2


def test_open_egress_with_generic_replies_accepts_replies_of_peers_only() -> None:
    flows = [
        {"service": "pop3", "direction": "client", "peers": ["192.0.2.1"]},
        {"service": "pop3", "direction": "client", "peers": ["192.0.2.9"]},
    ]
    options = {"services": flows, "egress": "open", "reply_rules": "generic"}
    for scope in ("mail", "host"):
        lines = compile_packet_filter(read_packet_filter_policy({**options, "scope": scope}), FACTS).ipv4.splitlines()
        peers = [n for n, line in enumerate(lines) if "--sport 110" in line and "192.0.2." in line and "ACCEPT" in line]
        drop = next(n for n, line in enumerate(lines) if "--sport 110" in line and line.endswith("-j DROP"))
        generic = next(
            n
            for n, line in enumerate(lines)
            if line.startswith("-A MAILHOST-IN-MAIL -m conntrack --ctstate ESTABLISHED")
        )
        assert len(peers) == 2
        assert max(peers) < drop < generic
