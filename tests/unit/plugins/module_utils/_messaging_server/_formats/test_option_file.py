# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""option.dat is read as the vendor documents it, and options that change probes or comments are named."""

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.option_file import (
    as_integer,
    changing_options,
    parse_options,
)

RECIPIENT = (
    "is set in option.dat: the recipient tables are then probed with a further field, for which this role has no "
    "entries; remove the option"
)


def test_comments_continuations_and_the_last_of_several_values() -> None:
    text = "! a\n; b\n# c\nFirst = 1\nlong=a\\\n! between\nb\nfirst=2\r\n\nno option\nLAST=x\\"
    assert parse_options(text) == {"FIRST": "2", "LONG": "ab", "LAST": "x"}


@pytest.mark.parametrize(
    ("value", "number"),
    [("0", 0), ("17", 17), ("2%101", 5), ("16%7C", 124), ("2%9", None), ("1%1", None), ("yes", None)],
)
def test_integers_may_have_a_base(value: str, number: int | None) -> None:
    assert as_integer(value) == number


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ACCESS_ORCPT=1", [f"ACCESS_ORCPT {RECIPIENT}"]),
        ("access_orcpt=2%1000", [f"ACCESS_ORCPT {RECIPIENT}"]),
        ("ACCESS_COUNTS=16", [f"ACCESS_COUNTS {RECIPIENT}"]),
        (
            "INCLUDE_CONVERSIONTAG=what",
            [
                "INCLUDE_CONVERSIONTAG is set in option.dat: the access tables are then probed with a further field, for "
                "which this role has no entries; remove the option"
            ],
        ),
        (
            "DELIMITER_CHAR=58",
            [
                "DELIMITER_CHAR is set in option.dat: another character than the bar then separates the fields of probes, "
                "and no entry of this role fits them; remove the option"
            ],
        ),
        (
            "COMMENT_CHARS=33",
            [
                "COMMENT_CHARS is set in option.dat: other lines than this role takes for comments are then comments of the "
                "files; remove the option"
            ],
        ),
        ("ACCESS_ORCPT=0\nACCESS_COUNTS=2%0\nDELIMITER_CHAR=124\nDELIMITER_CHAR=16%7c\nACCESS_ERRORS=1", []),
    ],
)
def test_options_that_change_probes_or_comments_are_named(line: str, expected: list[str]) -> None:
    assert list(changing_options(parse_options(line))) == expected
