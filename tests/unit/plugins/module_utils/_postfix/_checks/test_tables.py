# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which tables of the inventory's own parameters are looked up, and what is made of the errors."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.context import Finding, Problem, Warn
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.tables import lookup_tables, tables_in
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._checks.contexts import (
    StubHost,
    context,
)

NOISE = "warning: /etc/postfix/main.cf, line 9: overriding earlier entry: biff=no"
MISSING = "open /etc/postfix/no: No such file or directory"
STALE = "warning: database /m/t.db is older than source file /m/t"


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("header_checks", "regexp:/etc/postfix/hc", ["regexp:/etc/postfix/hc"]),
        ("header_checks", "pcre:/a, regexp:/b pcre:/a", ["pcre:/a", "regexp:/b"]),
        ("transport_maps", "pipemap:{hash:/a,proxy:mysql:/b}", ["hash:/a", "mysql:/b"]),
        # Not the path of a file that is the table's.
        ("header_checks", "regexp:${config_directory}/hc, regexp:/etc/$name, static:/x, unionmap:{static:a}", []),
        ("smtpd_milters", "unix:/run/milter, local:/run/milter, inet:127.0.0.1:11332", []),
        ("mailbox_transport", "lmtp:unix:/run/lmtp", []),
        ("virtual_transport", "xhash:/a", []),
        # Those that Postfix makes itself, or does not read.
        ("smtp_tls_session_cache_database", "btree:/var/lib/postfix/smtp_scache", []),
        ("address_verify_map", "btree:/var/lib/postfix/verify", []),
        ("postscreen_cache_map", "btree:/var/lib/postfix/ps", []),
        ("proxy_read_maps", "hash:/a", []),
        ("alias_database", "hash:/etc/aliases", []),
    ],
)
def test_tables_of_a_value_are_those_with_a_path(name: str, value: str, found: list[str]) -> None:
    assert tables_in(name, value) == found


@pytest.fixture
def host() -> StubHost:
    """A host with tables that can be read, one that is missing, one behind its source, one without an answer."""
    slow = "postmap: no end after 15 seconds"
    errors = {"ldap:/slow": [slow], "regexp:/etc/postfix/no": [NOISE, MISSING], "hash:/m/t": [NOISE, STALE]}
    return StubHost(errors={"static:x": [NOISE], "regexp:/there": [NOISE], **errors})


def check(host: StubHost, wanted: dict[str, str], live: str = "") -> list[Finding]:
    return list(lookup_tables(context(live_main=live, settings={"extra_settings": wanted}, host=host)))


def test_readable_table_is_accepted(host: StubHost) -> None:
    assert check(host, {"biff": "no", "header_checks": "regexp:/there"}) == []
    assert host.looked_up == ["static:x", "regexp:/there"]


def test_nothing_is_looked_up_without_tables(host: StubHost) -> None:
    assert check(host, {"biff": "no"}) == []
    assert host.looked_up == []


def test_nothing_is_looked_up_where_no_file_changes(host: StubHost) -> None:
    wanted = context(settings={"extra_settings": {"transport_maps": "ldap:/slow"}}, host=host)
    assert not list(lookup_tables(dataclasses.replace(wanted, changed=False)))
    assert host.looked_up == []


def test_unreadable_tables_are_problems(host: StubHost) -> None:
    assert check(host, {"header_checks": "regexp:/there, regexp:/etc/postfix/no", "transport_maps": "ldap:/slow"}) == [
        Problem(
            'postfix_extra_settings["header_checks"]: "regexp:/etc/postfix/no" cannot be read: open /etc/postfix/no: '
            "No such file or directory; write a table that postmap -q can read"
        ),
        Problem(
            'postfix_extra_settings["transport_maps"]: "ldap:/slow" cannot be read: postmap: no end after 15 seconds; '
            "write a table that postmap -q can read"
        ),
    ]


def test_unreadable_table_that_is_live_already_is_a_warning(host: StubHost) -> None:
    wanted = {"header_checks": "regexp:/etc/postfix/no"}
    text = f'postfix_extra_settings["header_checks"]: "regexp:/etc/postfix/no": {MISSING}'
    assert check(host, wanted, "header_checks = regexp:/etc/postfix/no\n") == [Warn(text)]
    (problem,) = check(host, wanted, "body_checks = regexp:/etc/postfix/no\n")
    assert isinstance(problem, Problem)


def test_old_index_is_a_warning(host: StubHost) -> None:
    assert check(host, {"transport_maps": "hash:/m/t"}) == [
        Warn(f'postfix_extra_settings["transport_maps"]: "hash:/m/t": {STALE}')
    ]
