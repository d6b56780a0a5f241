# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random unmanaged files and policies: only managed parts change, and state absent restores every byte."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.compose import (
    Composed,
    Texts,
    UnknownEntry,
    compose,
    describe_unknown,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.live import Live
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.plan import (
    Plan,
    compile_plan,
    read_wanted,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.record import (
    NOTHING,
    Record,
    dump_record,
    load_record,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.wanted import host_facts
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._messaging_server.test_plan import (
    DISPATCHER,
    IMTA,
)

NO_PLAN = Plan({}, (), (), (), (), {})
BLANKS = st.sampled_from([" ", "  ", "\t", "      "])
PATTERNS = st.sampled_from(["tcp_*|a@b.example", "$(192.0.2.0/24)", "*", "a$ b", "x|*|%", "${2001:db8::/32}"])
TEMPLATES = st.sampled_from(["$Y", "$N", "$NGo$ away", "Yes,Channel=tcp_scanner", "$C$0x$E", "a\\\nb"])
COMMENTS = st.sampled_from(["", "! of the site\n", "! *  $Y\n"])


@st.composite
def foreign_tables(draw: st.DrawFn) -> str:
    names = draw(
        st.lists(
            st.sampled_from(["X-SITE", "CONVERSIONS", "internal_ip", "PORT_ACCESS", "ORIG_SEND_ACCESS", "Send_Access"]),
            unique=True,
        )
    )
    text = draw(COMMENTS)
    for name in names:
        text += f"{draw(COMMENTS)}{name}\n\n"
        pairs = draw(st.lists(st.tuples(PATTERNS, TEMPLATES), min_size=1, max_size=4, unique=True))
        for pattern, template in pairs:
            text += f"{draw(COMMENTS)}{draw(BLANKS)}{pattern}{draw(BLANKS)}{template}\n"
        text += draw(st.sampled_from(["\n", "\n\n", "\n! between\n"]))
    ending = draw(st.sampled_from(["\n", "\r\n"]))
    return text.replace("\n", ending)


@st.composite
def foreign_texts(draw: st.DrawFn) -> Texts:
    defaults = draw(st.sampled_from(["noswitchchannel", "allowswitchchannel", "switchchannel", "maxjobs 3"]))
    imta = IMTA.replace("copywarnpost noswitchchannel", f"copywarnpost {defaults}")
    imta = imta.replace("tcp_local smtp", draw(st.sampled_from(["tcp_local smtp", "tcp_local  \\\n smtp"])))
    dispatcher = DISPATCHER + draw(
        st.sampled_from(["", "! a comment\n", "\n[SERVICE=SMTP_SUBMIT]\nPORT=587\n", "\n[SERVICE=HTTP]\nPORT=80\n"])
    )
    general = draw(st.sampled_from(["", "key  $Y\n", "! comment\nother|key   value\n"]))
    return Texts(imta, draw(foreign_tables()), dispatcher, general)


NETWORKS = st.lists(
    st.sampled_from(["192.0.2.80/28", "10.1.0.0/16", "2001:db8:1::/48", "198.51.100.7", "192.0.2.1-192.0.2.9"]),
    unique=True,
)
POLICIES = st.fixed_dictionaries(
    {
        "domains": st.lists(st.sampled_from(["example.com", "inside.example"]), min_size=1, unique=True),
        "internal_networks": NETWORKS,
    },
    optional={
        "blocked_networks": st.just(["203.0.113.64/26", "2001:db8:66::/48"]),
        "relay_exceptions": st.just([{"networks": ["198.51.100.64/28"], "sender_domains": ["allied.example"]}]),
        "dnsbls": st.sampled_from(
            [[{"zone": "m.example", "stage": stage}] for stage in ("mail", "connect", "dispatcher")]
        ),
        "sender_domain_check": st.booleans(),
    },
)
DATABASE = st.booleans()


def plan_of(texts: Texts, record: Record, policy: dict[str, Any], database: bool = False) -> Plan:
    """The plan as a run makes it, from the files as they are."""
    live = Live(texts, bool(texts.general), {}, {"USE_TEXT_DATABASES": str(int(database))}, record)
    return compile_plan(*read_wanted(policy, {"general_database_from": 1}), host_facts(live))


def present(texts: Texts, record: Record, policy: dict[str, Any], database: bool = False) -> Composed:
    found = compose(texts, plan_of(texts, record, policy, database), record)
    return found._replace(record=load_record(dump_record(found.record)))


@settings(max_examples=25)
@given(foreign_texts(), POLICIES, DATABASE)
def test_a_second_run_changes_nothing(texts: Texts, policy: dict[str, Any], database: bool) -> None:
    first = present(texts, NOTHING, policy, database)
    second = present(first.texts, first.record, policy, database)
    assert second.texts == first.texts
    assert second.record == first.record
    assert second.unknown == ()


@settings(max_examples=25)
@given(foreign_texts(), POLICIES, POLICIES, DATABASE)
def test_a_host_does_not_remember_an_older_policy(
    texts: Texts, older: dict[str, Any], policy: dict[str, Any], database: bool
) -> None:
    first = present(texts, NOTHING, older, database)
    second = present(first.texts, first.record, policy, database)
    assert entries(second) == entries(present(texts, NOTHING, policy, database))


def entries(composed: Composed) -> Any:
    return {name: table.managed for name, table in composed.record.tables.items()}


@settings(max_examples=40)
@given(foreign_texts(), st.lists(POLICIES, min_size=1, max_size=2), DATABASE)
def test_absent_gives_every_byte_back(texts: Texts, policies: list[dict[str, Any]], database: bool) -> None:
    found = Composed(texts, NOTHING, ())
    for policy in policies:
        found = present(found.texts, found.record, policy, database)
    assert found.texts != texts
    gone = compose(found.texts, NO_PLAN, found.record)
    assert gone.texts.imta_cnf == texts.imta_cnf
    assert gone.texts.dispatcher_cnf == texts.dispatcher_cnf
    assert gone.texts.general == texts.general
    assert gone.texts.mappings == texts.mappings
    assert gone.record.empty


POLICY = {"domains": ["example.com"], "internal_networks": ["192.0.2.80/28"]}


@pytest.mark.parametrize(("place", "line"), [("before", "INTERNAL_IP\n\n"), ("after", "  127.0.0.1  $Y\n")])
def test_unknown_entry_is_named_with_its_place(place: str, line: str) -> None:
    first = present(Texts(IMTA, "", DISPATCHER, ""), NOTHING, POLICY)
    added = first.texts.mappings.replace(line, f'{line}  $(10.9.0.0/16)  $NNo$ "mail"\n')
    assert added != first.texts.mappings
    second = present(first.texts._replace(mappings=added), first.record, POLICY)
    assert second.unknown == (UnknownEntry("INTERNAL_IP", place, "$(10.9.0.0/16)", '$NNo$ "mail"'),)
    assert describe_unknown(second.unknown) == (
        f'messaging_server_extra_entries:\n  INTERNAL_IP:\n    {place}:\n      - ["$(10.9.0.0/16)", "$NNo$ \\"mail\\""]'
    )
    assert "10.9" not in second.texts.mappings


def test_unmanaged_entry_stays_when_the_managed_ones_are_removed() -> None:
    mappings = "INTERNAL_IP\n\n\t$(192.0.2.0/24)\t$Y\n"
    first = present(Texts(IMTA, mappings, DISPATCHER, ""), NOTHING, POLICY)
    added = first.texts.mappings.replace("INTERNAL_IP\n\n", "INTERNAL_IP\n\n  $(10.9.0.0/16)  $N\n")
    gone = compose(first.texts._replace(mappings=added), NO_PLAN, first.record)
    assert gone.texts.mappings == "INTERNAL_IP\n\n  $(10.9.0.0/16)  $N\n\t$(192.0.2.0/24)\t$Y\n"
