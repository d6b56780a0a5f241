# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.dns_verify import (
    StaticResolver,
    call_routine,
    dnsbl_name,
)

RESOLVER = StaticResolver(
    {
        "Good.Example.": {"MX": ["mx"]},
        "slow.example": "SERVFAIL",
        "2.0.0.127.text.example": {"TXT": ["for $Y reasons"], "A": ["127.0.0.2"]},
        "2.0.0.127.bare.example": ["127.0.0.2"],
        "2.0.0.127.slow.example": "SERVFAIL",
    }
)
CALLS = [
    ("dns_verify", "good.example|$y|$Nno", "$y"),
    ("dns_verify", "bad.example|$y|$Nno - %e", "$Nno - not found"),
    ("dns_verify", "slow.example|$y|$Nno|$Nlater %e", "$Nlater no answer"),
    ("dns_verify", "slow.example|$y|$Nno", None),
    ("dns_verify", "good.example", None),
    ("dns_verify_domain", "127.0.0.2,text.example.,own", "$Nfor $$Y reasons"),
    ("dns_verify_domain", "127.0.0.2,bare.example.,own, text", "$Nown, text"),
    ("dns_verify_domain", "127.0.0.2,bare.example.", "$NNo error text available"),
    ("dns_verify_domain_port", "127.0.0.2,bare.example.,own", "$N500$ 5.7.1$ own"),
    ("dns_verify_domain", "127.0.0.2,slow.example.,own", None),
    ("dns_verify_domain", "127.0.0.1,text.example.,own", None),
    ("dns_verify_domain", "::1,text.example.,own", None),
    ("dns_verify_ptr", "127.0.0.2|a|b", None),
]


@pytest.mark.parametrize(("routine", "argument", "returned"), CALLS)
def test_routines(routine: str, argument: str, returned: str | None) -> None:
    assert call_routine(RESOLVER, routine, argument) == returned


@pytest.mark.parametrize(
    ("records", "exists"),
    [
        ({"b.example": ["192.0.2.1"]}, True),
        ({"B.example.": {"mx": ["mx"]}}, True),
        ({"b.example": {"AAAA": ["2001:db8::1"]}}, True),
        ({"b.example": {"A": "SERVFAIL", "MX": []}}, None),
        ({"b.example": {"A": "SERVFAIL", "MX": ["mx"]}}, True),
        ({"b.example": {"TXT": ["v=spf1 -all"]}}, False),
        ({"b.example": []}, False),
        ({"b.example": "SERVFAIL"}, None),
        ({}, False),
    ],
)
def test_names_that_exist_have_an_address_or_exchanger(records: dict[str, object], exists: bool | None) -> None:
    assert StaticResolver(records).exists("b.example") is exists


def test_dnsbl_names() -> None:
    assert dnsbl_name("192.0.2.7", "bl.example.") == "7.2.0.192.bl.example"
    assert dnsbl_name("no address", "bl.example.") is None
