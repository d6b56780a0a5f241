"""One inventory for packets and dialogues: what each of them gets, after a run, after a change and after a reboot."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

import pytest
import yaml

from mailhost_lab.addresses import GATEWAY, REMOTE
from mailhost_lab.containers import lifecycle
from mailhost_lab.mail.dialogues import Dialogue, hold
from mailhost_lab.mail.postfix import ANN
from mailhost_lab.packets.probes import Lab, Probe
from mailhost_lab.waiting import until

if TYPE_CHECKING:
    from mailhost_lab.mail.postfix import Postfix
    from mailhost_lab.runs.plays import Run

Harden = Callable[..., "Run"]

PORTS = {"smtp": 25, "submissions": 465, "submission": 587, "imaps": 993, "imap": 143, "pop3": 110}
OPEN = {("external", name) for name in ("smtp", "submissions", "submission")}
OPEN |= {("internal", name) for name in ("smtp", "submissions", "submission", "imaps")}


@pytest.fixture
def policy() -> dict[str, Any]:
    """Return what the inventory of this scenario says, for runs of the tests."""
    scenario = yaml.safe_load((Path(__file__).parents[1] / "molecule.yml").read_text())
    variables = scenario["provisioner"]["inventory"]["group_vars"]["gateway_hosts"]
    return {"mailhost_hosts": "gateway_hosts", "mailhost_mail_server": "postfix", **variables}


def assert_packets(lab: Lab) -> None:
    """Every port is open to its clients and silent to all others; a blocked client gets nothing."""
    asked = [(source, family, name) for source in ("external", "internal") for family in (4, 6) for name in PORTS]
    probes = [Probe(source, GATEWAY.address(source, family), PORTS[name]) for source, family, name in asked]
    blocked = Probe("external", GATEWAY.address("external", 4), 25, source="198.51.100.21")
    *found, dropped = lab.batch([*probes, blocked])
    wanted = ["open" if (source, name) in OPEN else "filtered" for source, _family, name in asked]
    assert dict(zip(asked, found)) == dict(zip(asked, wanted))
    assert dropped == "filtered"


def assert_dialogues(lab: Lab) -> None:
    """Internal and authenticated clients may relay, an external one sends to the host's domains alone."""
    external_mail: dict[str, Any] = {"mail_from": "a@remote.example"}
    login: dict[str, Any] = {"mail_from": ANN[0], "login": ANN, "rcpt_to": ("b@remote.example",)}
    for family in (4, 6):
        external, internal = GATEWAY.address("external", family), GATEWAY.address("internal", family)
        talks = hold(
            lab,
            [
                Dialogue("external", external, rcpt_to=("ann@mail.example",), **external_mail),
                Dialogue("external", external, rcpt_to=("b@remote.example",), **external_mail),
                Dialogue("external", external, dport=465, tls=True, **login),
                Dialogue("external", external, dport=587, starttls=True, **login),
                Dialogue("internal", internal, rcpt_to=("b@remote.example",), mail_from="clerk@mail.example"),
            ],
        )
        rejected = "550 5.7.1 <b@remote.example>: Recipient address rejected: Relaying not permitted"
        assert [talk.verdict for talk in talks] == ["accepted", rejected, *["accepted"] * 3]


def listening(lab: Lab) -> set[str]:
    """Return the addresses and ports at which the host listens to others."""
    rows = lab.run(GATEWAY.name, ["ss", "-Hltn"]).stdout.splitlines()
    return {row.split()[3] for row in rows if not row.split()[3].startswith(("127.", "[::1]"))}


def test_packets_and_dialogues_follow_the_policy(lab: Lab) -> None:
    assert_packets(lab)
    assert_dialogues(lab)


def test_only_postfix_sends_mail_and_it_arrives(lab: Lab, gateway: Postfix) -> None:
    remote = REMOTE.address("external", 4)
    verdicts = lab.batch([Probe(GATEWAY.name, remote, 25, user=user, greeting=True) for user in ("postfix", "nobody")])
    assert verdicts[0] == "open"
    assert verdicts[1] in ("rejected", "filtered")
    gateway.clear()
    mail = Dialogue(
        "internal",
        GATEWAY.address("internal", 4),
        mail_from=ANN[0],
        rcpt_to=("both@remote.example",),
        message="Subject: x\r\n\r\nx\r\n",
    )
    assert hold(lab, [mail])[0].verdict == "accepted"
    gateway.drain()
    until("it has arrived", lambda: [one.rcpt_to for one in gateway.collected()] == ["both@remote.example"])


def test_both_roles_apply_a_policy_change_in_one_run(harden: Harden, lab: Lab, policy: dict[str, Any]) -> None:
    """The packet filter is confirmed over a new connection, and the mail server changes in the same run."""
    policy["mailhost_blocked_networks"].append("198.51.100.20/32")
    done = harden(**policy)
    assert done.rc == 0, done
    tasks = [line["task"] for line in done.results if line["result"].get("changed")]
    assert len(tasks) == 2, tasks
    gone = Probe("external", GATEWAY.address("external", 4), 25)
    assert lab.batch([gone]) == ["filtered"]
    policy["mailhost_blocked_networks"].pop()
    back = harden(**policy)
    assert (back.rc, back.changed) == (0, True), back
    again = harden(**policy)
    assert (again.rc, again.changed) == (0, False), again
    assert_packets(lab)


@pytest.mark.parametrize("services", ["own", "default"])
def test_submission_closed_by_packet_filter_is_a_warning(harden: Harden, policy: dict[str, Any], services: str) -> None:
    declared = policy.pop("packet_filter_services")
    if services == "own":
        policy["packet_filter_services"] = [one for one in declared if not one["service"].startswith("submission")]
    done = harden(check=True, **policy)
    assert done.rc == 0, done
    name = "packet_filter_services" if services == "own" else "mailhost_services"
    warnings = [warning for line in done.results for warning in line["result"].get("warnings", [])]
    assert f"postfix_submission: is true, and {name} declares neither submission nor submissions: " in str(warnings)


def test_both_roles_survive_a_reboot(harden: Harden, lab: Lab, policy: dict[str, Any]) -> None:
    before = listening(lab)
    lifecycle.restart(GATEWAY.name)
    until("all listen that did before", lambda: listening(lab) >= before)
    assert_packets(lab)
    assert_dialogues(lab)
    again = harden(**policy)
    assert (again.rc, again.changed) == (0, False), again
