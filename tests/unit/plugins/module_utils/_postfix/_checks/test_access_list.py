# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read of a site's postscreen_access_list."""

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.access_list import (
    LONGEST,
    AccessList,
    read_access_list,
)
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._checks.contexts import (
    StubHost,
    context,
)

POLICY = {
    "domains": ["mail.example"],
    "internal_networks": ["198.51.100.64/26"],
    "blocked_networks": ["203.0.113.0/26"],
}
TEXTS = {
    "/etc/postfix/a": "# partners\n192.0.2.1 permit\n192.0.2.0/30\n  REJECT\n203.0.113.9 reject\n2001:db8::/64 reject\n",
    "/etc/postfix/odd": "if 192.0.2.0/24\n192.0.2.7 reject\nendif\n",
    "/etc/postfix/words": "192.0.2.7 reject go away\n",
    "/etc/postfix/inside": "198.51.100.65 reject\n198.51.100.0/25 reject\n",
    "/etc/postfix/long": "".join(f"192.0.2.{2 * number} reject\n" for number in range(LONGEST + 1)),
}
TABLES = {
    "hash:/etc/postfix/b": [("192.0.2.9", "reject"), ("192.0.2.10", "dunno"), ("192.0.2.1", "reject")],
    "texthash:/etc/postfix/octets": [("192.0.2", "reject")],
}


def read(value: str, **settings: object) -> AccessList:
    host = StubHost(texts=TEXTS, tables=TABLES)
    return read_access_list(value, context(policy=POLICY, settings=settings, host=host))


def test_first_match_of_all_tables_counts_and_what_the_policy_has_is_left_out() -> None:
    found = read("permit_mynetworks, cidr:/etc/postfix/a hash:/etc/postfix/b")
    assert found == AccessList(("192.0.2.1/32",), ("192.0.2.0/32", "192.0.2.2/31", "2001:db8::/64", "192.0.2.9/32"))


def test_address_that_a_table_is_silent_about_on_purpose_is_not_rejected_by_a_later_one() -> None:
    found = read("hash:/etc/postfix/b, inline:{ {192.0.2.10 = reject}, 192.0.2.11=permit }")
    assert (found.permitted, found.rejected) == (("192.0.2.11/32",), ("192.0.2.9/32", "192.0.2.1/32"))


def test_internal_clients_are_permitted_before_all_tables_behind_them() -> None:
    assert read("permit_mynetworks cidr:/etc/postfix/inside").rejected == ("198.51.100.0/26",)
    assert read("cidr:/etc/postfix/inside").rejected[0] == "198.51.100.65/32"


@pytest.mark.parametrize(
    "entry",
    [
        "cidr:/etc/postfix/odd",
        "cidr:/etc/postfix/words",
        "cidr:/etc/postfix/missing",
        "cidr:/etc/postfix/long",
        "texthash:/etc/postfix/octets",
        "hash:/etc/postfix/missing",
        "pcre:/etc/postfix/a",
        "inline:{ }",
        "reject",
        "permit",
    ],
)
def test_what_cannot_be_read_is_named(entry: str) -> None:
    assert read(f"permit_mynetworks, {entry}") == AccessList(unread=(entry,))


def test_nothing_behind_an_unread_table_is_taken_for_certain() -> None:
    found = read("hash:/etc/postfix/b pcre:/etc/postfix/a cidr:/etc/postfix/a dunno")
    assert found.rejected == ("192.0.2.9/32", "192.0.2.1/32")
    assert found.unread == ("pcre:/etc/postfix/a", "cidr:/etc/postfix/a")


def test_table_that_the_inventory_has_among_its_restrictions_is_not_asked_for() -> None:
    kept = {"client": ["check_client_access cidr:/etc/postfix/a"]}
    assert read("permit_mynetworks, cidr:/etc/postfix/a, dunno", extra_restrictions=kept) == AccessList()
