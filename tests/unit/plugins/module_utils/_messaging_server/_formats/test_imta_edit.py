# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A keyword that an edit adds counts as one, whatever the line ends in."""

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta import parse_imta
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta_edit import (
    ImtaEditError,
    set_keyword,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta_keywords import (
    FIXED_ARGUMENTS,
)

BLOCKS = ".  $U%$H@tcp-daemon\n\ntcp_auth smtp {words}\ntcp_auth-daemon\n"


@pytest.mark.parametrize(("keyword", "count"), FIXED_ARGUMENTS.items())
def test_keyword_is_added_once_after_one_with_arguments(keyword: str, count: int) -> None:
    words = " ".join([keyword, *(f"word{number}" for number in range(count))])
    text = set_keyword(BLOCKS.format(words=words), "tcp_auth", "mustsaslserver")
    channel = parse_imta(text).channel("tcp_auth")
    assert channel is not None
    assert channel.keywords[-1].name == "mustsaslserver"
    assert set_keyword(text, "tcp_auth", "mustsaslserver") == text


@pytest.mark.parametrize("keyword", [name for name, count in FIXED_ARGUMENTS.items() if count])
def test_keyword_without_its_argument_at_the_end_is_an_error(keyword: str) -> None:
    with pytest.raises(ImtaEditError) as caught:
        set_keyword(BLOCKS.format(words=keyword), "tcp_auth", "mustsaslserver")
    assert str(caught.value) == (
        f"channel tcp_auth: keyword {keyword} at the end of the line lacks its argument, so that nothing can be put "
        "after it; complete or remove it"
    )
