"""The role's part on the host `postfix`, with tools of Postfix that fail on demand.

A run from the controller takes some seconds more, and adds nothing here: the collection's code is put on the host, and
called there as the module calls it.
"""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from mailhost_lab.addresses import POSTFIX
from mailhost_lab.mail.dialogues import Dialogue, hold
from mailhost_lab.mail.postfix import CONFIG, STATE
from mailhost_lab.paths import PROJECT
from mailhost_lab.scenarios.faults import misfits
from mailhost_lab.waiting import until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from mailhost_lab.mail.postfix import Postfix

WAITS = "waits@remote.example"
NOT_YET = f"check_recipient_access inline:{{ {{ {WAITS} = 450 4.2.1 Not yet }} }}"
"""What `remote` says for that recipient alone: tests of other hosts send mail to it meanwhile."""
CALLS, FAULT = "/var/lib/lab-calls", "/var/lib/lab-fault"
TABLE = f"{CONFIG}/mailhost/blocked-addresses"
CODE = "/opt/lab-collection"
MODULES = "ansible_collections/mailhost/hardening/plugins/module_utils"


class Policy(NamedTuple):
    """A policy, and how each answer begins that the three clients hear under it."""

    name: str
    variables: dict[str, Any]
    heard: tuple[str, str, str]


def _policy(internal: str, blocked: str, text: str) -> dict[str, Any]:
    return {
        "domains": ["mail.example"],
        "internal_networks": [internal],
        "blocked_networks": [blocked],
        "relay_rejection": text,
    }


OLD = Policy("old", _policy("198.51.100.84", "203.0.113.9", "the old"), ("rcpt 550 .*the old", "accepted", "accepted"))
NEW = Policy(
    "new", _policy("198.51.100.85", "198.51.100.21", "the new"), ("rcpt 550 .*the new", "rcpt 550", "connect 5")
)
"""Changes main.cf not at all, three tables, and the index of one of them."""

SETTINGS = {"indexed_map_from": 1, "postscreen_tests": [], "unknown_entries": "replace"}
EXTERNAL, INTERNAL = POSTFIX.address("external", 4), POSTFIX.address("internal", 4)
TALKS = [
    Dialogue("external", EXTERNAL, mail_from="a@sender.example", rcpt_to=("b@remote.example",)),
    Dialogue("internal", INTERNAL, mail_from="ann@mail.example", rcpt_to=("b@remote.example",)),
    Dialogue("external", EXTERNAL, source="198.51.100.21", mail_from="a@sender.example", rcpt_to=("ann@mail.example",)),
]
"""An external client that tries to relay, an internal client, and one that one of the policies blocks."""

# Stands in the place of a tool, which lies beside it.
TOOL = f"""#!/bin/bash
line="${{0##*/}} $*"
[[ $line == *" -c {CONFIG} "* ]] && echo "$line" >> {CALLS}
when=
if [[ -e {FAULT} ]]; then
  read -r when action wanted < {FAULT}
  # For one call: the way back needs the same tools.
  if [[ $line == $wanted ]]; then mv {FAULT} {FAULT}.met; else when=; fi
fi
meet() {{
  [[ $when == "$1" ]] || return 0
  case $action in
    fail) echo "the disk of the lab burns" >&2; exit 7 ;;
    kill) kill -9 "$PPID" ;;
    hang) echo "hangs $$" >> {CALLS}; sleep 600 ;;
    # Nobody waits for what else a unit's end stops, as the instance of bookworm, unless it is named.
    stop) systemctl stop postfix 'postfix@*' ;;
    open) postconf -c {CONFIG} -e "mynetworks = 0.0.0.0/0"
      touch --date='10 seconds ago' {CONFIG}/main.cf; "$0.real" -c {CONFIG} reload 2> /dev/null ;;
  esac
}}
meet before
"$0.real" "$@"
code=$?
meet after
exit $code
"""

EQUIP = f"""
import json, os, sys
files, tool = json.load(sys.stdin)
for name, text in files.items():
    path = f"{CODE}/{MODULES}/{{name}}"
    os.makedirs(os.path.dirname(path), exist_ok=True)
    open(path, "w").write(text)
for name in ("postfix", "postmap"):
    path = f"/usr/sbin/{{name}}"
    os.rename(path, f"{{path}}.real")
    open(path, "w").write(tool)
    os.chmod(path, 0o755)
"""

RUN = f"""
import json, sys
sys.path.insert(0, "{CODE}")
from {MODULES.replace("/", ".")}._transaction import transaction
from {MODULES.replace("/", ".")}._postfix.change import PostfixRun
from {MODULES.replace("/", ".")}._transaction.run import run_change
transaction.ALIVE_SECONDS = 30
try:
    print(json.dumps(run_change(PostfixRun(json.loads(sys.argv[1])), check_mode=False, diff=False)))
except transaction.StepError as error:
    print(json.dumps({{"step": error.step, "msg": str(error)}}))
    sys.exit(1)
"""

# Ends when a watchdog has gone as well.
WATCHED = f"""
python3 -c "$0" "$1"
code=$?
flock --timeout 90 {STATE}/lock true || exit 99
exit $code
"""

LEFT = f"""
find {CONFIG} {STATE} -name '*.mailhost-*' -o -name journal.json -o -name notice
find {STATE}/backups -mindepth 1 -maxdepth 1 -type d '!' -exec test -e '{{}}/committed.json' ';' -print
flock --nonblock {STATE}/lock true || echo the lock is held
ls -d /run/mailhost-canary-* 2> /dev/null
:
"""


class Outcome(NamedTuple):
    """What came of a run: its exit status, or 137 where it was killed, and its result."""

    code: int
    result: dict[str, Any]
    printed: str


class Host:
    """The host, and the files of each policy that was brought to it."""

    def __init__(self, postfix: Postfix) -> None:
        self.postfix = postfix
        self.states: dict[str, dict[str, str]] = {}

    def equip(self) -> None:
        """Put the collection's code on the host, and what fails on demand before its tools."""
        utils = PROJECT / "plugins/module_utils"
        files = {str(path.relative_to(utils)): path.read_text() for path in utils.rglob("*.py")}
        self.postfix.run("python3", "-c", EQUIP, data=json.dumps([files, TOOL]))
        self.postfix.clear()  # mail at `remote` outlives a scenario

    # Runs

    def arguments(self, policy: Policy) -> str:
        """The arguments of a run with a policy."""
        settings = {**SETTINGS}
        return json.dumps({"state": "present", "policy": policy.variables, "settings": settings, "policy_tests": []})

    def run(self, policy: Policy) -> Outcome:
        """Run, and wait until a watchdog has gone as well."""
        done: subprocess.CompletedProcess[str] = self.postfix.run(
            "sh", "-c", WATCHED, RUN, self.arguments(policy), check=False
        )
        assert done.returncode != 99, done
        found = re.search(r"^\{.*\}$", done.stdout, re.MULTILINE)
        return Outcome(done.returncode, json.loads(found[0]) if found else {}, done.stdout + done.stderr)

    def start(self, policy: Policy) -> None:
        """Start a run, and wait until it hangs by its fault."""
        script = 'setsid python3 -c "$0" "$1" < /dev/null > /dev/null 2>&1 &'
        self.postfix.run("sh", "-c", script, RUN, self.arguments(policy))
        until("a call hangs", lambda: any(line.startswith("hangs ") for line in self.calls()))

    def succeed(self, policy: Policy) -> dict[str, Any]:
        """Run, which must succeed."""
        done = self.run(policy)
        assert done.code == 0, done
        assert not self.differences(policy)
        return done.result

    def fail(self, policy: Policy) -> dict[str, Any]:
        """Run, which must fail by itself."""
        done = self.run(policy)
        assert done.code == 1, done
        return done.result

    # Faults

    def set_fault(self, when: str, action: str, line: str) -> None:
        """Have the next call of this form meet something, before or after its work."""
        self.postfix.write(FAULT, f"{when} {action} {line}\n")

    def calls(self) -> list[str]:
        """The calls of tools for the live configuration since `clear`."""
        return self.postfix.run("sh", "-c", f"cat {CALLS} 2> /dev/null || :").stdout.splitlines()

    def clear(self) -> None:
        """Forget calls and faults."""
        self.postfix.run("rm", "-f", CALLS, FAULT, f"{FAULT}.met")

    # What is there

    def differences(self, policy: Policy) -> set[str]:
        """Which files are not as they were when this was first asked for a policy."""
        found = {path: shown.split() for path, shown in self.postfix.state().items() if path != "daemon"}
        state = {path: f"{words[0]} {words[1]} {words[3]}" for path, words in found.items()}
        # postmap never writes the same bytes twice.
        shown = self.postfix.run(
            "sh", "-c", f"postmap -s hash:{TABLE} | sort; stat -c '%U:%G %a' {TABLE}.db", check=False
        )
        state[f"{TABLE}.db"] = shown.stdout
        former = self.states.setdefault(policy.name, state)
        return {path for path in {*state, *former} if state.get(path) != former.get(path)}

    def heard(self, policy: Policy) -> str:
        """The policy's name where the three clients hear what belongs to it, else what they heard."""
        return "; ".join(misfits(self.postfix.lab, TALKS, policy.heard)) or policy.name

    def left(self) -> list[str]:
        """What lies around of a change."""
        return self.postfix.run("sh", "-c", LEFT).stdout.splitlines()

    def assert_in_force(self, policy: Policy) -> None:
        """A policy is in force, wholly and alone, and the message that was in the queue is still there."""
        assert not self.differences(policy)
        assert self.heard(policy) == policy.name
        until("nothing is left", lambda: not [line for line in self.left() if not line.endswith("/notice")])
        waiting = [one["address"] for mail in self.postfix.queue() for one in mail["recipients"]]
        assert waiting == [WAITS]

    @contextmanager
    def waiting_message(self) -> Iterator[None]:
        """Have a message in the queue while the block runs, which `remote` takes after it."""
        lab = self.postfix.lab
        self.remote_takes_it(False)
        try:
            mail = Dialogue(
                "internal", INTERNAL, mail_from="ann@mail.example", rcpt_to=(WAITS,), message="Subject: x\r\n\r\nx\r\n"
            )
            assert [talk.verdict for talk in hold(lab, [mail])] == ["accepted"]
            until("it is deferred", lambda: [one["queue_name"] for one in self.postfix.queue()] == ["deferred"])
            yield
        finally:
            self.remote_takes_it(True)

    def remote_takes_it(self, takes: bool) -> None:
        """Have `remote` take the message that waits, or not yet; sessions that it has go on."""
        option = ["-X", "smtpd_recipient_restrictions"] if takes else [f"smtpd_recipient_restrictions={NOT_YET}"]
        script = 'postconf "$@"; touch --date="10 seconds ago" /etc/postfix/main.cf; postfix reload'
        self.postfix.lab.run("remote", ["sh", "-ec", script, "sh", *option])
