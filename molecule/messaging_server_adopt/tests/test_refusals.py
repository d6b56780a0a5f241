"""What the role does not touch, and runs that get into each other's way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adoption import CONFIG, ROLE, Site, playbook, run
from adoption import POLICY as SITE
from hostview import until
from plays import start_harden

if TYPE_CHECKING:
    from typing import Any

POLICY: dict[str, Any] = {**SITE, "messaging_server_unknown_entries": "replace"}


def test_unified_configuration_is_refused(site: Site) -> None:
    site.install()
    site.messaging.run("touch", f"{CONFIG}/config.xml")
    before = site.look()
    foreseen, done = run(check=True, **POLICY), run(**POLICY)
    assert foreseen.rc != 0
    assert done.rc != 0
    assert foreseen.message == done.message
    assert f"{CONFIG}/config.xml exists" in done.message
    assert "Unified Configuration" in done.message
    assert "msconfig" in done.message
    assert site.look() == before
    assert site.messaging.calls() == []
    site.messaging.run("rm", f"{CONFIG}/config.xml")


def test_one_run_at_a_time(site: Site) -> None:
    """The first one hangs in a tool: another gives up with a sentence, one that comes later waits for its end."""
    before = site.install()
    site.messaging.set_faults({"cnbuild": {"do": "hang", "seconds": 14}})
    with playbook(ROLE), start_harden(**POLICY) as first:
        until("cnbuild runs", lambda: any(call.line == "cnbuild" for call in site.messaging.calls()))
        second = run(**POLICY)
        assert second.rc != 0, second
        assert "another run is changing this host" in second.message
        assert first.process.poll() is None
        third = run(**POLICY)
        assert (third.rc, third.changed) == (0, False), third
        done = first.wait()
    assert (done.rc, done.changed) == (0, True), done
    assert [call.line for call in site.messaging.calls() if call.line == "cnbuild"] == ["cnbuild"]
    assert site.texts() != site.texts(before)
