# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""main.cf and master.cf: what is managed changes, and nothing else by a byte."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.lines import FileError
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.main_cf import MainCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.master_cf import MasterCf


def read_main(text: str) -> dict[str, str]:
    return dict(MainCf(text))


def set_parameters(text: str, wanted: Mapping[str, str | None]) -> str:
    return MainCf(text).edited(wanted).text


def set_services(text: str, wanted: Mapping[tuple[str, str], str | None]) -> str:
    return MasterCf(text).edited(wanted).text


MAIN = """\
# See postconf(5)
   # also a comment

biff=no
mydestination = $myhostname,
    example.org,
# between
\texample.net
empty =
mynetworks = 127.0.0.0/8
# the next one wins
mynetworks = 10.0.0.0/8
"""
MASTER = """\
# service type
smtp       inet  n       -       y       -       -       smtpd
  -o content_filter=scan
# a remark
  -o { smtpd_banner = my own }
smtp       unix  -       -       y       -       -       smtp
127.0.0.1:10025 inet n - n - - smtpd
"""


def test_parameters_and_services_are_read() -> None:
    assert read_main(MAIN) == {
        "biff": "no",
        "mydestination": "$myhostname, example.org, example.net",
        "empty": "",
        "mynetworks": "10.0.0.0/8",
    }
    assert [(one.name, one.type, one.columns[7], one.arguments) for one in MasterCf(MASTER)] == [
        ("smtp", "inet", "smtpd", ("-o", "content_filter=scan", "-o", "{", "smtpd_banner", "=", "my", "own", "}")),
        ("smtp", "unix", "smtp", ()),
        ("127.0.0.1:10025", "inet", "smtpd", ()),
    ]


def test_edited_parameter_keeps_its_place_and_comments_stay() -> None:
    wanted = {"mydestination": "localhost", "new": "$x", "none": "", "biff": "no", "absent": None}
    assert set_parameters(MAIN, wanted) == (
        MAIN.replace("mydestination = $myhostname,\n    example.org,\n", "mydestination = localhost\n").replace(
            "\texample.net\n", ""
        )
        + "new = $x\nnone =\n"
    )


def test_unchanged_value_keeps_its_lines() -> None:
    assert set_parameters(MAIN, {"mydestination": "$myhostname, example.org, example.net", "empty": ""}) == MAIN


def test_parameter_that_is_set_twice_is_set_once() -> None:
    changed = set_parameters(MAIN, {"mynetworks": "192.0.2.0/24"})
    assert changed.count("mynetworks") == 1
    assert read_main(changed)["mynetworks"] == "192.0.2.0/24"
    for value in ("127.0.0.0/8", "10.0.0.0/8"):
        assert read_main(set_parameters(MAIN, {"mynetworks": value}))["mynetworks"] == value
    assert "mynetworks" not in set_parameters(MAIN, {"mynetworks": None})


def test_only_a_newline_ends_a_line() -> None:
    text = "# a\fb = 1\n# c\x85d = 1\n# e\rf = 1\ng = 1"
    assert read_main(text) == {"g": "1"}
    assert set_parameters(text, {"h": "2"}) == text + "\nh = 2\n"


def test_edited_service_keeps_its_place_and_comments_stay() -> None:
    managed = "smtp inet n - y - 1 postscreen\n"
    changed = set_services(MASTER, {("smtp", "inet"): managed, ("smtpd", "pass"): "smtpd pass - - y - - smtpd\n"})
    assert changed == (
        "# service type\nsmtp inet n - y - 1 postscreen\n# a remark\n"
        + MASTER.partition("my own }\n")[2]
        + "smtpd pass - - y - - smtpd\n"
    )
    assert set_services(changed, {("smtp", "inet"): "smtp  inet n - y\n - 1 postscreen\n"}) == changed
    assert ("smtpd", "pass") not in [
        (one.name, one.type) for one in MasterCf(set_services(changed, {("smtpd", "pass"): None}))
    ]


@pytest.mark.parametrize("text", [" x = 1\n", "x = 1\nno setting\n"])
def test_unreadable_main_cf_is_an_error(text: str) -> None:
    with pytest.raises(FileError):
        set_parameters(text, {"a": "b"})


def test_unreadable_master_cf_and_value_of_two_lines_are_errors() -> None:
    with pytest.raises(FileError):
        set_services("smtp inet n\n", {})
    with pytest.raises(FileError):
        set_parameters("", {"a": "b\nc = d"})


NAMES = st.sampled_from(["a", "b", "c"])
LINES = st.lists(
    st.one_of(
        st.sampled_from(["# x\n", "\n", "  # y\n"]),
        st.tuples(NAMES, st.sampled_from(["1", "2 3", "", "4,\n 5", "6\n# z\n\t7"])).map(
            lambda one: f"{one[0]} = {one[1]}\n"
        ),
    ),
    max_size=8,
)


@given(LINES, st.dictionaries(NAMES, st.sampled_from(["1", "8", "", None]), max_size=3))
def test_edited_file_has_what_is_wanted_and_the_rest_stays(lines: list[str], wanted: dict[str, str | None]) -> None:
    text = "".join(lines)
    changed = set_parameters(text, wanted)
    before, after = read_main(text), read_main(changed)
    assert {name: after.get(name) for name in wanted} == wanted
    assert {name: value for name, value in after.items() if name not in wanted} == {
        name: value for name, value in before.items() if name not in wanted
    }
    assert [line for line in changed.splitlines() if line.lstrip().startswith("#")] == [
        line for line in text.splitlines() if line.lstrip().startswith("#")
    ]
    assert set_parameters(changed, wanted) == changed
