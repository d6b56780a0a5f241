# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.general import (
    parse_general,
    print_general,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping import (
    parse_mappings,
    print_mappings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.text import (
    MtaTextError,
    decode,
    encode,
)

SOUND = (
    "! head\r\n\r\nINTERNAL_IP \r\n\r\n  $(192.0.2.0/24)\t$Y  # trailing\r\n! inside\r\n\t*  $N\r\n\r\n\r\n"
    "PORT_ACCESS\n\n<IMTA_TABLE:more.rules\n  *|*|*|*|* \\\n$C$|INTERNAL_IP;\\\n$3|$Y$E\n  *  $YEXTERNAL"
)

FAULTS = [
    (
        "T\n  a  $Y\n",
        "no-blank-after-name",
        "m:2:3: an entry right after the name of table T; expected a blank line after the table name",
    ),
    (
        "T\nU\n\n  a  $Y\n",
        "no-blank-after-name",
        'm:2:1: "U" right after the table name; expected a blank line after the table name',
    ),
    (
        "T\n\n  a  $Y\n\n  b  $N\n",
        "orphaned-entry",
        "m:5:3: a blank line ends table T, so this entry belongs to no table; expected no blank line between the entries of a table",
    ),
    ("  a  $Y\n", "orphaned-entry", "m:1:3: an entry before any table; expected a table name in column 1 before it"),
    (
        "T\n\n  a  $Y\n\nt\n\n  b  $N\n",
        "duplicate-table",
        'm:5:1: table "t" was already defined in line 1; expected each name once',
    ),
    (
        "T\n\n*|*  $Y\n",
        "entry-in-column-one",
        'm:3:1: "*|*  $Y" in column 1; expected a table name (a letter first), or blanks before an entry',
    ),
    (
        "T\n\nTCP|*  $Y\n",
        "entry-in-column-one",
        'm:3:1: "TCP|*  $Y" in column 1 is taken as a table name; expected no blank in it; entries are indented',
    ),
    (
        "T\n\n  a  $Y\nU\n\n  b  $Y\n",
        "no-blank-before-name",
        'm:4:1: the table name "U" right after an entry; expected a blank line before a table name',
    ),
    ("T\n\n  a\\\nbc \n", "no-template", 'm:4:3: the pattern "abc" stands alone; expected a blank and a template'),
    ("T\n\n<\n", "include-name", "m:3:2: an include without a file; expected the full path of a file"),
]


def test_tables_and_entries() -> None:
    parsed = parse_mappings(SOUND)
    assert not parsed.faults
    assert parsed.missing == ("IMTA_TABLE:more.rules",)
    assert [(table.name, [(e.pattern, e.template, e.rest) for e in table.entries]) for table in parsed.tables] == [
        ("INTERNAL_IP", [("$(192.0.2.0/24)", "$Y", "# trailing"), ("*", "$N", "")]),
        ("PORT_ACCESS", [("*|*|*|*|*", "$C$|INTERNAL_IP;$3|$Y$E", ""), ("*", "$YEXTERNAL", "")]),
    ]


def test_positions_point_into_continuation_lines() -> None:
    entry = parse_mappings("T\n\n  a|b \\\n$Nx$ \\\ny$\n").tables[0].entries[0]
    assert entry.template == "$Nx$ y$"
    assert [entry.line.position(entry.template_at + offset) for offset in (0, 3, 5, 6)] == [
        (4, 1),
        (4, 4),
        (5, 1),
        (5, 2),
    ]


@pytest.mark.parametrize(("text", "code", "message"), FAULTS)
def test_faults(text: str, code: str, message: str) -> None:
    parsed = parse_mappings(text, "m")
    assert (parsed.faults[0].code, str(parsed.faults[0].error)) == (code, message)
    with pytest.raises(MtaTextError) as caught:
        parsed.require_sound()
    assert str(caught.value) == message


def test_quoted_blanks_do_not_split() -> None:
    entry = parse_mappings("T\n\n  a$ b$\tc$$ $Nx$ y\n").tables[0].entries[0]
    assert (entry.pattern, entry.template) == ("a$ b$\tc$$", "$Nx$ y")


def test_includes_are_read_in_place() -> None:
    text = "T\n\n<extra\n  b  $N\n"
    parsed = parse_mappings(text, includes={"extra": "! note\n  a  $Y\n"})
    assert [entry.pattern for entry in parsed.tables[0].entries] == ["a", "b"]
    assert parsed.tables[0].entries[0].line.file == "extra"
    assert print_mappings(parsed) == text


def test_include_loops_are_faults() -> None:
    parsed = parse_mappings("<a\n", "m", {"a": "<b\n", "b": "<a\n"})
    assert str(parsed.faults[0].error) == 'b:1:2: "a" is included again; expected at most 8 includes inside each other'


LINES = st.lists(
    st.sampled_from(
        [
            "T\n",
            "U\r\n",
            "\n",
            " \t\n",
            "! c\n",
            "!c\\\n",
            "<f\n",
            "  a  $Y\n",
            "\tb \\\n",
            "$Nx$ \r\n",
            "x\\\n",
            "\\\n",
            "é\x85\x0b",
            "\r",
        ]
    ),
    max_size=12,
).map("".join)


@settings(max_examples=600)
@given(st.one_of(LINES, st.text(), st.binary().map(decode)))
def test_print_gives_the_text_back(text: str) -> None:
    assert print_mappings(parse_mappings(text, includes={"f": "  q  $Y\n<f\n"})) == text


@given(st.binary())
def test_bytes_survive(data: bytes) -> None:
    assert encode(print_mappings(parse_mappings(decode(data)))) == data


def test_general_text() -> None:
    text = "! c\r\nSEND|a@b  $NInternet$ access\r\n\n<x\nK\t$Y\nK $N"
    parsed = parse_general(text)
    assert parsed.values == {"SEND|a@b": "$NInternet$ access", "K": "$Y"}
    assert print_general(parsed) == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (" a $Y\n", "general.txt:1:1: an indented line; expected a key in column 1"),
        ("a $Y\nkey  \n", 'general.txt:2:6: the key "key" without a value; expected blanks and a template after it'),
    ],
)
def test_general_errors(text: str, message: str) -> None:
    with pytest.raises(MtaTextError) as caught:
        parse_general(text)
    assert str(caught.value) == message


def test_no_position_lies_after_the_end_of_the_file() -> None:
    assert str(parse_mappings("T\n\n  a\\", "m").faults[0].error).startswith("m:3:4: ")
