"""Runs of the role on the host `messaging`, and what is to be found on the host after them.

A run from the controller takes five seconds, of which the host's part is one. So most tests start the host's part as
Ansible once sent it, file and arguments; the others start the whole.
"""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from mailhost_lab.mail.dialogues import Dialogue
from mailhost_lab.mail.messaging_server import CONFIG, IMAGE
from mailhost_lab.mail.messaging_server import STATE as STANDIN
from mailhost_lab.runs import plays
from mailhost_lab.scenarios.faults import misfits
from mailhost_lab.waiting import until

if TYPE_CHECKING:
    import subprocess

    from mailhost_lab.mail.messaging_server import Messaging

STATE = "/var/lib/mailhost-hardening/messaging-server"
RESTORED = "the previous files and what is built from them are live again, and the service was activated with them"
UNTOUCHED = "nothing was changed"

COMMON: dict[str, Any] = {
    "mailhost_mail_server": "messaging_server",
    "mailhost_domains": ["mail.example"],
    "messaging_server_unknown_entries": "replace",
    # Single addresses stand in general.txt, so that there is a change without the mapping file, which goes quicker.
    "messaging_server_general_database_from": 1,
}
PLAIN = {"zone": "plain.dnsbl.example", "stage": "dispatcher"}


class Policy(NamedTuple):
    """A policy, and what the three clients of `verdicts` hear under it: how each answer begins and what is in it."""

    name: str
    variables: dict[str, Any]
    heard: tuple[str, str, str]

    @property
    def path(self) -> str:
        """The host's part of a run with this policy."""
        return f"/root/{self.name}.py"


def _policy(internal: str, blocked: str, check: bool = False, text: str = "the old", **more: Any) -> dict[str, Any]:
    return {
        "mailhost_internal_networks": [internal],
        "mailhost_blocked_networks": [blocked],
        "mailhost_sender_domain_check": check,
        "mailhost_relay_rejection": text,
        "mailhost_dnsbls": [],
        **more,
    }


ACCEPTED, NO_SENDER, NO_CONNECTION = "accepted", r"mail 5\d\d .*does-not-exist", r"connect 5\d\d "
OLD = Policy(
    "old", _policy("198.51.100.84", "203.0.113.9"), (r"rcpt 5\d\d .*the old: b@remote\.example", ACCEPTED, ACCEPTED)
)
OTHER = Policy("other", _policy("198.51.100.85", "198.51.100.21", True), (OLD.heard[0], OLD.heard[0], NO_CONNECTION))
"""Changes general.txt and imta.cnf, not the mapping file."""
NEW = Policy(
    "new",
    _policy("198.51.100.85", "198.51.100.21", True, "the new", mailhost_dnsbls=[PLAIN]),
    (r"connect 5\d\d .*DNS list", OLD.heard[0].replace("old", "new"), NO_CONNECTION),
)
"""Changes all four files."""
CHECKED = Policy("checked", _policy("198.51.100.84", "203.0.113.9", True), (OLD.heard[0], ACCEPTED, NO_SENDER))
"""Changes imta.cnf alone."""
POLICIES = (OTHER, NEW, CHECKED, OLD)

TALKS = [
    Dialogue("external", "198.51.100.11", mail_from="a@sender.example", rcpt_to=("b@remote.example",)),
    Dialogue("internal", "198.51.100.75", mail_from="a@mail.example", rcpt_to=("b@remote.example",)),
    Dialogue(
        "external",
        "198.51.100.11",
        source="198.51.100.21",
        mail_from="a@does-not-exist.example",
        rcpt_to=("b@mail.example",),
    ),
]
"""An external client that tries to relay, an internal client, and an external one whose domain does not exist."""

HANG = f"until grep -hw hang {STANDIN}/calls 2> /dev/null; do :; done"
"""Ends when a call hangs, with what it noted."""

RUN = f"""
if [ -n "$0" ]; then timeout 60 sh -c '{HANG}' > /dev/null && sh -c "$0" & fi
python3 "$@"
code=$?
# Held by the run and by its watchdog.
flock --timeout 90 {STATE}/lock true || exit 99
exit $code
"""

LEFT = """
find {config} {image} -name '*.mailhost-*'
find {state} -name '*.mailhost-*' -o -name journal.json -o -name notice
find {state}/backups -mindepth 1 -maxdepth 1 -type d '!' -exec test -e '{{}}/committed.json' ';' -print
flock --nonblock {state}/lock true || echo the lock is held
pgrep --list-full --full 'sbin/[i]msimta'
pgrep --list-full --full '[i]msimta.py'
:
""".format(config=CONFIG, image=IMAGE.rpartition("/")[0], state=STATE)


class Outcome(NamedTuple):
    """What came of the host's part: its exit status, or 137 where it was killed, and its result."""

    code: int
    result: dict[str, Any]
    printed: str


class Host:
    """The host, with the policies that were brought to it."""

    def __init__(self, messaging: Messaging) -> None:
        self.messaging = messaging
        self.states: dict[str, dict[str, str]] = {}

    def learn(self) -> None:
        """Run the old policy from the controller, and keep what was sent to the host, with each policy in its place."""
        keep = {"ANSIBLE_KEEP_REMOTE_FILES": "1"}
        done = plays.harden(playbook=plays.MESSAGING_SERVER, environment=keep, **COMMON, **OLD.variables)
        assert done.rc == 0, done
        for path in self.messaging.run("sh", "-c", "ls /root/.ansible/tmp/*/AnsiballZ_*transaction.py").stdout.split():
            sent = self.messaging.read(path)
            for policy in POLICIES:
                self.messaging.write(policy.path, with_policy(sent, policy))
        self.assert_in_force(OLD)

    def run(self, policy: Policy, when_it_hangs: str = "") -> Outcome:
        """Run the host's part and wait until a watchdog has gone as well; a command can be given for when it hangs."""
        done = self.start(when_it_hangs, policy.path)
        found = re.search(r"^\{.*\}$", done.stdout, re.MULTILINE)
        return Outcome(done.returncode, json.loads(found[0]) if found else {}, done.stdout + done.stderr)

    def start(self, when_it_hangs: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python on the host like this."""
        done = self.messaging.run("sh", "-c", RUN, when_it_hangs, *arguments, check=False)
        assert done.returncode != 99, done
        return done

    def succeed(self, policy: Policy) -> dict[str, Any]:
        """Run the host's part, which must succeed."""
        done = self.run(policy)
        assert done.code == 0, done
        assert not self.differences(policy)
        return done.result

    def fail(self, policy: Policy, when_it_hangs: str = "") -> dict[str, Any]:
        """Run the host's part, which must fail by itself."""
        done = self.run(policy, when_it_hangs)
        assert done.code == 1, done
        assert done.result["failed"], done
        return done.result

    def differences(self, policy: Policy) -> set[str]:
        """Which files, the image among them, are not as they were when this was first asked for a policy."""
        state = self.messaging.state()
        former = self.states.setdefault(policy.name, state)
        return {path for path in {*state, *former} if state.get(path) != former.get(path)}

    def heard(self, policy: Policy) -> str:
        """The policy's name where the three clients hear what belongs to it, else what they heard."""
        return "; ".join(misfits(self.messaging.lab, TALKS, policy.heard)) or policy.name

    def left(self) -> list[str]:
        """What lies around or runs of a change."""
        return self.messaging.run("sh", "-c", LEFT).stdout.splitlines()

    def assert_in_force(self, policy: Policy) -> None:
        """A policy is in force, wholly and alone."""
        assert not self.differences(policy)
        assert self.heard(policy) == policy.name
        # What a killed run asked the product may take a moment longer.
        until("nothing is left", lambda: not [line for line in self.left() if not line.endswith("/notice")])

    def wait_for_hang(self) -> int:
        """Wait until the faulty call hangs, and return its process."""
        return int(json.loads(self.messaging.run("timeout", "60", "sh", "-c", HANG).stdout.splitlines()[-1])["pid"])


def with_policy(sent: str, policy: Policy) -> str:
    """Put a policy into the arguments of what Ansible has sent."""
    line = re.search(r"^params=(.*),$", sent, re.MULTILINE)
    assert line, sent[:2000]
    arguments = json.loads(ast.literal_eval(line[1]))
    wanted = arguments["ANSIBLE_MODULE_ARGS"]["arguments"]["policy"]
    changed = {name.removeprefix("mailhost_"): value for name, value in policy.variables.items()}
    assert changed.keys() < wanted.keys()
    wanted.update(changed)
    return f"{sent[: line.start(1)]}{json.dumps(arguments)!r}{sent[line.end(1) :]}"
