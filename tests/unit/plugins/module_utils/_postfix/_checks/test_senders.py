# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses from which users could send before the first run keep an owner, or are reported."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.context import PolicyContext, Warn
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.senders import (
    alias_owners,
    unlisted_aliases,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.unknown import (
    describe_unknown,
    find_all,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.record import NOTHING, Owned, Record
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._checks.contexts import (
    StubHost,
    context,
)
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._plan.test_compose import plan

SITE = {"smtpd_tls_cert_file": "/c.pem", "smtpd_sasl_auth_enable": "yes", "smtpd_sasl_type": "dovecot"}
VIRTUAL, LOCAL = "hash:/etc/postfix/virtual", "hash:/etc/aliases"
ENTRIES = {
    VIRTUAL: [
        ("ann.smith@mail.example", "ann"),
        ("sales@mail.example", "ann, bob@mail.example, x@elsewhere.example"),
        ("old.example", "anything"),
        ("Ann@old.example", "ann@mail.example"),
        ("bob@old.example", "bob"),
        ("@old.example", "boss"),
        ("@mail.example", "ann"),
        ("@other.example", "@mail.example"),
        ("loop@mail.example", "loop@mail.example"),
        ("ann@mail.example", "ann"),
    ],
    LOCAL: [
        ("YP_LAST_MODIFIED", "1796102719"),
        ("postmaster", "root"),
        ("hostmaster", "root"),
        ("office", "team, |/bin/x, /dev/null, :include:/x"),
        ("team", "ann, bob"),
    ],
}


def users(site: dict[str, str] | None = None, record: Record = NOTHING, **settings: Any) -> PolicyContext:
    values = {"virtual_alias_maps": VIRTUAL, "alias_maps": f"{LOCAL}, nis:mail.aliases"}
    site = {**SITE, **(site or {})}
    wanted = plan(site, settings=settings) if "sender_login_maps" not in settings else plan(site)
    host = StubHost(values=values, tables=ENTRIES)
    settings = {"login_form": "local part", **settings}
    return context(site=site, record=record, plan=wanted, host=host, settings=settings)


def test_aliases_get_the_logins_behind_them() -> None:
    assert alias_owners(users()) == {
        "ann.smith@mail.example": ("ann",),
        "sales@mail.example": ("ann", "bob"),
        "ann@old.example": ("ann",),
        "bob@old.example": ("bob",),
        "@old.example": ("boss",),
        "office@mail.example": ("ann", "bob"),
        "team@mail.example": ("ann", "bob"),
    }
    # A user of the system authenticates by the address at the domain of the alias.
    assert alias_owners(users(login_form="address")) == {
        "ann.smith@mail.example": ("ann@mail.example",),
        "sales@mail.example": ("ann@mail.example", "bob@mail.example"),
        "ann@old.example": ("ann@mail.example",),
        "bob@old.example": ("bob@mail.example",),
        "@old.example": ("boss@mail.example",),
        "office@mail.example": ("ann@mail.example", "bob@mail.example"),
        "team@mail.example": ("ann@mail.example", "bob@mail.example"),
    }


def test_aliases_are_asked_for_once() -> None:
    found = yaml.safe_load(describe_unknown(find_all(users())))
    assert found.keys() == {"postfix_sender_logins"}
    assert not alias_owners(users(sender_logins=found["postfix_sender_logins"]))
    some = {"sales@mail.example": ["carol"], "@old.example": ["ann", "boss"]}
    assert yaml.safe_load(describe_unknown(find_all(users(sender_logins=some))))["postfix_sender_logins"] == {
        "sales@mail.example": ["carol", "ann", "bob"],
        "@old.example": ["ann", "boss"],
        "ann.smith@mail.example": ["ann"],
        "bob@old.example": ["bob"],
        "office@mail.example": ["ann", "bob"],
        "team@mail.example": ["ann", "bob"],
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"site": {"smtpd_sasl_auth_enable": "no"}},
        {"site": {"smtpd_sender_login_maps": "hash:/etc/postfix/owners"}},
        {"record": Record({"smtpd_sender_login_maps": Owned(None, "x")}, {}, ())},
        {"submission": False},
        {"sender_login_maps": [VIRTUAL]},
    ],
)
def test_aliases_are_not_asked_for_where_nothing_changes_for_their_senders(changes: dict[str, Any]) -> None:
    assert not alias_owners(users(**changes))


def test_alias_tables_that_cannot_be_listed_are_a_warning() -> None:
    host = StubHost(values={"virtual_alias_maps": f"{VIRTUAL}, proxy:mysql:/etc/postfix/a.cf"})
    assert list(unlisted_aliases(context(site=SITE, plan=plan(SITE), host=host))) == [
        Warn(
            "virtual_alias_maps: proxy:mysql:/etc/postfix/a.cf cannot be listed: users who send from its aliases are "
            "rejected with 553; name their logins in postfix_sender_logins, or a table of owners in "
            "postfix_sender_login_maps"
        )
    ]


def test_tables_of_owners_are_printed_for_their_variable() -> None:
    site = {**SITE, "smtpd_sender_login_maps": "texthash:/etc/postfix/a, oracle:/b, hash:/etc/postfix/c"}
    wanted = plan(site)
    assert describe_unknown(find_all(context(site=site, plan=wanted))) == (
        "postfix_sender_login_maps:\n"
        "  - 'texthash:/etc/postfix/a'\n"
        "  - 'hash:/etc/postfix/c'\n"
        "# without a variable of their own:\n"
        "#   smtpd_sender_login_maps: oracle:/b"
    )
    kept = {"sender_login_maps": ["texthash:/etc/postfix/a", "hash:/etc/postfix/c"]}
    assert describe_unknown(find_all(context(site=site, plan=wanted, settings=kept))).count("\n") == 1


def test_reference_to_a_table_of_owners_is_followed() -> None:
    site = {**SITE, "smtpd_sender_login_maps": "$virtual_alias_maps"}
    host = StubHost(values={"smtpd_sender_login_maps": VIRTUAL})
    found = describe_unknown(find_all(context(site=site, plan=plan(site), host=host)))
    assert found == f"postfix_sender_login_maps:\n  - '{VIRTUAL}'"
