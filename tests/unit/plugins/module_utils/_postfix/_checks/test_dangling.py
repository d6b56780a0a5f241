# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Edited parameters that name tables and classes of ours are found before those leave."""

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.dangling import dangling
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.record import NOTHING, Owned, Record

MANAGED = Record(
    {"mynetworks": Owned(None, "x"), "mailhost_class": Owned(None, "reject")}, {}, ("blocked.cidr", "internal.cidr")
)
SMTP = "smtp inet n - y - - smtpd\n"


def found(main: str, master: str = SMTP, after: Record = NOTHING) -> list[str]:
    return dangling(main, master, MANAGED, after, "/etc/postfix")


@pytest.mark.parametrize(
    "value",
    [
        "cidr:${config_directory}/mailhost/internal.cidr, 10.1.2.0/24",
        "10.1.2.0/24 cidr:$config_directory/mailhost/internal.cidr",
        "10.1.2.0/24,\n  cidr:$(config_directory)/mailhost/internal.cidr",
        "!proxy:cidr:/etc/postfix/mailhost//internal.cidr",
    ],
)
def test_a_table_that_leaves(value: str) -> None:
    assert found(f"mynetworks = {value}\n") == ["main.cf: mynetworks names mailhost/internal.cidr"]


@pytest.mark.parametrize(
    "value",
    [
        "cidr:/srv/mailhost/internal.cidr",
        "cidr:${config_directory}/mailhost/internal.cidr.mine",
        "cidr:${config_directory}/mailhost/mine.cidr",
        "cidr:/srv/etc/postfix/mailhost/internal.cidr",
        "cidr:/etc/postfix.old/mailhost/internal.cidr",
        "mailhost_classes, my_mailhost_class",
    ],
)
def test_what_is_the_sites_own(value: str) -> None:
    assert found(f"mynetworks = {value}\n") == []


def test_every_place_is_told() -> None:
    main = (
        "smtpd_restriction_classes = mailhost_class, mine\n"
        "smtpd_client_restrictions = check_client_access cidr:${config_directory}/mailhost/blocked.cidr, mailhost_class\n"
    )
    master = f"{SMTP}  -o smtpd_client_restrictions=$mailhost_class\n"
    assert found(main, master) == [
        "main.cf: smtpd_restriction_classes names mailhost_class",
        "main.cf: smtpd_client_restrictions names mailhost/blocked.cidr",
        "main.cf: smtpd_client_restrictions names mailhost_class",
        "master.cf: smtp inet names mailhost_class",
    ]


def test_what_stays_may_be_named() -> None:
    edited = "mynetworks = cidr:${config_directory}/mailhost/internal.cidr, 10.1.2.0/24\n"
    assert found(edited, after=Record({}, {}, ("internal.cidr",))) == []
    # Somebody has edited the class: then it stays as well.
    assert found("smtpd_client_restrictions = mailhost_class\nmailhost_class = permit\n") == []
