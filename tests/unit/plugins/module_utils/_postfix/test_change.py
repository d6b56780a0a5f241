# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parts of a run on the host that need no Postfix; the scenarios show the rest."""

from __future__ import annotations

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix import change
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.main_cf import MainCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.master_cf import MasterCf


def test_parameters_of_milters_are_those_of_smtp_clients() -> None:
    main = "smtpd_milters = inet:127.0.0.1:8891\nmilter_default_action = accept\nnon_smtpd_milters =\nbiff = no\n"
    found = change._milters(MainCf(main))
    assert found == {"smtpd_milters": "inet:127.0.0.1:8891", "milter_default_action": "accept"}


def test_postscreen_serves_port_25_where_an_inet_service_runs_it() -> None:
    smtpd, screen = ("smtp inet n - y - - smtpd\n", "smtp inet n - y - 1 postscreen\nsmtpd pass - - y - - smtpd\n")
    elsewhere = f"{smtpd}2525 inet n - y - 1 postscreen\n"
    assert [change._has_postscreen(MasterCf(text)) for text in (smtpd, screen, elsewhere)] == [False, True, False]


def test_connections_at_the_same_time_stay_below_the_limit() -> None:
    assert [change._connections(limit) for limit in (0, 1, 3, 10, 20)] == [8, 1, 1, 5, 8]
