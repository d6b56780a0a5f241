# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host's loader as far as it is text: reading iptables-save, and the one text that makes a change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter import loader
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.services import MAIL_SERVICES

SAVED = """\
*filter
:INPUT DROP [1:60]
:OUTPUT ACCEPT [0:0]
:MAILHOST-IN - [0:0]
:MAILHOST-IN-MAIL - [0:0]
:f2b-postfix - [0:0]
:MAILHOST-VIP - [0:0]
-A INPUT -p tcp -m multiport --dports 25 -j f2b-postfix
-A INPUT -m comment --comment "a -j b" -j MAILHOST-IN
-A INPUT -j MAILHOST-IN
-A INPUT -j MAILHOST-IN
-A OUTPUT -j MAILHOST-OUT
-A MAILHOST-IN -i lo -j RETURN
-A f2b-postfix -j RETURN
-A MAILHOST-VIP -j ACCEPT
COMMIT
"""
PENDING = loader.Pending("t", "generation-t", 5, "boot", 5.0, [], False, {})
WANTED = """\
*filter
:MAILHOST-IN - [0:0]
-A MAILHOST-IN -i lo -j ACCEPT
COMMIT
"""


def test_parse_save_finds_managed_chains_and_plain_jumps_only() -> None:
    live = loader.parse_save(SAVED)
    assert live.chains == {"MAILHOST-IN": ["-i lo -j RETURN"], "MAILHOST-IN-MAIL": []}
    assert live.jumps == {"INPUT": 2, "OUTPUT": 1}


def test_transaction_names_no_policy_and_no_unmanaged_chain() -> None:
    text = loader.transaction(WANTED, loader.parse_save(SAVED), ["f2b-*"])
    assert text.splitlines() == [
        "*filter",
        ":MAILHOST-IN - [0:0]",
        ":MAILHOST-IN-MAIL - [0:0]",
        "-A MAILHOST-IN -i lo -j ACCEPT",
        "-D INPUT -j MAILHOST-IN",
        "-D INPUT -j MAILHOST-IN",
        "-I INPUT 2 -j MAILHOST-IN",
        "-D OUTPUT -j MAILHOST-OUT",
        "-X MAILHOST-IN-MAIL",
        "COMMIT",
    ]


def test_transaction_to_nothing_removes_all_managed_chains_and_jumps() -> None:
    live = loader.parse_save(SAVED.replace('-A INPUT -m comment --comment "a -j b" -j MAILHOST-IN\n', ""))
    text = loader.transaction("", live, [])
    assert text.splitlines() == [
        "*filter",
        ":MAILHOST-IN - [0:0]",
        ":MAILHOST-IN-MAIL - [0:0]",
        "-D INPUT -j MAILHOST-IN",
        "-D INPUT -j MAILHOST-IN",
        "-D OUTPUT -j MAILHOST-OUT",
        "-X MAILHOST-IN",
        "-X MAILHOST-IN-MAIL",
        "COMMIT",
    ]


@pytest.mark.parametrize(
    ("rules", "place"),
    [
        ([], 0),
        (["-j ACCEPT"], 0),
        (["-p tcp -m multiport --dports 22 -j f2b-sshd", "-j ACCEPT"], 1),
        (["-j ACCEPT", "-p tcp -j f2b-sshd"], 0),
        (["-p tcp -g f2b-sshd"], 1),
        (['-m comment --comment "see -j f2b-x" -j ACCEPT'], 0),
        (["-m comment --comment -j -j ACCEPT"], 0),
    ],
)
def test_jump_place_is_after_the_leading_bans(rules: list[str], place: int) -> None:
    saved = "".join(f"-A INPUT {rule}\n" for rule in rules)
    assert loader.jump_place("INPUT", loader.parse_save(saved), ["f2b-*"]) == place


CHAINS = {
    "BANS": ["-s 198.51.100.21/32 -j REJECT", "-j RETURN"],
    "EMPTY": [],
    "OUTER": ['-p tcp -m limit --limit 1/s -j LOG --log-prefix "-j ACCEPT "', "-j BANS", "-g EMPTY"],
    "OPENS": ["-s 198.51.100.22/32 -j DROP", "-p tcp --dport 25 -j ACCEPT"],
    "DEEP": ["-j OUTER", "-g OPENS"],
}


@pytest.mark.parametrize(
    "rule",
    [
        "-p tcp -m multiport --dports 25 -m set --match-set f2b-postfix src -j REJECT --reject-with icmp-port-unreachable",
        '-m comment --comment "mailcow -j ACCEPT" -j BANS',
        "-j EMPTY",
        "-i lo -j OUTER",
        "-p tcp -m recent --set --name SMTP --rsource",
        "-m comment --comment -j -j DROP",
        "-p tcp -j MARK --set-xmark 0x1/0xffffffff",
        "-p tcp -j SET --add-set scanners src",
        '-p tcp -j LOG --log-prefix "a -j ACCEPT "',
    ],
)
def test_rules_that_can_only_deny_stay_before_the_managed_jump(rule: str) -> None:
    assert loader.only_denies([rule], CHAINS, "ACCEPT", [])


@pytest.mark.parametrize(
    "rule",
    [
        "-j ACCEPT",
        "-j OPENS",
        "-j DEEP",
        "-p tcp -j NFQUEUE --queue-num 0",
        "-j SOMETHING",
        "-j MAILHOST-OUT",
        "-p tcp --dport 25 -j RETURN",
        "-g BANS",
        '-m comment --comment broken" -j ACCEPT',
    ],
)
def test_rules_that_may_accept_do_not_stay_before_the_managed_jump(rule: str) -> None:
    assert not loader.only_denies([rule], CHAINS, "ACCEPT", [])


def test_return_and_goto_of_a_built_in_chain_do_what_its_policy_does() -> None:
    assert loader.only_denies(["-p tcp -j RETURN", "-g BANS"], CHAINS, "DROP", [])


def saved_input(*rules: str) -> loader.LiveRules:
    heads = ":INPUT ACCEPT [0:0]\n:MAILHOST-IN - [0:0]\n:BANS - [0:0]\n-A BANS -s 198.51.100.21/32 -j DROP\n"
    return loader.parse_save(heads + "".join(f"-A INPUT {rule}\n" for rule in rules))


@pytest.mark.parametrize(
    ("rules", "place"),
    [
        (["-j MAILHOST-IN", "-j BANS", "-p udp -m udp --dport 7 -j DROP", "-j ACCEPT", "-j BANS"], 2),
        (["-j MAILHOST-IN", "-p tcp -j ACCEPT", "-j BANS"], 0),
        (["-p tcp -j ACCEPT", "-j MAILHOST-IN", "-j BANS"], 2),
        (["-j BANS", "-j MAILHOST-IN"], 1),
        (["-p tcp -j ACCEPT", "-j MAILHOST-IN", "-j MAILHOST-IN", "-j BANS"], 0),
        (["-j BANS", "-p tcp -j ACCEPT"], 1),
    ],
)
def test_managed_jump_moves_behind_denying_rules_and_never_past_an_accept(rules: list[str], place: int) -> None:
    live = saved_input(*rules)
    assert loader.jump_place("INPUT", live, []) == place


@pytest.mark.parametrize(
    "rule",
    [
        "-j DROP",
        "-p tcp -j REJECT --reject-with tcp-reset",
        '! -i lo -m comment --comment "the rest" -j DROP',
        "-m conntrack --ctstate INVALID,NEW -j DROP",
        "-m state ! --state RELATED,ESTABLISHED -j DROP",
        "-j LOGDROP",
    ],
)
def test_managed_jump_stays_before_a_rule_that_denies_all(rule: str) -> None:
    chain = ":LOGDROP - [0:0]\n-A LOGDROP -m limit --limit 5/min -j LOG\n-A LOGDROP -j DROP\n"
    live = loader.parse_save(f"{chain}-A INPUT -j MAILHOST-IN\n-A INPUT {rule}\n")
    assert loader.jump_place("INPUT", live, []) == 0


@pytest.mark.parametrize(
    "rule", ["-m conntrack --ctstate INVALID -j DROP", "-i eth1 -j DROP", "-p tcp -m tcp --dport 110 -j DROP", "-j B"]
)
def test_managed_jump_moves_behind_a_rule_that_denies_some(rule: str) -> None:
    chain = ":B - [0:0]\n-A B -p tcp -m recent --set\n-A B -j RETURN\n-A B -j DROP\n"
    live = loader.parse_save(f"{chain}-A INPUT -j MAILHOST-IN\n-A INPUT {rule}\n")
    assert loader.jump_place("INPUT", live, []) == 1


def test_transaction_moves_the_jump_and_a_rollback_moves_it_back() -> None:
    before = saved_input("-j MAILHOST-IN", "-j BANS", "-p udp -m udp --dport 7 -j DROP", "-j ACCEPT")
    passed = loader.passed_rules(before, [])
    assert passed == {"INPUT": ["-j BANS", "-p udp -m udp --dport 7 -j DROP"]}
    moved = ["-D INPUT -j MAILHOST-IN", "-I INPUT 3 -j MAILHOST-IN"]
    assert [line for line in loader.transaction(WANTED, before, []).splitlines() if " INPUT " in line] == moved
    late = "-s 198.51.100.9/32 -j DROP"
    after = saved_input(late, "-j BANS", "-p udp -m udp --dport 7 -j DROP", "-j MAILHOST-IN", "-j ACCEPT")
    assert loader.passed_rules(after, []) == {}
    back = ["-D INPUT -j MAILHOST-IN", "-I INPUT 2 -j MAILHOST-IN"]
    assert [line for line in loader.transaction(WANTED, after, [], passed).splitlines() if " INPUT " in line] == back


def test_rollback_of_a_change_that_moved_nothing_leaves_the_jump_alone() -> None:
    live = saved_input("-j MAILHOST-IN", "-j BANS")
    assert "INPUT" not in loader.transaction(WANTED, live, [], {})


def test_members_digest_ignores_order_and_options() -> None:
    one = "create a hash:net family inet\nadd a 10.0.0.0/8\nadd a 192.0.2.1\n"
    other = "create a hash:net family inet bucketsize 12 initval 0x1\nadd a 192.0.2.1\nadd a 10.0.0.0/8\n"
    assert loader.members_digest(one) == loader.members_digest(other)
    assert loader.members_digest(one) != loader.members_digest(one + "add a 192.0.2.2\n")


def test_run_of_a_failing_command_reports_code_and_message() -> None:
    with pytest.raises(loader.LoadError, match=r"^sh -c echo no >&2; exit 3 returned 3: no$"):
        loader.run(["sh", "-c", "echo no >&2; exit 3"])


def test_run_ignores_warnings_on_stderr() -> None:
    assert loader.run(["sh", "-c", "echo '# Warning' >&2; echo fine"]) == "fine\n"


def test_main_with_unknown_command_prints_its_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert loader.main(["flush"]) == 2
    assert capsys.readouterr().err.startswith("usage: sets | boot | again | unload")


def test_parse_save_finds_unmanaged_jumps_into_managed_chains() -> None:
    live = loader.parse_save(
        "-A FORWARD -j MAILHOST-IN\n-A INPUT -s 10.0.0.1/32 -j MAILHOST-OUT\n-A x -j MAILHOST-VIP\n"
    )
    assert live.unmanaged_jumps == ["-A FORWARD -j MAILHOST-IN", "-A INPUT -s 10.0.0.1/32 -j MAILHOST-OUT"]
    assert not live.managed


@pytest.mark.parametrize(
    ("name", "managed"),
    [
        ("mailhost-peers4-0123456789", True),
        ("mailhost-blocked6-abcdef0123-n", True),
        ("mailhost-vip", False),
        ("mailhost-peers4-012345678", False),
        ("xmailhost-peers4-0123456789", False),
    ],
)
def test_set_name_matches_managed_sets_only(name: str, managed: bool) -> None:
    assert bool(loader.SET_NAME.fullmatch(name)) is managed


def native_rule(chain: str, handle: int, *expr: dict[str, object]) -> dict[str, object]:
    return {"rule": {"chain": chain, "handle": handle, "expr": [{"counter": {"packets": 0, "bytes": 0}}, *expr]}}


ESTABLISHED = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "established"}}
NATIVE = {
    "nftables": [
        {"metainfo": {"version": "1.0.6"}},
        {"table": {"family": "ip", "name": "filter"}},
        {"chain": {"name": "MAILHOST-IN"}},
        {"chain": {"name": "INPUT", "hook": "input", "policy": "drop"}},
        {"chain": {"name": "mine"}},
        native_rule("INPUT", 5, ESTABLISHED, {"accept": None}),
        native_rule("INPUT", 4, {"jump": {"target": "MAILHOST-IN"}}),
        native_rule("INPUT", 6, ESTABLISHED, {"drop": None}),
        native_rule("mine", 7, {"vmap": {"data": {"set": [["new", {"jump": {"target": "MAILHOST-IN"}}]]}}}),
    ]
}


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A table with native rules in INPUT and in the chain mine; returns what is loaded into it."""
    loaded: list[str] = []

    def run(command: list[str], text: str = "") -> str:
        if command[0] == "nft" and "list" in command:
            return json.dumps(NATIVE)
        if "-S" in command and command[-1] == "MAILHOST-IN":
            return "-N MAILHOST-IN\n-A MAILHOST-IN -i lo -j RETURN\n"
        if "-S" in command:
            raise loader.LoadError("incompatible, use 'nft' tool")
        if "restore" in command[0] or command[0] == "nft":
            loaded.extend([command[0], *text.splitlines()])
        return "# Table `filter' is incompatible, use 'nft' tool.\n"

    monkeypatch.setattr(loader, "run", run)
    return loaded


@pytest.mark.usefixtures("native")
def test_table_with_native_nftables_rules_is_read_by_nft() -> None:
    live = loader.read_live("ipv4", "nft")
    assert live.chains == {"MAILHOST-IN": ["-i lo -j RETURN"]}
    assert live.jumps == {"INPUT": 1, "OUTPUT": 0}
    assert live.policies == {"INPUT": "DROP"}
    assert live.native == {"INPUT": [5, 4, 6], "mine": [7]}
    assert live.unmanaged_jumps == ["-A mine nft handle 7 -j MAILHOST-IN"]
    assert loader.jump_place("INPUT", live, []) == 1, "a rule that iptables cannot read may accept"


def test_removal_from_a_table_with_native_nftables_rules_goes_by_handle(native: list[str]) -> None:
    loader.load_rules("ipv4", "", loader.State("nft"))
    assert native == [
        *("iptables-nft-restore", "*filter", ":MAILHOST-IN - [0:0]", "COMMIT"),
        *("nft", "delete rule ip filter INPUT handle 4"),
        *("iptables-nft-restore", "*filter", "COMMIT"),
    ]


def test_load_into_a_table_with_native_nftables_rules_makes_the_jump_by_nft(native: list[str]) -> None:
    live = loader.read_live("ipv4", "nft")
    rules = {**live.builtin, "INPUT": [rule for rule in live.builtin["INPUT"] if rule != "-j MAILHOST-IN"]}
    bare = live._replace(jumps={"INPUT": 0, "OUTPUT": 0}, builtin=rules, native={"INPUT": [5, 6]})
    loader._load_natively("ipv4", loader.transaction(WANTED, bare, []).splitlines(), bare, ["iptables-nft-restore"])
    first, commands = native.index("*filter"), native.index("nft")
    assert native[first + 2 : commands] == ["-A MAILHOST-IN -i lo -j ACCEPT", "COMMIT"]
    assert native[commands + 1] == "insert rule ip filter INPUT position 5 counter jump MAILHOST-IN"


def test_chain_that_unmanaged_rules_jump_to_is_kept_empty() -> None:
    live = loader.parse_save(":MAILHOST-IN - [0:0]\n-A MAILHOST-IN -j DROP\n-A FORWARD -j MAILHOST-IN\n")
    assert "-X MAILHOST-IN" not in loader.transaction("", live, [])
    assert live.managed
    left = loader.parse_save(":MAILHOST-IN - [0:0]\n-A FORWARD -j MAILHOST-IN\n")
    assert left.kept == ["MAILHOST-IN"]
    assert not left.managed


def write_state(directory: Path, texts: dict[str, str], digest: str | None = None) -> None:
    for name, text in texts.items():
        (directory / name).write_text(text)
    loader.State(texts=digest or loader.texts_digest(texts)).write(str(directory))


@pytest.mark.parametrize("damage", ["ipv4", "ipv6", "sets", "state.json"])
def test_load_of_a_damaged_state_changes_nothing(tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "run", lambda *_words: pytest.fail("nothing may be loaded"))
    write_state(tmp_path, {"sets": "create x hash:net\n", "ipv4": WANTED, "ipv6": WANTED})
    (tmp_path / damage).write_text("")
    with pytest.raises((loader.LoadError, ValueError)):
        loader.load(str(tmp_path))
    (tmp_path / damage).unlink()
    with pytest.raises(OSError, match="No such file"):
        loader.load(str(tmp_path))


def test_lock_is_optional_at_boot_and_exclusive_else(tmp_path: Path) -> None:
    with loader.locked_if_possible(str(tmp_path / "not there")):
        pass
    with (
        loader.locked(str(tmp_path)),
        pytest.raises(loader.LoadError, match="another run holds"),
        loader.locked(str(tmp_path), 0.1),
    ):
        pass


def test_rollback_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    PENDING.write(str(tmp_path))
    tries = []

    def restore_previous(*_words: object) -> None:
        tries.append(1)
        if len(tries) < 3:
            raise loader.LoadError("the lock is held")

    monkeypatch.setattr(loader, "restore_previous", restore_previous)
    monkeypatch.setattr(loader.time, "sleep", lambda _seconds: None)
    loader.rollback("t", str(tmp_path))
    assert len(tries) == 3


def test_pending_ignores_other_content(tmp_path: Path) -> None:
    for text in ("", "{", "[]", '{"token": "x"}'):
        (tmp_path / "pending.json").write_text(text)
        assert loader.Pending.read(str(tmp_path)) is None


@pytest.fixture
def pending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> loader.Pending:
    """A change that is live, over an empty previous state; the kernel is not used."""
    PENDING.write(str(tmp_path))
    for name in ("previous", "generation-t"):
        (tmp_path / name).mkdir()
        write_state(tmp_path / name, {"sets": "", "ipv4": "", "ipv6": ""})
    monkeypatch.setattr(loader, "load_rules", lambda *_words: None)
    monkeypatch.setattr(loader, "live_set_names", list)
    monkeypatch.setattr(loader, "read_live", lambda *_words: loader.parse_save(""))
    return PENDING


def test_restore_previous_on_a_full_disk_drops_the_change(
    tmp_path: Path, pending: loader.Pending, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_words: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loader, "write_file", full)
    loader.restore_previous(str(tmp_path), pending, "no confirmation came")
    assert loader.Pending.read(str(tmp_path)) is None


def test_restore_previous_keeps_the_change_and_closes_mail_ports_when_rules_cannot_be_removed(
    tmp_path: Path, pending: loader.Pending, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = []
    monkeypatch.setattr(loader, "read_live", lambda *_words: loader.parse_save(WANTED))
    monkeypatch.setattr(loader, "close_mail_ports", lambda *words: closed.append(words))
    with pytest.raises(loader.LoadError, match="the rules of ipv4 are not what they were"):
        loader.restore_previous(str(tmp_path), pending, "no confirmation came")
    assert closed
    assert loader.Pending.read(str(tmp_path)) == pending


def test_restore_previous_keeps_a_confirmation_killed_after_its_decisive_step(
    tmp_path: Path, pending: loader.Pending
) -> None:
    (tmp_path / "current").symlink_to("generation-t")
    loader.restore_previous(str(tmp_path), pending, "no confirmation came")
    assert (tmp_path / "generation-t").is_dir()
    assert loader.Pending.read(str(tmp_path)) is None


def test_close_mail_ports_tries_every_variant_in_each_family(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def load_rules(family: str, text: str, state: loader.State) -> None:
        tried.append((family, state.backend))
        if (family, state.backend) != ("ipv6", "legacy"):
            raise loader.LoadError("broken")
        assert "--dports 25,110 -j DROP" in text

    monkeypatch.setattr(loader, "load_rules", load_rules)
    with pytest.raises(loader.LoadError, match=r"could not even be closed in ipv4$"):
        loader.close_mail_ports((25, 110), "nft")
    assert tried == [("ipv4", "nft"), ("ipv4", "legacy"), ("ipv6", "nft"), ("ipv6", "legacy")]


def test_mail_ports_of_the_loader_are_those_of_the_service_catalogue() -> None:
    assert tuple(sorted(service.port for service in MAIL_SERVICES.values())) == loader.MAIL_PORTS


@pytest.mark.parametrize(("program", "package"), [("ipset", "ipset"), ("ip6tables-nft-restore", "iptables")])
def test_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch, program: str, package: str) -> None:
    def missing(*_args: object, **_more: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(loader.subprocess, "run", missing)
    with pytest.raises(
        loader.LoadError, match=f"{program} is not installed on the host; install the package {package}$"
    ):
        loader.run([program])


@pytest.mark.parametrize("damage", ["folder", "nested"])
def test_boot_loads_what_was_confirmed_whatever_stands_in_the_pending_file(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pending, current = tmp_path / "pending.json", tmp_path / "current"
    current.mkdir()
    loader.State().write(str(current))
    if damage == "folder":
        pending.mkdir()
    else:
        pending.write_text("[" * 200_000)
    loaded: list[str] = []
    monkeypatch.setattr(loader, "load", lambda directory, *_more: loaded.append(directory))
    monkeypatch.setattr(loader, "live_set_names", list)
    loader.boot(str(tmp_path))
    assert loaded == [str(current)]


def test_lock_of_a_folder_that_was_removed_meanwhile_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader.fcntl, "flock", lambda *_words: (tmp_path / "lock").unlink())
    with (
        pytest.raises(loader.LoadError, match=r"another run has removed .* meanwhile; run again"),
        loader.locked(str(tmp_path)),
    ):
        pass
