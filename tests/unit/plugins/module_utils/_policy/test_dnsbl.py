# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys of paying users stand in zones, and in no log."""

from __future__ import annotations

import re

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.dnsbl import hide_keys, shown_zone
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.transaction import Change

KEY = "ab1cd2ef3gh4ij5kl6mn7op8qr"
ZONE = f"{KEY}.zen.dq.spamhaus.net"


@pytest.mark.parametrize(
    "line",
    [
        "postscreen_dnsbl_sites = {}.zen.dq.spamhaus.net=127.0.0.[2..11]*3\n    bl.example=127.0.0.2\n",
        "  reject_rbl_client {}.zen.dq.spamhaus.net=127.0.0.2,\n",
        r"  EXTERNAL|*  $[IMTA_LIB:dns_verify.so,dns_verify,127.0.0.2.{}.zen.dq.spamhaus.net.]$E",
        'mailhost_dnsbls[0].zone: "{}.zen.dq.spamhaus.net" cannot be used',
    ],
)
def test_a_key_is_hidden_and_nothing_else(line: str) -> None:
    shown = hide_keys(line.format(KEY))
    assert re.fullmatch(re.escape(line.format("HERE")).replace("HERE", "<key [0-9a-f]{4}>"), shown)
    assert hide_keys(line.format("zen")) == line.format("zen")


def test_another_key_is_seen_to_be_another() -> None:
    assert len({hide_keys(f"{KEY[:-1]}{last}.a.b") for last in "abc"}) == 3


@pytest.mark.parametrize(
    "text",
    [
        "hash:/etc/postfix/mailhost/a-table-with-a-very-long-name-indeed.cidr",
        "smtpd_discard_ehlo_keyword_address_maps = cidr:${config_directory}/mailhost/ehlo.cidr",
        "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff REJECT",
        "-o { smtpd_sender_login_maps = unionmap:{hash:/etc/aliases, static:a} }",
    ],
)
def test_what_is_no_zone_stays(text: str) -> None:
    assert hide_keys(text) == text


def test_a_diff_shows_no_key() -> None:
    change = Change("/etc/postfix/main.cf", f"x = {KEY}.zen.dq.example.net\n".encode(), f"x = {ZONE}\n".encode())
    diff = change.diff()
    assert KEY not in str(diff)
    assert diff["before"] != diff["after"]


def test_what_is_hidden_in_texts_is_hidden_in_logs() -> None:
    """The same first labels are keys for both."""
    for length in range(20, 64):
        zone = f"{'k' * length}.bl.example"
        assert (shown_zone(zone) != zone) == (hide_keys(zone) != zone)
