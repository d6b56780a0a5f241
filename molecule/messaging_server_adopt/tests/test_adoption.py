"""From the first run, which stops, to a site whose inventory says everything, and back. One story, in its order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mailhost_lab.mail.messaging_server import CONFIG, IMAGE
from mailhost_lab.runs.on_disk import Snapshot, assert_changed, lines, removed_and_added
from mailhost_lab.runs.role_runs import pasted, result
from mailhost_lab.scenarios.messaging_server_adopt import (
    AFTER,
    BEFORE,
    BLOCKED,
    ELSEWHERE,
    OWNED,
    ROLLBACK,
    STATE,
    TEXTS,
    Site,
    entries,
    run,
    sections,
    words,
)

if TYPE_CHECKING:
    from mailhost_lab.runs.plays import Run

UNMANAGED = b"  $(203.0.113.64/28)  $Y\n"
"""What an administrator adds by hand."""

NETWORK = b"  $(10.40.0.0/16)  $Y\n"

OLD_CHANNELS = (
    b"\t\tpool SMTP_POOL maytlsserver missingrecipientpolicy 0\n",
    b"tcp_lan smtp mx single_sys dequeue_removeroute maxjobs 7 maytlsserver missingrecipientpolicy 4\n",
    b"tcp_login  smtp  mx  single_sys  mustsaslserver  missingrecipientpolicy 4\n",
)
NEW_CHANNELS = (
    OLD_CHANNELS[0][:-1] + b" switchchannel maysaslserver saslswitchchannel tcp_login\n",
    OLD_CHANNELS[1][:-1] + b" allowswitchchannel\n",
    OLD_CHANNELS[2][:-1] + b" noswitchchannel\n",
)
NEW_RULE = b"[]\t$E$R${INTERNAL_IP,$L}$U%[$L]@tcp_lan-daemon\n"


class Story:
    """What the chapters hand on."""

    before: Snapshot
    inventory: dict[str, Any]
    """What the inventory says so far."""
    adopted: Snapshot
    done: Run
    with_policy: dict[str, bytes]


@pytest.fixture(scope="module")
def story(site: Site) -> Story:
    """Return the story, which begins with the installation as the site left it."""
    story = Story()
    story.before = site.install()
    assert site.verdicts() == BEFORE
    site.messaging.clear()
    return story


def difference(old: dict[str, bytes], new: dict[str, bytes]) -> dict[str, tuple[list[bytes], list[bytes]]]:
    """The lines that are gone and come, by file."""
    return {name: removed_and_added(old[name], new[name]) for name in TEXTS if old[name] != new[name]}


def product(snapshot: Snapshot) -> Snapshot:
    """All but the role's state."""
    return {path: found for path, found in snapshot.items() if not path.startswith(STATE)}


def test_first_run_stops_at_unknown_entries_and_lists_them(site: Site, story: Story) -> None:
    done = run()
    assert done.rc != 0
    assert "nothing was changed" in done.message
    extra = pasted(done.message)["messaging_server_extra_entries"]
    tables = dict(sections(story.before[ELSEWHERE].content))
    unknown = {
        "INTERNAL_IP": [pair for pair in map(words, entries(tables["INTERNAL_IP"])) if pair[0][:2] == "$("],
        "ORIG_SEND_ACCESS": [words(entry) for entry in entries(tables["ORIG_SEND_ACCESS"])],
    }
    assert [len(pairs) for pairs in unknown.values()] == [4, 3]
    assert extra == {table: {"before": [list(pair) for pair in pairs]} for table, pairs in unknown.items()}
    assert product(site.look()) == product(story.before)
    assert site.messaging.calls() == []
    story.inventory = {"messaging_server_extra_entries": extra}


def test_check_mode_foresees_the_run_and_changes_nothing(site: Site, story: Story) -> None:
    before = site.look()
    foreseen = run(check=True, **story.inventory)
    assert foreseen.rc == 0, foreseen
    assert site.look() == before
    assert {call.line.split(" ")[0] for call in site.messaging.calls()} <= {"test"}
    story.done = run(**story.inventory)
    assert story.done.rc == 0, story.done
    assert (foreseen.changed, story.done.changed) == (True, True)
    story.adopted = site.look()
    old, new = site.texts(before), site.texts(story.adopted)
    shown = {
        diff["before_header"]: (diff["before"].encode("latin-1"), diff["after"].encode("latin-1"))
        for diff in foreseen.diff
    }
    assert shown == {f"{CONFIG}/{name}": (old[name], new[name]) for name in TEXTS if old[name] != new[name]}
    assert foreseen.diff == story.done.diff
    assert result(foreseen)["activation"] == result(story.done)["activation"]
    assert [f"imsimta {line}" for line in site.activations()] == result(story.done)["activation"]


def test_unmanaged_tables_of_mapping_file_are_unchanged(site: Site, story: Story) -> None:
    old, new = site.texts(story.before)["mappings"], site.texts(story.adopted)["mappings"]
    gone, come = removed_and_added(old, new)
    assert gone == []
    assert come != []
    before, after = sections(old), sections(new)
    assert [name for name, _found in after] == [*(name for name, _found in before), "ORIG_MAIL_ACCESS"]
    for (name, was), (_name, now) in zip(before, after):
        if name not in OWNED and name != "X-SITE-NIGHT":
            assert now == was, name
    # Behind the last table of the site comes a blank line, which parts it from the new one.
    assert dict(after)["X-SITE-NIGHT"] == [*dict(before)["X-SITE-NIGHT"], b"\n"]
    site_entries = entries(dict(before)["ORIG_SEND_ACCESS"])
    assert entries(dict(after)["ORIG_SEND_ACCESS"])[: len(site_entries)] == site_entries


def test_unmanaged_channels_are_unchanged(site: Site, story: Story) -> None:
    old, new = site.texts(story.before)["imta.cnf"], site.texts(story.adopted)["imta.cnf"]
    gone, come = removed_and_added(old, new)
    assert tuple(gone) == OLD_CHANNELS
    assert come[:4] == [NEW_RULE, *NEW_CHANNELS]
    assert come[4] == b"\n"
    assert come[5].startswith(b"tcp_submit ")
    assert come[6:] == [b"tcp_submit-daemon\n"]
    found = lines(new)
    assert found[found.index(NEW_RULE) + 1].split()[0] == b"[]"


def test_unmanaged_parts_of_other_files_are_unchanged(site: Site, story: Story) -> None:
    old, new = site.texts(story.before), site.texts(story.adopted)
    assert new["dispatcher.cnf"].startswith(old["dispatcher.cnf"])
    added = new["dispatcher.cnf"].removeprefix(old["dispatcher.cnf"])
    assert added == added.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert added.split() == [
        b"[SERVICE=SMTP_SUBMIT]",
        b"PORT=587",
        b"IMAGE=/opt/SUNWmsgsr/lib/tcp_smtp_server",
        b"PARAMETER=CHANNEL=tcp_submit",
    ]
    changed = {f"{CONFIG}/imta.cnf", f"{CONFIG}/dispatcher.cnf", ELSEWHERE, IMAGE}
    assert_changed(product(story.before), product(story.adopted), changed)


def test_owner_mode_link_and_attributes_are_kept(site: Site, story: Story) -> None:
    for path, was in product(story.before).items():
        assert story.adopted[path].kept == was.kept, path
    assert story.adopted[f"{CONFIG}/mappings"].link == "../../../srv/mail/mappings.site"
    assert {story.adopted[path].mode & 0o777 for path in (ELSEWHERE, f"{CONFIG}/imta.cnf")} == {0o640, 0o600}
    if site.has_xattrs:
        assert story.adopted[f"{CONFIG}/dispatcher.cnf"].xattrs == {"user.site.ticket": b"4711".hex()}


def test_entries_that_name_the_former_channel_are_a_warning(site: Site, story: Story) -> None:
    found = lines(site.texts(story.adopted)["mappings"])
    numbers = [number for number, line in enumerate(found, 1) if b"IN-CHAN=tcp_local;" in line]
    assert len(numbers) == 2
    warnings = result(story.done)["warnings"]
    assert len(warnings) == 2, warnings
    for number, warning in zip(numbers, warnings):
        assert warning.startswith(f"table CONVERSIONS, line {number}, names tcp_local; ")
        assert "tcp_*" in warning


def test_backup_has_the_previous_files(site: Site, story: Story) -> None:
    folder = result(story.done)["backup"]
    assert folder.startswith(f"{STATE}/messaging-server/")
    stored = {found.content for path, found in story.adopted.items() if path.startswith(f"{folder}/")}
    for name in ("mappings", "imta.cnf", "dispatcher.cnf"):
        assert site.texts(story.before)[name] in stored, name
    assert story.before[IMAGE].content in stored
    assert story.adopted[f"{STATE}/messaging-server"].mode & 0o777 == 0o700


def test_mail_of_the_site_is_served_as_before(site: Site) -> None:
    assert site.verdicts() == AFTER


def test_second_run_changes_no_file(site: Site, story: Story) -> None:
    site.messaging.clear()
    again = run(**story.inventory)
    assert (again.rc, again.changed) == (0, False), again
    assert again.diff == []
    assert "warnings" not in result(again)
    assert product(site.look()) == product(story.adopted)
    assert site.messaging.calls() == []


def test_network_change_is_one_line_and_a_reload(site: Site, story: Story) -> None:
    story.inventory["mailhost_internal_networks"] = ["198.51.100.64/26", "2001:db8:200::/64", "10.40.0.0/16"]
    done = run(**story.inventory)
    assert (done.rc, done.changed) == (0, True), done
    assert difference(site.texts(story.adopted), site.texts()) == {"mappings": ([], [NETWORK])}
    assert site.activations() == ["reload"]


def test_keyword_change_restarts_smtp(site: Site, story: Story) -> None:
    before = site.texts()
    site.messaging.clear()
    story.inventory["mailhost_sender_domain_check"] = True
    done = run(**story.inventory)
    assert (done.rc, done.changed) == (0, True), done
    keyword = ([NEW_CHANNELS[0]], [NEW_CHANNELS[0][:-1] + b" mailfromdnsverify\n"])
    assert difference(before, site.texts()) == {"imta.cnf": keyword}
    assert site.activations() == ["restart smtp"]


def test_unmanaged_table_is_replaced_when_the_policy_first_needs_it(site: Site, story: Story) -> None:
    """A blocked network needs PORT_ACCESS; the entries of the site there are asked about then, and not before."""
    before = site.texts()
    site.messaging.clear()
    story.inventory["mailhost_blocked_networks"] = ["198.51.100.21/32"]
    stopped = run(**story.inventory)
    assert stopped.rc != 0, stopped
    extra = pasted(stopped.message)["messaging_server_extra_entries"]
    assert extra == {
        "PORT_ACCESS": {
            "before": [["TCP|*|25|$(203.0.113.16/28)|*", "$YPARTNER"]],
            "after": [["TCP|*|2525|*|*", "$YEXTERNAL"]],
        }
    }
    assert site.messaging.calls() == []
    assert site.texts() == before
    story.inventory["messaging_server_extra_entries"].update(extra)
    done = run(**story.inventory)
    assert (done.rc, done.changed) == (0, True), done
    blocked = b"  TCP|*|*|$(198.51.100.21/32)|*  $N500$ 5.7.1$ Access$ denied\n"
    assert difference(before, site.texts()) == {"mappings": ([], [blocked])}
    assert site.activations() == ["restart dispatcher"]
    assert site.verdicts() == BLOCKED


def test_entry_added_by_hand_stops_the_next_run(site: Site, story: Story) -> None:
    site.edit("mappings", b"! nobody else\n", UNMANAGED + b"! nobody else\n")
    before = site.look()
    stopped = run(**story.inventory)
    assert stopped.rc != 0, stopped
    assert pasted(stopped.message)["messaging_server_extra_entries"] == {
        "INTERNAL_IP": {"after": [["$(203.0.113.64/28)", "$Y"]]}
    }
    assert product(site.look()) == product(before)


def test_absent_restores_the_site_and_keeps_later_edits(site: Site, story: Story) -> None:
    story.with_policy = site.texts()
    foreseen = run(check=True, messaging_server_state="absent")
    done = run(messaging_server_state="absent")
    assert (foreseen.rc, done.rc, foreseen.changed, done.changed) == (0, 0, True, True), done
    assert foreseen.diff == done.diff
    left = site.look()
    old, new = site.texts(story.before), site.texts(left)
    assert removed_and_added(old["mappings"], new["mappings"]) == ([], [UNMANAGED])
    tables = dict(sections(new["mappings"]))
    assert UNMANAGED in entries(tables["INTERNAL_IP"])
    for name in TEXTS[1:]:
        assert new[name] == old[name], name
    for path, was in product(story.before).items():
        assert left[path].kept == was.kept, path
    assert site.verdicts() == BEFORE


def test_rollback_restores_each_of_two_states(site: Site, story: Story) -> None:
    """The last change was that of absent; going back brings the policy into force again."""
    site.messaging.clear()
    out = site.texts()
    back = run(ROLLBACK)
    assert (back.rc, back.changed) == (0, True), back
    assert site.texts() == story.with_policy
    assert site.verdicts() == BLOCKED
    again = run(ROLLBACK)
    assert (again.rc, again.changed) == (0, True), again
    assert site.texts() == out
    assert site.verdicts() == BEFORE


def test_unknown_entries_are_replaced_where_the_inventory_says_so(site: Site) -> None:
    before = site.texts(site.install())
    done = run(messaging_server_unknown_entries="replace")
    assert (done.rc, done.changed) == (0, True), done
    gone, _come = removed_and_added(before["mappings"], site.texts()["mappings"])
    tables = dict(sections(before["mappings"]))
    unknown = [entry for entry in entries(tables["INTERNAL_IP"]) if words(entry)[0][:2] == "$("]
    unknown += entries(tables["ORIG_SEND_ACCESS"])
    assert len(unknown) == 7
    assert b"".join(gone) == b"".join(unknown)
    # What was dropped comes back with absent, as it was written; entries may then stand on the other side of a comment.
    assert run(messaging_server_state="absent").rc == 0
    after = site.texts()
    assert {name for name in TEXTS if before[name] != after[name]} <= {"mappings"}
    for (name, was), (_name, now) in zip(sections(before["mappings"]), sections(after["mappings"])):
        assert entries([b"", *now]) == entries([b"", *was]), name
        assert [line for line in now if line[:1] == b"!"] == [line for line in was if line[:1] == b"!"], name
    assert sorted(lines(after["mappings"])) == sorted(lines(before["mappings"]))
