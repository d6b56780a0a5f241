# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.policy_tests import (
    PolicyTest,
    read_policy_tests,
)

GOOD = {"client": "192.0.2.7", "mail_from": "a@b.example", "rcpt_to": "c@d.example", "expect": "reject"}


def test_what_is_left_out_has_a_default() -> None:
    found = read_policy_tests([GOOD])
    assert found == (
        PolicyTest("192.0.2.7", False, "a@b.example", "c@d.example", "reject", 25, "", "mailhost_policy_tests[0]"),
    )
    assert found[0].title == "mailhost_policy_tests[0]: 192.0.2.7, port 25, from <a@b.example> to <c@d.example>"
    assert read_policy_tests([dict(GOOD, authenticated=True, comment="staff", port=587)])[0].title == (
        "mailhost_policy_tests[0] (staff): 192.0.2.7 (authenticated), port 587, from <a@b.example> to <c@d.example>"
    )
    assert read_policy_tests([dict(GOOD, mail_from="")])[0].mail_from == ""


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("x", 'mailhost_policy_tests: "x" is not a list; write a list of {client, mail_from, rcpt_to, expect}'),
        (["x"], 'mailhost_policy_tests[0]: "x" is not a dictionary; write {client, mail_from, rcpt_to, expect}'),
        (
            [dict(GOOD, client="192.0.2.0/24")],
            'mailhost_policy_tests[0].client: "192.0.2.0/24" is not an address; '
            'write an address, as "192.0.2.7" or "2001:db8::7"',
        ),
        (
            [dict(GOOD, expect="refuse")],
            'mailhost_policy_tests[0].expect: "refuse" is not accepted; write accept or reject',
        ),
        (
            [dict(GOOD, authenticated="yes")],
            'mailhost_policy_tests[0].authenticated: "yes" is not accepted; write true or false',
        ),
        ([dict(GOOD, port=2525)], "mailhost_policy_tests[0].port: 2525 is not accepted; write 25, 465, 587"),
        (
            [dict(GOOD, rcpt_to="a@b\nc")],
            'mailhost_policy_tests[0].rcpt_to: "a@b\\nc" is not accepted; '
            'write an address without angle brackets, as "a@example.org"',
        ),
        (
            [dict(GOOD, mail_from="<>")],
            'mailhost_policy_tests[0].mail_from: "<>" is not accepted; '
            'write an address without angle brackets, as "a@example.org", or "" for none',
        ),
        (
            [dict(GOOD, sender="x")],
            'mailhost_policy_tests[0]: "sender" is not a key; '
            "write one of client, authenticated, mail_from, rcpt_to, expect, port, comment",
        ),
        ([dict(GOOD, comment=7)], "mailhost_policy_tests[0].comment: 7 is not accepted; write a line of text"),
    ],
)
def test_wrong_test_is_an_error_with_path_and_accepted_form(value: object, problem: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read_policy_tests(value)
    assert caught.value.problems == [problem]


def test_all_problems_at_once() -> None:
    with pytest.raises(PolicyError) as caught:
        read_policy_tests([{}, {"client": "x"}])
    assert len(caught.value.problems) == 8
