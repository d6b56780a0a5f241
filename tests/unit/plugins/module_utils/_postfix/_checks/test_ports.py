# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ports of other programs, on which Postfix must not listen, and a Postfix without a banner."""

from __future__ import annotations

import dataclasses
import socket

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.context import Conflict, Warn
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.ports import (
    silent_server,
    taken_ports,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config import master_cf
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._checks.contexts import (
    SMTP,
    StubHost,
    context,
)

AFTER = f"{SMTP}submission inet n - y - - smtpd\n"


def taken(number: int, live: str, address: str = "127.0.0.1") -> bool:
    """Return whether the port is reported."""
    wanted = context(master=AFTER, live_master=live, host=StubHost(interfaces=(address,)))
    found = list(taken_ports(wanted))
    assert not list(taken_ports(dataclasses.replace(wanted, changed=False)))
    for conflict in found:
        assert isinstance(conflict, Conflict)
        assert conflict.step == "ports"
        assert conflict.text.startswith(f"port {number} is in use, and not by a service of master.cf")
    return bool(found)


def test_port_of_another_program_is_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        monkeypatch.setitem(master_cf.PORTS, "submission", number)
        assert taken(number, SMTP)
        assert taken(number, SMTP, "0.0.0.0")  # noqa: S104 (only tried)
        assert not taken(number, SMTP, "127.0.0.9")
        # What Postfix has already is its own.
        assert not taken(number, AFTER)
    assert not taken(number, SMTP)


@pytest.mark.parametrize(
    ("running", "banner", "warned"),
    [(True, True, False), (True, False, True), (False, False, False), (None, False, False)],
)
def test_running_postfix_without_a_banner_is_a_warning(running: bool | None, banner: bool, warned: bool) -> None:
    host = StubHost(addresses=("192.0.2.1", "2001:db8::1"), running=running, banner=banner)
    text = (
        "Postfix runs, but port 25 sends no banner at 192.0.2.1, 2001:db8::1: after the change the live Postfix is not "
        "tested against the policy, only whether it still runs"
    )
    assert list(silent_server(context(host=host))) == ([Warn(text)] if warned else [])
