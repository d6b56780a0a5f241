# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.mapping_match import (
    MAX_TEXT,
    Subject,
    TooCostlyError,
    match,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping_pattern import (
    PatternError,
    compile_pattern,
)
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._messaging_server._evaluator.mapping_oracle import (
    naive_match,
)
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._messaging_server._evaluator.steps import (
    at_most,
)

MATCHES = [
    ("", "", []),
    ("*", "", [""]),
    ("**", "ab", ["ab", ""]),
    ("$_**", "ab", ["", "ab"]),
    ("*|*", "a|b|c", ["a|b", "c"]),
    ("A*C", "abc", ["b"]),
    ("a$ b", "a b", []),
    ("a$\tb", "A\tB", []),
    ("cost$$", "COST$", []),
    ("$*$%", "*%", []),
    ("$D*$A*", "12ab", ["12", "ab"]),
    ("$d*", "12", ["12"]),
    ("$X%$H%$O%$B%", "fA71", ["f", "A", "7", "1"]),
    ("$S*", "a_$Z9", ["a_$Z9"]),
    ("$T*x", " \t\vx", [" \t\v"]),
    ("$[\\]\\-\\\\]*", "]-\\", ["]-\\"]),
    ("$[-a]*", "a-a", ["a-a"]),
    ("$[a-c]*", "aBc", ["aBc"]),
    ("$@*=*=$0*", "x=y=Y", ["y", "Y"]),
    ("$@$D*|*", "12|x", ["x"]),
    ("$_@*b*", "abab", ["ab"]),
    ("*=$@0*", "a=a", ["a"]),
    ("*$0*", "abab", ["ab", "ab"]),
    ("$(192.0.2.0/24)|*", "192.0.2.9|x", ["x"]),
    ("*|$(192.0.2.0/24)", "a|192.0.2.255", ["a"]),
    ("$<192.0.2.0>", "192.0.2.0", []),
    ("$(192.0.2.77/24)", "192.0.2.1", []),
    ("[IPv6:${2001:db8::/32}]", "[IPv6:2001:DB8::1]", []),
    ("${::ffff:0:0/96}", "::ffff:192.0.2.1", []),
    ("é*", "éa", ["a"]),
]
MISSES = [
    ("a", ""),
    ("", "a"),
    ("%", ""),
    ("*a", "ab"),
    ("$(192.0.2.0/24)", "192.0.3.0"),
    ("$(192.0.2.0/24)", "192.0.2.256"),
    ("$(192.0.2.0/24)*", "192.0.2.1.5"),
    ("$(192.0.2.0/24)", "0192.0.2.1"),
    ("$(192.168.100.0/24)*", "192.168.100.1001"),
    ("${2001:db8::/32}", "192.0.2.1"),
    ("É", "é"),
    ("$D*", "٣"),
    ("*=$0*", "a=b"),
]
ERRORS = [
    ("a$", 1, "the pattern ends in a dollar sign; expected a character after it"),
    ("$Ax", 0, '"$Ax" in a pattern; expected a wildcard (% or *) at its end'),
    ("$_x", 0, '"$_x" in a pattern; expected a wildcard (% or *) at its end'),
    ("$_$ ", 3, '" " after a modifier; expected a wildcard (% or *)'),
    ("$_$[a", 2, '"$[" is not closed; expected "]" before the pattern ends'),
    ("$[]%", 0, '"$[]" has no characters; expected at least one'),
    ("$[9-0]%", 0, 'the range "9-0" is empty; expected the lower character first'),
    ("$0*", 0, "back match $0* but 0 wildcards are saved before it; expected a saved wildcard"),
    ("*$0%", 1, '"$0%" in a pattern; expected $0* for a back match'),
    ("$(192.0.2.0/33)", 12, '"/33"; expected a number of bits from 0 to 32'),
    ("$(192.0.2/24)", 2, '"192.0.2"; expected an IPv4 address such as 192.0.2.0/24'),
    ("${10.0.0.1/8}", 2, '"10.0.0.1"; expected an IPv6 address such as 2001:db8::/32'),
    ("$(10.0.0.1", 0, '"$(" is not closed; expected ")" before the pattern ends'),
    ("x" * 4097, 4096, "a pattern of 4097 characters; expected at most 4096"),
]


@pytest.mark.parametrize(("pattern", "text", "saved"), MATCHES)
def test_matches(pattern: str, text: str, saved: list[str]) -> None:
    assert match(compile_pattern(pattern), Subject(text)) == saved


@pytest.mark.parametrize(("pattern", "text"), MISSES)
def test_misses(pattern: str, text: str) -> None:
    assert match(compile_pattern(pattern), Subject(text)) is None


@pytest.mark.parametrize(("pattern", "offset", "message"), ERRORS)
def test_errors(pattern: str, offset: int, message: str) -> None:
    with pytest.raises(PatternError) as caught:
        compile_pattern(pattern)
    assert (caught.value.offset, str(caught.value)) == (offset, message)


def test_unknown_sequences_are_literal_and_noted() -> None:
    pattern = compile_pattern("a$|b")
    assert match(pattern, Subject("a|b")) == []
    assert pattern.notes == ('the manuals do not define "$|" in a pattern; taken as the character itself',)


PIECES = st.sampled_from(
    ["a", "b", "1", "|", "*", "%", "$_*", "$@*", "$@_*", "$D*", "$_A*", "$A%", "$[a1]*", "$[a-b]%", "$B*", "$$", "$*"]
)


@settings(max_examples=1500)
@given(st.lists(PIECES, max_size=8), st.text("abB1|$*", max_size=9))
def test_same_as_naive_matcher(pieces: list[str], text: str) -> None:
    pattern = "".join(pieces)
    assert match(compile_pattern(pattern), Subject(text)) == naive_match(pattern, text)


@settings(max_examples=800)
@given(st.lists(st.sampled_from(["a", "b", "|", "*", "%", "$_*", "$@*", "$D*"]), max_size=6), st.data())
def test_back_matches_same_as_naive_matcher(pieces: list[str], data: st.DataObject) -> None:
    saved = sum(1 for piece in pieces if piece in ("*", "%", "$_*", "$D*"))
    pattern = (
        "*"
        + "".join(pieces)
        + f"${data.draw(st.integers(0, min(saved, 9)))}*"
        + data.draw(st.sampled_from(["", "*", "a", "$@0*", "|*"]))
    )
    text = data.draw(st.text("abB|1", max_size=8))
    assert match(compile_pattern(pattern), Subject(text)) == naive_match(pattern, text)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(["a", "|", "*", "$(10.0.0.0/8)", "${::/0}", "$D*"]), max_size=6), st.text())
def test_any_text_gives_a_result(pieces: list[str], text: str) -> None:
    saved = match(compile_pattern("".join(pieces)), Subject(text))
    # Whatever was saved is a part of the text; an address may be saved in another spelling.
    assert saved is None or all(part in text for part in saved) or "(" in "".join(pieces) or "{" in "".join(pieces)


@pytest.mark.parametrize("star", ["*a", "$_*a", "$A*", "$[a-z]*a", "*%", "$@*a"])
@pytest.mark.parametrize("end", ["", "b"])
def test_match_of_twenty_stars_takes_few_steps(star: str, end: str) -> None:
    pattern = compile_pattern(star * 20 + end)
    with at_most(10_000):
        match(pattern, Subject("a" * 1000))


def test_match_stops_costly_back_matches() -> None:
    pattern = compile_pattern("*" * 5 + "b" + "$0*$1*$2*$3*$4*b")
    with pytest.raises(TooCostlyError) as caught:
        match(pattern, Subject("a" * 60 + "b" + "a" * 59 + "cb"))
    assert str(caught.value) == "back matches that need more than 50000 steps on this text"


def test_subject_rejects_a_text_that_is_too_long() -> None:
    with pytest.raises(TooCostlyError, match="a text of 16385 characters; at most 16384 can be matched"):
        Subject("a" * (MAX_TEXT + 1))
