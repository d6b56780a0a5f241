# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an installation has of its own and the policy knows nothing of: the proof has to find the relay it opens."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server import wanted
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.decision import (
    load_config,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.session import Config
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.dispatcher import (
    parse_dispatcher,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta import parse_imta
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping import (
    parse_mappings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.cases import policy_cases
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.compose import Texts, compose
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.literals import entering
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.live import Live
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.plan import (
    compile_plan,
    read_wanted,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.proof import find_deviations
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.record import NOTHING
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.surface import (
    MOST,
    Service,
    outer_hosts,
    services_of,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError

IMTA = """\
mail.example  $U%$D@mail.example
[]  $U%[$L]@tcp-daemon
.   $U%$H@tcp-daemon

defaults noswitchchannel

l
mail.example

tcp_local smtp mx maytlsserver
tcp-daemon

tcp_intranet smtp mx maytlsserver
tcp_intranet-daemon

tcp_submit submit smtp mx maytlsserver
tcp_submit-daemon

tcp_auth smtp mx
tcp_auth-daemon

tcp_tas smtp mx allowswitchchannel
tcp_tas-daemon
"""
DISPATCHER = "[SERVICE=SMTP]\nPORT=25\nIMAGE=/opt/SUNWmsgsr/lib/tcp_smtp_server\n"
POLICY: dict[str, Any] = {"domains": ["mail.example"], "internal_networks": ["192.0.2.0/24"]}


def deviations(
    imta: str = IMTA,
    *,
    dispatcher: str = DISPATCHER,
    extra: dict[str, Any] | None = None,
    mappings: str = "",
    doubtful: bool = False,
    leaving: frozenset[str] | None = None,
    **more: Any,
) -> list[str]:
    """The names of the sessions that end otherwise than they have to, with the role's part in the files."""
    policy, settings = read_wanted({**POLICY, **more}, {"extra_entries": extra or {}})
    facts = wanted.host_facts(Live(Texts(imta, "", dispatcher, ""), False, {}, {}, NOTHING))
    plan = compile_plan(policy, settings, facts if leaving is None else facts._replace(leaving=leaving))
    texts = compose(Texts(imta, mappings, dispatcher, ""), plan, NOTHING).texts
    server, unclear = wanted._server(policy, settings, texts, {})
    assert bool(unclear) is doubtful
    config = load_config(Config(texts.imta_cnf, texts.mappings, texts.dispatcher_cnf, "", {}, 0))
    count, found = find_deviations(policy_cases(policy, server), config, settings.channels)
    assert count > 100
    return [one.case.name for one in found]


def test_nothing_is_found_where_nothing_is_open() -> None:
    assert deviations() == []


@pytest.mark.parametrize(
    ("change", "reported"),
    [
        ({"imta": IMTA.replace("tcp_local smtp", "tcp_local tlsswitchchannel tcp_tas smtp")}, "with TLS"),
        ({"imta": IMTA.replace("defaults", "defaults tlsswitchchannel tcp_tas")}, "with TLS"),
        ({"imta": IMTA.replace("[]", "[8.8.]  $U%[$D$L]@tcp_intranet-daemon\n[]", 1)}, "8.8.77.77"),
        ({"imta": IMTA.replace("[]", "[8.8.4.4]  $U%[$D$L]@tcp_intranet-daemon\n[]", 1)}, "8.8.4.4"),
        ({"dispatcher": DISPATCHER + "\n[SERVICE=X]\nPORT=2525\nPARAMETER=CHANNEL=tcp_intranet\n"}, "port 2525"),
        ({"dispatcher": DISPATCHER + "\n[SERVICE=X]\nTLS_PORT=465\nPARAMETER=CHANNEL=tcp_tas\n"}, "port 465"),
        ({"extra": {"ORIG_SEND_ACCESS": {"before": [["tcp_local|*@partner.example|tcp_local|*", "$Y"]]}}}, "sender"),
        ({"extra": {"ORIG_SEND_ACCESS": {"before": [["tcp_local|*.com|tcp_local|*", "$Y"]]}}}, "sender"),
        ({"extra": {"ORIG_SEND_ACCESS": {"before": [["*", "$Y"]]}}}, "plain"),
    ],
)
def test_proof_finds_what_an_unmanaged_setting_opens(change: dict[str, Any], reported: str) -> None:
    found = deviations(**change)
    assert any(reported in name for name in found), found


PARTNERS = (
    IMTA.replace("[]", ".test2  $U%$H$D@partner-daemon\npartner.example  $U%$D@partner-daemon\n[]", 1)
    + "\ntcp_partner smtp mx single_sys\npartner-daemon\n"
)
OPEN = [
    f"external client 203.0.113.77 to {host}, which has a rewrite rule and is not in mailhost_domains"
    for host in ("any.test2", "partner.example")
]
EXTRA = {"ORIG_SEND_ACCESS": {"before": [["tcp_local|*|tcp_partner|*@partner.example", "$Y"]]}}


@pytest.mark.parametrize("domains", [["mail.example"], []])
@pytest.mark.parametrize("channel", ["tcp_partner smtp", "Partner smtp_crorlf", "tcp_partner"])
def test_unmanaged_channels_do_not_relay_for_external_clients(channel: str, domains: list[str]) -> None:
    imta = PARTNERS.replace("tcp_partner smtp", channel)
    assert deviations(imta, domains=domains) == []
    assert deviations(imta, domains=domains, leaving=frozenset()) == OPEN


def test_run_warns_of_channels_that_it_closes_without_domains() -> None:
    def reported(texts: Texts, **policy: Any) -> tuple[str, ...]:
        live = Live(texts, False, {}, {}, NOTHING)
        arguments = {"policy": policy, "settings": {"unknown_entries": "replace"}, "policy_tests": []}
        return wanted.present(arguments, live).warnings

    before = Texts(PARTNERS, "", DISPATCHER, "")
    assert reported(before) == (
        "mailhost_domains: is empty, so mail from external clients is rejected for channel tcp_partner, tcp_tas; "
        "name the domains whose mail goes there",
    )
    assert not reported(before, domains=["mail.example"])
    after = wanted.present({"policy": {}, "settings": {}, "policy_tests": []}, Live(before, False, {}, {}, NOTHING))
    assert not reported(after.composed.texts)


def test_proof_finds_a_partner_that_the_sender_of_an_extra_entry_reaches() -> None:
    extra = {"ORIG_SEND_ACCESS": {"before": [["tcp_local|*@trusted.example|tcp_partner|*", "$Y"]]}}
    (found,) = {name.partition(",")[0] for name in deviations(PARTNERS, extra=extra)}
    assert found == "external client 203.0.113.77 with the sender of an extra entry"


def test_unmanaged_channels_are_proven_before_the_others() -> None:
    rules = "".join(f".t{n}  $U%$H$D@tcp-daemon\n" for n in range(300))
    policy, settings = read_wanted(POLICY, {})
    hosts = outer_hosts(parse_imta(rules + PARTNERS), policy.domains, settings)
    assert hosts[:2] == ("any.test2", "partner.example")
    assert len(hosts) == MOST


def test_a_channel_to_a_message_store_stays_as_it_is() -> None:
    store = PARTNERS.replace("tcp_partner smtp mx", "tcp_lmtpcs lmtp")
    leaving = wanted.host_facts(Live(Texts(store, "", "", ""), False, {}, {}, NOTHING)).leaving
    assert sorted(leaving or ()) == ["tcp_auth", "tcp_intranet", "tcp_local", "tcp_submit", "tcp_tas"]
    assert deviations(store) == []


def test_what_the_inventory_says_of_a_partner_is_no_relay() -> None:
    assert deviations(PARTNERS, extra=EXTRA) == []
    assert deviations(PARTNERS, extra=EXTRA, leaving=frozenset()) == OPEN[:1]
    assert deviations(PARTNERS, domains=["mail.example", "partner.example"]) == []


def test_external_client_with_the_sender_of_an_exception_reaches_no_partner() -> None:
    exceptions = [{"networks": ["198.51.100.64/28"], "sender_domains": ["allied.example"]}]
    assert deviations(PARTNERS, relay_exceptions=exceptions) == []
    name = "external client 203.0.113.77 claiming to be a relay exception to any.test2, which has a rewrite rule"
    assert name in deviations(PARTNERS, relay_exceptions=exceptions, leaving=frozenset())


def test_without_domains_what_goes_inside_is_as_before() -> None:
    imta = IMTA.replace("[]", "inside.example  $U%$D@tcp_intranet-daemon\n[]", 1)
    assert deviations(imta, domains=[]) == []
    assert deviations(imta) == []


LOOKED_UP = IMTA.replace("[]", "[]  $E$R${PARTNERS,$L}$U%[$L]@tcp_tas-daemon\n[]", 1)
INSIDE = LOOKED_UP.replace("tcp_tas-daemon", "tcp_intranet-daemon", 1)


def table(*entries: str) -> str:
    return "PARTNERS\n\n" + "".join(f"  {entry}\n" for entry in entries)


@pytest.mark.parametrize("imta", [LOOKED_UP, INSIDE], ids=["another channel", "the internal channel"])
@pytest.mark.parametrize(
    ("entries", "client"),
    [
        (["$(198.51.100.16/28)  $Y", "*  $N"], "198.51.100.31"),
        (["$(198.51.100.20/28)  $Y"], "198.51.100.16"),
        (["${2001:db8:9::/48}  $Y"], "2001:db8:9::"),
        (["198.51.100.20  $Y"], "198.51.100.20"),
        (["198.51.*  $Y"], "198.51.77.77"),
        (["198.51.100.%  $Y"], "198.51.100.7"),
        (["198.51.100.1%  $Y"], "198.51.100.17"),
        (["198.51.100.$[0-5]*  $Y"], "198.51.100.1"),
        (["198.51.$D%.9  $Y"], "198.51.7.9"),
        (["2001:db8:%::1  $Y"], "2001:db8:7::1"),
        ([*(f"$(192.0.2.{n})  $Y" for n in range(1, 255)), "$(198.51.100.16/28)  $Y"] * 9, "198.51.100.16"),
        (["$(192.0.2.0/25)  $Y", "$(198.51.100.16/28)  $Y$E"], "198.51.100.16"),
        (["$(203.0.113.0/24)  $N", "${2001:db8::/32}  $N", "*  $Y"], "8.8.4.77"),
        (["*  $C$|OTHERS;$0|$Y$E\n\nOTHERS\n\n  $(198.51.100.16/28)  $Y"], "198.51.100.16"),
    ],
)
def test_proof_finds_clients_that_an_unmanaged_table_makes_internal(imta: str, entries: list[str], client: str) -> None:
    found = deviations(imta, mappings=table(*entries))
    assert f"external client {client}, which has a rewrite rule: plain" in found


@pytest.mark.parametrize(
    ("imta", "entries", "extra"),
    [
        (INSIDE, ["$(192.0.2.16/28)  $Y", "*  $N"], {}),
        (INSIDE, ["$(198.51.100.16/28)  $N"], {}),
        (INSIDE, ["*  $C$|INTERNAL_IP;$0|$Y$E"], {}),
        (INSIDE, ["$(198.51.100.16/28)  $Y"], {"INTERNAL_IP": {"before": [["$(198.51.100.16/28)", "$Y"]]}}),
        (LOOKED_UP.replace("tcp_tas smtp mx allowswitchchannel", "tcp_tas smtp mx"), ["$(198.51.100.16/28)  $Y"], {}),
        (LOOKED_UP.replace("tcp_tas-daemon", "tcp-daemon", 1), ["$(198.51.100.16/28)  $Y"], {}),
        (LOOKED_UP, ["$(198.51.100.16/28)  $Y"], {"ORIG_SEND_ACCESS": {"before": [["tcp_tas|*|tcp_local|*", "$N"]]}}),
        (IMTA, ["$(198.51.100.16/28)  $Y"], {}),
        (INSIDE, ["::ffff:198.51.100.9  $Y", "${::ffff:c633:6400/120}  $Y"], {}),
        (INSIDE.replace("[]", "[::ffff:198.51.100.9]  $U%[$L]@tcp_intranet-daemon\n[]", 1), ["* $N"], {}),
    ],
    ids=[
        *(
            "internal",
            "rejects",
            "looks up the policy",
            "extra entry",
            "no switching",
            "external",
            "no relay",
            "not looked up",
        ),
        *("IPv4 in IPv6 spelling", "a rule with that"),
    ],
)
def test_a_rule_that_the_site_rightly_has_is_no_relay(imta: str, entries: list[str], extra: dict[str, Any]) -> None:
    assert deviations(imta, mappings=table(*entries), extra=extra) == []


def test_run_warns_of_more_clients_of_a_table_than_it_evaluates() -> None:
    entries = [f"198.18.{n >> 8}.{n & 255}  $Y" for n in range(300)]
    assert deviations(INSIDE, mappings=table(*entries), doubtful=True)
    assert deviations(INSIDE, mappings=table(*entries), internal_networks=["198.18.0.0/23"]) == []


def test_relay_exception_for_a_local_domain_changes_nothing() -> None:
    imta = IMTA.replace("[]", "mail.example  $U%$D@tcp_intranet-daemon\n[]", 1)
    exception = {"networks": ["198.51.100.64/28"], "recipient_domains": ["mail.example"]}
    assert deviations(imta, relay_exceptions=[exception]) == []
    assert deviations(imta, relay_exceptions=[{**exception, "sender_domains": ["partner.example"]}]) == []


@pytest.mark.parametrize("entry", ["*  $C$[lib,routine,$0]$E", "*  $C${PARTNER|$0}$E", "$$(198.51.100.16/28  $Y"])
def test_run_warns_of_entries_whose_clients_cannot_be_evaluated(entry: str) -> None:
    assert deviations(LOOKED_UP, mappings=table(entry), doubtful=True) == []
    found = entering(parse_imta(LOOKED_UP), parse_mappings(table(entry)), "tcp_local").unclear
    assert found == (
        'the rewrite rule "[] $E$R${PARTNERS,$L}$U%[$L]@tcp_tas-daemon" makes clients enter by another channel, '
        f'and the clients of entry "{" ".join(entry.split())}" of table PARTNERS cannot be evaluated; '
        "see that they are internal by policy",
    )


def test_client_exempt_from_dnsbls_is_external() -> None:
    every_network = ["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"]
    assert deviations(dnsbl_exempt_networks=every_network) == []
    assert deviations(dnsbl_exempt_networks=every_network, extra={"ORIG_SEND_ACCESS": {"before": [["*", "$Y"]]}})


def test_service_on_the_loopback_is_not_proven() -> None:
    inner = "\n[SERVICE=SCAN]\nPORT=10025\nINTERFACE_ADDRESS=127.0.0.1\nPARAMETER=CHANNEL=tcp_intranet\n"
    assert deviations(dispatcher=DISPATCHER + inner) == []


def test_services() -> None:
    text = (
        DISPATCHER
        + "\n[SERVICE=S]\nPORT=465, 587\nTLS_PORT=466\nPARAMETER=CHANNEL=tcp_submit\n[SERVICE=POP]\n"
        + ("PORT=110\nIMAGE=/opt/lib/popd\n")
    )
    assert services_of(parse_dispatcher(text)) == (
        Service("SMTP", 25, "tcp_local", tls=False),
        Service("S", 465, "tcp_submit", tls=False),
        Service("S", 587, "tcp_submit", tls=False),
        Service("S", 466, "tcp_submit", tls=True),
    )


@pytest.mark.parametrize(
    ("table", "entry", "problem"),
    [
        (
            "INTERNAL_IP",
            ["*.1", "$Y"],
            '"*.1" is no network; write $(192.0.2.0/24), ${2001:db8::/32} or one address, as "192.0.2.7"',
        ),
        (
            "ORIG_MAIL_ACCESS",
            ["TCP|*|*|192.0.2.99|*|*|*|*|*|*|*", "$Y$E"],
            '"TCP|*|*|192.0.2.99|*|*|*|*|*|*|*" takes an address from the text of the client; '
            "write TCP|$[0-9A-Fa-f.:]*|$D*| before it",
        ),
    ],
)
def test_entries_that_take_more_than_they_seem_to(table: str, entry: list[str], problem: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read_wanted(POLICY, {"extra_entries": {table: {"before": [entry]}}})
    assert caught.value.problems == [f"messaging_server_extra_entries.{table}.before[0]: {problem}"]
