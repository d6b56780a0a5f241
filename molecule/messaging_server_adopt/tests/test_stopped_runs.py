"""What the role does not touch, and runs that get into each other's way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mailhost_lab.mail.messaging_server import CONFIG
from mailhost_lab.mail.messaging_server import STATE as STANDIN
from mailhost_lab.runs.plays import MESSAGING_SERVER, start_harden
from mailhost_lab.scenarios.messaging_server_adopt import POLICY as SITE
from mailhost_lab.scenarios.messaging_server_adopt import STATE, Site, run
from mailhost_lab.waiting import until

if TYPE_CHECKING:
    from typing import Any

POLICY: dict[str, Any] = {**SITE, "messaging_server_unknown_entries": "replace"}


def test_unified_configuration_stops_the_run(site: Site) -> None:
    site.install()
    site.messaging.run("touch", f"{CONFIG}/config.xml")
    before = site.look()
    done = run(**POLICY)
    assert done.rc != 0
    assert f"{CONFIG}/config.xml exists" in done.message
    assert "Unified Configuration" in done.message
    assert "msconfig" in done.message
    assert site.look() == before
    assert site.messaging.calls() == []
    site.messaging.run("rm", f"{CONFIG}/config.xml")


def test_unmanaged_table_that_makes_external_clients_internal_stops_the_run(site: Site) -> None:
    site.install()
    literals = b"[]                      $U%[$L]@tcp-daemon\n"
    site.edit("imta.cnf", literals, b"[]  $E$R${X-PARTNERS,$L}$U%[$L]@tcp_lan-daemon\n" + literals)
    heading = b"! --- who we are ---\n"
    site.edit("mappings", heading, b"X-PARTNERS\n\n  $(198.51.100.16/28)  $Y\n\n" + heading)
    before = site.texts()
    stopped = run(**POLICY)
    assert stopped.rc != 0, stopped
    found = "external client 198.51.100.16, which has a rewrite rule: plain: relayed to channel tcp_local"
    assert found in stopped.message
    assert "${X-PARTNERS,$L}" in stopped.message
    assert site.texts() == before
    assert site.messaging.calls() == []


LOCK = f"{STATE}/messaging-server/lock"
HOLDERS = f"find /proc/[0-9]*/fd -lname {LOCK} 2>/dev/null | wc -l"
COMPILER = f"grep '\"cnbuild\"]' {STANDIN}/calls | tail -n 1"


def test_second_run_waits_for_the_first(site: Site) -> None:
    """The first run hangs in a tool; the second waits until the first has failed and put everything back."""
    before = site.install()
    site.messaging.set_faults({"cnbuild": {"do": "hang", "call": 1}})

    def holders() -> int:
        return int(site.messaging.run("sh", "-c", HOLDERS).stdout)

    with start_harden(playbook=MESSAGING_SERVER, **POLICY) as first:
        until("cnbuild hangs", lambda: "cnbuild" in [call.line for call in site.messaging.calls()])
        alone = holders()
        with start_harden(playbook=MESSAGING_SERVER, **POLICY) as second:
            until("the second run asks for the lock", lambda: holders() > alone)
            during = site.look()
            hanging = json.loads(site.messaging.run("sh", "-c", COMPILER).stdout)["pid"]
            site.messaging.run("kill", "-9", str(hanging))
            failed, done = first.wait(), second.wait()
    assert alone
    assert failed.rc != 0, failed
    assert "imsimta cnbuild: " in failed.message
    assert "the previous files and what is built from them are live again" in failed.message
    assert site.texts(during) != site.texts(before), "the first run was in the middle of its change"
    assert (done.rc, done.changed) == (0, True), done
    assert [diff["before"] for diff in done.diff] == [
        site.texts(before)[diff["before_header"].rpartition("/")[2]].decode("latin-1") for diff in done.diff
    ]
    assert [call.rc for call in site.messaging.calls() if call.line == "cnbuild"] == [None, 0]
    assert site.texts() == site.texts(during)
    assert site.verdicts()["relay"] == "550 5.7.1 Relaying not permitted: victim@remote.example"
