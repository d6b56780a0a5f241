# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is named where sessions do not end in time."""

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.deciders import Files
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.waits import (
    NOTHING_FOUND,
    describe_waits,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.main_cf import MainCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.master_cf import MasterCf

MASTER = """\
smtp inet n - y - - smtpd
2525 inet n - y - - smtpd
  -o smtpd_client_restrictions=check_client_access,cidr:/srv/slow.cidr
"""
TABLES = {"/srv/slow.cidr": "# sleep 9\n192.0.2.0/24 sleep 20\n0.0.0.0/0 check_policy_service inet:127.0.0.1:9\n"}
PORT_25, PORT_2525 = ("", "25"), ("", "2525")


def waits(main: str, key: tuple[str, str] = PORT_25, *, live: bool = False) -> list[str]:
    text = describe_waits([key], Files(MainCf(main), MasterCf(MASTER)), live=live, read=lambda path: TABLES[path])
    lines = text.splitlines()
    if text == NOTHING_FOUND:
        return []
    assert (lines[0], lines[-1]) == (
        "clients may wait for:",
        "remove it for the time of the run, or have it answer sooner",
    )
    return lines[1:-1]


@pytest.mark.parametrize(
    ("main", "line"),
    [
        ("smtpd_client_restrictions = sleep 1, permit\n", "'sleep 1' in smtpd_client_restrictions (main.cf)"),
        (
            "smtpd_restriction_classes = slow\nslow = sleep, 30\n",
            "'sleep 30' in slow (main.cf)",
        ),
        (
            "smtpd_recipient_restrictions = check_policy_service { inet:127.0.0.1:9, timeout=10s }\n",
            "'check_policy_service inet:127.0.0.1:9' in smtpd_recipient_restrictions (main.cf)",
        ),
        ("smtpd_milters = inet:127.0.0.1:9\n", "'inet:127.0.0.1:9', smtpd_milters (main.cf)"),
        (
            "smtpd_error_sleep_time = 10s\nsmtpd_soft_error_limit = 1\n",
            "smtpd_error_sleep_time = '10s' after 1 errors, smtpd_error_sleep_time (main.cf)",
        ),
    ],
)
def test_what_only_the_live_server_waits_for_is_no_cause_in_a_canary(main: str, line: str) -> None:
    assert waits(main, live=True) == [line]
    assert waits(main) == []


@pytest.mark.parametrize("live", [False, True])
def test_tables_of_other_servers_are_named_with_parameter_and_file(live: bool) -> None:
    main = "virtual_alias_maps = hash:/etc/postfix/virtual, proxy:mysql:/etc/postfix/aliases.cf\n"
    line = "the answer of proxy:mysql:/etc/postfix/aliases.cf, of virtual_alias_maps (main.cf)"
    assert waits(main, live=live) == [line]
    assert waits("smtp_tls_policy_maps = tcp:127.0.0.1:9\n", live=live) == []


def test_sleep_in_a_table_of_one_service_is_named_for_that_service_alone() -> None:
    where = "cidr:/srv/slow.cidr, of smtpd_client_restrictions (-o, master.cf line 2)"
    assert waits("", PORT_2525) == [f"'sleep 20' in {where}", f"'check_policy_service inet:127.0.0.1:9' in {where}"]
    assert waits("", PORT_25) == []


def test_canary_without_a_cause_says_so() -> None:
    assert describe_waits([PORT_25], Files(MainCf(""), MasterCf(MASTER)), live=False) == (
        "no setting was found that makes clients wait; this host may be too slow for that many sessions"
    )
