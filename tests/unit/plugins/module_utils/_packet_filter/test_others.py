# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What other programs did to the managed rules, and the units that answer it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter import boot, loader, others

WANTED = "*filter\n:MAILHOST-IN - [0:0]\n-A MAILHOST-IN -i lo -j RETURN\nCOMMIT\n"
TEXTS = {"sets": "", "ipv4": WANTED, "ipv6": WANTED}
WHOLE = loader.parse_save(f"{WANTED}-A INPUT -j MAILHOST-IN\n")


@pytest.mark.parametrize(
    ("line", "named"),
    [
        (":MAILHOST-IN - [0:0]", {"MAILHOST-IN"}),
        ("-A INPUT -m set --match-set mailhost-peers4-0123456789 src -j ACCEPT", {"mailhost-peers4-0123456789"}),
        ("create mailhost-blocked6-0123456789 hash:net family inet6", {"mailhost-blocked6-0123456789"}),
        ("jump MAILHOST-OUT-MAIL", {"MAILHOST-OUT-MAIL"}),
        (":MAILHOST-VIP - [0:0]", set()),
        ("create mailhost-vip hash:net", set()),
    ],
)
def test_saved_names_finds_managed_names_in_files_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, named: set[str]
) -> None:
    monkeypatch.setattr(loader, "SAVED_FILES", (f"{tmp_path}/*",))
    (tmp_path / "folder").mkdir()
    (tmp_path / "rules.v4").write_text(f"*filter\n{line}\nCOMMIT\n")
    assert loader.saved_names() == ({f"{tmp_path}/rules.v4": named} if named else {})


def test_create_sets_makes_those_that_saved_rules_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    created = []
    saved = {"/etc/iptables/rules.v6": {"mailhost-peers6-0123456789", "MAILHOST-IN", "mailhost-peers4-0123456789"}}
    monkeypatch.setattr(loader, "saved_names", lambda: saved)
    monkeypatch.setattr(loader, "live_set_names", lambda: ["mailhost-peers4-0123456789"])
    monkeypatch.setattr(loader, "ipset_is_installed", lambda: True)
    monkeypatch.setattr(loader, "run", created.append)
    loader.create_sets(str(tmp_path))
    assert created == [["ipset", "create", "mailhost-peers6-0123456789", "hash:net", "family", "inet6"]]


@pytest.mark.parametrize(
    ("absent", "words"), [(True, "load the old policy again"), (False, "come back after a removal")]
)
def test_saved_files_are_reported_with_what_they_will_do(absent: bool, words: str) -> None:
    assert others.saved_files_warnings([], absent) == []
    (warning,) = others.saved_files_warnings(["/etc/iptables/rules.v4"], absent)
    assert warning.startswith("/etc/iptables/rules.v4: holds managed chains or sets")
    assert words in warning


def test_missing_names_families_without_chains_or_jump() -> None:
    assert loader.missing(TEXTS, {"ipv4": WHOLE, "ipv6": WHOLE}) == []
    flushed, jumpless = loader.parse_save(""), loader.parse_save(WANTED)
    assert loader.missing(TEXTS, {"ipv4": flushed, "ipv6": WHOLE}) == ["ipv4"]
    assert loader.missing(TEXTS, {"ipv4": WHOLE, "ipv6": jumpless}) == ["ipv6"]


@pytest.mark.parametrize(
    ("suspects", "words"),
    [
        ([], r"were gone: something has flushed or replaced them since 20\d\d-"),
        (
            [(2e9, "iptables.service")],
            r"were gone since 20\d\d-.*, when iptables.service was started, stopped or reloaded$",
        ),
    ],
)
def test_repair_says_since_when_and_who(
    monkeypatch: pytest.MonkeyPatch, suspects: list[tuple[float, str]], words: str
) -> None:
    monkeypatch.setattr(others, "_history", lambda _file: (1.9e9, suspects))
    flushed = loader.parse_save("")
    (warning,) = others.repair_warnings(TEXTS, {"ipv4": flushed, "ipv6": flushed}, "/nowhere")
    assert re.match(f"the managed chains of ipv4 and ipv6 {words}", warning)
    assert others.repair_warnings(TEXTS, {"ipv4": WHOLE, "ipv6": WHOLE}, "/nowhere") == []


def test_history_suspects_units_that_changed_after_the_last_look() -> None:
    shown = [
        ("nftables.service", 5),
        ("iptables.service", 30),
        (boot.UNIT, 4),
        (boot.LATE_UNIT, 20),
        ("rc-local.service", 0),
    ]
    text = "\n\n".join(f"Id={unit}\nStateChangeTimestampMonotonic={at}000000" for unit, at in shown)
    assert others.history(text, 1010.0, 1000.0) == (1020.0, [(1030.0, "iptables.service")])


def ordering(name: str, option: str) -> set[str]:
    found = re.findall(rf"^{option}=(.*)$", boot.unit_texts("/usr/bin/python3")[name], re.MULTILINE)
    return set(" ".join(found).split())


def test_units_before_the_network_wait_for_no_unit_that_may_be_late() -> None:
    early = {"nftables.service", "netfilter-persistent.service"}
    for unit in (boot.UNIT, boot.SETS_UNIT):
        assert ordering(unit, "After").isdisjoint(set(boot.RESTORERS) - early)
        assert "sysinit.target" not in ordering(unit, "Before")
    assert set(boot.RESTORERS) <= ordering(boot.SETS_UNIT, "Before")


def test_units_that_look_again_come_after_all_others() -> None:
    assert set(boot.RESTORERS) <= ordering(boot.AGAIN_UNIT, "After")
    assert set(boot.RESTORERS) <= ordering(boot.AGAIN_UNIT, "WantedBy")
    assert set(boot.RESTORERS) == ordering(boot.UNIT, "ReloadPropagatedFrom")
    assert "multi-user.target" in ordering(boot.LATE_UNIT, "After")


def test_plugin_of_netfilter_persistent_comes_and_goes_with_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = tmp_path / "plugins.d" / "90-mailhost-packet-filter"
    monkeypatch.setattr(boot, "PLUGIN_PATH", str(plugin))
    monkeypatch.setattr(boot, "_UNITS", str(tmp_path / "units"))
    monkeypatch.setattr(boot, "systemd_runs", lambda: False)
    boot.install_unit("/usr/bin/python3")
    assert not plugin.exists()
    plugin.parent.mkdir()
    boot.install_unit("/usr/bin/python3")
    assert f"exec /usr/bin/python3 -I {boot.LOADER_PATH} again" in plugin.read_text()
    assert plugin.stat().st_mode & 0o777 == 0o755
    monkeypatch.setattr(boot, "disable_unit", lambda: None)
    boot.remove_boot()
    assert list(plugin.parent.iterdir()) == []


@pytest.mark.parametrize(("state", "loads"), [("active", 1), ("failed", 1), ("reloading", 1), ("inactive", 0)])
def test_load_again_loads_unless_the_unit_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, loads: int
) -> None:
    loaded = []
    monkeypatch.setattr(loader, "_unit_state", lambda: state)
    monkeypatch.setattr(loader, "boot", loaded.append)
    loader.load_again(str(tmp_path))  # there is no confirmed state that could be compared
    assert len(loaded) == loads


def test_load_again_leaves_a_sound_state_and_a_pending_change_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "_unit_state", lambda: "active")
    monkeypatch.setattr(loader, "live_set_names", list)
    monkeypatch.setattr(loader, "live_digest", lambda *_words: "the same")
    monkeypatch.setattr(loader, "boot", lambda *_words: pytest.fail("nothing has changed"))
    current = tmp_path / "current"
    current.mkdir()
    for name, text in TEXTS.items():
        (current / name).write_text(text)
    loader.State(live="the same").write(str(current))
    loader.load_again(str(tmp_path))
    loader.State(live="another").write(str(current))
    loader.Pending("t", "generation-t", 5, "boot", 5.0, [], False, {}).write(str(tmp_path))
    loader.load_again(str(tmp_path))
