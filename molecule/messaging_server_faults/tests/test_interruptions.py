"""Whatever kills a run, or gets in its way, the former policy stays in force or comes back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mailhost_lab.containers import lifecycle
from mailhost_lab.mail.messaging_server import CONFIG, IMAGE
from mailhost_lab.runs import plays
from mailhost_lab.runs.mishaps import full_disk, kill_holders
from mailhost_lab.scenarios.messaging_server_faults import COMMON, NEW, OLD, RESTORED, STATE, UNTOUCHED

if TYPE_CHECKING:
    from mailhost_lab.scenarios.messaging_server_faults import Host

EDIT = "! a line of another editor\n"
MAPPINGS, IMTA = f"{CONFIG}/mappings", f"{CONFIG}/imta.cnf"

# The server never answers, so this is the time that the test takes.
SHORT_PATIENCE = """
import json, sys
sys.path.insert(0, "/opt/messaging-standin")
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction import transaction
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.change import MessagingServerRun
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.run import run_change
transaction.ALIVE_SECONDS = 1
try:
    run_change(MessagingServerRun(json.loads(sys.argv[1])), check_mode=False, diff=False)
except transaction.StepError as error:
    print(error)
"""


def start_on_host(host: Host) -> None:
    """Start the host's part of a run with the new policy, and do not wait for it."""
    host.messaging.run("sh", "-c", 'setsid python3 "$0" < /dev/null > /dev/null 2>&1 &', NEW.path)


def wait_for_the_lock(host: Host) -> None:
    """Wait until neither a run nor a watchdog is there."""
    host.messaging.run("flock", "--timeout", "90", f"{STATE}/lock", "true")


def test_killed_controller_leaves_the_former_policy(host: Host) -> None:
    host.messaging.set_faults({"cnbuild": {"do": "hang", "when": "after", "call": 1}})
    with plays.start_harden(playbook=plays.MESSAGING_SERVER, **COMMON, **NEW.variables) as running:
        tool = host.wait_for_hang()
        running.kill()
    # The host's part is alone. Its tool comes to an end, by hand rather than after five minutes.
    host.messaging.run("kill", "-9", str(tool))
    wait_for_the_lock(host)
    host.assert_in_force(OLD)
    assert not host.left()
    again = plays.harden(playbook=plays.MESSAGING_SERVER, **COMMON, **NEW.variables)
    assert (again.rc, again.changed) == (0, True), again
    host.assert_in_force(NEW)


def test_next_run_restores_when_run_and_watchdog_are_killed(host: Host) -> None:
    host.messaging.set_faults({"cnbuild": {"do": "hang", "call": 1}})
    start_on_host(host)
    tool = host.wait_for_hang()
    kill_holders(host.messaging.run, f"{STATE}/lock", 2)
    # Half of the change is on disk, and its tool still runs.
    assert host.differences(OLD) >= {MAPPINGS, IMTA}
    assert host.messaging.run("kill", "-0", str(tool), check=False).returncode == 0
    assert host.heard(OLD) == OLD.name
    again = host.succeed(OLD)
    assert not again["changed"]
    assert RESTORED in str(again["warnings"])
    assert host.messaging.run("kill", "-0", str(tool), check=False).returncode != 0
    host.assert_in_force(OLD)


def test_next_run_restores_after_a_power_failure(host: Host) -> None:
    host.messaging.set_faults({"cnbuild": {"do": "hang", "when": "after", "call": 1}})
    start_on_host(host)
    host.wait_for_hang()
    host.messaging.clear_faults()
    host.messaging.lab.engine.run("kill", host.messaging.host.container)
    lifecycle.restart(host.messaging.host.name)
    assert host.differences(OLD) >= {MAPPINGS, IMTA, IMAGE}
    assert f"{STATE}/journal.json" in host.left()
    again = host.succeed(OLD)
    assert not again["changed"]
    assert RESTORED in str(again["warnings"])
    host.assert_in_force(OLD)


@pytest.mark.parametrize(("folder", "free"), [(STATE, 12288), (CONFIG, 8192)])
def test_full_disk_leaves_the_former_policy(host: Host, folder: str, free: int) -> None:
    with full_disk(host.messaging.run, folder, free) as make_room:
        failed = host.fail(NEW)
        make_room()
        assert "No space left on device" in failed["msg"]
        assert failed["msg"].endswith(f"\n{UNTOUCHED}")
        assert "imsimta cnbuild" not in {call.line for call in host.messaging.calls()}
        host.assert_in_force(OLD)
        assert not host.left()


def test_edit_before_the_swap_stops_the_run_and_stays(host: Host) -> None:
    former = host.messaging.read(IMTA)
    host.messaging.set_faults({"test -mapping *": {"do": "hang", "seconds": 1, "call": 1}})
    failed = host.fail(NEW, f"echo '{EDIT.strip()}' >> {IMTA}")
    assert failed["msg"] == f"read: {IMTA} was edited during the run; run again\n{UNTOUCHED}"
    assert "cnbuild" not in {call.line for call in host.messaging.calls()}
    assert host.messaging.read(IMTA) == former + EDIT
    assert not host.left()
    host.messaging.write(IMTA, former)
    host.assert_in_force(OLD)


def test_edit_after_the_swap_survives_the_rollback(host: Host) -> None:
    host.messaging.set_faults({"cnbuild": {"do": "hang", "when": "after", "call": 1}})
    start_on_host(host)
    host.wait_for_hang()
    edited = host.messaging.read(MAPPINGS) + EDIT
    host.messaging.write(MAPPINGS, edited)
    kill_holders(host.messaging.run, f"{STATE}/lock", 1)
    wait_for_the_lock(host)
    try:
        assert host.messaging.read(MAPPINGS) == edited
        assert host.differences(OLD) == {MAPPINGS}
        assert host.heard(OLD) == OLD.name
        again = host.run(NEW)
        assert again.code == 0, again
        kept = f"except for files that were edited in the meantime and stay as they are: {MAPPINGS}"
        assert kept in str(again.result["warnings"])
        assert host.messaging.read(MAPPINGS) == edited
        assert host.heard(NEW) == NEW.name
    finally:
        host.messaging.write(MAPPINGS, edited.removesuffix(EDIT))


def test_front_end_that_does_not_answer_is_rolled_back(host: Host) -> None:
    # The product's code with a second's patience instead of a minute's. The front end stops while the tool that has
    # restarted it is still there, so nothing but port 25 can tell.
    host.messaging.set_faults({"restart dispatcher": {"do": "hang", "when": "after", "seconds": 6, "call": 1}})
    prefix = "messaging_server_"
    settings = {name.removeprefix(prefix): value for name, value in COMMON.items() if name.startswith(prefix)}
    policy = {key.removeprefix("mailhost_"): value for key, value in NEW.variables.items()}
    policy["domains"] = COMMON["mailhost_domains"]
    arguments = {"state": "present", "root": "", "policy": policy, "settings": settings, "policy_tests": []}
    done = host.start("systemctl stop messaging-standin.service", "-c", SHORT_PATIENCE, json.dumps(arguments))
    assert done.stdout.startswith("answer: Messaging Server does not answer any more after its activation\n")
    assert done.stdout.endswith(f"\n{RESTORED}\n")
    host.assert_in_force(OLD)
    assert not host.left()
