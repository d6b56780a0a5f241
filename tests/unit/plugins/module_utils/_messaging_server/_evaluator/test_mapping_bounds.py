# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Texts made to take long end within a bounded number of steps, with a result or a located error."""

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.context import (
    surroundings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.mapping import (
    load_mappings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.mapping_match import (
    Subject,
    match,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta import parse_imta
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping import (
    parse_mappings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping_pattern import (
    CharClass,
    compile_pattern,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.text import MtaTextError
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._messaging_server._evaluator.steps import (
    at_most,
)


def error_of(mappings: str, probe: str) -> str:
    with pytest.raises(MtaTextError) as caught, at_most(20_000_000):
        load_mappings(mappings).probe("T", probe, surroundings())
    return str(caught.value)


def test_parsing_ends_when_files_include_each_other_many_times() -> None:
    includes = {name: f"<{below}\n" * 8 for name, below in zip("abcdefg", "bcdefgh")} | {"h": "! end\n"}
    message = '"{}" makes it too much; expected at most 10000000 characters through includes'
    for parse in (parse_mappings, parse_imta):
        with at_most(2_000_000):
            parsed = parse("<a\n", includes=includes)
        assert {fault.code for fault in parsed.faults} == {"include-size"}
        assert parsed.faults[0].error.found + "; expected " + parsed.faults[0].error.expected == message.format("h")


def test_match_ends_for_a_class_of_thousands_of_characters() -> None:
    text = "".join(chr(0x2000 + code) for code in range(16384))
    with at_most(1_000_000):
        pattern = compile_pattern("$[" + text[::4][:4000] + "]*")
        assert match(pattern, Subject(text)) is None


def test_match_ends_for_thousands_of_different_characters() -> None:
    tail = "".join(chr(0x4E00 + code) for code in range(4000))
    with at_most(1_000_000):
        assert match(compile_pattern("%*" + tail), Subject("x" * 12000 + tail)) == ["x", "x" * 11999]


def test_probe_ends_when_a_large_table_is_called_again_and_again() -> None:
    scanned = "S\n\n" + "".join(f"  $D%$D*a%$[bc]%{n % 10}$D*x$A*  $Y\n" for n in range(3000))
    message = error_of("T\n\n" + "  *  $C$|S;1aab$0|x\n" * 3000 + "\n" + scanned, "1" * 300 + "ab5x")
    assert (
        message
        == "mappings:3004:1: a probe that goes round and round; expected an end within 4000000 characters of work"
    )


def test_probe_ends_for_back_matches_of_many_entries() -> None:
    message = error_of("T\n\n" + "  ***$0*$1*$2*b  $Y\n" * 500, "a" * 18 + "cb")
    assert message.endswith(
        "back matches of several patterns that need more than 400000 steps; "
        "expected a pattern with fewer wildcards before them"
    )


@pytest.mark.parametrize(
    ("ranges", "members", "others"),
    [
        ((("S", "T"),), "stST", "rRuU\xdf"),
        ((("a", "b"), ("b", "d")), "abcdABCD", "eE"),
        ((("Z", "a"),), "zZaA[`", "bByY{"),
        ((("\xe9", "\xe9"),), "\xe9", "\xc9"),
        ((("0", "z"),), "09AZaz:_", "{/"),
    ],
)
def test_classes_are_case_blind_from_a_to_z_only(
    ranges: tuple[tuple[str, str], ...], members: str, others: str
) -> None:
    chars = CharClass(ranges)
    assert ([char for char in members if char not in chars], [char for char in others if char in chars]) == ([], [])
