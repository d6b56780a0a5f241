# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of mail under a policy: the plan is put into realistic files, and sessions are decided on them."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.callouts import Callouts
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.context import (
    surroundings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.decision import (
    as_data,
    decide_session,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.mapping import (
    load_mappings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.session import (
    read_config,
    read_session,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.dispatcher import set_option
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta import parse_imta
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta_edit import (
    ensure_rule,
    set_keyword,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping_edit import (
    set_table,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.text import fold
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._lint.dispatcher import (
    lint_dispatcher,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._lint.imta import lint_imta
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._lint.mapping import lint_mappings
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.plan import (
    HostFacts,
    Plan,
    compile_plan,
    read_wanted,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError

# As the installer writes it (docs/reference/messaging-server-facts.md#default-channels),
# before any hardening: tcp_auth is missing, and nothing switches.
IMTA = """\
! rules
$host        $U%$D@mail.example.com
mail.example.com      $U%$D@mail.example.com
example.com           $U%$D@mail.example.com
inside.example        $U%$D@tcp_intranet-daemon
.inside.example       $U%$H$D@tcp_intranet-daemon
tcp_intranet-daemon   $U%$D@tcp_intranet-daemon
tcp_auth-daemon       $U%$D@tcp_auth-daemon
tcp_submit-daemon     $U%$D@tcp_submit-daemon
tcp_tas-daemon        $U%$D@tcp_tas-daemon
tcp-daemon            $U%$D@tcp-daemon
.tas.example          $U%$H$D@tcp_tas-daemon
partner.example       $U%$D@tcp_tas-daemon
ims-ms-daemon         $U%$D@ims-ms-daemon
pipe-daemon           $U%$D@pipe-daemon
native-daemon         $U%$D@native-daemon
hold-daemon           $U%$D@hold-daemon
reprocess-daemon      $U%$D@reprocess-daemon
[]                    $U%[$L]@tcp-daemon
.                     $U%$H@tcp-daemon

defaults notices 1 2 4 7 copywarnpost noswitchchannel maxjobs 7 defaulthost example.com example.com

l subdirs 20 viaaliasrequired maxjobs 7 pool LOCAL_POOL
mail.example.com

ims-ms defragment subdirs 20 notices 1 7 14 21 28 backoff "pt5m" "pt10m" maxjobs 2 pool IMS_POOL fileinto $U+$S@$D
ims-ms-daemon

tcp_local smtp mx single_sys remotehost inner identnonenumeric subdirs 20 maxjobs 7 pool SMTP_POOL maytlsserver
tcp-daemon

tcp_intranet smtp mx single_sys subdirs 20 dequeue_removeroute maxjobs 7 pool SMTP_POOL maytlsserver
tcp_intranet-daemon

tcp_submit submit smtp mx single_sys maytlsserver missingrecipientpolicy 4
tcp_submit-daemon

tcp_tas smtp mx single_sys allowswitchchannel maytlsserver deliveryflags 2
tcp_tas-daemon

pipe single defragment subdirs 20
pipe-daemon

native defragment subdirs 20
native-daemon

hold defragment subdirs 20
hold-daemon

reprocess
reprocess-daemon
"""
DISPATCHER = "[SERVICE=SMTP]\nPORT=25\n"
EXTERNAL_SENDER, EXTERNAL_SENDER6 = "198.51.100.7", "2001:db8:bad::7"
POLICY: dict[str, Any] = {
    "domains": ["example.com", "inside.example"],
    "internal_networks": ["192.0.2.80-192.0.2.99", "10.1.0.0/16", "2001:db8:1::/48"],
    "blocked_networks": ["203.0.113.64/26", "2001:db8:66::/48"],
    "relay_exceptions": [
        {"networks": ["198.51.100.64/28", "2001:db8:f::/48"], "sender_domains": ["allied.example"]},
        {"networks": ["198.51.100.128"], "recipient_domains": ["partner.example"]},
        {"networks": ["198.51.100.200"], "sender_domains": ["s.example"], "recipient_domains": ["r.example"]},
    ],
    "dnsbl_exempt_networks": ["203.0.113.0/28"],
}
LISTED = {"bl.example": {EXTERNAL_SENDER: ["127.0.0.2"], "203.0.113.1": ["127.0.0.2"], "192.0.2.80": ["127.0.0.2"]}}


def hosts_of(imta: str) -> dict[str, str]:
    return {fold(channel.name): channel.hosts[0] for channel in parse_imta(imta).channels}


def plan_for(policy: Any, wanted: Any = None, **facts: Any) -> Plan:
    facts = {"channel_hosts": hosts_of(IMTA), **facts}
    return compile_plan(*read_wanted(policy, wanted or {}), HostFacts(**facts))


def files_of(plan: Plan, release: str = "6-2005q4") -> dict[str, str]:
    """The files of the host with the plan in them, free of findings that are not explained."""
    imta, mappings, dispatcher = IMTA, "", DISPATCHER
    for name, keywords, host in plan.blocks:
        imta += f"\n{name} {keywords}\n{host}\n"
    for channel, keyword, arguments in plan.keywords:
        if channel != "defaults":
            imta = set_keyword(imta, channel, keyword, arguments)
    for rule in plan.rules:
        imta = ensure_rule(imta, *rule)
    for table, entries in plan.tables.items():
        mappings = set_table(mappings, table, entries, release)
    for service, option, values in plan.options:
        dispatcher = set_option(dispatcher, service, option, list(values))
    channels = list(hosts_of(imta))
    assert {one.code for one in lint_mappings(mappings, channels=channels)} <= plan.accepted_findings()
    assert lint_imta(imta) == []
    assert lint_dispatcher(dispatcher, mappings) == []
    general = "".join(f"{key}  {value}\n" for key, value in plan.general.items())
    return {"imta_cnf": imta, "mappings": mappings, "dispatcher_cnf": dispatcher, "general": general}


def decide(
    files: dict[str, str], client: str = EXTERNAL_SENDER, to: str = "b@d.example", **session: Any
) -> dict[str, Any]:
    values = {"client": client, "mail_from": "a@b.example", "rcpt_to": [to], "helo": "h.example", **session}
    return as_data(decide_session(read_session(values), read_config(files)))


def reply(result: dict[str, Any]) -> str:
    """The reply that rejects the session, or empty."""
    for stage in (result["connect"], result["mail"], *result["recipients"]):
        if not stage["accepted"]:
            return str(stage["reply"])
    return ""


@lru_cache(maxsize=1)
def standard() -> dict[str, str]:
    return files_of(plan_for(POLICY))


REJECTED = "550 5.7.1 Relaying not permitted"

RELAY: list[tuple[str, dict[str, Any], bool]] = [
    # Relaying by external and authenticated clients, on both ports
    ("an external client", {}, False),
    ("an external client, IPv6", {"client": EXTERNAL_SENDER6}, False),
    ("an external client in IPv6 spelling", {"client": "::ffff:192.0.2.80"}, False),
    ("an external client, null sender", {"mail_from": ""}, False),
    ("an external client, spoofed local sender", {"mail_from": "a@example.com"}, False),
    ("an external client, HELO as an internal host", {"helo": "[192.0.2.80]"}, False),
    ("an authenticated client", {"authenticated": True}, True),
    ("submission without login", {"port": 587}, False),
    ("submission with login", {"port": 587, "authenticated": True}, True),
    ("submission from inside without login", {"port": 587, "client": "192.0.2.80"}, False),
    # Borders of networks and ranges
    *[
        (f"inside {address}", {"client": address}, inside)
        for address, inside in [
            ("192.0.2.79", False), ("192.0.2.80", True), ("192.0.2.95", True), ("192.0.2.96", True),
            ("192.0.2.99", True), ("192.0.2.100", False), ("10.0.255.255", False), ("10.1.0.0", True),
            ("10.1.255.255", True), ("10.2.0.0", False), ("127.0.0.1", True), ("127.0.0.2", True), ("128.0.0.0", False), ("::1", True),
            ("::2", False), ("2001:db8:0:ffff:ffff:ffff:ffff:ffff", False), ("2001:db8:1::", True),
            ("2001:db8:1:ffff:ffff:ffff:ffff:ffff", True), ("2001:db8:2::", False),
        ]
    ],
    # Relay exceptions
    ("exception as itself", {"client": "198.51.100.64", "mail_from": "a@allied.example"}, True),
    ("exception, any case", {"client": "198.51.100.79", "mail_from": "a@Allied.EXAMPLE"}, True),
    ("exception, IPv6", {"client": "2001:db8:f::1", "mail_from": "a@allied.example"}, True),
    ("one before the exception", {"client": "198.51.100.63", "mail_from": "a@allied.example"}, False),
    ("one after the exception", {"client": "198.51.100.80", "mail_from": "a@allied.example"}, False),
    ("exception with another sender", {"client": "198.51.100.64", "mail_from": "a@b.example"}, False),
    ("exception from a sub-domain", {"client": "198.51.100.64", "mail_from": "a@x.allied.example"}, False),
    ("exception from a longer name", {"client": "198.51.100.64", "mail_from": "a@notallied.example"}, False),
    ("exception with a null sender", {"client": "198.51.100.64", "mail_from": ""}, False),
    ("exception with a route", {"client": "198.51.100.64", "mail_from": "a@allied.example", "to": "v%e.example@d.example"}, False),
    ("exception to its partner", {"client": "198.51.100.128", "to": "x@partner.example"}, True),
    ("exception to its partner, bounce", {"client": "198.51.100.128", "to": "x@partner.example", "mail_from": ""}, True),
    ("exception to another recipient", {"client": "198.51.100.128"}, False),
    ("external client to the partner", {"to": "x@partner.example"}, False),
    ("exception with both", {"client": "198.51.100.200", "mail_from": "a@s.example", "to": "x@r.example"}, True),
    ("exception with the sender alone", {"client": "198.51.100.200", "mail_from": "a@s.example"}, False),
    ("exception with the recipient alone", {"client": "198.51.100.200", "to": "x@r.example"}, False),
    ("exception of another exception", {"client": "198.51.100.64", "mail_from": "a@s.example", "to": "x@r.example"}, False),
    # Mail for us
    ("to a local user", {"to": "u@example.com"}, True),
    ("to a local user, bounce", {"to": "u@example.com", "mail_from": ""}, True),
    ("to an inner host", {"to": "u@inside.example"}, True),
    ("to a sub-domain that is not served", {"to": "u@x.inside.example"}, False),
    ("from inside to that sub-domain", {"to": "u@x.inside.example", "client": "10.1.2.3"}, True),
    ("sender with a percent sign to an inner host", {"to": "u@inside.example", "mail_from": "x%y@b.example"}, True),
    # Routes and directly named channels
    ("percent through an inner host", {"to": "v%e.example@inside.example"}, False),
    ("bang through an inner host", {"to": "e.example!v@inside.example"}, False),
    ("quoted through an inner host", {"to": '"v@e.example"@inside.example'}, False),
    ("source route through an inner host", {"to": "@inside.example:v@e.example"}, False),
    *[
        (f"naming {channel}", {"to": f"{local}@{channel}"}, False)
        for channel in (
            "tcp_intranet-daemon", "tcp_auth-daemon", "tcp_submit-daemon", "tcp_tas-daemon", "tcp-daemon",
            "ims-ms-daemon", "pipe-daemon", "native-daemon", "hold-daemon", "reprocess-daemon",
        )
        for local in ("v", "v%e.example", "V%E.EXAMPLE")
    ],
    ("naming pipe in capitals", {"to": "v@PIPE-DAEMON"}, False),
    ("naming pipe from inside", {"to": "v@pipe-daemon", "client": "10.1.2.3"}, False),
    # Another channel by which mail leaves the host
    ("to a partner's channel", {"to": "u@x.tas.example"}, False),
    ("to a partner's channel, bounce", {"to": "u@x.tas.example", "mail_from": ""}, False),
    ("to a partner's channel, spoofed local sender", {"to": "u@x.tas.example", "mail_from": "a@example.com"}, False),
    ("to a partner's channel from inside", {"to": "u@x.tas.example", "client": "10.1.2.3"}, True),
    ("to a partner's channel, authenticated", {"to": "u@x.tas.example", "authenticated": True}, True),
    ("exception to a partner's channel", {"client": "198.51.100.64", "mail_from": "a@allied.example", "to": "u@x.tas.example"}, True),
    ("exception with another sender to a partner's channel", {"client": "198.51.100.64", "to": "u@x.tas.example"}, False),
    ("external client with the sender of an exception to a partner's channel", {"mail_from": "a@allied.example", "to": "u@x.tas.example"}, False),
    ("exception of another partner", {"client": "198.51.100.128", "to": "u@x.tas.example"}, False),
    ("to an inner address literal", {"to": "v@[10.1.2.3]"}, False),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "accepted"), [case[1:] for case in RELAY], ids=[case[0] for case in RELAY])
def test_policy_decides_about_relaying(changes: dict[str, Any], accepted: bool) -> None:
    rejection = reply(decide(standard(), **changes))
    assert (rejection == "") is accepted
    if not accepted and changes.get("port") != 587:
        assert rejection.startswith(REJECTED)


@pytest.mark.parametrize(
    ("client", "blocked"),
    [
        ("203.0.113.63", False),
        ("203.0.113.64", True),
        ("203.0.113.127", True),
        ("203.0.113.128", False),
        ("2001:db8:65:ffff:ffff:ffff:ffff:ffff", False),
        ("2001:db8:66::", True),
        ("2001:db8:66:ffff:ffff:ffff:ffff:ffff", True),
        ("2001:db8:67::", False),
    ],
)
@pytest.mark.parametrize("port", [25, 587])
def test_blocked_networks_may_not_connect(client: str, blocked: bool, port: int) -> None:
    result = decide(standard(), client, "u@example.com", port=port, authenticated=True)
    assert result["connect"]["accepted"] is not blocked
    assert result["connect"]["reply"] == ("500 5.7.1 Access denied" if blocked else "")


def test_channels_of_the_sessions() -> None:
    switched = {
        client: [switch["channel"] for switch in decide(standard(), client, authenticated=login)["source_channels"]]
        for client, login in ((EXTERNAL_SENDER, False), ("10.1.2.3", False), ("198.51.100.1", True))
    }
    assert switched == {
        EXTERNAL_SENDER: ["tcp_local"],
        "10.1.2.3": ["tcp_local", "tcp_intranet"],
        "198.51.100.1": ["tcp_local", "tcp_auth"],
    }
    assert decide(standard(), port=587)["mail"]["source_channel"] == "tcp_submit"


# Bars: HELO names and addresses are text of the client.

TAIL = "MAIL|tcp_local|a@b.example|tcp_local|v@e.example"


def probe(plan: Plan, table: str, text: str, called: list[str] | None = None, **answers: Any) -> Any:
    callouts = Callouts({}, None)

    def call(image: str, routine: str, argument: str) -> str | None:
        if called is not None:
            called.append(argument)
        return answers.get("answer", callouts(image, routine, argument))

    mappings = load_mappings(files_of(plan)["mappings"])
    return mappings.probe(table, text, surroundings(answers.get("flags", ""), plan.general, call))


@pytest.mark.parametrize(
    "helo",
    [
        "h",
        "x|25|198.51.100.64|1|SMTP/y",
        "x|MAIL|tcp_local|a@allied.example|tcp_local|b@c.example",
        "x|25|198.51.100.64|1|SMTP/y|MAIL|tcp_local|a@allied.example|tcp_local|b@c.example",
        "x|MAIL|tcp_local|a@b.example|tcp_local|postmaster@example.com",
        "x|MAIL|tcp_auth|a@b.example|l|u@example.com",
    ],
)
@pytest.mark.parametrize(
    "sender",
    ["a@b.example", "a@allied.example", "", "x|tcp_local|y@allied.example", '"a@allied.example|tcp_local|z"@b.example'],
)
def test_bar_in_a_field_makes_no_relay_exception(helo: str, sender: str) -> None:
    plan = plan_for({**POLICY, "dnsbls": [{"zone": "bl.example"}]})
    text = f"TCP|192.0.2.25|25|{EXTERNAL_SENDER}|40001|SMTP/{helo}|MAIL|tcp_local|{sender}|tcp_local|v@e.example"
    result = probe(plan, "ORIG_MAIL_ACCESS", text)
    assert (result.flags, result.output) == (("N",), "Relaying not permitted")


@pytest.mark.parametrize("channel", ["pipe", "native", "hold", "tcp_auth", "tcp_submit"])
@pytest.mark.parametrize(
    "sender", ["a@b.example", '"a@allied.example|tcp_local|z"@b.example', "x|tcp_local|y@allied.example"]
)
def test_no_bar_opens_a_channel(channel: str, sender: str) -> None:
    for to in ("v@e.example", "v@partner.example"):
        assert probe(plan_for(POLICY), "ORIG_SEND_ACCESS", f"tcp_local|{sender}|{channel}|{to}").flags == ("N",)


@pytest.mark.parametrize("domain", ["x.tas.example", "example.com"])
@pytest.mark.parametrize("mail_from", ["a@b.example", "", "a@allied.example", '"a b"@b.example'])
def test_what_this_host_takes_mail_for_goes_by_another_channel_too(domain: str, mail_from: str) -> None:
    files = files_of(plan_for({**POLICY, "domains": ["example.com", "x.tas.example"]}))
    old = "\nexample.com           $U%$D@mail.example.com\n"
    assert old in files["imta_cnf"]
    files["imta_cnf"] = files["imta_cnf"].replace(old, "\nexample.com $U%$D@tcp_tas-daemon\n")
    for to, rejected in ((f"u@{domain}", False), ("u@y.tas.example", True), (f"v%e.example@{domain}", True)):
        assert bool(reply(decide(files, to=to, mail_from=mail_from))) is rejected


@pytest.mark.parametrize(
    "sender",
    ["a@b.example", "a|tcp_tas|b@b.example", "x|tcp_tas|y@example.com", '"a@allied.example|tcp_tas|z"@b.example'],
)
def test_no_bar_leads_through_a_partners_channel(sender: str) -> None:
    for to in ("v@e.example", "v@tcp_tas-daemon", "v@x.example.com", "v%e.example@example.com"):
        for channel in ("tcp_tas", "tcp_local", "tcp_intranet"):
            text = f"tcp_local|{sender}|{channel}|{to}"
            assert probe(plan_for(POLICY), "ORIG_SEND_ACCESS", text).flags == ("N",)


def test_channel_that_an_extra_entry_closes_gets_no_managed_entries() -> None:
    extra = {"ORIG_SEND_ACCESS": {"before": [["tcp_local|*|TCP_TAS|*", "$NNo"]]}}
    entries = plan_for(POLICY, {"extra_entries": extra}).tables["ORIG_SEND_ACCESS"]
    assert [pattern for pattern, _template in entries if "|tcp_tas|" in pattern] == ["tcp_*|*|tcp_tas|*@tcp_tas-daemon"]


def test_channels_by_which_mail_leaves_the_host() -> None:
    """By name where only names are known; a channel without SMTP, or of a message store, is none."""
    closed = {
        known: [
            pattern
            for pattern, _template in plan_for({}, leaving=known).tables["ORIG_SEND_ACCESS"]
            if pattern[-2:] == "|*"
        ]
        for known in (None, frozenset(), frozenset({"fax", "tcp_local", "tcp_submit", "ims-ms", "pipe"}))
    }
    always = [
        "tcp_local|*|tcp_auth|*",
        "tcp_local|*|tcp_submit|*",
        *(f"tcp_*|*|{n}|*" for n in ("native", "hold", "pipe")),
    ]
    always.append("tcp_local|*|tcp_local|*")
    assert list(closed.values()) == [
        [*always, "tcp_local|*|tcp_tas|*"],
        always,
        [*always, "tcp_local|*|fax|*", "tcp_local|*|ims-ms|*"],
    ]


@pytest.mark.parametrize(
    "sender",
    ["a|tcp_intranet|b@b.example", "a@b.example|tcp_intranet|x", '"a@allied.example|tcp_local|z"@b.example'],
)
def test_no_bar_leads_through_an_inner_host(sender: str) -> None:
    for to in ("v@e.example", "v%e.example@example.com", "v@tcp_intranet-daemon"):
        assert probe(plan_for(POLICY), "ORIG_SEND_ACCESS", f"tcp_local|{sender}|tcp_intranet|{to}").flags == ("N",)
    result = probe(plan_for(POLICY), "ORIG_SEND_ACCESS", f"tcp_local|{sender}|tcp_local|v@example.com")
    assert result.flags == ("N",)


@pytest.mark.parametrize(
    ("helo", "exempt_client"),
    [("x|25|203.0.113.1|1|SMTP/y", False), ("x|MAIL|tcp_local|a@b|l|postmaster@example.com", False), ("x", True)],
)
def test_no_bar_makes_a_listed_client_exempt(helo: str, exempt_client: bool) -> None:
    plan = plan_for({**POLICY, "relay_exceptions": [], "dnsbls": [{"zone": "bl.example"}]})
    called: list[str] = []
    client = "203.0.113.1" if exempt_client else EXTERNAL_SENDER
    text = f"TCP|192.0.2.25|25|{client}|40001|SMTP/{helo}|MAIL|tcp_local|a@b.example|l|u@example.com"
    result = probe(plan, "ORIG_MAIL_ACCESS", text, called, answer="$NListed")
    default = f"{EXTERNAL_SENDER},bl.example.,Your host {EXTERNAL_SENDER} is listed by bl.example"
    assert (result.flags, called) == ((("Y",), []) if exempt_client else (("N",), [default]))


@pytest.mark.parametrize("domain", ["b.example|$Y|$Y", "$[x,y,z].example", "b.example|$|INTERNAL_IP;10.1.2.3|"])
def test_a_sender_domain_is_no_template(domain: str) -> None:
    plan = plan_for({**POLICY, "sender_domain_check": True}, {"sender_domain_check_form": "mapping"})
    called: list[str] = []
    text = f"TCP|192.0.2.25|25|{EXTERNAL_SENDER}|40001|SMTP/h|MAIL|tcp_local|a@{domain}|l|u@example.com"
    probe(plan, "ORIG_MAIL_ACCESS", text, called, answer="$N")
    assert all("$[" not in one and one.count("|") == 2 for one in called)


# DNSBLs

STAGES = {
    "connect": f"500 5.7.1 Your host {EXTERNAL_SENDER} is listed by bl.example",
    "mail": f"550 5.7.1 Your host {EXTERNAL_SENDER} is listed by bl.example: u@example.com",
    "dispatcher": f"500 5.7.1 access_control: host {EXTERNAL_SENDER} found on DNS list and rejected",
}


def with_list(stage: str, **changes: Any) -> dict[str, str]:
    return files_of(plan_for({**POLICY, "dnsbls": [{"zone": "bl.example", "stage": stage, **changes}]}))


@pytest.mark.parametrize("stage", STAGES)
def test_listed_external_client_is_rejected_with_this_text(stage: str) -> None:
    files = with_list(stage)
    assert reply(decide(files, to="u@example.com", dns=LISTED)) == STAGES[stage]
    assert reply(decide(files, to="u@example.com", dns=LISTED, mail_from="")) == STAGES[stage]
    assert reply(decide(files, to="u@example.com", dns={})) == ""


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("client", ["203.0.113.1", "192.0.2.80", "127.0.0.1", "10.1.2.3"])
def test_internal_and_exempt_clients_are_never_looked_up(stage: str, client: str) -> None:
    result = decide(with_list(stage), client, "u@example.com", dns={"bl.example": ["127.0.0.2"]})
    assert reply(result) == ""
    assert not any("routine" in line.lower() or "DNS_VERIFY_DOMAIN bl" in line for line in result["trace"])


@pytest.mark.parametrize("stage", STAGES)
def test_an_outage_of_the_dns_lets_mail_through(stage: str) -> None:
    assert reply(decide(with_list(stage), to="u@example.com", dns={"bl.example": "SERVFAIL"})) == ""


def test_an_outage_of_the_dns_lets_every_sender_through() -> None:
    policy = {**POLICY, "sender_domain_check": True}
    for form in ("keyword", "mapping"):
        files = files_of(plan_for(policy, {"sender_domain_check_form": form}))
        known = [
            reply(decide(files, to="u@example.com", dns={"b.example": answer}))
            for answer in ({"A": ["192.0.2.1"]}, "SERVFAIL", [])
        ]
        assert known[:2] == ["", ""]
        assert (
            known[2]
            == {
                "keyword": "550 5.1.8 unknown host or domain: a@b.example",
                "mapping": "550 5.7.1 Invalid sender domain b.example: u@example.com",
            }[form]
        )
        assert reply(decide(files, to="u@example.com", mail_from="")) == ""
        assert reply(decide(files, "10.1.2.3", dns={})) == ""


def test_a_list_of_the_stage_mail_leaves_authenticated_clients_and_postmaster_alone() -> None:
    files = with_list("mail")
    assert reply(decide(files, authenticated=True, dns=LISTED)) == ""
    for to in ("postmaster@example.com", "Abuse@example.com"):
        assert reply(decide(files, to=to, dns=LISTED)) == ""
    assert reply(decide(files, to="postmaster@d.example", dns=LISTED)).startswith(REJECTED)
    assert "listed" in reply(decide(files, to="notpostmaster@example.com", dns=LISTED))


def test_dnsbl_at_connect_is_queried_once_and_not_for_submission() -> None:
    files = with_list("connect")
    assert reply(decide(files, port=587, authenticated=True, dns=LISTED)) == ""
    plan = plan_for({**POLICY, "dnsbls": [{"zone": "bl.example", "stage": "connect"}]})
    for flags, times in (("A", 1), ("", 0)):
        called: list[str] = []
        result = probe(plan, "PORT_ACCESS", f"TCP|192.0.2.25|25|{EXTERNAL_SENDER}|40001", called, flags=flags)
        assert (len(called), result.flags, result.output) == (times, ("Y",), "EXTERNAL")


def test_texts_of_lists() -> None:
    files = with_list("mail", text="Host {client} (see https://bl.example/?a=1) is out; go")
    expected = f"550 5.7.1 Host {EXTERNAL_SENDER} (see https://bl.example/?a=1) is out; go: u@example.com"
    assert reply(decide(files, to="u@example.com", dns=LISTED)) == expected
    txt = {"bl.example": {EXTERNAL_SENDER: {"TXT": ["its own words"], "A": ["127.0.0.2"]}}}
    assert reply(decide(files, to="u@example.com", dns=txt)) == "550 5.7.1 its own words: u@example.com"


def test_rejection_hides_the_key_in_a_zone() -> None:
    zone = f"{'k' * 26}.zen.example"
    files = files_of(plan_for({"dnsbls": [{"zone": zone}]}))
    dns = {zone: {EXTERNAL_SENDER: ["127.0.0.2"]}}
    expected = f"550 5.7.1 Your host {EXTERNAL_SENDER} is listed by zen.example: u@example.com"
    assert reply(decide(files, to="u@example.com", dns=dns)) == expected


def test_lists_of_the_dispatcher_really_run() -> None:
    plan = plan_for({**POLICY, "dnsbls": [{"zone": "bl.example", "stage": "dispatcher"}]})
    for client in (EXTERNAL_SENDER, EXTERNAL_SENDER6, "203.0.113.63", "192.0.2.79", "255.255.255.255"):
        assert not probe(plan, "PORT_ACCESS", f"TCP|192.0.2.25|25|{client}|1", flags="A").matched
    assert "missing-catch-all" in plan.accepted_findings()
    assert "missing-catch-all" not in plan_for(POLICY).accepted_findings()


def test_skipped_dnsbl_is_not_queried() -> None:
    policy = {"dnsbls": [{"zone": "bl.example", "stage": "dispatcher"}, {"zone": "two.example"}]}
    plan = plan_for(policy, skipped_zones=frozenset({"bl.example"}))
    assert [option for option in plan.options if option[0] == "SMTP"] == []
    assert "PORT_ACCESS" not in plan.tables
    assert "two.example" in str(plan.tables)


# What Messaging Server cannot do

DISPATCHER_LIST = {"zone": "d.example", "stage": "dispatcher"}
CANNOT: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (
        {"dnsbls": [{"zone": f"z{number}.example", "stage": "dispatcher"} for number in range(6)]},
        {},
        'mailhost_dnsbls[5].stage: "z5.example" is list number 6 of the dispatcher, which queries 5; write connect or mail',
    ),
    (
        {"dnsbls": [DISPATCHER_LIST, {"zone": "c.example", "stage": "connect"}]},
        {},
        "mailhost_dnsbls[1].stage: a list of stage connect is an entry of PORT_ACCESS that matches every external client, and then "
        "the dispatcher does not query mailhost_dnsbls[0]; write one stage for both",
    ),
    (
        {"dnsbls": [{**DISPATCHER_LIST, "text": "x"}]},
        {},
        "mailhost_dnsbls[0].text: the dispatcher has its own text; leave it out, or write stage connect",
    ),
    (
        {"dnsbls": [DISPATCHER_LIST]},
        {"extra_entries": {"PORT_ACCESS": {"after": [["TCP|*|25|*|*", "$Y"]]}}},
        'messaging_server_extra_entries.PORT_ACCESS.after[0]: "TCP|*|25|*|*" matches external clients, and then the dispatcher '
        "does not query mailhost_dnsbls[0]; write stage connect for its lists, or remove the entry",
    ),
    (
        {"dnsbls": [{"zone": "d.example", "text": "x" * 191}]},
        {},
        "mailhost_dnsbls[0].text: makes a template of 253 characters; release 6-2005q4 takes 252; shorten it",
    ),
    (
        {"relay_exceptions": [{"networks": ["2001:db8::1", "192.0.2.1"], "sender_domains": [f"{'a.' * 69}example"]}]},
        {},
        "mailhost_relay_exceptions[0]: makes a pattern of 253 characters; release 6-2005q4 takes 252; shorten it",
    ),
]


@pytest.mark.parametrize(("policy", "wanted", "expected"), CANNOT)
def test_what_the_product_cannot_do(policy: Any, wanted: Any, expected: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read_wanted(policy, wanted)
    assert caught.value.problems == [expected]


def test_limits_of_the_newer_release() -> None:
    policy = {"dnsbls": [{"zone": "bl.example", "text": "x" * 200}]}
    plan = plan_for(policy, {"release": "6.3"})
    files = files_of(plan, "6.3")
    assert reply(decide(files, to="u@example.com", dns=LISTED)) == f"550 5.7.1 {'x' * 200}: u@example.com"


def test_problems_of_policy_and_settings_together_under_their_names() -> None:
    names = {"dnsbls": "lists", "release": "settings.release"}
    with pytest.raises(PolicyError) as caught:
        read_wanted({"dnsbls": [{**DISPATCHER_LIST, "text": "x"}]}, {"release": "7"}, names)
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["settings.release", "lists[0].text"]


def test_channels_of_the_host() -> None:
    hosts = {"tcp_local": "tcp-daemon", "l": "mail.example.com", "inside": "tcp_auth-daemon"}
    with pytest.raises(PolicyError) as caught:
        plan_for({}, {"channels": {"external": "tcp_out"}}, channel_hosts=hosts)
    assert caught.value.problems == [
        'messaging_server_channels.external: "tcp_out" is no channel of imta.cnf; name the channel by which mail from external clients enters',
        'messaging_server_channels.authenticated: "tcp_auth" is no channel of imta.cnf, and its host name "tcp_auth-daemon" '
        'belongs to "inside"; name that channel, or rename one of them',
    ]


def test_other_names_of_channels() -> None:
    global_names = {"external": "outer", "internal": "inner", "authenticated": "login", "submission": "msa"}
    hosts = {"outer": "out-daemon", "inner": "inner.example.com", "login": "login-daemon", "l": "mail.example.com"}
    plan = plan_for(POLICY, {"channels": global_names}, channel_hosts=hosts)
    assert plan.rules == (("[]", "$E$R${INTERNAL_IP,$L}$U%[$L]@inner.example.com"),)
    assert [block[0] for block in plan.blocks] == ["msa"]
    assert "tcp_local" not in str(plan)
    for text in (
        "outer|a@b|outer|v@e.example",
        "outer|a@b|inner|v%e@example.com",
        "outer|a@b|login|v@e",
        "outer|a@b|msa|v@e",
        "outer|a@b|inner|v@e.example",
    ):
        mappings = load_mappings(set_table("", "ORIG_SEND_ACCESS", plan.tables["ORIG_SEND_ACCESS"]))
        assert mappings.probe("ORIG_SEND_ACCESS", text, surroundings()).flags == ("N",)


# Options, general database, entries of the user


def test_keywords() -> None:
    expected = [
        ("defaults", "noswitchchannel", ()),
        ("tcp_local", "switchchannel", ()),
        ("tcp_local", "identnonenumeric", ()),
        ("tcp_local", "maysaslserver", ()),
        ("tcp_local", "saslswitchchannel", ("tcp_auth",)),
        ("tcp_local", "mailfromdnsverify", ()),
        ("tcp_intranet", "allowswitchchannel", ()),
        ("tcp_auth", "mustsaslserver", ()),
        ("tcp_auth", "noswitchchannel", ()),
        ("tcp_submit", "mustsaslserver", ()),
        ("tcp_submit", "noswitchchannel", ()),
    ]
    assert list(plan_for({"sender_domain_check": True}).keywords) == expected
    assert list(plan_for({}, {"submission": False}).keywords) == [*expected[:5], *expected[6:9]]


def test_dispatcher_options() -> None:
    parameter = ("SMTP_SUBMIT", "PARAMETER", ("CHANNEL=tcp_submit",))
    assert plan_for({}).options == (("SMTP_SUBMIT", "PORT", ("587",)), parameter)
    assert plan_for({}, smtp_image="IMTA_BIN:x").options[1] == ("SMTP_SUBMIT", "IMAGE", ("IMTA_BIN:x",))
    assert plan_for({}, submission_service=True).options == (parameter,)
    assert plan_for({}, {"submission": False}).options == ()


def test_long_lists_go_into_the_general_database() -> None:
    singles = [f"10.9.{number // 200}.{number % 200 * 1 + 1}" for number in range(0, 300, 2)]
    policy = {
        "internal_networks": [*singles, "192.0.2.0/24", "2001:db8::9"],
        "blocked_networks": [f"203.0.113.{n}" for n in range(0, 250, 2)],
    }
    plan = plan_for(policy, text_database=True)
    assert len(plan.general) == len(singles) + 125
    assert all(key.startswith("MAILHOST-") for key in plan.general)
    assert max(len(entries) for entries in plan.tables.values()) < 30
    with_database, without = files_of(plan), files_of(plan_for(policy))
    assert without["general"] == ""
    for client in (
        singles[0],
        singles[-1],
        "10.9.0.2",
        "192.0.2.7",
        "2001:db8::9",
        "2001:db8::8",
        "203.0.113.2",
        "203.0.113.3",
    ):
        assert reply(decide(with_database, client)) == reply(decide(without, client))
    assert reply(decide(with_database, "203.0.113.2")) == "500 5.7.1 Access denied"
    assert reply(decide(with_database, singles[0])) == ""
    assert plan_for(policy, {"general_database_from": 0}, text_database=True).general == {}
    assert len(plan_for(policy, {"general_database_from": 126}, text_database=True).general) == len(singles)


def test_extra_entries_stand_around_managed_ones() -> None:
    extra = {
        table: {"before": [["first", "$Y"]], "after": [["last", "$N500$ x"]]}
        for table in ("PORT_ACCESS", "ORIG_SEND_ACCESS", "ORIG_MAIL_ACCESS")
    }
    extra["INTERNAL_IP"] = {"before": [["192.0.2.7", "$Y"]], "after": [["$(192.0.2.8/29)", "$Y"]]}
    tables = plan_for({}, {"extra_entries": extra}).tables
    assert {name: (entries[0][0], entries[-1][0]) for name, entries in tables.items()} == {
        "PORT_ACCESS": ("first", "*"),
        "INTERNAL_IP": ("192.0.2.7", "*"),
        "ORIG_SEND_ACCESS": ("first", "last"),
        "ORIG_MAIL_ACCESS": ("first", "last"),
    }
    assert tables["PORT_ACCESS"][-2] == ("last", "$N500$ x")
    assert tables["INTERNAL_IP"][-2] == ("$(192.0.2.8/29)", "$Y")


def test_tables_that_no_policy_needs_are_left_alone() -> None:
    assert list(plan_for({}).tables) == ["INTERNAL_IP", "ORIG_SEND_ACCESS"]


# No policy makes an external client relay

FORMS = (
    "v@e.example",
    "v%e.example@d.example",
    "e.example!v@d.example",
    '"v@e.example"@d.example',
    "@d.example:v@e.example",
    "v@[198.51.100.9]",
    "v@E.EXAMPLE.",
    "v%e.example@tcp_intranet-daemon",
    "v%e.example@inside.example",
    "v@pipe-daemon",
)
SENDERS = (
    "a@b.example",
    "",
    "u@example.com",
    "a@allied.example",
    "postmaster@example.com",
)
ADDRESSES = st.sampled_from(
    [
        "192.0.2.1",
        "192.0.2.128/25",
        "10.0.0.0/8",
        "198.51.100.0/29",
        "198.51.100.8-198.51.100.20",
        "2001:db8:1::/48",
        "fd00::/8",
        "203.0.113.9",
    ]
)
DOMAINS = st.sampled_from(["example.com", "allied.example", "inside.example", "d.example"])
POLICIES = st.fixed_dictionaries(
    {},
    optional={
        "domains": st.lists(st.sampled_from(["example.com", "inside.example"]), unique=True),
        "internal_networks": st.lists(ADDRESSES, unique=True, max_size=4),
        "blocked_networks": st.lists(st.sampled_from(["203.0.113.64/26", "2001:db8:66::/48"]), unique=True),
        "dnsbl_exempt_networks": st.lists(ADDRESSES, unique=True, max_size=2),
        "sender_domain_check": st.booleans(),
        "relay_exceptions": st.lists(
            st.fixed_dictionaries(
                {"networks": st.lists(ADDRESSES, unique=True, min_size=1, max_size=2)},
                optional={
                    "sender_domains": st.lists(DOMAINS, unique=True, min_size=1),
                    "recipient_domains": st.lists(DOMAINS, unique=True, min_size=1),
                },
            ),
            max_size=2,
        ),
        "dnsbls": st.lists(
            st.fixed_dictionaries(
                {"zone": st.sampled_from(["a.example", "b.example"]), "stage": st.sampled_from(["mail", "connect"])}
            ),
            max_size=2,
        ),
    },
)


def networks_of(policy: dict[str, Any]) -> list[Any]:
    """The networks that may relay, read by the standard library alone."""
    texts = list(policy.get("internal_networks", ()))
    for one in policy.get("relay_exceptions", ()):
        texts += one["networks"]
    found: list[Any] = []
    for text in texts:
        low, dash, high = text.partition("-")
        if dash:
            found += ipaddress.summarize_address_range(ipaddress.IPv4Address(low), ipaddress.IPv4Address(high))
        else:
            found.append(ipaddress.ip_network(text))
    return found


@settings(max_examples=60)
@given(
    policy=POLICIES,
    client=st.one_of(
        st.ip_addresses(),
        st.sampled_from(
            [
                ipaddress.ip_address(a)
                for a in ("198.51.100.21", "198.51.100.7", "192.0.2.127", "2001:db8:2::", "::ffff:10.0.0.1")
            ]
        ),
    ),
    form=st.sampled_from(["keyword", "mapping"]),
    text_database=st.booleans(),
)
def test_no_policy_makes_an_external_client_relay(policy: Any, client: Any, form: str, text_database: bool) -> None:
    try:
        wanted = {"sender_domain_check_form": form, "general_database_from": 1}
        plan = plan_for(policy, wanted, text_database=text_database)
    except PolicyError:
        return
    external = {client, ipaddress.ip_address("100.64.0.1"), ipaddress.ip_address("2001:db8:eeee::1")}
    external = {one for one in external if not one.is_loopback and not any(one in net for net in networks_of(policy))}
    files = files_of(plan)
    for one in external:
        for sender in SENDERS:
            rejections = [reply(decide(files, str(one), to, mail_from=sender)) for to in FORMS]
            assert [to for to, rejection in zip(FORMS, rejections) if not rejection] == []
