# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Comments begin with ! or ; in column one, and are printed as they were read."""

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.dispatcher import (
    parse_dispatcher,
    print_dispatcher,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta import (
    parse_imta,
    print_imta,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping import (
    parse_mappings,
    print_mappings,
)


@pytest.mark.parametrize("sign", ["!", ";"])
def test_comment_before_the_first_rule_leaves_rules_and_channels(sign: str) -> None:
    text = f"{sign} of the site\nexample.org $U@tcp_intranet-daemon\n{sign}\n\n{sign} local\nl\nhost.example\n"
    parsed = parse_imta(text)
    assert not parsed.faults
    assert [rule.pattern for rule in parsed.rules] == ["example.org"]
    assert [channel.name for channel in parsed.channels] == ["l"]
    assert print_imta(parsed) == text


@pytest.mark.parametrize("sign", ["!", ";"])
def test_comment_in_a_table_ends_nothing(sign: str) -> None:
    text = f"{sign} tables\nTABLE\n\n  a  $Y\n{sign} between \\\n  b  $N\n"
    parsed = parse_mappings(text)
    assert not parsed.faults
    assert [len(table.entries) for table in parsed.tables] == [2]
    assert print_mappings(parsed) == text


@pytest.mark.parametrize("sign", ["!", ";"])
def test_comment_in_the_dispatchers_file_is_no_option(sign: str) -> None:
    text = f"{sign} x=y\n[SERVICE=SMTP]\n{sign}PORT=26\nPORT=25\n"
    parsed = parse_dispatcher(text)
    assert not parsed.faults
    assert parsed.values("SMTP", "PORT") == ["25"]
    assert print_dispatcher(parsed) == text


def test_sign_in_another_column_is_data() -> None:
    parsed = parse_mappings("TABLE\n\n  ;a  $Y\n")
    assert [entry.pattern for table in parsed.tables for entry in table.entries] == [";a"]
