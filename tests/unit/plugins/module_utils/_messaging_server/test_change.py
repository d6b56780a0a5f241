# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the product's own tool says about a staged file before it may become live, and what is then activated."""

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.change import _parts
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.compose import Texts
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.product import (
    MappingResult,
    Product,
    activations,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.readback import Staged, read_back
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.settings import Channels
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.command import StepError

TEXT = "INTERNAL_IP\n\n  10.1.2.3  $Y\n  *  $N\n\nORIG_SEND_ACCESS\n\n  tcp_local|*|tcp_local|*  $NNo$ relaying\n"
RIGHT = {"INTERNAL_IP": ("N", ""), "ORIG_SEND_ACCESS": ("N", "No relaying")}


class Tool(Product):
    """A tool with these answers; the second probe of a table is not rejected."""

    def __init__(self, answers: dict[str, tuple[str, str]]) -> None:  # pylint: disable=super-init-not-called
        self.answers = answers

    def test_mapping(self, table: str, probe: str, mapping_file: str, input_flags: str = "") -> MappingResult:  # noqa: ARG002
        flags, output = self.answers[table]
        if probe.startswith("tcp_intranet|"):
            flags, output = "", ""
        return MappingResult(bool(flags), frozenset(flags), output, f"printed for {mapping_file}")


def compared(answers: dict[str, tuple[str, str]]) -> int:
    return read_back(Tool(answers), Staged("staged", TEXT, {}, Channels()), ["198.51.100.7"])


def test_the_same_answers_pass() -> None:
    assert compared(RIGHT) == 3


@pytest.mark.parametrize(
    ("table", "answer", "said"),
    [
        ("INTERNAL_IP", ("Y", ""), "['Y'] \"\", the evaluation said ['N'] \"\""),
        ("INTERNAL_IP", ("", ""), '[] "", the evaluation said [\'N\'] ""'),
        ("ORIG_SEND_ACCESS", ("Y", "No relaying"), "['Y'] \"No relaying\", the evaluation said ['N'] \"No relaying\""),
        ("ORIG_SEND_ACCESS", ("N", "No"), "['N'] \"No\", the evaluation said ['N'] \"No relaying\""),
    ],
)
def test_a_tool_that_answers_otherwise_stops_the_run(table: str, answer: tuple[str, str], said: str) -> None:
    with pytest.raises(StepError) as error:
        compared({**RIGHT, table: answer})
    assert f"table {table}, probe " in str(error.value)
    assert f"the product says {said}\nprinted for staged\nnothing was changed" in str(error.value)


REJECTING = "PORT_ACCESS\n\n  *|*|*|*|*  $C$|INTERNAL_IP;$3|$Y$E\n  TCP|*|*|192.0.2.7|*  $N500$ no\n  *  $Y\n"
OPEN = "PORT_ACCESS\n\n  *|*|*|*|*  $C$|INTERNAL_IP;$3|$Y$E\n  *  $Y\n"
INSIDE, OTHER = "\nINTERNAL_IP\n\n  10.1.2.3  $Y\n", "\nINTERNAL_IP\n\n  10.1.2.4  $Y\n"
RELOAD, DISPATCHER, SMTP = ("reload",), ("restart", "dispatcher"), ("restart", "smtp")


@pytest.mark.parametrize(
    ("before", "after", "wanted"),
    [
        (("i", OPEN + INSIDE, "d", ""), ("i", OPEN + OTHER, "d", ""), [RELOAD]),
        (("i", REJECTING + INSIDE, "d", ""), ("i", REJECTING + OTHER, "d", ""), [RELOAD, DISPATCHER]),
        (("i", OPEN + INSIDE, "d", ""), ("i", REJECTING + INSIDE, "d", ""), [DISPATCHER]),
        (("i", OPEN, "d", ""), ("j", OPEN, "d", ""), [SMTP]),
        (("i", OPEN, "d", ""), ("j", OPEN, "e", ""), [DISPATCHER]),
        (("i", OPEN, "d", ""), ("i", OPEN, "d", "k  v\n"), [RELOAD]),
        (("i", OPEN, "d", ""), ("i", OPEN, "d", ""), []),
    ],
)
def test_the_least_activation_that_suffices(
    before: tuple[str, str, str, str], after: tuple[str, str, str, str], wanted: list[tuple[str, ...]]
) -> None:
    assert activations(_parts(Texts(*before), Texts(*after))) == wanted
