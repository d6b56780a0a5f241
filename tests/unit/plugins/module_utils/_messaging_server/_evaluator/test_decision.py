# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Turns of a session that the listings of
docs/reference/messaging-server-facts.md#listing-errors do not take."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.decision import (
    Evaluation,
    as_data,
    decide_session,
    load_config,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.dns_verify import (
    StaticResolver,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.session import (
    read_config,
    read_session,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.text import MtaTextError

RULES = ".  $U%$H@tcp-daemon\n\ndefaults noswitchchannel\n\n"
END = "\ntcp-daemon\n\nsecond mustsaslserver noswitchchannel\nsecond-daemon\n"


def run(keywords: str, mappings: str = "", dispatcher: str = "", **changes: Any) -> dict[str, Any]:
    session = {"client": "198.51.100.7", "mail_from": "a@b.example", "rcpt_to": ["c@d.example"], **changes}
    config = {"imta_cnf": f"{RULES}tcp_local {keywords}{END}", "mappings": mappings, "dispatcher_cnf": dispatcher}
    return as_data(decide_session(read_session(session), read_config(config)))


def channel(result: dict[str, Any]) -> str:
    return str(result["source_channels"][-1]["channel"])


def test_authentication_switches_only_where_it_is_offered() -> None:
    assert channel(run("maysaslserver saslswitchchannel second", authenticated=True)) == "second"
    result = run("nosaslserver saslswitchchannel second", authenticated=True)
    assert channel(result) == "tcp_local"
    assert "Channel tcp_local offers no AUTH (no maysaslserver)." in result["trace"]


def test_tls_switches() -> None:
    assert channel(run("tlsswitchchannel second", tls=True)) == "second"
    assert channel(run("tlsswitchchannel second")) == "tcp_local"
    assert channel(run("tlsswitchchannel nowhere", tls=True)) == "tcp_local"


@pytest.mark.parametrize(
    ("dns", "sender", "reply"),
    [
        ({}, "a@b.example", "550 5.1.8 unknown host or domain: a@b.example"),
        ({"b.example": "SERVFAIL"}, "a@b.example", ""),
        ({"b.example": {"MX": ["mx"]}}, "a@b.example", ""),
        ({}, "", ""),
    ],
)
def test_sender_domains_are_rejected_only_when_they_do_not_exist(dns: dict[str, Any], sender: str, reply: str) -> None:
    assert run("mailfromdnsverify", dns=dns, mail_from=sender)["mail"]["reply"] == reply
    assert run("nomailfromdnsverify", dns=dns, mail_from=sender)["mail"]["accepted"]


def test_first_table_that_rejects_gives_the_reply_and_all_are_probed() -> None:
    mappings = "MAIL_ACCESS\n\n  *  $Nsecond\n\nORIG_SEND_ACCESS\n\n  *  $Nfirst\n\nFROM_ACCESS\n\n  *  $Y\n"
    result = run("smtp", mappings)
    assert result["recipients"][0]["reply"] == "550 5.7.1 first: c@d.example"
    assert result["tables"] == ["FROM_ACCESS", "ORIG_SEND_ACCESS", "MAIL_ACCESS"]


def test_from_access_rejects_the_sender_and_ends_the_session() -> None:
    result = run(
        "smtp",
        "FROM_ACCESS\n\n  TCP|*|SMTP/mx|MAIL|tcp_local|a@b.example|u@x  $X4.7.1|$NNot$ now\n",
        helo="mx",
        authenticated="u@x",
    )
    assert result["mail"]["reply"] == "450 4.7.1 Not now: a@b.example"
    assert result["recipients"] == [
        {
            "address": "c@d.example",
            "reached": False,
            "accepted": False,
            "reply": "",
            "destination_channel": "",
            "tables": [],
        }
    ]


def test_port_access_without_text_closes_without_a_word() -> None:
    connect = run("smtp", "PORT_ACCESS\n\n  *  $N\n")["connect"]
    assert (connect["accepted"], connect["reply"]) == (False, "")


def test_the_service_names_the_first_channel() -> None:
    dispatcher = "[SERVICE=SMTP_SUBMIT]\nPORT=587\nPARAMETER=CHANNEL=second\n"
    assert channel(run("smtp", "", dispatcher, port=587)) == "second"
    assert channel(run("smtp", "", dispatcher, port=25)) == "tcp_local"
    assert channel(run("smtp", "", dispatcher.replace("PORT=587", "PORT=587\nTLS_PORT=465"), port=465)) == "second"


def test_input_flags_of_the_session() -> None:
    mappings = "SEND_ACCESS\n\n  *  $C$;{}$Nclear$E\n"
    for flag, changes in (("T", {"tls": True}), ("A", {"authenticated": True}), ("E", {"ehlo": True})):
        accepted = run("maysaslserver", mappings.format(flag), **{"ehlo": False, **changes})["recipients"][0][
            "accepted"
        ]
        rejected = run("maysaslserver", mappings.format(flag), ehlo=False)["recipients"][0]["accepted"]
        assert (accepted, rejected) == (True, False)


def test_database_and_an_address_without_a_route() -> None:
    imta = "d.example  $U%$D@nowhere\n\ntcp_local smtp\ntcp-daemon\n"
    data = {"client": "198.51.100.7", "rcpt_to": ["c@d.example"]}
    result = as_data(decide_session(read_session(data), read_config({"imta_cnf": imta})))
    assert result["recipients"][0]["reply"] == "550 5.1.2 unknown host or domain: c@d.example"
    config = {"mappings": "SEND_ACCESS\n\n  *  ${k}$E\n", "general": "k  $Nblocked\n"}
    data["destination_channels"] = {"c@d.example": "l"}  # type: ignore[assignment]
    result = as_data(decide_session(read_session(data), read_config(config)))
    assert result["recipients"][0]["reply"] == "550 5.7.1 blocked: c@d.example"


@pytest.mark.parametrize(
    ("dns", "reply"),
    [
        ({"7.100.51.198.bl.example.": ["127.0.0.2"]}, "500 5.7.1 No error text available"),
        ({"bl.example": ["127.0.0.2"]}, "500 5.7.1 No error text available"),
        ({"bl.example.": {"TXT": ["listed"], "A": ["127.0.0.2"]}}, "500 5.7.1 listed"),
        ({"bl.example": {"198.51.100.7": {"TXT": ["listed"]}}}, "500 5.7.1 listed"),
        ({"bl.example": {"198.51.100.8": ["127.0.0.2"]}}, ""),
        ({"bl.example": "SERVFAIL"}, ""),
        ({"bl.example": []}, ""),
        ({}, ""),
    ],
)
def test_dnsbls_by_zone_or_name(dns: dict[str, Any], reply: str) -> None:
    mappings = "PORT_ACCESS\n\n  TCP|*|25|*|*  $C$[x,dns_verify_domain_port,$1,bl.example.]$E\n  *  $YEXTERNAL\n"
    assert run("smtp", mappings, dns=dns)["connect"]["reply"] == reply


LISTED = "PORT_ACCESS\n\n  TCP|*|25|*|*  $C$[x,dns_verify_domain_port,$1,bl.example.,Listed]$E\n  *  $YEXTERNAL\n"


def test_a_configuration_is_read_once_and_decides_many_sessions() -> None:
    text = {"imta_cnf": f"{RULES}tcp_local smtp{END}", "mappings": LISTED, "general": "</etc/more\n"}
    loaded = load_config(read_config(text))
    for client in ("198.51.100.7", "198.51.100.8"):
        session = read_session(
            {"client": client, "rcpt_to": ["c@d.example"], "dns": {"bl.example": {client: ["127.0.0.2"]}}}
        )
        assert decide_session(session, loaded) == decide_session(session, read_config(text))
        assert decide_session(session, loaded).trace[0].startswith('Not certain: general.txt includes "/etc/more"')


def test_a_configuration_that_cannot_be_read_is_rejected_when_it_is_loaded() -> None:
    with pytest.raises(MtaTextError, match="mappings:1:3"):
        load_config(read_config({"mappings": "  *  $Y\n"}))


def test_the_resolver_of_the_caller_answers_instead_of_the_session() -> None:
    class Recording(StaticResolver):
        names: tuple[str, ...] = ()

        def texts(self, name: str) -> Any:
            self.names += (name,)
            return super().texts(name)

    resolver = Recording({"7.100.51.198.bl.example": ["127.0.0.2"]})
    session = read_session({"client": "198.51.100.7", "dns": {"bl.example": []}})
    config = read_config({"imta_cnf": f"{RULES}tcp_local smtp{END}", "mappings": LISTED})
    assert decide_session(session, config).connect.accepted
    assert decide_session(session, config, resolver).connect.reply == "500 5.7.1 Listed"
    assert resolver.names == ("7.100.51.198.bl.example",)


def test_a_session_can_be_taken_step_by_step() -> None:
    mappings = "ORIG_MAIL_ACCESS\n\n  TCP|*|SMTP/mx|MAIL|second|a@b.example|tcp_local|*  $NNo\n"
    keywords = "maysaslserver saslswitchchannel second"
    config = load_config(read_config({"imta_cnf": f"{RULES}tcp_local {keywords}{END}", "mappings": mappings}))
    evaluation = Evaluation(read_session({"client": "198.51.100.7"}), config)
    assert evaluation.connect().accepted
    evaluation.begin_channels()
    evaluation.session = evaluation.session._replace(helo="mx", authenticated=True)
    evaluation.protect_and_authenticate()
    evaluation.session = evaluation.session._replace(mail_from="a@b.example")
    assert evaluation.mail(True).channel == "second"
    assert evaluation.recipient("c@d.example", True).reply == "550 5.7.1 No: c@d.example"
    evaluation.session = evaluation.session._replace(mail_from="other@b.example")
    assert evaluation.mail(True).accepted
    assert evaluation.recipient("c@d.example", True).accepted
