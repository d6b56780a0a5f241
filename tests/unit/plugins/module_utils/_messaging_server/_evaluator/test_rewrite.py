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
    Rewriter,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.rewrite_patterns import (
    patterns_for,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.rewrite_template import (
    Place,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta import parse_imta
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.text import MtaTextError

MAPPINGS = "HOSTS\n\n  a.example  $Y$$U%x@from-table\n  *  $N\n"
TO = Place(forward=True, envelope=True, source="tcp_local", destination="l")
FROM = Place(forward=False, envelope=True)
HEADER = Place(forward=True, envelope=False, destination="l")


def rewritten(rules: str, address: str, place: Place = TO) -> tuple[str, str, str]:
    rewriter = Rewriter(parse_imta(rules), load_mappings(MAPPINGS), surroundings())
    return rewriter.rewrite(address, place)[:3]


RESULTS = [
    ("a.example $U%$D@c\n", "u@A.EXAMPLE", TO, ("a.example", "c", "u@A.EXAMPLE")),
    (".example $U%$&0.$&1$D@c\n", "u@a.b.example", TO, (".example", "c", "u@a.b.example")),
    (". $U%$H@c\n", "u@a.b", TO, (".", "c", "u@a.b")),
    (". $U%$H@c\n", "u@a.b.", TO, (".", "c", "u@a.b.")),
    (". $U@c\n", "u@a.b", TO, (".", "c", "u@c")),
    (". $U\n", "u@a.b", TO, ("", "", "u@a.b")),
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
    # Tests of channels: bgamh, bgami, SIMS doc17 and doc18. The name goes on to @, % or another such sequence.
    (". $U%x@c$Mtcp_local\n", "u@a.b", TO, (".", "c", "u@x")),
    (". $U%x@c$Mother\n", "u@a.b", TO, ("", "", "u@a.b")),
    (". $U%x@c$Mother$MTCP_LOCAL\n", "u@a.b", TO, (".", "c", "u@x")),
    (". $U%x@c$Nother$Ntcp_local\n. $U%y@d\n", "u@a.b", TO, (".", "d", "u@y")),
    (". $U%x@c$Nother\n", "u@a.b", TO, (".", "c", "u@x")),
    (". $U%x@c$Cl$Qother\n", "u@a.b", TO, (".", "c", "u@x")),
    (". $U%x@c$Ql\n", "u@a.b", HEADER, (".", "c", "u@x")),
    (". $U%x@c$Qother\n", "u@a.b", HEADER, ("", "", "u@a.b")),
    (". $U%x@c$Cl\n", "u@a.b", HEADER, ("", "", "u@a.b")),
    (". $U%x@c$Mother\n\ntcp_local norules\nt\n", "u@a.b", TO, (".", "c", "u@x")),
    # Location: bgamk. The host behind the last @ is in no route.
    (". $A$U%x@c\n", "u@a.b", TO, (".", "c", "u@x")),
    (". $S$U%x@c\n. $P$U%x@c\n. $X$U%x@c\n", "u@a.b", TO, ("", "", "u@a.b")),
    # Order: bgalr, SIMS doc82; names of channels come before patterns: acmkc; the last resort takes literals: bgalw, bgali.
    ("*.b.example $U%x@c\n.b.example $U%y@d\n", "u@a.b.example", TO, ("*.b.example", "c", "u@x")),
    (".b.example $U%y@d\n*.*.example $U%x@c\n", "u@a.b.example", TO, (".b.example", "d", "u@y")),
    ("*.*.example $U%x@c\n.example $U%y@d\n", "u@a.b.example", TO, ("*.*.example", "c", "u@x")),
    ("*.*.* $U%x@c\n. $U%y@d\n", "u@a.b.example", TO, ("*.*.*", "c", "u@x")),
    ("* $U%x@c\n. $U%y@d\n", "u@a", TO, ("*", "c", "u@x")),
    (". $U%$H@smart\n", "u@[203.0.113.5]", TO, (".", "smart", "u@[203.0.113.5]")),
    ("[*.*.*.*] $U%x@c\n. $U%y@d\n", "u@[203.0.113.5]", TO, ("[*.*.*.*]", "c", "u@x")),
    (
        ". $U%x@c\n\np smtp\ntcp_partner-daemon\n",
        "u@TCP_partner-daemon",
        TO,
        ("TCP_partner-daemon", "TCP_partner-daemon", "u@TCP_partner-daemon"),
    ),
    ("h.example $U%x@c\n\np smtp\nh.example\n", "u@h.example", TO, ("h.example", "c", "u@x")),
    ("$* $U%$H$V$H@ims\n. $U%$H@c\n", "u@a.b", TO, (".", "c", "u@a.b")),
    # Forms of templates: bgalk to bgaln, acmka.
    (".removable $U%$H\n. $U%$H@c\n", "u@a.b.removable.removable", TO, (".", "c", "u@a.b")),
    (". $U@com1@siroe.com\n", "jdoe@com1", TO, (".", "siroe.com", "@siroe.com:jdoe@com1")),
    (". $U@b@route@system\n", "u@a.b", TO, (".", "system", "@route:u@b")),
    # Substitutions: bgalz, bgamf, acmkb, bgali.
    (
        "host.siroe.com $U%$1D@TCP-DAEMON\n",
        "jdoe@host.siroe.com",
        TO,
        ("host.siroe.com", "TCP-DAEMON", "jdoe@siroe.com"),
    ),
    (". $U%$1H@c\n", "u@a.b.example", TO, (".", "c", "u@b.example")),
    (". $0U%$1U.x@c\n", "user+box@a.b", TO, (".", "c", "user@box.x")),
    (
        "*.acme.example $U%$&0.acme.example@mailhub\n",
        "jdoe@vaxa.acme.example",
        TO,
        ("*.acme.example", "mailhub", "jdoe@vaxa.acme.example"),
    ),
    (".example $U%$!0.$!1.x@c\n", "u@a.b.example", TO, (".example", "c", "u@b.a.x")),
    ("a.b.example $U%$*0.$#0@c\n", "u@a.b.example", TO, ("a.b.example", "c", "u@a.example")),
    (".example $U%$&2.x@c\n. $U%y@d\n", "u@a.b.example", TO, (".", "d", "u@y")),
    (". $U%$D.x@c\n", "u@a.b", TO, (".", "c", "u@..x")),
    (". $\\$U$^$U$_$U%x@c\n", "Ab@a.b", TO, (".", "c", "abABAb@x")),
    # A text for errors and a tag let the rule apply: acmkb, W:Changing_the_current_tag_value.
    (". $U%x@c$?4.7.1$ later\n".replace("$ ", "_"), "u@a.b", TO, (".", "c", "u@x")),
    (". $U%x@c$Tnew\n", "u@a.b", TO, (".", "c", "u@x")),
    # What cannot be evaluated does not count where the rule fails anyway.
    (". $B$(key)$U%x@c\n. $(key)$B$U%x@c\n", "u@a.b", TO, ("", "", "u@a.b")),
    (". ${HOSTS,$H}\n. $U%y@d\n", "u@a.example", TO, (".", "from-table", "u@x")),
    (". ${HOSTS,$H}\n. $U%y@d\n", "u@b.example", TO, (".", "d", "u@y")),
    (". ${NONE,$H}$U%x@c\n", "u@b.example", TO, ("", "", "u@b.example")),
]


@pytest.mark.parametrize(("rules", "address", "place", "expected"), RESULTS)
def test_rewriting(rules: str, address: str, place: Place, expected: tuple[str, str, str]) -> None:
    assert rewritten(rules, address, place) == expected


def test_order_of_the_patterns() -> None:
    def order(host: str) -> str:
        return " ".join(pattern for pattern, _parts in patterns_for("u", host))

    assert order("a.b.c.d") == "*.b.c.d .b.c.d *.*.c.d .c.d *.*.*.d .d *.*.*.* ."
    assert order("a") == "* ."
    assert order("[1.2.3.4]") == "[1.2.3.] [1.2.] [1.] [] [*.*.*.*] ."
    assert order("a.b.") == "*.b. .b. ."


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        (". $(key)$U%x@c", "$("),
        (". $]ldap:x[$U%x@c", "$]"),
        (". $[image,routine,x]$U%x@c", "$["),
        (". $W%x@c", "$W"),
        (". $U%$H$V$H@c", "$V"),
        (". $2U%x@c", "$2U"),
        (". $U%x@c$1M", "$1M"),
        (". $U%x@c$Mtcp_local$Ua", "a name behind $M that another sequence follows"),
        ("*.b $U%$H@c", "$H under a pattern with asterisks"),
        ("*.b $U%$D@c", "$D under a pattern with asterisks"),
        (".b $U%$1D@c", "$1D under a pattern that begins with a dot"),
        (".b $U%$*0@c", "$* under a pattern that begins with a dot"),
        (". $U%x$Tnew", "$T"),
        (". $U%[$L]@c", "$L under a pattern that is none for literals"),
    ],
)
def test_rule_that_cannot_be_evaluated_is_an_error_and_no_rejection(rule: str, what: str) -> None:
    with pytest.raises(MtaTextError) as caught:
        rewritten(f"{rule}\n. $U%y@d\n", "u@a.b")
    assert f"{what} in a rule that cannot be evaluated" in str(caught.value)


def test_test_of_an_unknown_channel_cannot_be_evaluated() -> None:
    place = Place(forward=True, envelope=True)
    with pytest.raises(MtaTextError, match=r"\$M while the channel is not known in a rule that cannot be evaluated"):
        rewritten(". $U%x@c$Mtcp_local\n", "u@a.b", place)


def test_rules_that_begin_anew_without_end_are_an_error() -> None:
    with pytest.raises(AddressError, match="is rewritten more than 20 times, by rules without a system"):
        rewritten(". $U%$H.x\n", "u@a.b")


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
