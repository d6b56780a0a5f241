"""The playbook verify sees from another host, in both families, that the host is as the policy says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mailhost_lab.addresses import POSTFIX
from mailhost_lab.runs.verify import deviations, outer, verify

if TYPE_CHECKING:
    from mailhost_lab.mail.postfix import Postfix


def test_verify_from_external_host_finds_no_deviation(postfix: Postfix, policy: dict[str, Any]) -> None:
    before = postfix.state()
    run, points = verify(POSTFIX, policy)
    assert (run.rc, deviations(points)) == (0, set()), run
    for address in outer(POSTFIX):
        for point in ("ports", "relay", "auth", "tls", "starttls", "banner", "vrfy", "xclient"):
            assert points[address, point][0] == "ok", points[address, point]
    assert postfix.state() == before
