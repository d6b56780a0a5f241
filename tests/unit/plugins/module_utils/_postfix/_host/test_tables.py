# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which tables of the user's own parameters are asked, and what is made of the answers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host import tables
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host.tables import check_tables, tables_in
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.command import StepError

NOISE = "postmap: warning: /etc/postfix/main.cf, line 9: overriding earlier entry: biff=no\n"
MISSING = {"regexp:/etc/postfix/no": "postmap: fatal: open /etc/postfix/no: No such file or directory\n"}
STALE = "postmap: warning: database /m/t.db is older than source file /m/t\n"
PATH = "postfix_extra_settings"


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
def test_what_is_asked(name: str, value: str, found: list[str]) -> None:
    assert tables_in(name, value) == found


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stand in for postmap; the tables that it was asked for."""
    found: list[str] = []

    def call(_step: str, command: Sequence[str], _seconds: float) -> tuple[int, str, str]:
        assert command[:-1] == ("postmap", "-c", "/etc/postfix", "-q", "x")
        found.append(command[-1])
        if command[-1] == "ldap:/slow":
            raise StepError("postmap", "postmap: no end after 15 seconds", "nothing was changed")
        return 1, "", NOISE + {**MISSING, "hash:/m/t": STALE}.get(command[-1], "")

    monkeypatch.setattr(tables, "call", call)
    return found


def check(wanted: dict[str, str], live: dict[str, str] | None = None) -> list[str]:
    return check_tables("/etc/postfix", live or {}, wanted, PATH)


def test_a_table_that_can_be_read(asked: list[str]) -> None:
    assert check({"biff": "no", "header_checks": "regexp:/there"}) == []
    assert asked == ["static:x", "regexp:/there"]


def test_nothing_is_asked_without_tables(asked: list[str]) -> None:
    assert check({"biff": "no"}) == []
    assert asked == []


def test_every_table_that_cannot_be_read_is_told() -> None:
    with pytest.raises(PolicyError) as caught:
        check({"header_checks": "regexp:/there, regexp:/etc/postfix/no", "transport_maps": "ldap:/slow"})
    assert caught.value.problems == [
        'postfix_extra_settings["header_checks"]: "regexp:/etc/postfix/no" cannot be read: open /etc/postfix/no: '
        "No such file or directory; write a table that postmap -q can read",
        'postfix_extra_settings["transport_maps"]: "ldap:/slow" cannot be read: postmap: no end after 15 seconds; '
        "write a table that postmap -q can read",
    ]


def test_what_the_live_configuration_has_as_well_is_a_warning() -> None:
    wanted = {"header_checks": "regexp:/etc/postfix/no"}
    told = (
        'postfix_extra_settings["header_checks"]: "regexp:/etc/postfix/no": open /etc/postfix/no: '
        "No such file or directory"
    )
    assert check(wanted, wanted) == [told]
    with pytest.raises(PolicyError):
        check(wanted, {"body_checks": "regexp:/etc/postfix/no"})


def test_an_old_index_is_a_warning() -> None:
    assert check({"transport_maps": "hash:/m/t"}) == [
        'postfix_extra_settings["transport_maps"]: "hash:/m/t": warning: database /m/t.db is older '
        "than source file /m/t"
    ]
