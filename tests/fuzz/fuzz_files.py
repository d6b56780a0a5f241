# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Feed bytes to the readers, engines, lints and edits. Runs by hand, outside of the continuous tests.

    python tests/fuzz/fuzz_files.py -max_total_time=600 -max_len=400 -timeout=10

Needs atheris, and the collection on the path as ansible_collections.mailhost.hardening. A run fails on any exception
that is not a located error, on a text that printing does not give back, and on an input that takes longer
than the timeout.
"""

from __future__ import annotations

import sys
from contextlib import suppress

import atheris

with atheris.instrument_imports(include=["ansible_collections.mailhost.hardening"]):
    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.callouts import (
        Callouts,
    )
    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.context import (
        surroundings,
    )
    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.decision import (
        as_data,
        decide_session,
    )
    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.mapping import (
        Mappings,
    )
    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.mapping_match import (
        Subject,
        TooCostlyError,
        match,
    )
    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.session import (
        read_config,
        read_session,
    )
    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.dispatcher import (
        parse_dispatcher,
        print_dispatcher,
        set_option,
    )
    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.general import (
        parse_general,
        print_general,
    )
    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta import (
        parse_imta,
        print_imta,
    )
    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.imta_edit import (
        ensure_rule,
        set_keyword,
    )
    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping import (
        parse_mappings,
        print_mappings,
    )
    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping_edit import (
        insert_entries,
        remove_table,
        set_table,
    )
    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.mapping_pattern import (
        PatternError,
        compile_pattern,
    )
    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._formats.text import (
        MtaTextError,
        decode,
    )
    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._lint.dispatcher import (
        lint_dispatcher,
    )
    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._lint.imta import lint_imta
    from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._lint.mapping import (
        lint_mappings,
    )
    from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import ReportedError

EXPECTED = (MtaTextError, PatternError, TooCostlyError)


def check_mappings(text: str, probe: str) -> None:
    """Read, print, lint, edit and evaluate a mapping file."""
    parsed = parse_mappings(text, includes={"f": text})
    assert print_mappings(parsed) == text
    lint_mappings(text, ["192.0.2.1"], ["l"])
    for edit in (
        lambda given: set_table(given, "T", [("*", "$Y")]),
        lambda given: remove_table(given, "T"),
        lambda given: insert_entries(given, "T", [("x", "$Y")]),
    ):
        try:
            once = edit(text)
        except ReportedError:
            continue
        assert edit(once) == once
    around = surroundings("A", {"k": text[:40]}, Callouts({"r": {"": text[-40:], probe: "$Y"}}))
    with suppress(*EXPECTED):
        mappings = Mappings(parse_mappings(text))
        for table in parsed.tables:
            mappings.probe(table.name, probe, around).trace()


def check_others(text: str) -> None:
    """Read, print, lint and edit the other files, and evaluate a session on all of them."""
    assert print_imta(parse_imta(text)) == text
    assert print_dispatcher(parse_dispatcher(text)) == text
    lint_imta(text)
    lint_dispatcher(text, text)
    with suppress(MtaTextError):
        assert print_general(parse_general(text)) == text
    for edit in (
        lambda: set_keyword(text, "c", "switchchannel"),
        lambda: ensure_rule(text, "[]", "$U%[$L]@d"),
        lambda: set_option(text, "SMTP", "PORT", ["25"]),
    ):
        try:
            edit()
        except ReportedError:
            continue
    session = read_session({"client": "192.0.2.1", "mail_from": "a@b", "rcpt_to": ["c@d"], "authenticated": True})
    half = len(text) // 2
    with suppress(ReportedError):
        as_data(decide_session(session, read_config({"imta_cnf": text[:half], "mappings": text[half:]})))


def one_input(data: bytes) -> None:
    """One input: the first byte says what it is used for."""
    text = decode(data[1:])
    kind = data[0] % 4 if data else 0
    first, _line, rest = text.partition("\n")
    if kind == 0:
        with suppress(*EXPECTED):
            match(compile_pattern(first), Subject(rest))
    elif kind == 1:
        check_mappings(f"T\n\n  {rest}\n", first)
    elif kind == 2:
        check_mappings(text, first)
    else:
        check_others(text)


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
