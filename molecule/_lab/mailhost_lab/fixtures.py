"""Fixtures for every test that uses the lab; molecule/conftest.py and tests/bench load them."""

from __future__ import annotations

from typing import Callable

import pytest

from mailhost_lab.addresses import GATEWAY, MESSAGING, POSTFIX, RENEWED, STANDING
from mailhost_lab.containers.hosts import exists
from mailhost_lab.containers.lifecycle import known_engine
from mailhost_lab.mail.messaging_server import Messaging
from mailhost_lab.mail.postfix import Postfix
from mailhost_lab.packets.probes import Lab
from mailhost_lab.runs import plays


@pytest.fixture(scope="session")
def lab() -> Lab:
    """Return the running lab; see probes.Lab for what it can do."""
    engine = known_engine()
    # The others come and go with the scenarios, which may run side by side.
    missing = [host.name for host in STANDING if host not in RENEWED and not exists(engine, host)]
    if missing:
        pytest.exit(f"the lab is not up, {', '.join(missing)} missing: make lab", returncode=3)
    return Lab(engine)


@pytest.fixture(scope="session")
def harden(lab: Lab) -> Callable[..., plays.Run]:  # noqa: ARG001 - without a lab there is nothing to harden
    """Return what runs the playbook: `harden(packet_filter_scope="host").changed`; see plays.harden."""
    return plays.harden


@pytest.fixture(scope="session")
def messaging(lab: Lab) -> Messaging:
    """Return the host with the stand-in for Messaging Server; see messaging.Messaging for what it can do."""
    if not exists(lab.engine, MESSAGING):
        pytest.exit("the host messaging is not there: python molecule/_lab reset messaging", returncode=3)
    return Messaging(lab)


@pytest.fixture(scope="session")
def postfix(lab: Lab) -> Postfix:
    """Return the host with Postfix; see postfix.Postfix for what it can do."""
    if not exists(lab.engine, POSTFIX):
        pytest.exit("the host postfix is not there: python molecule/_lab reset postfix", returncode=3)
    return Postfix(lab)


@pytest.fixture(scope="session")
def gateway(lab: Lab) -> Postfix:
    """Return the host that both roles harden; see postfix.Postfix for what it can do."""
    if not exists(lab.engine, GATEWAY):
        pytest.exit("the host gateway is not there: python molecule/_lab reset gateway", returncode=3)
    return Postfix(lab, GATEWAY)
