# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.effects import (
    KINDS,
    AcceptedEffects,
    Effect,
    EffectsError,
    check_effects,
    describe_effects,
    read_accepted_effects,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError

BAN = Effect(
    "opened",
    "tcp",
    25,
    "from members of set f2b-postfix",
    "was rejected by -A INPUT -m set --match-set f2b-postfix src -j REJECT",
    remedy="set packet_filter_jump_after",
)
IMAP = Effect("closed", "tcp", 143, "from anywhere", "was open", "no flow declared")
SENDER = Effect("opened", "port", 2525, "authenticated client, sender of another", "was 553")


def test_table_groups_ports_and_orders_by_kind() -> None:
    effects = [IMAP._replace(port=993), IMAP, BAN, SENDER]
    assert describe_effects(effects, "mx1") == (
        "effects on mx1:\n"
        "  opened  tcp 25 from members of set f2b-postfix              "
        "was rejected by -A INPUT -m set --match-set f2b-postfix src -j REJECT\n"
        "  opened  port 2525, authenticated client, sender of another  was 553\n"
        "  closed  tcp 143, 993 from anywhere                          was open; policy: no flow declared\n"
    )


def test_table_of_no_effects_is_empty() -> None:
    assert describe_effects([], "mx1") == ""


def test_long_table_counts_the_rest() -> None:
    effects = [IMAP._replace(who=f"from 198.51.100.{number}") for number in range(150)]
    assert describe_effects(effects, "mx1").splitlines()[-1] == "  ... and 50 more"


def test_effects_with_a_reason_and_accepted_ones_pass() -> None:
    assert check_effects([IMAP, BAN], AcceptedEffects("mailhost_accepted_effects", [BAN.entry])) is None


def test_effect_without_a_reason_stops_with_what_to_paste() -> None:
    accepted = AcceptedEffects("mailhost_accepted_effects", [SENDER.entry])
    with pytest.raises(EffectsError) as caught:
        check_effects([IMAP, BAN, BAN._replace(port=465), SENDER], accepted)
    assert str(caught.value) == (
        "this change has effects that the policy does not ask for; nothing was changed:\n"
        "  opened tcp 25, 465 from members of set f2b-postfix: "
        "was rejected by -A INPUT -m set --match-set f2b-postfix src -j REJECT\n"
        "    set packet_filter_jump_after\n"
        "to have these effects all the same, add:\n"
        "mailhost_accepted_effects:\n"
        '  - "opened port 2525, authenticated client, sender of another"\n'
        '  - "opened tcp 25 from members of set f2b-postfix"\n'
        '  - "opened tcp 465 from members of set f2b-postfix"'
    )


EFFECTS = st.lists(
    st.builds(
        Effect,
        st.sampled_from(KINDS),
        st.sampled_from(["tcp", "port"]),
        st.integers(1, 65535),
        st.text(min_size=1, max_size=40),
        st.text(max_size=40),
        reason=st.just(""),
    ),
    min_size=1,
    max_size=8,
)


@given(EFFECTS)
def test_pasted_entries_are_accepted(effects: list[Effect]) -> None:
    with pytest.raises(EffectsError) as caught:
        check_effects(effects, AcceptedEffects("mailhost_accepted_effects", []))
    lines = str(caught.value).split("\n")
    start = len(lines) - 1 - lines[::-1].index("mailhost_accepted_effects:")
    pasted = yaml.safe_load("\n".join(lines[start:]))["mailhost_accepted_effects"]
    check_effects(effects, read_accepted_effects(pasted, "mailhost_accepted_effects"))


@given(EFFECTS)
def test_effects_survive_json(effects: list[Effect]) -> None:
    assert [Effect.from_dict(json.loads(json.dumps(one.to_dict()))) for one in effects] == effects


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (
            "opened tcp 25 from anywhere",
            'mailhost_accepted_effects: "opened tcp 25 from anywhere" is not a list; write a list, as '
            '["opened tcp 25 from members of set f2b-postfix"]; -e name=value and INI inventories give text, '
            "-e '{\"mailhost_accepted_effects\": [...]}' does not",
        ),
        (
            ["everything"],
            'mailhost_accepted_effects[0]: "everything" is no effect; paste an entry that a run printed, as '
            '"opened tcp 25 from members of set f2b-postfix"',
        ),
        (
            [25],
            "mailhost_accepted_effects[0]: 25 is no effect; paste an entry that a run printed, as "
            '"opened tcp 25 from members of set f2b-postfix"',
        ),
    ],
)
def test_other_values_are_named(value: object, problem: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read_accepted_effects(value, "mailhost_accepted_effects")
    assert caught.value.problems == [problem]
