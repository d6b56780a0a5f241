# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.context import (
    surroundings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.mapping import (
    load_mappings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.rewrite import (
    AddressError,
    Place,
    Rewriter,
    patterns_for,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta import parse_imta
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.text import MtaTextError

MAPPINGS = "HOSTS\n\n  a.example  $Y$$U%x@from-table\n  *  $N\n"
TO = Place(forward=True, envelope=True, source="tcp_local", destination="l")
FROM = Place(forward=False, envelope=True)
HEADER = Place(forward=True, envelope=False)


def rewritten(rules: str, address: str, place: Place = TO) -> tuple[str, str, str]:
    rewriter = Rewriter(parse_imta(rules), load_mappings(MAPPINGS), surroundings())
    return rewriter.rewrite(address, place)[:3]


RESULTS = [
    ("a.example $U%$D@c\n", "u@A.EXAMPLE", TO, ("a.example", "c", "u@A.EXAMPLE")),
    (".example $U%$&0.$&1$D@c\n", "u@a.b.example", TO, (".example", "c", "u@a.b.example")),
    (". $U%$H@c\n", "u@a.b", TO, (".", "c", "u@a.b")),
    (". $U%$H@c\n", "u@a.b.", TO, (".", "c", "u@a.b.")),
    (". $U@c\n", "u@a.b", TO, (".", "c", "u@c")),
    (". $U%$D\n", "u@a.b", TO, ("", "", "u@a.b")),
    (". $U$$x%h@c\n", "u%v@a.b", TO, (".", "c", "u%v$x@h")),
    ("[10.] $U%[$L]@c\n[] $U%x@d\n", "u@[10.1.2.3]", TO, ("[10.]", "c", "u@[1.2.3]")),
    ("[] $U%[$L]@c\n", "u@[2001:db8::1]", TO, ("[]", "c", "u@[2001:db8::1]")),
    (". $E$F$U%x@c\n", "u@a.b", TO, (".", "c", "u@x")),
    (". $B$U%x@c\n", "u@a.b", TO, ("", "", "u@a.b")),
    (". $B$U%x@c\n", "u@a.b", HEADER, (".", "c", "u@x")),
    (". $E$U%x@c\n", "u@a.b", HEADER, ("", "", "u@a.b")),
    (". $R$U%x@c\n", "u@a.b", TO, ("", "", "u@a.b")),
    (". $R$U%x@c\n", "u@a.b", FROM, (".", "c", "u@x")),
    (". $F$U%x@c\n", "u@a.b", FROM, ("", "", "u@a.b")),
    (". $Mtcp_local$U%x@c\n", "u@a.b", TO, (".", "c", "u@x")),
    (". $Mother$U%x@c\n", "u@a.b", TO, ("", "", "u@a.b")),
    (". $Ntcp_local$U%x@c\n. $U%y@d\n", "u@a.b", TO, (".", "d", "u@y")),
    (". $Ql$U%x@c\n", "u@a.b", TO, (".", "c", "u@x")),
    (". $Cl$U%x@c\n", "u@a.b", TO, ("", "", "u@a.b")),
    (". ${HOSTS,$H}\n. $U%y@d\n", "u@a.example", TO, (".", "from-table", "u@x")),
    (". ${HOSTS,$H}\n. $U%y@d\n", "u@b.example", TO, (".", "d", "u@y")),
    (". ${NONE,$H}$U%x@c\n", "u@b.example", TO, ("", "", "u@b.example")),
]


@pytest.mark.parametrize(("rules", "address", "place", "expected"), RESULTS)
def test_rewriting(rules: str, address: str, place: Place, expected: tuple[str, str, str]) -> None:
    assert rewritten(rules, address, place) == expected


def test_order_of_the_patterns() -> None:
    assert [pattern for pattern, _parts in patterns_for("a.b.c")] == ["a.b.c", ".b.c", ".c", "."]
    assert [pattern for pattern, _parts in patterns_for("a.b.")] == ["a.b.", ".b.", "."]
    assert [pattern for pattern, _parts in patterns_for("a")] == ["a", "."]
    assert [pattern for pattern, _parts in patterns_for("[1.2.3.4]")] == [
        "[1.2.3.4]",
        "[1.2.3.]",
        "[1.2.]",
        "[1.]",
        "[]",
    ]


def test_errors() -> None:
    with pytest.raises(MtaTextError) as caught:
        rewritten(". ${HOSTS}$U%x@c\n", "u@a.b")
    assert (
        str(caught.value)
        == 'imta.cnf:1:3: "${" without "table,argument}"; expected "${table,argument}" in a rewrite template'
    )
    for address, message in [
        ("u", "'u' is no address; expected user@host"),
        ("u@", "'u@' is no address; expected user@host"),
    ]:
        with pytest.raises(AddressError, match=message):
            rewritten("", address)
    with pytest.raises(AddressError, match="an address of 1025 characters; expected at most 1024"):
        rewritten("", "u@" + "a" * 1023)
