# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.mapping_match import (
    Subject,
    match,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.dispatcher import (
    parse_dispatcher,
    print_dispatcher,
    set_option,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.general import set_keys
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta import (
    parse_imta,
    print_imta,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta_edit import (
    ImtaEditError,
    add_channel,
    clear_keyword,
    ensure_rule,
    remove_channel,
    remove_rule,
    set_default,
    set_keyword,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping import (
    parse_mappings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping_edit import (
    insert_entries,
    remove_table,
    set_table,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping_pattern import (
    compile_pattern,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping_quote import (
    QuoteError,
    format_entry,
    quote,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping_template import (
    Text,
    compile_template,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.text import (
    EditError,
    decode,
)

# Quoting


@pytest.mark.parametrize(
    ("value", "where", "quoted"),
    [
        ("Relaying not permitted", "text", "Relaying$ not$ permitted"),
        ("50% of $5*", "text", "50%$ of$ $$5*"),
        ("50% of $5*", "pattern", "50$%$ of$ $$5$*"),
        ("a\tb", "callout", "a$\tb"),
    ],
)
def test_quote(value: str, where: str, quoted: str) -> None:
    assert quote(value, where) == quoted


@pytest.mark.parametrize(
    ("value", "where", "message"),
    [
        ("a|b", "text", "'a|b': '|' cannot stand in the text of a mapping entry"),
        ("a\nb", "text", "'a\\nb': '\\n' cannot stand in the text of a mapping entry"),
        ("a\\", "pattern", "'a\\\\': '\\\\' cannot stand in the pattern of a mapping entry"),
        ("a]", "callout", "'a]': ']' cannot stand in the callout of a mapping entry"),
        ("Ω", "text", "'Ω': 'Ω' cannot stand in the text of a mapping entry"),
    ],
)
def test_quote_rejects(value: str, where: str, message: str) -> None:
    with pytest.raises(QuoteError) as caught:
        quote(value, where)
    assert str(caught.value) == message


@settings(max_examples=300)
@given(st.text(st.characters(max_codepoint=300), max_size=12))
def test_quoted_values_stay_in_their_field(value: str) -> None:
    try:
        pattern, text = quote(value, "pattern"), quote(value, "text")
    except QuoteError:
        return
    assert match(compile_pattern(pattern), Subject(value)) == []
    assert "".join(op.text for op in compile_template(text) if isinstance(op, Text)) == value
    entry = parse_mappings("T\n\n" + format_entry(f"x{pattern}", f"$N{text}")).tables[0].entries
    assert [(one.pattern, one.template, one.rest) for one in entry] == [(f"x{pattern}", f"$N{text}", "")]


@pytest.mark.parametrize(
    ("pattern", "template", "message"),
    [
        ("a" * 253, "$Y", f"pattern {'a' * 253!r} has 253 characters; release 6-2005q4 takes 252"),
        ("a", "b" * 253, f"template {'b' * 253!r} has 253 characters; release 6-2005q4 takes 252"),
        ("a b", "$Y", "pattern 'a b' with template '$Y' is not one entry; expected quoted blanks"),
        ("a", "$Y\n  *  $Y", "pattern 'a' with template '$Y\\n  *  $Y' is not one entry; expected quoted blanks"),
        ("a", "$Y\\", "pattern 'a' with template '$Y\\\\' is not one entry; expected quoted blanks"),
        (
            "$Ax",
            "$Y",
            "pattern '$Ax' with template '$Y': \"$Ax\" in a pattern; expected a wildcard (% or *) at its end",
        ),
    ],
)
def test_entry_is_rejected(pattern: str, template: str, message: str) -> None:
    with pytest.raises(QuoteError) as caught:
        format_entry(pattern, template)
    assert str(caught.value) == message


# Mapping file

FILE = "! head\r\nA\r\n\r\n! note\r\n  a  $Y \\\r\n\r\n! b's\r\nB\r\n\r\n  b  $N\r\n! in\r\n  c  $Y\r\n"


def test_replace_table() -> None:
    assert set_table(FILE, "b", [("x", "$Y"), ("*", "$N")]) == FILE.replace(
        "  b  $N\r\n! in\r\n  c  $Y\r\n", "  x  $Y\r\n  *  $N\r\n! in\r\n"
    )
    assert set_table(FILE, "B", [("b", "$N"), ("c", "$Y")]) == FILE


@pytest.mark.parametrize(
    ("entries", "result"),
    [
        ([("b", "$N"), ("x", "$Y"), ("c", "$Y")], "  b  $N\r\n! in\r\n  x  $Y\r\n  c  $Y\r\n"),
        ([("x", "$Y"), ("b", "$N"), ("c", "$Y")], "  x  $Y\r\n  b  $N\r\n! in\r\n  c  $Y\r\n"),
        ([("b", "$N"), ("c", "$Y"), ("x", "$Y")], "  b  $N\r\n! in\r\n  c  $Y\r\n  x  $Y\r\n"),
        ([("c", "$Y")], "! in\r\n  c  $Y\r\n"),
        ([("c", "$Y"), ("b", "$N")], "  c  $Y\r\n  b  $N\r\n! in\r\n"),
    ],
)
def test_a_change_keeps_lines_and_comments(entries: list[tuple[str, str]], result: str) -> None:
    changed = set_table(FILE, "B", entries)
    assert changed == FILE.replace("  b  $N\r\n! in\r\n  c  $Y\r\n", result)
    assert set_table(changed, "B", [("b", "$N"), ("c", "$Y")]).count("! in") == 1


def test_a_file_without_a_last_line_end_keeps_that() -> None:
    assert set_table("T\n\n  a  $Y\n  b  $Y", "T", [("a", "$Y"), ("c", "$Y")]) == "T\n\n  a  $Y\n  c  $Y"
    assert set_table("T\n\n  a  $Y\n  b  $Y", "T", [("a", "$Y")]) == "T\n\n  a  $Y"
    assert set_table("T\n\n  a  $Y", "T", [("a", "$Y"), ("b", "$Y")]) == "T\n\n  a  $Y\n  b  $Y"


def test_add_and_remove_table() -> None:
    added = set_table(FILE, "NEW", [("*", "$Y")])
    assert added == FILE + "\r\nNEW\r\n\r\n  *  $Y\r\n"
    assert remove_table(added, "new") == FILE
    assert remove_table(FILE, "NEW") == FILE
    assert set_table("", "T", [("*", "$Y")]) == "T\n\n  *  $Y\n"
    assert set_table("! c", "T", [("*", "$Y")]) == "! c\n\nT\n\n  *  $Y\n"


def test_insert_entries() -> None:
    assert insert_entries(FILE, "B", [("x", "$Y")], before="c") == FILE.replace("  c  $Y", "  x  $Y\r\n  c  $Y")
    assert insert_entries(FILE, "B", [("x", "$Y")], after="b") == FILE.replace("  c  $Y", "  x  $Y\r\n  c  $Y")
    assert insert_entries(FILE, "B", [("x", "$Y")]) == FILE + "  x  $Y\r\n"
    assert insert_entries(FILE, "B", [("c", "$Y")], before="b") == FILE
    with pytest.raises(EditError, match='table B has no entry with pattern "q"'):
        insert_entries(FILE, "B", [("x", "$Y")], before="q")
    with pytest.raises(EditError, match="table C has no entries"):
        insert_entries(FILE, "C", [("x", "$Y")])


LINES = st.lists(
    st.sampled_from(
        ["A\n", "B\n", "T\n", "\n", "! c\n", "  a  $Y\n", "  b  $N\n", "\tc \\\n", "$Nx\r\n", "<f\n", "é \n", "\n\n"]
    ),
    max_size=12,
).map("".join)


@settings(max_examples=400)
@given(LINES, st.sampled_from(["set", "remove", "insert"]))
def test_edits_touch_one_table_only(text: str, what: str) -> None:
    def edit(given: str) -> str:
        if what == "set":
            return set_table(given, "T", [("x", "$Y"), ("*", "$N")])
        return remove_table(given, "T") if what == "remove" else insert_entries(given, "T", [("x", "$Y")])

    try:
        result = edit(text)
    except EditError:
        return
    before, after = parse_mappings(text), parse_mappings(result)
    unmanaged = [node.line.raw for node in before.nodes if node.table < 0 or before.tables[node.table].name != "T"]
    kept = [node.line.raw for node in after.nodes if node.table < 0 or after.tables[node.table].name != "T"]
    blank = {("\n",), ("\r\n",)}
    remaining = iter([raw for raw in kept if raw not in blank])
    # Comments above the first entry of a table stay when the table goes, so there may be more than before.
    assert all(raw in remaining for raw in unmanaged if raw not in blank)
    assert edit(result) == result


# imta.cnf

IMTA = (
    "! rules\n[]\t$U%[$L]@tcp-daemon\n.\t$U%$H@tcp-daemon\n\ndefaults noswitchchannel\n\n"
    "tcp_local smtp  SwitchChannel saslswitchchannel \\\ntcp_auth remotehost\ntcp-daemon\n\n"
    'ims-ms backoff "pt5m" "pt10m" notices 1 7 fileinto $U\nims-ms-daemon\n'
)


def test_keywords_with_arguments() -> None:
    parsed = parse_imta(IMTA)
    assert [(k.name, k.arguments) for k in parsed.channels[0].keywords] == [
        ("smtp", ()), ("switchchannel", ()), ("saslswitchchannel", ("tcp_auth",)), ("remotehost", ()),
    ]  # fmt: skip
    assert [(k.name, k.arguments) for k in parsed.channels[1].keywords] == [
        ("backoff", ("pt5m", "pt10m")), ("notices", ("1", "7")), ("fileinto", ("$U",)),
    ]  # fmt: skip


def test_set_keyword() -> None:
    assert set_keyword(IMTA, "tcp_local", "switchchannel") == IMTA
    assert set_keyword(IMTA, "tcp_local", "noswitchchannel") == IMTA.replace("SwitchChannel", "noswitchchannel")
    assert set_keyword(IMTA, "TCP_LOCAL", "maysaslserver") == IMTA.replace("remotehost\n", "remotehost maysaslserver\n")
    assert set_keyword(IMTA, "tcp_local", "saslswitchchannel", ["tcp_x"]) == IMTA.replace(" \\\ntcp_auth", " tcp_x")
    assert set_keyword(IMTA, "ims-ms", "pool", ["IMS POOL"]) == IMTA.replace(
        "fileinto $U", 'fileinto $U pool "IMS POOL"'
    )
    for words, message in [
        (("nowhere", "inner"), "there is no channel 'nowhere' in this file"),
        (("ims-ms", "pool", ["a\nb"]), "'a\\nb' cannot stand in a channel block"),
        (("ims-ms", "two words"), "'two words' cannot stand in a channel block"),
        (("ims-ms", "pool", ['a"b']), "'a\"b' cannot stand in a channel block"),
    ]:
        with pytest.raises(ImtaEditError) as caught:
            set_keyword(IMTA, *words)  # type: ignore[arg-type]
        assert str(caught.value) == message


def test_clear_keyword() -> None:
    assert clear_keyword(IMTA, "tcp_local", "mx") == IMTA
    assert clear_keyword(IMTA, "tcp_local", "switchchannel") == IMTA.replace("  SwitchChannel", " ")
    assert clear_keyword(IMTA, "tcp_local", "saslswitchchannel") == IMTA.replace(" saslswitchchannel \\\ntcp_auth", "")


def test_ensure_rule() -> None:
    rule = "$E$R${INTERNAL_IP,$L}$U%[$L]@tcp_intranet-daemon"
    result = ensure_rule(IMTA, "[]", rule)
    assert result == IMTA.replace("[]\t", f"[]\t{rule}\n[]\t")
    assert ensure_rule(result, "[]", rule) == result
    wrong = IMTA.replace("tcp-daemon\n.", f"tcp-daemon\n[]\t{rule}\n.", 1)
    assert ensure_rule(wrong, "[]", rule) == result
    assert ensure_rule(IMTA, "x.example", "$U%$D@l") == IMTA.replace(
        "\n\ndefaults", "\nx.example\t$U%$D@l\n\ndefaults", 1
    )
    assert ensure_rule("defaults x\n", ".", "$U%$H@l") == ".\t$U%$H@l\n\ndefaults x\n"
    with pytest.raises(ImtaEditError, match="expected text without blanks"):
        ensure_rule(IMTA, "[]", "a b")


def test_remove_rule() -> None:
    rule = "$E$R${INTERNAL_IP,$L}$U%[$L]@tcp_intranet-daemon"
    assert remove_rule(ensure_rule(IMTA, "[]", rule), "[]", rule) == IMTA
    assert remove_rule(IMTA, "[]", rule) == IMTA


def test_defaults() -> None:
    assert set_default(IMTA, "noswitchchannel") == IMTA
    assert set_default(IMTA, "inner") == IMTA.replace("defaults noswitchchannel", "defaults noswitchchannel inner")
    swapped = set_default(IMTA, "allowswitchchannel")
    assert swapped == IMTA.replace("defaults noswitchchannel", "defaults allowswitchchannel")
    twice = IMTA.replace("ims-ms", "defaults notices 1 2\n\nims-ms", 1)
    assert set_default(twice, "noswitchchannel") == twice.replace("notices 1 2", "notices 1 2 noswitchchannel")
    bare = IMTA.replace("defaults noswitchchannel\n\n", "")
    assert set_default(bare, "noswitchchannel") == IMTA
    assert set_default(".\t$U%$H@l\n", "noswitchchannel") == ".\t$U%$H@l\n\ndefaults noswitchchannel\n"


def test_channels_come_and_go() -> None:
    added = add_channel(IMTA, "tcp_auth", ("smtp", "mx", "mustsaslserver"), "tcp_auth-daemon")
    assert added == IMTA + "\ntcp_auth smtp mx mustsaslserver\ntcp_auth-daemon\n"
    assert add_channel(added, "TCP_AUTH", ("smtp",), "other") == added
    assert remove_channel(added, "tcp_auth") == IMTA
    assert remove_channel(IMTA, "tcp_auth") == IMTA
    in_front = add_channel(IMTA[:-1], "tcp_auth", ("smtp",), "tcp_auth-daemon")
    assert in_front == IMTA + "\ntcp_auth smtp\ntcp_auth-daemon\n"
    with pytest.raises(ImtaEditError, match="'ims-ms-daemon' is already the host name of channel ims-ms"):
        add_channel(IMTA, "tcp_auth", ("smtp",), "ims-ms-daemon")


GENERAL = "! managed below\r\nSEND|a@b.example  $Y\r\nMINE|1  $Y\r\n"


def test_general_keys() -> None:
    assert set_keys(GENERAL, "MINE|", {"MINE|1": "$Y"}) == GENERAL
    assert set_keys(GENERAL, "MINE|", {"MINE|1": "$Y", "MINE|2": "$Y"}) == GENERAL + "MINE|2  $Y\r\n"
    assert set_keys(GENERAL, "MINE|", {"MINE|1": "$N"}) == GENERAL.replace("MINE|1  $Y", "MINE|1  $N")
    assert set_keys(GENERAL, "MINE|", {}) == GENERAL.replace("MINE|1  $Y\r\n", "")
    assert set_keys("", "MINE|", {"MINE|1": "$Y"}) == "MINE|1  $Y\n"
    with pytest.raises(EditError, match=r"'OTHER' does not begin with 'MINE\|'"):
        set_keys(GENERAL, "MINE|", {"OTHER": "$Y"})
    with pytest.raises(EditError, match=r"cannot stand in general\.txt"):
        set_keys(GENERAL, "MINE|", {"MINE|a b": "$Y"})


IMTA_FAULTS = [
    ("[]\n\n", "no-template", 'imta.cnf:1:3: the pattern "[]" alone; expected a blank and a template'),
    (
        ".  $U@x\n  .  $U@y\n",
        "indented-rule",
        "imta.cnf:2:1: an indented line among the rules; expected a pattern in column 1",
    ),
    (
        "\nc smtp\n",
        "no-official-host",
        'imta.cnf:2:7: channel "c" without a host name; expected its official host name in a line of its own',
    ),
    (
        "\nc smtp\nh\n\nC x\ni\n",
        "duplicate-channel",
        'imta.cnf:5:1: channel "C" was already defined in line 2; expected each name once',
    ),
    (
        '\nc pool "x\nh\n',
        "open-quote",
        "imta.cnf:2:8: a quote that is not closed; expected a second double quote in the same line",
    ),
    (
        "\n[]  $U%[$L]@x\n",
        "rule-among-channels",
        'imta.cnf:2:1: "[]" begins a channel block; expected rules before any blank line',
    ),
    (
        "\n" + "c" * 33 + " x\nh\n",
        "long-channel-name",
        f'imta.cnf:2:1: the channel name "{"c" * 33}" has 33 characters; expected at most 32',
    ),
    (
        "\ndefaults x\nc smtp\n",
        "no-blank-after-defaults",
        "imta.cnf:3:1: a line right after defaults; expected a blank line",
    ),
    ("<\n", "include-name", "imta.cnf:1:2: an include without a file; expected the full path of a file"),
]


@pytest.mark.parametrize(("text", "code", "message"), IMTA_FAULTS)
def test_imta_faults(text: str, code: str, message: str) -> None:
    fault = parse_imta(text).faults[0]
    assert (fault.code, str(fault.error)) == (code, message)


IMTA_LINES = st.lists(
    st.sampled_from(
        [
            "[] $U%[$L]@d\n",
            ".\t$U%$H@d\r\n",
            "\n",
            "! c\n",
            "defaults a b\n",
            "c smtp \\\n",
            " mx\n",
            "host\n",
            'x pool "y\n',
            "<f\n",
            "\x0b\n",
            "\xa0é",
        ]
    ),
    max_size=12,
).map("".join)


@settings(max_examples=400)
@given(st.one_of(IMTA_LINES, st.text(), st.binary().map(decode)))
def test_imta_and_dispatcher_print_gives_the_text_back(text: str) -> None:
    assert print_imta(parse_imta(text, includes={"f": "q x\nh\n<f\n"})) == text
    assert print_dispatcher(parse_dispatcher(text)) == text


@settings(max_examples=300)
@given(IMTA_LINES)
def test_imta_edits_are_stable(text: str) -> None:
    try:
        once = ensure_rule(set_keyword(text, "c", "noswitchchannel"), "[]", "$E$R$U%[$L]@i")
    except ImtaEditError:
        return
    assert ensure_rule(set_keyword(once, "c", "noswitchchannel"), "[]", "$E$R$U%[$L]@i") == once
    assert len(parse_imta(once).channels) == len(parse_imta(text).channels)


# dispatcher.cnf

DISPATCHER = (
    "MAX_PROCS=5\r\n! c\r\n[SERVICE=SMTP]\r\nPORT=25\r\nDNS_VERIFY_DOMAIN=old.\r\n\r\n[SERVICE=POP]\r\nPORT=110"
)


def test_set_option() -> None:
    zones = ["new.", "old."]
    result = set_option(DISPATCHER, "SMTP", "DNS_VERIFY_DOMAIN", zones)
    assert result == DISPATCHER.replace("=old.\r\n", "=old.\r\nDNS_VERIFY_DOMAIN=new.\r\n")
    assert set_option(result, "smtp", "dns_verify_domain", zones) == result
    assert set_option(result, "SMTP", "DNS_VERIFY_DOMAIN", ["old."]) == DISPATCHER
    assert set_option(DISPATCHER, "SMTP", "DNS_VERIFY_DOMAIN", []) == DISPATCHER.replace(
        "DNS_VERIFY_DOMAIN=old.\r\n", ""
    )
    assert set_option(DISPATCHER, "POP", "IDENT", ["0"]) == DISPATCHER + "\r\nIDENT=0\r\n"
    assert set_option(DISPATCHER, "NEW", "PORT", ["26"]) == DISPATCHER + "\r\n\r\n[SERVICE=NEW]\r\nPORT=26\r\n"
    assert set_option("", "SMTP", "PORT", ["25"]) == "[SERVICE=SMTP]\nPORT=25\n"


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        (
            "PORT",
            ["25\n[SERVICE=X]"],
            "'25\\n[SERVICE=X]' cannot stand in dispatcher.cnf; expected text without control characters",
        ),
        ("PORT", ["25", "26"], "PORT takes one value; got ['25', '26']"),
        ("DNS_VERIFY_DOMAIN", list("abcdef"), "DNS_VERIFY_DOMAIN takes at most 5 values for a service; got 6"),
        ("A=B", ["1"], "'A=B' for service 'SMTP' is no option name"),
    ],
)
def test_set_option_rejects(name: str, values: list[str], message: str) -> None:
    with pytest.raises(EditError) as caught:
        set_option(DISPATCHER, "SMTP", name, values)
    assert str(caught.value) == message
