# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.relay_forms import (
    EXTERNAL_SENDER,
    TARGET_DOMAIN,
    relay_forms,
)

#: One path for each form that the issue names; a form that goes missing is seen.
WANTED = [
    (EXTERNAL_SENDER, "victim@relay-target.example"),
    (EXTERNAL_SENDER, "VICTIM@RELAY-TARGET.EXAMPLE"),
    (EXTERNAL_SENDER, "victim@relay-target.example."),
    (EXTERNAL_SENDER, "victim%relay-target.example@own.example"),
    (EXTERNAL_SENDER, "relay-target.example!victim@own.example"),
    (EXTERNAL_SENDER, "@own.example:victim@relay-target.example"),
    (EXTERNAL_SENDER, '"victim@relay-target.example"@own.example'),
    (EXTERNAL_SENDER, "victim@[203.0.113.25]"),
    (EXTERNAL_SENDER, "victim@[IPv6:2001:db8:ffff:ffff::25]"),
    (EXTERNAL_SENDER, "victim@[IPv6:::ffff:203.0.113.25]"),
    ("", "victim@relay-target.example"),
    ("postmaster@own.example", "victim@relay-target.example"),
]


def test_at_least_forty_different_forms() -> None:
    forms = relay_forms("own.example", "192.0.2.25")
    assert len({(form.mail_from, form.rcpt_to) for form in forms}) == len(forms) >= 40
    assert len({form.name for form in forms}) == len(forms)
    assert set(WANTED) <= {(form.mail_from, form.rcpt_to) for form in forms}


def test_no_form_is_for_a_mailbox_of_the_server_alone() -> None:
    for form in relay_forms("own.example", "192.0.2.25"):
        target = (TARGET_DOMAIN, "203.0.113.25", "2001:db8:ffff")
        assert any(one in form.rcpt_to.lower() for one in target), form


@pytest.mark.parametrize(
    ("address", "literal"), [("192.0.2.25", "[192.0.2.25]"), ("2001:db8::25", "[IPv6:2001:db8::25]")]
)
def test_our_own_address_is_a_literal(address: str, literal: str) -> None:
    paths = [form.rcpt_to for form in relay_forms("own.example", address)]
    assert f"victim%{TARGET_DOMAIN}@{literal}" in paths
    assert f"@{literal}:victim@{TARGET_DOMAIN}" in paths


def test_each_inner_name_is_tried_in_three_ways() -> None:
    plain = relay_forms("own.example", "192.0.2.25")
    more = relay_forms("own.example", "192.0.2.25", ("tcp_intranet-daemon", "tcp_auth-daemon"))
    assert [form.rcpt_to for form in more[len(plain) :]] == [
        "victim%relay-target.example@tcp_intranet-daemon",
        '"victim@relay-target.example"@tcp_intranet-daemon',
        "@tcp_intranet-daemon:victim@relay-target.example",
        "victim%relay-target.example@tcp_auth-daemon",
        '"victim@relay-target.example"@tcp_auth-daemon',
        "@tcp_auth-daemon:victim@relay-target.example",
    ]
