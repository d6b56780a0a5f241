# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host's loader as far as it is text: reading iptables-save, and the one text that makes a change."""

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils import _packet_filter_loader as loader

SAVED = """\
*filter
:INPUT DROP [1:60]
:OUTPUT ACCEPT [0:0]
:MAILHOST-IN - [0:0]
:MAILHOST-OLD - [0:0]
:f2b-postfix - [0:0]
-A INPUT -p tcp -m multiport --dports 25 -j f2b-postfix
-A INPUT -m comment --comment "a -j b" -j MAILHOST-IN
-A INPUT -j MAILHOST-IN
-A INPUT -j MAILHOST-IN
-A OUTPUT -j MAILHOST-OUT
-A MAILHOST-IN -i lo -j RETURN
-A f2b-postfix -j RETURN
COMMIT
"""
WANTED = """\
*filter
:MAILHOST-IN - [0:0]
-A MAILHOST-IN -i lo -j ACCEPT
COMMIT
"""


def test_only_our_chains_and_plain_jumps_are_ours() -> None:
    live = loader.parse_save(SAVED)
    assert live.chains == {"MAILHOST-IN": ["-i lo -j RETURN"], "MAILHOST-OLD": []}
    assert live.jumps == {"INPUT": 2, "OUTPUT": 1}


def test_a_change_names_no_policy_and_no_foreign_chain() -> None:
    text = loader.transaction(WANTED, loader.parse_save(SAVED), ["f2b-*"])
    assert text.splitlines() == [
        "*filter",
        ":MAILHOST-IN - [0:0]",
        ":MAILHOST-OLD - [0:0]",
        "-A MAILHOST-IN -i lo -j ACCEPT",
        "-D INPUT -j MAILHOST-IN",
        "-D INPUT -j MAILHOST-IN",
        "-I INPUT 2 -j MAILHOST-IN",
        "-D OUTPUT -j MAILHOST-OUT",
        "-X MAILHOST-OLD",
        "COMMIT",
    ]


def test_nothing_wanted_takes_everything_of_ours_away() -> None:
    text = loader.transaction("", loader.parse_save(SAVED), [])
    assert text.splitlines() == [
        "*filter",
        ":MAILHOST-IN - [0:0]",
        ":MAILHOST-OLD - [0:0]",
        "-D INPUT -j MAILHOST-IN",
        "-D INPUT -j MAILHOST-IN",
        "-D OUTPUT -j MAILHOST-OUT",
        "-X MAILHOST-IN",
        "-X MAILHOST-OLD",
        "COMMIT",
    ]


@pytest.mark.parametrize(
    ("rules", "place"),
    [
        ([], 1),
        (["-j ACCEPT"], 1),
        (["-p tcp -m multiport --dports 22 -j f2b-sshd", "-j ACCEPT"], 2),
        (["-j ACCEPT", "-p tcp -j f2b-sshd"], 3),
        (["-p tcp -g f2b-sshd"], 1),
    ],
)
def test_our_jump_comes_behind_the_bans(rules: list[str], place: int) -> None:
    assert loader.jump_position(rules, ["f2b-*"]) == place


def test_members_are_compared_whatever_their_order() -> None:
    one = "create a hash:net family inet\nadd a 10.0.0.0/8\nadd a 192.0.2.1\n"
    other = "create a hash:net family inet bucketsize 12 initval 0x1\nadd a 192.0.2.1\nadd a 10.0.0.0/8\n"
    assert loader.members_digest(one) == loader.members_digest(other)
    assert loader.members_digest(one) != loader.members_digest(one + "add a 192.0.2.2\n")


def test_a_command_that_fails_says_what_it_said() -> None:
    with pytest.raises(loader.LoadError, match=r"^sh -c echo no >&2; exit 3 returned 3: no$"):
        loader.run(["sh", "-c", "echo no >&2; exit 3"])


def test_warnings_are_no_errors() -> None:
    assert loader.run(["sh", "-c", "echo '# Warning' >&2; echo fine"]) == "fine\n"


def test_an_unknown_command_line_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert loader.main(["flush"]) == 2
    assert capsys.readouterr().err.startswith("usage: boot | unload")
