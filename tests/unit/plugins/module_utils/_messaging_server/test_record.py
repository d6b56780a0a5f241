# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.record import (
    NOTHING,
    OwnedTable,
    OwnedWords,
    Record,
    RecordError,
    dump_record,
    load_record,
)

TEXTS = st.text(max_size=8)
PAIRS = st.tuples(TEXTS, TEXTS)
WORDS = st.builds(
    OwnedWords,
    st.none() | st.lists(TEXTS, max_size=3).map(tuple),
    st.lists(TEXTS, min_size=1, max_size=3).map(tuple),
)
RECORDS = st.builds(
    Record,
    tables=st.dictionaries(
        TEXTS,
        st.builds(
            OwnedTable,
            st.none() | st.lists(PAIRS, max_size=3).map(tuple),
            st.lists(PAIRS, max_size=3).map(tuple),
            st.lists(TEXTS, max_size=3).map(tuple),
        ),
        max_size=3,
    ),
    keywords=st.dictionaries(PAIRS, WORDS, max_size=3),
    defaults=st.dictionaries(TEXTS, st.lists(TEXTS, max_size=3).map(tuple), max_size=3),
    rules=st.lists(PAIRS, max_size=3).map(tuple),
    channels=st.lists(TEXTS, max_size=3).map(tuple),
    options=st.dictionaries(PAIRS, WORDS, max_size=3),
)


@given(RECORDS)
def test_a_record_comes_back(record: Record) -> None:
    text = dump_record(record)
    assert load_record(text) == record
    assert dump_record(load_record(text)) == text


def test_missing_file_is_the_record_of_a_host_where_nothing_is_managed() -> None:
    assert load_record(None) == NOTHING
    assert NOTHING.empty
    assert not NOTHING._replace(channels=("tcp_auth",)).empty
    assert not NOTHING._replace(rules=(("[]", "$N"),)).empty


FULL = json.loads(dump_record(NOTHING._replace(tables={"T": OwnedTable((("a", "b"),), (("c", "d"),), ("  a b\n",))})))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "JSONDecodeError: Expecting value: line 1 column 1 (char 0)"),
        (b"\xff\xff", None),
        (b"[]", "TypeError: list indices must be integers or slices, not str"),
        (b"{}", "KeyError: 'version'"),
        (b'{"version": 2}', "it is of version 2; this release reads version 1"),
        (json.dumps(dict(FULL, tables=[])).encode(), "AttributeError: 'list' object has no attribute 'items'"),
        (json.dumps(dict(FULL, rules=[["a"]])).encode(), "ValueError: not enough values to unpack (expected 2, got 1)"),
        (json.dumps(dict(FULL, keywords=[["a"]])).encode(), "IndexError: list index out of range"),
    ],
)
def test_a_damaged_record_is_an_error_and_not_an_empty_record(text: bytes, message: str | None) -> None:
    with pytest.raises(RecordError) as error:
        load_record(text)
    assert message in (None, str(error.value))


@pytest.mark.parametrize("field", sorted(FULL))
def test_a_record_without_a_field_is_an_error(field: str) -> None:
    data: dict[str, Any] = {name: value for name, value in FULL.items() if name != field}
    with pytest.raises(RecordError, match=field):
        load_record(json.dumps(data).encode())
