# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each lint rule with the smallest text that shows it, and the documentation that lists them all."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.mailhost.hardening.plugins.filter.dispatcher_lint import dispatcher_lint
from ansible_collections.mailhost.hardening.plugins.filter.imta_cnf_lint import imta_cnf_lint
from ansible_collections.mailhost.hardening.plugins.filter.mapping_lint import mapping_lint

REPOSITORY = Path(__file__).parents[4]
ACCESS = "TCP|*|*|*|*|SMTP*|MAIL|tcp_local"


def table(name: str, *entries: str) -> str:
    return f"{name}\n\n" + "".join(f"  {entry}\n" for entry in entries)


MAPPING = [
    (table("T", "*  $Y").replace("  *", "*"), [(1, "empty-table"), (3, "entry-in-column-one")]),
    ("T\n  *  $Y\n", [(2, "no-blank-after-name")]),
    ("T\n\n! a comment\n\n  *  $Y\n", [(1, "empty-table"), (5, "orphaned-entry")]),
    ("T\n\n\n  *  $Y\n", [(1, "empty-table"), (4, "orphaned-entry")]),
    ("T\n! a comment\n\n! another\n  *  $Y\n\n! behind\n\nU\n\n  *  $Y\n", []),
    ("T\n\n  a  $Y\nU\n\n  b  $Y\n", [(4, "no-blank-before-name")]),
    ("T\n\n  a  $Y\n\n  b  $Y\n", [(5, "orphaned-entry")]),
    (table("T", "*  $Y") + "\n" + table("t", "*  $Y"), [(5, "duplicate-table")]),
    (table("T", "a"), [(1, "empty-table"), (3, "no-template")]),
    ("<\n", [(1, "include-name")]),
    ("! note \\\n" + table("T", "*  $Y"), [(1, "comment-backslash")]),
    ("T\n\n  *  $Y \\\n", [(3, "continuation-at-end")]),
    (table("T", "$Ax  $Y"), [(3, "pattern")]),
    (table("T", "*  $[a"), [(3, "template")]),
    (table("T", "a  $Y \\", "b|*  $N", "*  $Y"), [(3, "glued-continuation")]),
    (table("T", "*  $Y # why"), [(3, "text-after-template")]),
    (table("T", "*  $NGo away"), [(3, "unquoted-blank")]),
    # Found by fuzzing: white space to Python, data to the mapping file.
    (table("T", "*  $Y  \x0b"), [(3, "unquoted-blank")]),
    (table("T", f"{'a' * 253}  $Y"), [(3, "long-pattern")]),
    (table("T", f"a  {'a' * 253}"), [(3, "long-template")]),
    (table("PORT_ACCESS", "TCP|*|25|192.0.2.1|*  $N500$ no"), [(3, "missing-catch-all")]),
    (table("INTERNAL_IP", "192.0.2.1  $Y"), [(3, "missing-catch-all")]),
    (table("ORIG_MAIL_ACCESS", ACCESS.replace("SMTP*", "smtp") + "|*|*|*  $Nno"), [(3, "bare-smtp")]),
    (table("SEND_ACCESS", "tcp_local|*@*|l|*  $Nno"), [(3, "null-sender")]),
    (table("ORIG_MAIL_ACCESS", ACCESS + "|*@*|*|*  $C$[x,check,$2]$E"), [(3, "null-sender")]),
    (table("T", "a*  $E$[x,check,$0]", "*  $Y"), [(3, "end-before-callout")]),
    (table("T", "a*  $[x,check,$0]$E", "*  $Y"), [(3, "missing-continue")]),
    (table("T", "*  $C$N$[x,check,$0]$E"), [(3, "flag-before-callout")]),
    (table("PORT_ACCESS", "TCP|*|25|*|*  $NGo$ away", "*  $YEXTERNAL"), [(3, "no-smtp-code")]),
    (table("PORT_ACCESS", "TCP|*|25|*|*  $N", "*  $YEXTERNAL"), [(3, "no-smtp-code")]),
    (table("SEND_ACCESS", "*|*|*|*  $Na|b"), [(3, "extra-bar")]),
    (table("SEND_ACCESS", "*|*|*|*  $X4.2.1|$Na"), []),
    (table("INTERNAL_IP", "$(172.0.0.0/8)  $Y", "*  $N"), [(3, "wide-network")]),
    (table("INTERNAL_IP", "$(10.0.0.0/8)  $Y", "$(172.16.0.0/12)  $Y", "${fd00::/8}  $Y", "*  $N"), []),
    (
        table("INTERNAL_IP", "$<192.0.2.0/24>  $Y", "${2001::/16}  $Y", "*  $N"),
        [(3, "wide-network"), (4, "wide-network")],
    ),
    (table("FRIENDLY_IP", "$(0.0.0.0/0)  $Y"), [(3, "wide-network")]),
    (table("INTERNAL_IP", "$(192.0.2.77/24)  $Y", "*  $N"), [(3, "host-bits")]),
    (table("INTERNAL_IP", "192.0.2.*  $Y", "*  $N"), [(3, "text-network")]),
    # Without the dollar it is text; tutorials print it so.
    (table("INTERNAL_IP", "(192.0.2.15/32)  $Y", "192.0.2.15  $Y", "2001:db8::1  $Y", "*  $N"), [(3, "no-address")]),
    (table("T", "a|*|*  $C$[x,check,$0,$2]$E", "*  $Y"), [(3, "missing-wildcard")]),
    (table("T", "a  $Y$0"), [(3, "missing-wildcard")]),
    # Every connection comes by TCP.
    (table("PORT_ACCESS", "TCP|*|25|*|*  $YEXTERNAL", "TCP|*|*|*|*  $N500$ no"), []),
    (table("PORT_ACCESS", "TCP|*  $N500$ no"), []),
    (table("PORT_ACCESS", "TCP|*|*|*|*  $YEXTERNAL", "*  $YEXTERNAL"), [(4, "unreachable-entry")]),
    (table("PORT_ACCESS", "UDP|*|*|*|*  $N500$ no"), [(3, "missing-catch-all")]),
    (table("T", "*  $C$[x,dns_verify_domain,$0,rbl.maps.vix.com.]$E"), [(3, "dead-zone")]),
    (table("T", "*  $C$[x,dns_verify_domain,$0,bl.example]$E"), [(3, "zone-without-dot")]),
    (table("T", "*  $C$[x,dns_verify_domain,$0,bl_!.example.]$E"), [(3, "zone-characters")]),
    (table("T", "*  $C$[x,dns_verify_domain_port,$0,bl.example.]EXTERNAL$E"), [(3, "text-after-callout")]),
    (table("T", "*  $C$[</lib/x.so,check,$0]$E"), [(3, "callout-image")]),
    (table("T", "a  $Y", "*  $N", "b  $Y"), [(5, "unreachable-entry")]),
    (table("T", "*  $C$[x,check,$0]$E", "*  $Cx", "b  $Y"), []),
    (
        table("ORIG_SEND_ACCESS", "a|*|b|*  $N", "a|*@x|b|*  $Y", "A|%|b|$D*  $Y"),
        [(4, "unreachable-entry"), (5, "unreachable-entry")],
    ),
    (table("ORIG_SEND_ACCESS", "a|*@x|b|*  $Y", "a|*|b|*  $N", "a|*|*|*  $N"), []),
    (table("SEND_ACCESS", "a|*  $C$N", "a|*@x|*  $Y", "*  $Y"), []),
    (table("SEND_ACCESS", "a|*  $[x,check,$0]", "a|*@x|*  $Y"), [(3, "missing-continue"), (4, "unreachable-entry")]),
    (table("SEND_ACCESS", "*|*|*|*  $N", "a|*@x|*  $Y"), [(4, "unreachable-entry")]),
    (table("MAIL_ACCESS", "|".join("*" * 11) + "  $N", "*  $Y"), []),
    (table("PORT_ACCESS", "*|*|*|*|*  $C$:A$[x,throttle,t,$3]$N421$ later$E", "*  $YEXTERNAL"), []),
    (table("PORT_ACCESS", "*|*|*|*|*  $C$:A$[x,throttle,t,$3]$Nlater$E", "*  $YEXTERNAL"), [(3, "no-smtp-code")]),
    (table("T", *(f"a{n}  $Y" for n in range(101))), [(1, "large-table")]),
]


def codes(findings: list[dict[str, Any]]) -> list[tuple[int, str]]:
    assert all(set(finding) == {"line", "code", "message", "hint"} for finding in findings)
    return [(finding["line"], finding["code"]) for finding in findings]


@pytest.mark.parametrize(("text", "expected"), MAPPING)
def test_mapping_rules(text: str, expected: list[tuple[int, str]]) -> None:
    assert codes(mapping_lint(text)) == expected


def test_mapping_finding_in_full() -> None:
    assert mapping_lint(table("T", "a*  $[x,check,$0]$E", "*  $Y")) == [
        {
            "line": 3,
            "code": "missing-continue",
            "message": "no $C before an item that can fail; when it fails the entries below are not reached",
            "hint": "Put $C before the item and $E after it.",
        }
    ]


GOOD_TAIL = "tcp_auth mustsaslserver noswitchchannel\nauth-daemon\n"
DEFAULTS = "defaults noswitchchannel\n\n"
IMTA = [
    (
        "defaults inner\n\nl subdirs 20\nh.example\n\ntcp_local smtp switchchannel\nt\n",
        [(3, "missing-noswitchchannel")],
    ),
    # LMTP alone: no channel switches.
    ("defaults inner\n\nl subdirs 20\nh.example\n\ntcp_lmtpss lmtp\nt\n", []),
    (DEFAULTS + "a smtp\nh.example\n\nb smtp\nH.example\n", [(7, "duplicate-host")]),
    (DEFAULTS + "a smtp\n|h.example\n", [(4, "host-name")]),
    (".  $U%$H@h\n\n" + DEFAULTS + "a switchchannel\nh\n", [(5, "missing-internal-rule")]),
    (DEFAULTS + "a mxsingle_sys\nh\n", [(3, "glued-keywords")]),
    (DEFAULTS + "a smtp TCP-DAEMON\n", [(3, "flattened-channel"), (3, "no-official-host")]),
    (DEFAULTS + "a maysaslserver saslswitchchannel b\nh\n", [(3, "unknown-switch-target")]),
    (DEFAULTS + "a tlsswitchchannel b\nh\n", [(3, "unknown-switch-target")]),
    (DEFAULTS + "a saslswitchchannel tcp_auth\nh\n\n" + GOOD_TAIL, [(3, "switch-without-auth")]),
    (
        DEFAULTS + "a maysaslserver saslswitchchannel b\nh\n\nb allowswitchchannel\ni\n",
        [(6, "auth-channel"), (6, "auth-channel-open")],
    ),
    (DEFAULTS + "a maysaslserver saslswitchchannel tcp_auth\nh\n\n" + GOOD_TAIL, []),
    (DEFAULTS + "a allowswitchchannel saslswitchchannel tcp_auth\nh\n\n" + GOOD_TAIL, []),
    (DEFAULTS + "a smtp\nh\n\nA smtp\ni\n", [(6, "duplicate-channel")]),
    ("\n" + DEFAULTS + "[] $E$U%x@h\nh\n", [(4, "rule-among-channels")]),
    ("[]\n", [(1, "no-template")]),
    (". $U%x@y\n  x\n", [(2, "indented-rule")]),
    (DEFAULTS + 'a pool "x\nh\n', [(3, "open-quote"), (4, "no-official-host")]),
    (DEFAULTS + "c" * 33 + " smtp\nh\n", [(3, "long-channel-name")]),
    ("defaults noswitchchannel\na smtp\n", [(2, "no-blank-after-defaults")]),
]


@pytest.mark.parametrize(("text", "expected"), IMTA)
def test_imta_rules(text: str, expected: list[tuple[int, str]]) -> None:
    found = codes(imta_cnf_lint(text))
    assert [one for one in found if one[1] != "missing-noswitchchannel" or one in expected] == expected


DISPATCHER = [
    ("[SERVICE=SMTP\n", [(1, "section")]),
    ("[SERVICE=SMTP]\nPORT\n", [(2, "option")]),
    ("DNS_VERIFY_DOMAIN=dul.maps.vix.com!\n", [(1, "dead-zone"), (1, "zone-characters")]),
    ("ENABLE_RBL=1\n", [(1, "dead-zone")]),
    ("ENABLE_RBL=0\n", []),
    ("[SERVICE=SMTP]\n" + "DNS_VERIFY_DOMAIN=b.example\n" * 6, [(7, "too-many-zones")]),
    ("[SERVICE=POP]\nDNS_VERIFY_DOMAIN=b.example\n", [(2, "zone-service")]),
]


@pytest.mark.parametrize(("text", "expected"), DISPATCHER)
def test_dispatcher_rules(text: str, expected: list[tuple[int, str]]) -> None:
    assert codes(dispatcher_lint(text)) == expected


def test_dispatcher_zones_are_inert_after_a_catch_all() -> None:
    text = "[SERVICE=SMTP]\nDNS_VERIFY_DOMAIN=b.example\n"
    assert codes(dispatcher_lint(text, table("PORT_ACCESS", "TCP|*|25|*|*  $Y", "*  $YEXTERNAL"))) == [
        (2, "inert-zone")
    ]
    assert codes(dispatcher_lint(text, table("PORT_ACCESS", "*|*|*|*|*  $YEXTERNAL"))) == [(2, "inert-zone")]
    assert codes(dispatcher_lint(text, table("PORT_ACCESS", "TCP|*|*|*|*  $YEXTERNAL"))) == [(2, "inert-zone")]
    assert dispatcher_lint(text, table("PORT_ACCESS", "TCP|*|25|192.0.2.1|*  $Y")) == []
    assert dispatcher_lint(text, table("PORT_ACCESS", "*  $C$|INTERNAL_IP;$0|$Y$E")) == []


def test_what_an_included_file_may_have_is_no_fact() -> None:
    (found,) = imta_cnf_lint("<IMTA_TABLE:more.cnf\n\ntcp_local smtp switchchannel\nt\n")
    assert found["message"] == (
        "no defaults with noswitchchannel before this channel; channels can be switched to unasked, unless the included "
        '"IMTA_TABLE:more.cnf" has it'
    )
    (found,) = mapping_lint("INTERNAL_IP\n\n<a\n<b\n<c\n<d\n  192.0.2.1  $Y\n")
    assert found["message"] == (
        'table INTERNAL_IP has no entry for all that is left, unless the included "a", "b", "c" and others have it'
    )


def test_vectors_about_lint() -> None:
    channels = (
        "tcp_local smtp switchchannel\nTCP-DAEMON\n\ntcp_auth smtp mustsaslserver noswitchchannel\ntcp_auth-daemon\n"
    )
    assert "missing-noswitchchannel" in [code for _line, code in codes(imta_cnf_lint(channels))]  # v168
    assert codes(dispatcher_lint("DNS_VERIFY_DOMAIN=dul.maps.vix.com!")) == [
        (1, "dead-zone"),
        (1, "zone-characters"),
    ]  # v171
    assert codes(mapping_lint("T\n\n  a  $NGo away\n")) == [(3, "unquoted-blank")]  # v155


def test_every_rule_is_tested_and_documented() -> None:
    source = "".join(
        path.read_text(encoding="utf-8")
        for name in (
            "_formats/text",
            "_formats/mapping",
            "_lint/mapping",
            "_lint/mapping_entries",
            "_formats/imta",
            "_lint/imta",
            "_formats/dispatcher",
            "_lint/dispatcher",
            "_lint/findings",
        )
        for path in [REPOSITORY / "plugins" / "module_utils" / "_messaging_server" / f"{name}.py"]
    )
    written = set(re.findall(r'(?:fault|Fault|Finding)\(\s*(?:[a-z_.()]+, *)?"([a-z-]+)"', source))
    written |= set(re.findall(r'\(_line\(looked\), "([a-z-]+)"', source)) | set(
        re.findall(r'number, "([a-z-]+)"', source)
    )
    documented = set(
        re.findall(
            r"^\| `([a-z-]+)` \|", (REPOSITORY / "docs" / "messaging-server-files.md").read_text(encoding="utf-8"), re.M
        )
    )
    tests = Path(__file__).read_text(encoding="utf-8") + (Path(__file__).parent / "test_seed_listings.py").read_text(
        encoding="utf-8"
    )
    tests += (
        Path(__file__).parents[1] / "module_utils" / "_messaging_server" / "_formats" / "test_mapping.py"
    ).read_text(encoding="utf-8")
    tested = set(re.findall(r'"([a-z]+(?:-[a-z]+)*)"', tests))
    assert len(written) > 36
    assert written <= documented
    assert (documented - {"include-loop", "include-size"}) <= tested


@pytest.mark.parametrize("lint", [mapping_lint, imta_cnf_lint, dispatcher_lint])
def test_wrong_types_are_named(lint: Any) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        lint(["x"])
    assert str(caught.value) == (
        f"parameter _input of filter mailhost.hardening.{lint.__name__}: a list is not accepted; write a string"
    )


def test_wrong_lists_are_named() -> None:
    with pytest.raises(
        AnsibleFilterError,
        match=r'^parameter load_balancers of filter \S+: "192\.0\.2\.1" is not accepted; write a list of strings$',
    ):
        mapping_lint("", "192.0.2.1")
    with pytest.raises(
        AnsibleFilterError, match=r"^parameter channels\[0\] of filter \S+: 1 is not accepted; write a string$"
    ):
        mapping_lint("", channels=[1])


LINES = st.lists(
    st.sampled_from(
        [
            "PORT_ACCESS\n",
            "INTERNAL_IP\n",
            "\n",
            "! c\\\n",
            "  *  $C",
            "  $(10.0.0.1/8) ",
            "$[x,dns_verify_domain,",
            "]",
            "$N|",
            "*@*|",
            "SMTP|",
            "\\\n",
            "$",
            "c smtp \\\n",
            "[]\t",
            '"',
            "DNS_VERIFY_DOMAIN=",
            "[SERVICE=",
            "é\x85",
        ]
    ),
    max_size=14,
).map("".join)


@settings(max_examples=500)
@given(st.one_of(LINES, st.text()))
def test_any_text_gives_findings(text: str) -> None:
    for findings in (mapping_lint(text, ["192.0.2.1"], ["l"]), imta_cnf_lint(text), dispatcher_lint(text, text)):
        lines = text.count("\n") + 1
        assert all(1 <= finding["line"] <= lines for finding in findings)
