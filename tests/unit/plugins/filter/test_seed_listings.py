# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The listings behind docs/reference/requirements.md#mail-server: as printed, with what is wrong,
and in the sound form."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.mailhost.hardening.plugins.filter.dispatcher_lint import dispatcher_lint
from ansible_collections.mailhost.hardening.plugins.filter.imta_cnf_lint import imta_cnf_lint
from ansible_collections.mailhost.hardening.plugins.filter.mapping_lint import mapping_lint
from ansible_collections.mailhost.hardening.plugins.filter.mapping_probe import mapping_probe
from ansible_collections.mailhost.hardening.plugins.filter.smtp_decision import smtp_decision

INTERNAL = "INTERNAL_IP\n\n  $(192.0.2.0/24)  $Y\n  127.0.0.1  $Y\n  *  $N\n\n"
RULES = "[]  $E$R${INTERNAL_IP,$L}$U%[$L]@tcp_intranet-daemon\n[]  $U%[$L]@tcp-daemon\n.  $U%$H@tcp-daemon\n\n"
CHANNELS = """\
defaults noswitchchannel

l subdirs 20
mailhost.example.com

tcp_local smtp single_sys mx maysaslserver saslswitchchannel \\
tcp_auth switchchannel
tcp-daemon

tcp_intranet smtp single_sys mx allowswitchchannel routelocal
tcp_intranet-daemon

tcp_auth smtp single_sys mx mustsaslserver noswitchchannel
tcp_auth-daemon
"""
RELAY = "ORIG_SEND_ACCESS\n\n   tcp_local|*|tcp_local|*        $NRelaying$ not$ permitted\n"
IMTA = RULES + CHANNELS
EXTERNAL_SENDER = {
    "client": "198.51.100.7",
    "helo": "mx.b.example",
    "mail_from": "a@b.example",
    "rcpt_to": ["c@d.example"],
}


def codes(findings: list[dict[str, Any]]) -> list[tuple[int, str]]:
    return [(finding["line"], finding["code"]) for finding in findings]


def session(**changes: Any) -> dict[str, Any]:
    return {**EXTERNAL_SENDER, **changes}


def recipient(given: dict[str, Any], mappings: str, imta_cnf: str = IMTA) -> dict[str, Any]:
    result: dict[str, Any] = smtp_decision(given, {"imta_cnf": imta_cnf, "mappings": mappings})["recipients"][0]
    return result


def source(given: dict[str, Any], imta_cnf: str = IMTA, mappings: str = INTERNAL) -> str:
    result = smtp_decision(given, {"imta_cnf": imta_cnf, "mappings": mappings})
    return str(result["source_channels"][-1]["channel"])


# M1, M2: internal by address


def test_m1_printed_without_the_configuration_steps_any_channel_is_a_target() -> None:
    printed = RULES + CHANNELS.replace("defaults noswitchchannel\n\n", "")
    assert codes(imta_cnf_lint(printed)) == [(5, "missing-noswitchchannel")]
    # With a rule that routes the client's literal to l, the session would enter through l.
    to_l = printed.replace("[]  $U%[$L]@tcp-daemon", "[]  $U%[$L]@mailhost.example.com")
    assert source(EXTERNAL_SENDER, to_l) == "l"
    assert source(EXTERNAL_SENDER, to_l.replace("\n\nl ", "\n\ndefaults noswitchchannel\n\nl ", 1)) == "tcp_local"


def test_m1_sound_internal_address_enters_through_tcp_intranet() -> None:
    assert imta_cnf_lint(IMTA) == []
    assert source(session(client="192.0.2.7")) == "tcp_intranet"
    assert source(EXTERNAL_SENDER) == "tcp_local"


def test_m2_sound_and_wide_tables() -> None:
    assert mapping_lint(INTERNAL) == []
    assert codes(mapping_lint(INTERNAL.replace("192.0.2.0/24", "192.0.2.77/24"))) == [(3, "host-bits")]
    assert codes(mapping_lint(INTERNAL.replace("192.0.2.0/24", "192.0.0.0/9"))) == [(3, "wide-network")]
    assert codes(mapping_lint(INTERNAL.replace("  *  $N", "  *  $Y"))) == [(5, "wide-network")]
    assert codes(mapping_lint(INTERNAL, ["192.0.2.9", "198.51.100.1"])) == [(1, "load-balancer-inside")]


def test_m3_printed_name_of_a_channel_that_does_not_exist() -> None:
    printed = RELAY + "   tcp_internal|*|tcp_local|*  $NNot$ from$ here\n"
    assert codes(mapping_lint(printed, channels=["l", "tcp_local", "tcp_intranet", "tcp_auth"])) == [
        (4, "unknown-channel")
    ]
    inside = session(client="192.0.2.7")
    assert recipient(inside, INTERNAL + printed)["accepted"]
    assert not recipient(inside, INTERNAL + printed.replace("tcp_internal", "tcp_intranet"))["accepted"]
    assert not recipient(inside, INTERNAL + printed.replace("tcp_internal", "tcp_*"))["accepted"]


# M4: authenticated users


def test_m4_printed_channel_blocks() -> None:
    printed = (
        "defaults noswitchchannel\n\ntcp_auth smtp single_sys mx mustsaslserver noswitchchannel TCP-INTERNAL\n\n"
        "tcp_local smtp mx single_sys maysaslserversaslswitchchannel \\\ntcp_auth switchchannel\n|TCP-DAEMON\n"
    )
    assert codes(imta_cnf_lint(printed)) == [
        (3, "flattened-channel"),
        (3, "no-official-host"),
        (5, "glued-keywords"),
        (7, "host-name"),
    ]
    with pytest.raises(AnsibleFilterError, match='channel "tcp_auth" without a host name'):
        smtp_decision(EXTERNAL_SENDER, {"imta_cnf": printed})


def test_m4_sound() -> None:
    assert source(session(authenticated=True)) == "tcp_auth"
    assert recipient(session(authenticated="u@example.com"), INTERNAL + RELAY)["accepted"]
    # An internal host that authenticates stays internal: tcp_intranet offers no AUTH here.
    assert source(session(authenticated=True, client="192.0.2.7")) == "tcp_intranet"
    # Nobody comes to tcp_auth without authentication.
    result = smtp_decision(session(service_channel="tcp_auth"), {"imta_cnf": IMTA, "mappings": INTERNAL})
    assert result["mail"]["reply"] == "530 5.7.0 Authentication required"


# M5, M6: the relay block


def test_m5_printed_is_sound() -> None:
    assert mapping_lint(RELAY) == []
    rejected = recipient(EXTERNAL_SENDER, INTERNAL + RELAY)
    assert rejected["reply"] == "550 5.7.1 Relaying not permitted: c@d.example"
    assert rejected["tables"] == ["ORIG_SEND_ACCESS"]
    local = session(rcpt_to=["u@example.com"], destination_channels={"u@example.com": "ims-ms"})
    assert recipient(local, INTERNAL + RELAY)["accepted"]


def test_m5_send_access_instead_would_break_lists() -> None:
    to_list = session(
        rcpt_to=["list@example.com"],
        destination_channels={"list@example.com": "l"},
        expansions={"list@example.com": ["member@d.example"]},
    )
    assert recipient(to_list, INTERNAL + RELAY)["accepted"]
    broken = recipient(to_list, INTERNAL + RELAY.replace("ORIG_SEND", "SEND"))
    assert broken["reply"] == "550 5.7.1 Relaying not permitted: member@d.example"


def test_m6_everybody_is_blocked_until_m2_or_m4() -> None:
    assert not recipient(session(client="203.0.113.9"), INTERNAL + RELAY)["accepted"]
    assert recipient(session(client="192.0.2.9"), INTERNAL + RELAY)["accepted"]
    assert recipient(session(client="203.0.113.9", authenticated=True), INTERNAL + RELAY)["accepted"]


# M7: sender domains


M7_PRINTED = """\
ORIG_MAIL_ACCESS

  TCP|*|*|*|*|SMTP|MAIL|*|*@*|*|*  \\
$[msg_svr_base/lib/dns_verify.so,  \\
dns_verify,$6|$$y|$$NInvalid$ host:$ $$6$ -$ %e]
"""
M7_SOUND = """\
ORIG_MAIL_ACCESS

  TCP|*|*|*|*|SMTP*|MAIL|*|*@*|*|*  \\
$[IMTA_LIB:dns_verify.so,\\
dns_verify,$7|$$y|$$NInvalid$ host:$ $$7$ -$ %e]
"""


def test_m7_printed_blanks_cut_the_template() -> None:
    assert codes(mapping_lint(M7_PRINTED)) == [(3, "bare-smtp"), (4, "template"), (5, "unquoted-blank")]
    probe = "TCP|192.0.2.25|25|198.51.100.7|40001|SMTP|MAIL|tcp_local|a@bad.example|l|u@example.com"
    with pytest.raises(AnsibleFilterError, match=r'mappings:4:1: "\$\[" is not closed; expected "\]"'):
        mapping_probe(M7_PRINTED, "ORIG_MAIL_ACCESS", probe)
    # Joined, but with the bare SMTP: what the server sends does not match, so every domain passes.
    joined = M7_PRINTED.replace("so,  \\\n", "so,")
    assert recipient(session(destination_channels={"c@d.example": "l"}), joined)["accepted"]


@pytest.mark.parametrize(
    ("dns", "reply"),
    [({}, "550 5.7.1 Invalid host: b.example - not found: c@d.example"), ({"b.example": ["192.0.2.1"]}, "")],
)
def test_m7_sound(dns: dict[str, Any], reply: str) -> None:
    assert mapping_lint(M7_SOUND) == []
    given = session(dns=dns, destination_channels={"c@d.example": "l"})
    assert recipient(given, M7_SOUND)["reply"] == reply
    keyword = IMTA.replace("switchchannel \\\n", "switchchannel mailfromdnsverify \\\n", 1).replace(
        "saslswitchchannel mailfromdnsverify \\\ntcp_auth", "mailfromdnsverify saslswitchchannel \\\ntcp_auth"
    )
    mail = smtp_decision(given, {"imta_cnf": keyword, "mappings": INTERNAL})["mail"]
    assert mail["accepted"] is bool(dns)


# M8: block lists of the Dispatcher


M8_PRINTED = """\
[SERVICE=SMTP]
PORT=25
! ...rest of normal options...
DNS_VERIFY_DOMAIN=rbl.maps.vix.com
DNS_VERIFY_DOMAIN=dul.maps.vix.com!
"""
M8_SOUND = "[SERVICE=SMTP]\nPORT=25\nDNS_VERIFY_DOMAIN=bl.example.\n"
LISTED = {"7.100.51.198.bl.example": {"A": ["127.0.0.2"]}, "9.2.0.192.bl.example": {"A": ["127.0.0.2"]}}
PORT_END = "PORT_ACCESS\n\n  *|*|*|*|*  $C$|INTERNAL_IP;$3|$Y$E\n  *  $YEXTERNAL\n"


def test_m8_printed_zones() -> None:
    assert codes(dispatcher_lint(M8_PRINTED)) == [(4, "dead-zone"), (5, "dead-zone"), (5, "zone-characters")]
    assert codes(dispatcher_lint(M8_PRINTED + "...etc...\n"))[-1] == (6, "option")


def test_m8_sound_but_checks_internal_users_too_and_is_inert_with_a_catch_all() -> None:
    assert dispatcher_lint(M8_SOUND) == []
    for client in ("198.51.100.7", "192.0.2.9"):
        given = session(client=client, dns=LISTED)
        connect = smtp_decision(given, {"dispatcher_cnf": M8_SOUND})["connect"]
        assert connect["reply"] == f"500 5.7.1 access_control: host {client} found on DNS list and rejected"
    config = {"dispatcher_cnf": M8_SOUND, "mappings": INTERNAL + PORT_END, "imta_cnf": IMTA}
    assert smtp_decision(session(dns=LISTED), config)["connect"]["accepted"]
    assert codes(dispatcher_lint(M8_SOUND, INTERNAL + PORT_END)) == [(3, "inert-zone")]


# M9, M10: block lists by callout


M9_PRINTED = """\
PORT_ACCESS

! Allow internal connections in unconditionally
  *|*|*|*|*  $C$|INTERNAL_IP;$3|$Y$E
! Check other connections against RBL list
   TCP|*|25|*|*  \\
$C$[msg_svr_base/lib/dns_verify.so,\\
dns_verify_domain_port,$1,rbl.maps.vix.com.]EXTERNAL$E
"""
M9_SOUND = """\
PORT_ACCESS

! Allow internal connections in unconditionally
  *|*|*|*|*  $C$|INTERNAL_IP;$3|$Y$E
! Check other connections against RBL list
   TCP|*|25|*|*  \\
$C$:A$[IMTA_LIB:dns_verify.so,\\
dns_verify_domain_port,$1,bl.example.]$E
   *  $YEXTERNAL
"""


def test_m9_printed_has_no_last_entry_and_glues_text_to_the_rejection() -> None:
    assert codes(mapping_lint(M9_PRINTED)) == [(6, "dead-zone"), (6, "missing-catch-all"), (6, "text-after-callout")]
    config = {"mappings": INTERNAL + M9_PRINTED.replace("rbl.maps.vix.com.", "bl.example."), "imta_cnf": IMTA}
    rejected = smtp_decision(session(dns=LISTED), config)["connect"]
    assert rejected["reply"].endswith("EXTERNAL")
    passed = smtp_decision(session(client="203.0.113.9", dns=LISTED), config)
    assert (passed["connect"]["accepted"], passed["rule_set"]) == (True, "")


def test_m9_sound() -> None:
    assert mapping_lint(INTERNAL + M9_SOUND) == []
    config = {"mappings": INTERNAL + M9_SOUND, "imta_cnf": IMTA}
    dns = {"7.100.51.198.bl.example": {"TXT": ["listed, see http://bl.example/"]}}
    rejected = smtp_decision(session(dns=dns), config)["connect"]
    assert (rejected["accepted"], rejected["reply"]) == (False, "500 5.7.1 listed, see http://bl.example/")
    passed = smtp_decision(session(client="203.0.113.9", dns=dns), config)
    assert (passed["connect"]["accepted"], passed["rule_set"]) == (True, "EXTERNAL")
    # Internal clients and other ports are not looked up; a missing answer rejects no mail.
    assert smtp_decision(session(client="192.0.2.9", dns=LISTED), config)["connect"]["accepted"]
    assert smtp_decision(session(port=587, dns=LISTED), config)["connect"]["accepted"]
    assert smtp_decision(session(dns={"7.100.51.198.bl.example": "SERVFAIL"}), config)["connect"]["accepted"]


M10_PRINTED = """\
ORIG_MAIL_ACCESS

  TCP|*|25|*|*|SMTP|*|tcp_local|*@*|*|*  \\
$C$[msg_svr_base/lib/dns_verify.so,\\
dns_verify_domain,$1,rbl.maps.vix.com.]$E
"""
M10_SOUND = """\
ORIG_MAIL_ACCESS

  TCP|*|25|*|*|SMTP*|*|tcp_local|*|*|*  \\
$C$[IMTA_LIB:dns_verify.so,\\
dns_verify_domain,$1,bl.example.,Your$ host$ ($1)$ found$ on$ dnsblock$ list]$E
"""
TO_LOCAL = {"destination_channels": {"c@d.example": "l"}}


def test_m10_printed_matches_nothing_the_server_sends() -> None:
    assert codes(mapping_lint(M10_PRINTED)) == [(3, "bare-smtp"), (3, "dead-zone"), (3, "null-sender")]
    printed = M10_PRINTED.replace("rbl.maps.vix.com.", "bl.example.")
    assert recipient(session(dns=LISTED, **TO_LOCAL), printed)["accepted"]
    # With SMTP* the bounce still passes.
    repaired = printed.replace("|SMTP|", "|SMTP*|")
    assert not recipient(session(dns=LISTED, **TO_LOCAL), repaired)["accepted"]
    assert recipient(session(dns=LISTED, mail_from="", **TO_LOCAL), repaired)["accepted"]


@pytest.mark.parametrize("sender", ["a@b.example", ""])
def test_m10_sound_asks_only_for_tcp_local(sender: str) -> None:
    assert mapping_lint(M10_SOUND) == []
    mappings = INTERNAL + M10_SOUND
    rejected = recipient(session(dns=LISTED, mail_from=sender, **TO_LOCAL), mappings)
    assert rejected["reply"] == "550 5.7.1 Your host (198.51.100.7) found on dnsblock list: c@d.example"
    assert recipient(session(client="192.0.2.9", dns=LISTED, mail_from=sender, **TO_LOCAL), mappings)["accepted"]
    assert recipient(session(authenticated=True, dns=LISTED, mail_from=sender, **TO_LOCAL), mappings)["accepted"]


# M11, M12: the default text, and line breaks


M11_PRINTED = """\
PORT_ACCESS

   *|*|*|*|* $C$|INTERNAL_IP;$3|$Y$E  \\
   TCP|*|25|*|*   \\
$C$[<msg_svr_base/lib/dns_verify.so \\
,dns_verify_domain_port,$1,dnsblock.siroe.com,Your$ host$ ($1)$ \\
found$ on$ dnsblock$ list]$E
    * $YEXTERNAL
"""
M11_SOUND = """\
PORT_ACCESS

   *|*|*|*|* $C$|INTERNAL_IP;$3|$Y$E
   TCP|*|25|*|*  $C$[IMTA_LIB:dns_verify.so,\\
dns_verify_domain_port,$1,bl.example.,Your$ host$ ($1)$ \\
found$ on$ dnsblock$ list]$E
    * $YEXTERNAL
"""


def test_m11_printed_backslash_swallows_the_block_list() -> None:
    assert codes(mapping_lint(M11_PRINTED)) == [(3, "glued-continuation")]
    config = {"mappings": INTERNAL + M11_PRINTED.replace("dnsblock.siroe.com", "bl.example"), "imta_cnf": IMTA}
    assert smtp_decision(session(dns=LISTED), config)["connect"]["accepted"]


def test_m11_printed_without_the_backslash_still_has_three_errors() -> None:
    apart = M11_PRINTED.replace("$Y$E  \\\n", "$Y$E\n")
    assert codes(mapping_lint(apart)) == [(5, "template"), (6, "unquoted-blank")]
    joined = apart.replace(".so \\\n", ".so\\\n")
    assert codes(mapping_lint(joined)) == [(4, "callout-image"), (4, "zone-without-dot")]


def test_m11_sound_text_record_or_default_text() -> None:
    assert mapping_lint(INTERNAL + M11_SOUND) == []
    config = {"mappings": INTERNAL + M11_SOUND, "imta_cnf": IMTA}
    rejected = smtp_decision(session(dns=LISTED), config)["connect"]
    assert rejected["reply"] == "500 5.7.1 Your host (198.51.100.7) found on dnsblock list"
    dns = {"7.100.51.198.bl.example": {"A": ["127.0.0.2"], "TXT": ["from the zone"]}}
    assert smtp_decision(session(dns=dns), config)["connect"]["reply"] == "500 5.7.1 from the zone"


def test_m12_line_breaks_and_blanks_are_syntax() -> None:
    without = RELAY.replace("$ ", " ")
    assert codes(mapping_lint(without)) == [(3, "unquoted-blank")]
    assert recipient(EXTERNAL_SENDER, INTERNAL + without)["reply"] == "550 5.7.1 Relaying: c@d.example"
    broken = RELAY.replace("$NRelaying$ ", "$NRelaying$ \n")
    assert codes(mapping_lint(broken)) == [(4, "entry-in-column-one")]
    with pytest.raises(AnsibleFilterError, match="mappings:10:1: "):
        recipient(EXTERNAL_SENDER, INTERNAL + broken)
    continued = RELAY.replace("$NRelaying$ ", "$NRelaying$ \\\n")
    assert mapping_lint(continued) == []
    assert recipient(EXTERNAL_SENDER, INTERNAL + continued)["reply"] == "550 5.7.1 Relaying not permitted: c@d.example"
