"""From the first run, which stops, to a site whose inventory says everything, and back. One story, in its order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mailhost_lab.mail.dialogues import hold
from mailhost_lab.mail.postfix import STATE
from mailhost_lab.runs.on_disk import Snapshot, assert_changed, lines, removed_and_added
from mailhost_lab.runs.role_runs import pasted, result
from mailhost_lab.scenarios.postfix_adopt import (
    AFTER,
    BEFORE,
    ELSEWHERE,
    MAILS,
    MAIN,
    MASTER,
    POLICY,
    ROLLBACK,
    TABLES,
    Site,
    run,
)
from mailhost_lab.waiting import until

if TYPE_CHECKING:
    from mailhost_lab.runs.plays import Run

COMMENT = "# the branch office\n"
"""Part of a value of the site."""

HOLE = "2525      inet  n       -       y       -       -       smtpd -o mynetworks=0.0.0.0/0\n"


class Story:
    """What the chapters hand on."""

    before: Snapshot
    inventory: dict[str, Any]
    """What the inventory says so far."""
    adopted: Snapshot
    done: Run


@pytest.fixture(scope="module")
def story(site: Site) -> Story:
    """Return the story, which begins with the configuration as the site left it."""
    story = Story()
    story.before = site.install()
    assert site.verdicts() == BEFORE
    return story


def product(snapshot: Snapshot) -> Snapshot:
    """All but the role's state."""
    return {path: found for path, found in snapshot.items() if not path.startswith((STATE, TABLES))}


def contents(snapshot: Snapshot) -> dict[str, bytes]:
    """What is in the site's files."""
    return {path: found.content for path, found in product(snapshot).items()}


def test_first_run_stops_at_unknown_entries_and_lists_them(site: Site, story: Story) -> None:
    done = run()
    assert done.rc != 0
    assert done.message.endswith("nothing was changed"), done
    found = pasted(done.message)
    assert found == {
        "mailhost_internal_networks": ["203.0.113.64/28"],
        "mailhost_domains": ["branch.mail.example"],
        "postfix_extra_restrictions": {
            "sender": ["check_sender_access inline:{ {spam.example = REJECT no, thank you} }"],
            "recipient": [
                "check_recipient_access hash:/etc/postfix/access",
                "check_policy_service { unix:private/greylist, timeout=10s, default_action=DUNNO }",
            ],
        },
        # What main.cf checks of the users of 465 as well, and the aliases from which they could send.
        "postfix_submission_restrictions": ["check_sender_access inline:{ {spam.example = REJECT no, thank you} }"],
        "postfix_sender_logins": {
            "post@mail.example": ["ann@mail.example"],
            "post@branch.mail.example": ["ann@branch.mail.example"],
        },
    }
    assert site.look() == story.before
    story.inventory = {**found, **{name: POLICY[name] + found[name] for name in found if name in POLICY}}


def test_check_mode_foresees_the_run_and_changes_nothing(site: Site, story: Story) -> None:
    foreseen = run(check=True, **story.inventory)
    assert foreseen.rc == 0, foreseen
    assert site.look() == story.before
    assert site.activations() == 0
    story.done = run(**story.inventory)
    assert story.done.rc == 0, story.done
    assert (foreseen.changed, story.done.changed) == (True, True)
    story.adopted = site.look()
    assert site.activations() == 1
    shown = {diff["before_header"]: (diff["before"], diff["after"]) for diff in foreseen.diff}
    assert shown.keys() == {path for path in story.adopted if path.startswith(f"{TABLES}/")} | {MAIN, MASTER}
    for path, (old, new) in shown.items():
        real = ELSEWHERE if path == MAIN else path
        assert new == story.adopted[real].content.decode(), path
        assert old == (story.before[real].content.decode() if real in story.before else ""), path
    assert foreseen.diff == story.done.diff
    first, second = result(foreseen), result(story.done)
    for key in ("files", "activation", "warnings", "notes", "evaluated"):
        assert first.get(key) == second.get(key), key
    assert second["activation"] == ["postfix reload"]
    assert second["evaluated"] > 40


def test_mail_of_the_site_is_served_as_before(site: Site) -> None:
    assert site.verdicts() == AFTER
    (talk,) = hold(site.postfix.lab, [replace(MAILS["to local"], message="Subject: x\r\nX-Gossip: y\r\n\r\nx\r\n")])
    assert talk.verdict == "accepted"
    # By way of the content filter and back.
    until("it is there", lambda: site.postfix.mailbox("ann"))
    assert site.postfix.mailbox("ann")[0].message["X-Gossip"] is None


def test_unmanaged_parts_of_main_cf_are_unchanged(story: Story) -> None:
    old, new = (snapshot[ELSEWHERE].content for snapshot in (story.before, story.adopted))
    gone, come = removed_and_added(old, new)
    taken = ("smtpd_banner", "mydestination", "mynetworks", "smtpd_recipient_restrictions", "smtpd_sender_restrictions")
    assert all(line.decode().startswith((*taken, "\t", "    ", "\n")) for line in gone), gone
    assert COMMENT.encode() in lines(new)
    names = [line.split(b"=")[0].strip().decode() for line in come]
    assert len(names) == len(set(names))
    # What is new comes behind all that the site has.
    behind = [line.split(b"=")[0].strip().decode() for line in lines(new[new.index(b"# Never again:\n") :])]
    assert {*names} - {*behind} <= {*taken}


def test_unmanaged_parts_of_master_cf_are_unchanged(story: Story) -> None:
    old, new = (snapshot[MASTER].content for snapshot in (story.before, story.adopted))
    gone, come = removed_and_added(old, new)
    assert b"\nsmtps " not in new
    for words in (b"-o { milter_macro_daemon_name = FRONT DOOR }", b"# the marketing people wanted this"):
        assert words in new
    assert old[old.index(b"pickup ") :] in new
    assert all(not line.startswith(b"#") for line in [*gone, *come])


def test_no_other_file_is_changed(story: Story) -> None:
    changed = {ELSEWHERE, MASTER}
    assert_changed(product(story.before), product(story.adopted), changed)


def test_owner_mode_link_and_attributes_are_kept(site: Site, story: Story) -> None:
    for path, was in product(story.before).items():
        assert story.adopted[path].kept == was.kept, path
    assert story.adopted[MAIN].link == "../../srv/mail/main.cf.site"
    assert [story.adopted[path].mode & 0o777 for path in (ELSEWHERE, MASTER)] == [0o444, 0o600]
    if site.has_xattrs:
        assert story.adopted[MASTER].xattrs == {"user.site.ticket": b"4711".hex()}


def test_service_option_that_the_policy_decides_is_a_warning(story: Story) -> None:
    warnings = "\n".join(result(story.done)["warnings"])
    assert (
        "-o smtpd_client_restrictions=permit_sasl_authenticated,reject is decided by the policy, and left out"
        in warnings
    )


def test_backup_has_the_previous_files(story: Story) -> None:
    folder = result(story.done)["backup"]
    assert folder.startswith(f"{STATE}/")
    stored = {found.content for path, found in story.adopted.items() if path.startswith(f"{folder}/")}
    assert {story.before[ELSEWHERE].content, story.before[MASTER].content} <= stored
    assert story.adopted[STATE].mode & 0o777 == 0o700


def test_second_run_changes_no_file(site: Site, story: Story) -> None:
    again = run(**story.inventory)
    assert (again.rc, again.changed) == (0, False), again
    assert again.diff == []
    assert "warnings" not in result(again)
    assert site.look() == story.adopted
    assert site.activations() == 1


def test_service_that_relays_for_external_clients_stops_the_run(site: Site, story: Story) -> None:
    """A port that was opened without the restrictions of main.cf is asked as port 25 is."""
    site.edit(MASTER, "pickup    unix", f"{HOLE}pickup    unix")
    before = site.look()
    for check in (True, False):
        stopped = run(check=check, **story.inventory)
        assert stopped.rc != 0, stopped
        assert stopped.message.startswith("canary: ")
        assert "2525" in stopped.message
        assert stopped.message.endswith("nothing was changed")
        assert site.look() == before
    site.edit(MASTER, HOLE, "")


def test_network_added_by_hand_stops_the_next_run(site: Site, story: Story) -> None:
    value = next(line for line in site.postfix.read(MAIN).splitlines() if line.startswith("mynetworks"))
    site.edit(MAIN, value, f"{value}, 203.0.113.128/28")
    before = site.look()
    stopped = run(**story.inventory)
    assert stopped.rc != 0, stopped
    assert pasted(stopped.message) == {"mailhost_internal_networks": ["203.0.113.128/28"]}
    assert site.look() == before
    site.edit(MAIN, f"{value}, 203.0.113.128/28", value)


def test_rollback_restores_each_of_two_states(site: Site, story: Story) -> None:
    for wanted, verdicts in ((story.before, BEFORE), (story.adopted, AFTER)):
        back = run(ROLLBACK)
        assert (back.rc, back.changed) == (0, True), back
        assert contents(site.look()) == contents(wanted)
        assert site.verdicts() == verdicts


def test_absent_stops_where_edited_settings_need_a_managed_table(site: Site) -> None:
    value = next(line for line in site.postfix.read(MAIN).splitlines() if line.startswith("mynetworks"))
    site.edit(MAIN, value, f"{value}, 203.0.113.128/28")
    before = site.look()
    stopped = run(postfix_state="absent")
    assert stopped.rc != 0, stopped
    assert stopped.message == (
        "read: main.cf: mynetworks uses mailhost/internal.cidr\nthese managed objects are being removed, but the "
        "settings above still use them, and mail would be deferred or rejected; remove the references first\n"
        "nothing was changed"
    )
    assert site.look() == before
    site.edit(MAIN, f"{value}, 203.0.113.128/28", value)


def test_absent_restores_the_site_and_keeps_later_edits(site: Site, story: Story) -> None:
    site.edit(MAIN, "biff = no\n", "biff = no\nbounce_queue_lifetime = 2d\n")
    foreseen = run(check=True, postfix_state="absent")
    done = run(postfix_state="absent")
    assert (foreseen.rc, done.rc, foreseen.changed, done.changed) == (0, 0, True, True), done
    assert foreseen.diff == done.diff
    site.edit(MAIN, "bounce_queue_lifetime = 2d\n", "")
    left = site.look()
    assert not [path for path in left if path.startswith(TABLES)]
    for path, was in product(story.before).items():
        assert (left[path].kept, left[path].content) == (was.kept, was.content), path
    assert site.verdicts() == BEFORE
