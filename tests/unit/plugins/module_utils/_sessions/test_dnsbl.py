# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.dnsbl import (
    ERRORS_ARE_LISTINGS,
    Answers,
    describe_fault,
    query_dnsbls,
)


@pytest.mark.parametrize(
    ("listed", "unlisted", "fault"),
    [
        (["127.0.0.2"], [], ""),
        (["127.0.0.2", "127.0.0.10"], [], ""),
        (
            ["127.255.255.254"],
            ["127.255.255.254"],
            "it answers 127.255.255.254: the DNSBL does not answer public or shared resolvers; use a resolver "
            "of your own. Messaging Server would take that for a listing and reject all mail",
        ),
        (
            ["127.0.0.2"],
            ["127.255.255.255"],
            "it answers 127.255.255.255: this resolver has sent too many queries; the DNSBL requires an agreement. "
            "Messaging Server would take that for a listing and reject all mail",
        ),
        (
            ["127.255.255.7"],
            [],
            "it answers 127.255.255.7: an error, not a listing. "
            "Messaging Server would take that for a listing and reject all mail",
        ),
        (
            ["127.0.0.2"],
            ["127.0.0.2"],
            "it lists 127.0.0.1 (127.0.0.2), as a DNSBL does that has closed and lists every address",
        ),
        (
            [],
            [],
            "it does not list its test entry 127.0.0.2 (RFC 5782), as a DNSBL does that has closed or was misspelt",
        ),
        (None, None, "the host's resolver gets no answer from it (time-out or server failure)"),
        (["127.0.0.2"], None, "the host's resolver gets no answer from it (time-out or server failure)"),
        (
            None,
            ["127.0.0.2"],
            "it lists 127.0.0.1 (127.0.0.2), as a DNSBL does that has closed and lists every address",
        ),
    ],
)
def test_faults(listed: Sequence[str] | None, unlisted: Sequence[str] | None, fault: str) -> None:
    assert describe_fault(Answers(listed, unlisted), ERRORS_ARE_LISTINGS) == fault


def test_asks_for_both_test_entries_of_every_list() -> None:
    asked: list[str] = []

    def ask(name: str) -> list[str]:
        asked.append(name)
        return ["127.0.0.2"] if name.startswith("2.") else []

    assert query_dnsbls(["a.example", "b.example"], ask) == {
        "a.example": Answers(["127.0.0.2"], []),
        "b.example": Answers(["127.0.0.2"], []),
    }
    assert sorted(asked) == [
        "1.0.0.127.a.example.", "1.0.0.127.b.example.", "2.0.0.127.a.example.", "2.0.0.127.b.example.",
    ]  # fmt: skip


def test_a_list_that_never_answers_does_not_hold_the_others_up() -> None:
    never = threading.Event()

    def ask(name: str) -> list[str]:
        if "slow" in name:
            never.wait(60)
        return ["127.0.0.2"] if name.startswith("2.") else []

    try:
        assert query_dnsbls(["slow.example", "good.example"], ask, patience=0.2) == {
            "slow.example": Answers(None, None),
            "good.example": Answers(["127.0.0.2"], []),
        }
    finally:
        never.set()
