# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A port of another program, which Postfix must not be told to listen on."""

from __future__ import annotations

import socket

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._host import ports

SMTP = "smtp inet n - y - - smtpd\n"


def test_a_port_of_somebody_else_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
        monkeypatch.setitem(ports.PORTS, "submission", number)
        after = f"{SMTP}submission inet n - y - - smtpd\n"
        assert ports.taken_ports(SMTP, after, ("127.0.0.1",)) == [number]
        assert ports.taken_ports(SMTP, after) == [number]
        assert ports.taken_ports(SMTP, after, ("127.0.0.9",)) == []
        # What Postfix has already is its own.
        assert ports.taken_ports(after, after) == []
    assert ports.taken_ports(SMTP, after) == []
