"""SMTP for everybody in both families (docs/reference/requirements.md#f1, docs/reference/requirements.md#f2),
every other mail port closed, SSH left alone."""

from __future__ import annotations

from typing import Any

import pytest

from mailhost_lab.packets.probes import Lab, Probe

SOURCES = [("external", "external"), ("internal", "internal")]
OTHER_MAIL_PORTS = {"pop3": 110, "imap": 143, "imaps": 993, "pop3s": 995}


@pytest.mark.parametrize("family", [4, 6])
def test_smtp_is_open_from_everywhere(lab: Lab, family: int) -> None:
    probes = [Probe(src, lab.address("mailhost", net, family), 25, greeting=True) for src, net in SOURCES]
    assert lab.batch(probes) == ["open", "open"]


@pytest.mark.parametrize("family", [4, 6])
def test_other_mail_ports_are_blocked(lab: Lab, family: int) -> None:
    probes = [
        Probe(src, lab.address("mailhost", net, family), port)
        for src, net in SOURCES
        for port in OTHER_MAIL_PORTS.values()
    ]
    assert set(lab.batch(probes)) == {"filtered"}


@pytest.mark.parametrize("family", [4, 6])
def test_ssh_stays_open_from_everywhere(lab: Lab, family: int) -> None:
    probes = [Probe(src, lab.address("mailhost", net, family), 22, greeting=True) for src, net in SOURCES]
    assert lab.batch(probes) == ["open", "open"]


@pytest.mark.parametrize("family", [4, 6])
def test_only_the_mail_server_opens_smtp_connections(lab: Lab, family: int) -> None:
    remote = lab.address("remote", "external", family)
    users = ["postfix", "nobody", "root"]
    verdicts = lab.batch([Probe("mailhost", remote, 25, user=user, greeting=True) for user in users])
    assert verdicts[0] == "open"
    assert set(verdicts[1:]) <= {"rejected", "filtered"}


def test_services_run(host: Any) -> None:
    for service in ("postfix", "dovecot", "ssh"):
        assert host.service(service).is_running
