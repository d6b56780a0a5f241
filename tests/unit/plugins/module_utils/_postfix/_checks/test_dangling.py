# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Edited parameters that use managed tables and classes are found before those are removed."""

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.context import Conflict
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.dangling import dangling_references
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.record import NOTHING, Owned, Record
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._checks.contexts import (
    SMTP,
    context,
)

MANAGED = Record(
    {"mynetworks": Owned(None, "x"), "mailhost_class": Owned(None, "reject")}, {}, ("blocked.cidr", "internal.cidr")
)
ADVICE = (
    "these managed objects are being removed, but the settings above still use them, and mail would be deferred or "
    "rejected; remove the references first"
)


def found(main: str, master: str = SMTP, after: Record = NOTHING) -> list[str]:
    """Return the references that are reported."""
    conflicts = list(dangling_references(context(main, master, record=MANAGED, after=after)))
    if not conflicts:
        return []
    (conflict,) = conflicts
    assert isinstance(conflict, Conflict)
    assert conflict.step == "read"
    *lines, advice = conflict.text.splitlines()
    assert advice == ADVICE
    return lines


@pytest.mark.parametrize(
    "value",
    [
        "cidr:${config_directory}/mailhost/internal.cidr, 10.1.2.0/24",
        "10.1.2.0/24 cidr:$config_directory/mailhost/internal.cidr",
        "10.1.2.0/24,\n  cidr:$(config_directory)/mailhost/internal.cidr",
        "!proxy:cidr:/etc/postfix/mailhost//internal.cidr",
    ],
)
def test_reference_to_a_removed_table_is_found(value: str) -> None:
    assert found(f"mynetworks = {value}\n") == ["main.cf: mynetworks uses mailhost/internal.cidr"]


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
def test_unmanaged_names_are_no_reference(value: str) -> None:
    assert found(f"mynetworks = {value}\n") == []


def test_references_in_every_file_are_reported() -> None:
    main = (
        "smtpd_restriction_classes = mailhost_class, mine\n"
        "smtpd_client_restrictions = check_client_access cidr:${config_directory}/mailhost/blocked.cidr, mailhost_class\n"
    )
    master = f"{SMTP}  -o smtpd_client_restrictions=$mailhost_class\n"
    assert found(main, master) == [
        "main.cf: smtpd_restriction_classes uses mailhost_class",
        "main.cf: smtpd_client_restrictions uses mailhost/blocked.cidr",
        "main.cf: smtpd_client_restrictions uses mailhost_class",
        "master.cf: smtp inet uses mailhost_class",
    ]


def test_reference_to_what_stays_is_accepted() -> None:
    edited = "mynetworks = cidr:${config_directory}/mailhost/internal.cidr, 10.1.2.0/24\n"
    assert found(edited, after=Record({}, {}, ("internal.cidr",))) == []
    # An edited class stays as well.
    assert found("smtpd_client_restrictions = mailhost_class\nmailhost_class = permit\n") == []
