# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No rejection is reported where the server, by the facts, may relay."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.decision import (
    as_data,
    decide_session,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.session import (
    SessionError,
    read_config,
    read_session,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.text import MtaTextError

RULES = ".  $U%$H@tcp-daemon\n"
CHANNELS = "\ndefaults noswitchchannel\n\ntcp_local smtp switchchannel\ntcp-daemon\n"
NOT_TRIED = (
    "Not certain: the client's host name may be tried too, and a client can choose it; not looked at here. "
    "Channel tcp_intranet can be switched to."
)


def run(mappings: str = "", imta: str = RULES + CHANNELS, **changes: Any) -> dict[str, Any]:
    session = {"client": "198.51.100.7", "mail_from": "a@b.example", "rcpt_to": ["c@d.example"], **changes}
    return as_data(decide_session(read_session(session), read_config({"imta_cnf": imta, "mappings": mappings})))


def table(*entries: str, name: str = "ORIG_SEND_ACCESS") -> str:
    return "\n".join([name, "", *(f"  {entry}" for entry in entries), "", ""])


def accepted(result: dict[str, Any]) -> bool:
    return bool(result["recipients"][0]["accepted"])


def test_tables_see_the_rewritten_recipient() -> None:
    imta = f"d.example  $U%new.example@tcp-daemon\n{RULES}{CHANNELS}"
    assert accepted(run(table("tcp_local|*|tcp_local|*@d.example  $Nno"), imta))
    result = run(table("tcp_local|*|tcp_local|*@new.example  $Nno"), imta)
    assert result["recipients"][0]["reply"] == "550 5.7.1 no: c@d.example"


def test_a_recipient_without_rule_is_not_rejected_when_an_include_is_missing() -> None:
    with pytest.raises(MtaTextError) as caught:
        run("", f"! rules\n<IMTA_TABLE:internet.rules\n{CHANNELS}")
    assert str(caught.value) == (
        'imta.cnf:2:2: no rule takes c@d.example, but "IMTA_TABLE:internet.rules" was not given; '
        "expected its text in includes"
    )
    result = run("", f"<IMTA_TABLE:internet.rules\n{RULES}{CHANNELS}")
    assert accepted(result)
    assert 'The include "IMTA_TABLE:internet.rules" was not given; its rules are missing.' in result["trace"]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (["*  $C$?50?$Nno$E"], True),
        (["*  $C$?100?$Nno$E"], False),
        (["*  $C$?0?$Nno$E"], True),
        (["*  $C$?50?$Nfirst$E", "*  $C$?50?$Y$E", "*  $Nlast"], True),
        (["*  $C$?50?$Y$E", "*  $Nlast"], True),
        (["*  $C$?50?$Nfirst$E", "*  $Nlast"], False),
    ],
)
def test_rejection_by_chance_does_not_count(entries: list[str], expected: bool) -> None:
    assert accepted(run(table(*entries))) is expected


def test_many_chances_are_given_up_in_words() -> None:
    result = run(table(*["*  $C$?50?$Nno$E"] * 20, "*  $Nlast"))
    note = "Not certain: with so many chances not every outcome was tried; another may accept."
    assert (accepted(result), note in result["trace"]) == (False, True)


def test_from_access_replaces_the_sender_of_later_probes() -> None:
    mappings = table("*  $Jx@siroe.example", name="FROM_ACCESS") + table(
        "tcp_local|*@siroe.example|tcp_local|*  $Y", "tcp_local|*|tcp_local|*  $Nno"
    )
    result = run(mappings)
    assert accepted(result)
    assert 'Flag J: the envelope sender is now "x@siroe.example"; taken as what the next tables see.' in result["trace"]


def test_a_domain_literal_is_not_rejected_for_its_name() -> None:
    imta = RULES + CHANNELS.replace("smtp", "smtp mailfromdnsverify")
    result = run("", imta, mail_from="a@[198.51.100.7]")
    assert result["mail"]["accepted"]
    note = "Not certain: what it makes of a domain literal is not described; taken as accepted."
    assert note in result["trace"]


@pytest.mark.parametrize("address", ["v%ext.example@d.example", "ext.example!v@d.example", "@h.example:v@d.example"])
def test_routes_are_named_in_the_trace(address: str) -> None:
    result = run(rcpt_to=[address])
    assert f"Not certain: {address} names a route; only the host after its last @ is looked at." in result["trace"]


def test_source_route_is_not_rejected_when_its_first_hop_is_accepted() -> None:
    imta = f"h.example  $U%$D@inner\n{RULES}{CHANNELS}\ntcp_intranet smtp\ninner\n"
    mappings = table("tcp_local|*|tcp_local|*  $Nno")
    result = run(mappings, imta, rcpt_to=["@h.example:v@far.example", "@far.example,@h.example:v@far.example"])
    assert [(one["accepted"], one["destination_channel"]) for one in result["recipients"]] == [
        (True, "tcp_intranet"),
        (False, "tcp_local"),
    ]
    assert "Not certain: routed to its first hop h.example it is accepted; taken so." in result["trace"]


def test_the_client_s_host_name_may_switch() -> None:
    imta = f"[]  $U%[$L]@tcp-daemon\n{RULES}{CHANNELS}\ntcp_intranet smtp allowswitchchannel\ntcp_intranet-daemon\n"
    assert NOT_TRIED in run("", imta)["trace"]
    assert NOT_TRIED not in run("", imta.replace("allowswitch", "noswitch"))["trace"]


def test_the_case_of_an_address_changes_no_channel() -> None:
    channels = {"c@d.example": "tcp_local", "list@d.example": "l"}
    mappings = table("*|*|tcp_local|X@far.example  $Nno", name="SEND_ACCESS")
    expansions = {"List@d.example": ["X@far.example"]}
    recipients = ["C@D.Example", "LIST@d.example"]
    result = run(mappings, rcpt_to=recipients, destination_channels=channels, expansions=expansions)
    assert [(one["accepted"], one["destination_channel"]) for one in result["recipients"]] == [
        (True, "tcp_local"),
        (False, "l"),
    ]


def test_a_destination_channel_has_a_name() -> None:
    with pytest.raises(SessionError) as caught:
        run(destination_channels={"c@d.example": ""})
    assert (
        str(caught.value)
        == '_input.destination_channels["c@d.example"]: "" is not accepted; write the name of a channel'
    )


def test_zones_after_an_entry_that_fails_are_an_open_point() -> None:
    note = "Not certain: whether an entry of PORT_ACCESS that matches and fails hides the zones."
    dispatcher = "[SERVICE=SMTP]\nPORT=25\nDNS_VERIFY_DOMAIN=bl.example.\n"
    for mappings, expected in (("*  $C$:T$Y$E", True), ("TCP|*|587|*  $Y", False), ("*  $Y", False)):
        session = read_session({"client": "198.51.100.7"})
        config = read_config({"mappings": table(mappings, name="PORT_ACCESS"), "dispatcher_cnf": dispatcher})
        assert (note in decide_session(session, config).trace) is expected


def test_an_ipv4_address_in_an_ipv6_one_is_an_open_point() -> None:
    note = "Not certain: the server may take the IPv4 address in this one as the client's."
    assert note in run(client="::ffff:192.0.2.7")["trace"]
    assert note not in run(client="2001:db8::7")["trace"]


def test_includes_that_are_not_followed_are_said() -> None:
    session = read_session({"client": "198.51.100.7"})
    config = read_config({"general": "<IMTA_TABLE:more\nk  $Y\n", "dispatcher_cnf": "<extra.cnf\n"})
    assert decide_session(session, config).trace[:2] == (
        'Not certain: general.txt includes "IMTA_TABLE:more", which is not followed in this file.',
        'Not certain: dispatcher.cnf includes "extra.cnf", which is not followed in this file.',
    )


def test_flags_that_do_not_reject_are_traced() -> None:
    result = run(table("*  $H"))
    assert accepted(result)
    assert "Flag H: the message is held." in result["trace"]
