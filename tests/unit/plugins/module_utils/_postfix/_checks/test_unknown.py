# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What main.cf has beyond the inventory is shown in the inventory's own form."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.unknown import (
    describe_unknown,
    find_unknown,
    restrictions_of,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.files import Lines
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.record import NOTHING, Owned, Record
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import compile_plan, read_wanted
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._plan.test_compose import (
    POLICY,
    facts,
)


def told(site: dict[str, str], record: Record = NOTHING, **settings: Any) -> str:
    policy, read = read_wanted(POLICY, {"submission": False, **settings})
    plan = compile_plan(policy, read, facts(site))
    found = find_unknown(site, plan, record, policy=policy, settings=read, host_name="mx.mail.example")
    return describe_unknown(found)


def test_debian_as_shipped_has_nothing_unknown() -> None:
    assert not told(
        {
            "mynetworks": "127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128",
            "mydestination": "$myhostname, mx.mail.example, mx, localhost.localdomain, , localhost",
            "smtpd_relay_restrictions": "permit_mynetworks permit_sasl_authenticated defer_unauth_destination",
        }
    )


def test_everything_is_shown_in_its_place() -> None:
    site = {
        "mynetworks": "127.0.0.0/8 198.51.100.64/27, 10.0.0.0/8 hash:/etc/postfix/nets [2001:db8::]/32",
        "mydestination": "$myhostname, mail.example, old.example, /etc/postfix/domains",
        "smtpd_recipient_restrictions": "permit_mynetworks, reject_rbl_client bl.example, reject_rbl_client other.example,"
        " check_policy_service unix:private/greylist, warn_if_reject reject_unknown_client_hostname",
        "smtpd_relay_restrictions": "permit_mynetworks, check_client_access hash:/etc/postfix/friends, reject",
    }
    assert told(site) == (
        "mailhost_internal_networks:\n"
        "  - 10.0.0.0/8\n"
        "  - '2001:db8::/32'\n"
        "mailhost_domains:\n"
        "  - old.example\n"
        "postfix_extra_restrictions:\n"
        "  recipient:\n"
        "    - 'reject_rbl_client other.example'\n"
        "    - 'check_policy_service unix:private/greylist'\n"
        "    - 'warn_if_reject reject_unknown_client_hostname'\n"
        "# without a variable of their own:\n"
        "#   mynetworks: hash:/etc/postfix/nets\n"
        "#   mydestination: /etc/postfix/domains\n"
        "#   smtpd_relay_restrictions: check_client_access hash:/etc/postfix/friends"
    )


def test_what_the_inventory_has_is_known() -> None:
    site = {"smtpd_recipient_restrictions": "permit_mynetworks, check_policy_service unix:private/greylist"}
    assert told(site)
    assert not told(site, extra_restrictions={"recipient": ["check_policy_service unix:private/greylist"]})


def test_what_was_there_at_the_first_run_is_known() -> None:
    site = {"mynetworks": "10.0.0.0/8"}
    assert told(site)
    assert not told(site, Record({"mynetworks": Owned(Lines("mynetworks = 10.0.0.0/8\n"), "x")}, {}, ()))


@pytest.mark.parametrize(
    ("name", "managed", "more", "shown"),
    [
        ("mynetworks", "cidr:/a/internal.cidr", "10.0.0.0/8", "mailhost_internal_networks:\n  - 10.0.0.0/8"),
        ("mydestination", "localhost, mail.example", "old.example", "mailhost_domains:\n  - old.example"),
        (
            "smtpd_client_restrictions",
            "check_client_access cidr:/a/blocked.cidr",
            "reject_unknown_client_hostname",
            "postfix_extra_restrictions:\n  client:\n    - reject_unknown_client_hostname",
        ),
    ],
)
def test_what_somebody_adds_to_ours_is_unknown(name: str, managed: str, more: str, shown: str) -> None:
    for before in (None, Lines(f"{name} = x\n")):
        assert told({name: f"{managed}, {more}"}, Record({name: Owned(before, managed)}, {}, ())) == shown


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("", []),
        ("permit_mynetworks,reject", ["permit_mynetworks", "reject"]),
        ("check_client_access hash:/a reject", ["check_client_access hash:/a", "reject"]),
        ("check_recipient_access { hash:/a, { search_order = x } }, reject", None),
        ("warn_if_reject check_sender_access hash:/a", ["warn_if_reject check_sender_access hash:/a"]),
        ("check_client_access", ["check_client_access"]),
        (
            "check_sender_access inline:{ {a.example = REJECT no, thank you} },reject",
            ["check_sender_access inline:{ {a.example = REJECT no, thank you} }", "reject"],
        ),
    ],
)
def test_restrictions_keep_their_arguments(value: str, found: list[str] | None) -> None:
    if found is None:
        assert restrictions_of(value)[-1] == "reject"
    else:
        assert restrictions_of(value) == found
