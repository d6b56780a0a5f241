# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which connections are tried, and what their verdicts mean; the scenario packet_filter_effects sends real packets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.effects import shortened
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.judgement import judge
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.probe_plan import (
    NEUTRAL,
    ProbePlan,
    plan_probes,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.questions import (
    BURST,
    REMOVED,
    Question,
    questions_for,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.replica import Ports
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.snapshot import (
    LARGEST,
    Interface,
    Snapshot,
    has_host_scope,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.special import (
    choose_clients,
    named_clients,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.packet_filter import (
    read_packet_filter_policy,
)

SETS = "create f2b hash:ip family inet\nadd f2b 198.18.0.7\nadd f2b 198.18.0.8\ncreate mailhost-blocked4-0123456789 hash:net\n"
TABLE = """\
*filter
:INPUT ACCEPT [0:0]
:MAILHOST-IN - [0:0]
-A INPUT -p tcp -m set --match-set f2b src -j REJECT --reject-with icmp-port-unreachable
-A INPUT -s 198.18.1.0/24 -m comment --comment "-s 198.18.9.9" -j DROP
-A INPUT -m iprange --src-range 198.18.2.4-198.18.2.9 -j DROP
-A MAILHOST-IN -s 198.18.3.1/32 -j DROP
COMMIT
"""
NATIVE = """\
table inet f2b-table {
\tset addr-set-dovecot {
\t\ttype ipv4_addr
\t\telements = { 198.18.4.1, 198.18.4.2 }
\t}

\tchain f2b-chain {
\t\ttype filter hook input priority filter - 1; policy accept;
\t\ttcp dport { 110, 993 } ip saddr @addr-set-dovecot reject with icmp port-unreachable
\t\tip6 saddr 2001:db8:4::/48 drop
\t}
}
"""
HOST = Snapshot(
    (Interface("eth0", (("198.51.100.10", 26), ("2001:db8:100::10", 64))),),
    SETS,
    {("ipv4", "nft"): TABLE},
    {"inet f2b-table": NATIVE},
    frozenset(),
    (),
)
OPEN, CLOSED = ("open", 1), ("dropped", 0)


def plan(absent: bool = False, **options: Any) -> ProbePlan:
    found = plan_probes(read_packet_filter_policy(options), 101, limited=True, absent=absent)
    return ProbePlan.from_dict(json.loads(json.dumps(found.to_dict())))


def questions(of: ProbePlan) -> list[Question]:
    return list(questions_for(of, Ports(of.ports), HOST, named_clients(HOST), {4, 6}))


def effects(of: ProbePlan, before: dict[str, Any], after: dict[str, Any], port: int = 25) -> dict[str, str]:
    """Return the reasons of the effects on a port by their entry; every other class of clients gets nowhere.

    The mail server gets out unless a test says otherwise.
    """
    before, after = ({"to anywhere as the mail server": OPEN, **verdicts} for verdicts in (before, after))
    asked = [one for one in questions(of) if one.attempt.port == port and ":" not in one.attempt.target]
    old, new = ([verdicts.get(one.who, CLOSED) for one in asked] for verdicts in (before, after))
    return {one.effect.entry: one.effect.reason for one in judge(asked, old, new)}


def test_clients_that_rules_name_are_tried() -> None:
    found = {one.who: one.address for one in choose_clients(named_clients(HOST))}
    assert found == {
        "from members of set f2b": "198.18.0.8",
        "from 198.18.1.0/24": "198.18.1.1",
        "from 198.18.2.4-198.18.2.9": "198.18.2.4",
        "from members of set addr-set-dovecot of nftables table inet f2b-table": "198.18.4.2",
        "from 2001:db8:4::/48": "2001:db8:4::1",
    }


def test_neutral_clients_are_named_by_nobody() -> None:
    found = plan(blocked_networks=["203.0.113.0/24"], services=[{"service": "smtp", "direction": "server"}])
    assert NEUTRAL[4][0] not in found.neutral
    assert NEUTRAL[4][1] in found.neutral


def test_every_class_of_clients_is_tried() -> None:
    flows = [
        {"service": "smtp", "direction": "server"},
        {"service": "smtp", "direction": "client"},
        {"service": "imap", "direction": "server", "peers": ["198.18.5.0/24"]},
    ]
    asked = questions(plan(services=flows, blocked_networks=["198.18.6.0/24"]))
    of_port = {port: {one.who for one in asked if one.attempt.port == port} for port in (25, 143)}
    assert {"from anywhere", "from anywhere, source port below 1024", "from anywhere, a burst"} <= of_port[25]
    assert {"from blocked networks", "from members of set f2b", "to anywhere as nobody"} <= of_port[25]
    assert {"from peers of flow imap-in", "from others than peers of flow imap-in"} <= of_port[143]
    assert {one.attempt.source for one in asked if one.who == "from others than peers of flow imap-in"} == {
        "198.18.6.0"
    }
    assert {one.attempt.burst for one in asked} == {1, BURST}


def test_neutral_clients_are_in_no_set_of_the_host() -> None:
    bogons = "create bogons hash:net\n" + "".join(
        f"add bogons {net}\n" for net in ("10.0.0.0/8", *("100.64.0.0/10",) * 9)
    )
    for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"):
        bogons += f"add bogons {net}\n"
    table = "*filter\n-A INPUT -m set --match-set bogons src -j DROP\nCOMMIT\n"
    host = HOST._replace(sets=bogons, tables={("ipv4", "nft"): table}, native={})
    asked = questions_for(plan(), Ports([25]), host, named_clients(host), {4})
    plain = [one.attempt for one in asked if one.who == "from anywhere"]
    assert {one.source for one in plain if one.protocol == "tcp"} == {"8.8.4.77"}


def test_flow_that_a_rule_opens_for_some_clients_is_open() -> None:
    some = {"from members of set f2b": OPEN}
    assert effects(plan(), some, some) == {}


def test_lost_ban_has_no_reason() -> None:
    banned = "from members of set f2b"
    found = effects(plan(), {"from anywhere": OPEN}, {"from anywhere": OPEN, banned: OPEN})
    assert found == {f"opened tcp 25 {banned}": ""}


def test_ban_that_counts_again_has_a_reason() -> None:
    banned = "from members of set f2b"
    found = effects(plan(), {"from anywhere": OPEN, banned: OPEN}, {"from anywhere": OPEN})
    assert found == {f"closed tcp 25 {banned}": "rules that can only deny come before the managed ones"}


def test_opening_that_everybody_gets_is_that_of_the_flow() -> None:
    found = effects(plan(), {}, {"from anywhere": OPEN, "from members of set f2b": OPEN})
    assert found == {"opened tcp 25 from anywhere": "flow smtp-in"}


def test_lost_limit_has_no_reason() -> None:
    before = {"from anywhere": OPEN, "from anywhere, a burst": ("open", 3)}
    after = {"from anywhere": OPEN, "from anywhere, a burst": ("open", BURST)}
    assert effects(plan(), before, after) == {"opened tcp 25 from anywhere, a burst": ""}
    assert effects(plan(), after, before) == {
        "limited tcp 25 from anywhere, a burst": "packet_filter_new_connections_per_minute"
    }


def test_declared_flow_that_stays_closed_has_no_reason() -> None:
    blocked = {"to anywhere as the mail server": CLOSED}
    assert effects(plan(), blocked, blocked) == {
        "closed tcp 25 from anywhere": "",
        "closed tcp 25 to anywhere as the mail server": "",
    }


def test_effect_that_one_family_has_alone_names_it() -> None:
    asked = [one for one in questions(plan()) if (one.who, one.attempt.port) == ("from anywhere", 143)]
    assert len(asked) == 2
    old = [OPEN if ":" in one.attempt.target else CLOSED for one in asked]
    assert [one.effect.entry for one in judge(asked, old, [CLOSED, CLOSED])] == [
        "closed tcp 143 from anywhere over IPv6"
    ]


def test_undeclared_port_is_closed_by_the_policy() -> None:
    everybody = {one.who: OPEN for one in questions(plan()) if one.who.startswith("from")}
    assert effects(plan(), everybody, {}, port=143) == {"closed tcp 143 from anywhere": "no flow declared"}


def test_removal_is_the_reason_of_all_its_effects() -> None:
    removal = plan(absent=True)
    everybody = {one.who: (OPEN if one.attempt.burst == 1 else ("open", BURST)) for one in questions(removal)}
    for before, after in ((everybody, {}), ({}, everybody), ({"from anywhere": OPEN}, everybody)):
        assert set(effects(removal, before, after).values()) <= {REMOVED}


def test_users_other_than_the_mail_server_are_closed_by_the_policy() -> None:
    everybody = {one.who: OPEN for one in questions(plan())}
    mta = {one.who: OPEN for one in questions(plan()) if not one.who.endswith(("root", "nobody"))}
    found = effects(plan(), everybody, mta)
    assert found == {
        f"closed tcp 25 to anywhere as {user}": "packet_filter_smtp_client_users" for user in ("root", "nobody")
    }


@pytest.mark.parametrize("number", [LARGEST, LARGEST + 1])
def test_long_sets_are_shortened(number: int) -> None:
    text = "create s hash:net\n" + "".join(f"add s 10.{n >> 8}.{n & 255}.0/24\n" for n in range(number))
    found, truncated = shortened({"sets": text, "ipv4": "", "ipv6": ""})
    assert len(found["sets"].splitlines()) == 1 + LARGEST
    assert truncated is (number > LARGEST)


def test_plan_without_networks_tries_no_peers_and_no_blocked_clients() -> None:
    flows = [{"service": "imap", "direction": "server", "peers": ["198.18.5.0/24"]}]
    asked = questions(plan(services=flows, blocked_networks=["198.18.6.0/24"]).without_networks())
    assert not [one for one in asked if "peers" in one.who or "blocked" in one.who]


# What only the scope host decides about


def other_questions(**options: Any) -> list[Question]:
    asked = questions_for(plan(**options), Ports([22, 25], [53, 5353], scoped=True), HOST, named_clients(HOST), {4})
    return [
        one
        for one in asked
        if one.who == "from anywhere" or (one.who == "to anywhere as root" and one.attempt.port != 25)
    ]


def closings(**options: Any) -> dict[str, str]:
    """Return the reasons by which these connections would be closed, were they open before."""
    asked = [one for one in other_questions(**options) if one.attempt.port != 25]
    found = judge(asked, [OPEN] * len(asked), [CLOSED] * len(asked))
    return {one.effect.entry: one.effect.reason for one in found}


HOST_SCOPE = {"scope": "host", "management_networks": ["198.18.9.0/24"]}
WHOLE = "no flow declared, scope host"


def test_scope_host_names_what_it_closes_besides_mail() -> None:
    flows = [{"service": "dns", "direction": "client"}]
    assert closings(**HOST_SCOPE, host_flows=flows) == {
        "closed tcp 22 from anywhere": WHOLE,
        "closed udp 53 from anywhere": WHOLE,
        "closed udp 5353 from anywhere": WHOLE,
        "closed icmp echo from anywhere": WHOLE,
        "closed tcp 22 to anywhere as root": WHOLE,
        "closed tcp 80 to anywhere as root": WHOLE,
        "closed tcp 443 to anywhere as root": WHOLE,
        "closed udp 123 to anywhere as root": WHOLE,
        # Declared, and nevertheless closed: no reason, so it stops the run.
        "closed udp 53 to anywhere as root": "",
    }


@pytest.mark.parametrize(
    ("first", "scoped"), [("-A MAILHOST-IN -i lo -j ACCEPT\n", True), ("-A MAILHOST-IN -i lo -j RETURN\n", False)]
)
def test_scope_of_the_live_rules_is_known(first: str, scoped: bool) -> None:
    assert has_host_scope(HOST._replace(tables={("ipv4", "nft"): f"*filter\n{first}COMMIT\n"})) is scoped


def test_scope_mail_tries_nothing_else() -> None:
    asked = questions_for(plan(), Ports([25]), HOST, named_clients(HOST), {4, 6})
    assert {one.attempt.protocol for one in asked} == {"tcp"}


def test_scope_mail_has_no_reason_to_close_anything_else() -> None:
    assert set(closings().values()) == {""}


def test_scope_that_is_given_up_is_the_reason_of_what_opens() -> None:
    asked = other_questions()
    found = judge(asked, [CLOSED] * len(asked), [OPEN] * len(asked))
    reasons = {one.effect.entry: one.effect.reason for one in found}
    assert reasons["opened udp 53 from anywhere"] == "packet_filter_scope"
    assert reasons["opened icmp echo from anywhere"] == "packet_filter_scope"
    assert reasons["opened tcp 25 from anywhere"] == "flow smtp-in"
