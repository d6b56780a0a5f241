# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The SSH connection of a run, read from the environments of its processes."""

from __future__ import annotations

import os

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter import sockets
from ansible_collections.mailhost.hardening.plugins.module_utils._packet_filter.sockets import (
    SshConnection,
    without_network,
)


@pytest.mark.parametrize(
    ("value", "connection"),
    [
        ("198.51.100.7 5000 192.0.2.1 22", SshConnection("198.51.100.7", "192.0.2.1", 22)),
        ("::ffff:198.51.100.7 5000 ::ffff:192.0.2.1 22", SshConnection("198.51.100.7", "192.0.2.1", 22)),
        ("fe80::7%eth0 5000 fe80::1%eth0 2222", SshConnection("fe80::7", "fe80::1", 2222)),
        ("UNKNOWN 65535 UNKNOWN 65535", None),
        ("198.51.100.7 5000 192.0.2.1", None),
        ("", None),
    ],
)
def test_ssh_connection_under_sudo_is_read_from_the_parent_process(
    monkeypatch: pytest.MonkeyPatch, value: str, connection: SshConnection | None
) -> None:
    files = {
        (os.getpid(), "environ"): "PATH=/bin\0SUDO_USER=x\0",
        (os.getpid(), "status"): "Name:\tpython3\nPPid:\t4711\n",
        (4711, "environ"): f"PATH=/bin\0SSH_CONNECTION={value}\0",
        (4711, "status"): "Name:\tsudo\nPPid:\t1\n",
    }
    monkeypatch.setattr(sockets, "_read_proc", lambda process, name: files[process, name])
    assert sockets.ssh_connection() == connection


AWAY = SshConnection("198.51.100.7", "192.0.2.1", 22)


@pytest.mark.parametrize(
    ("transport", "connection", "instead"),
    [
        ("ssh", AWAY, ""),
        ("ssh", None, ""),  # behind a proxy
        ("smart", AWAY, ""),
        ("ansible.netcommon.libssh", AWAY, ""),
        ("local", None, 'the connection plugin "local"'),
        ("ansible.builtin.local", AWAY, 'the connection plugin "local"'),  # in the shell of a user who came by SSH
        ("containers.podman.podman", None, 'the connection plugin "podman"'),
        ("ssh", SshConnection("127.0.0.1", "127.0.0.1", 22), "the loopback interface of the host"),
        ("ssh", SshConnection("::1", "::1", 22), "the loopback interface of the host"),
        ("ssh", SshConnection("192.0.2.1", "192.0.2.1", 22), "the loopback interface of the host"),
    ],
)
def test_connection_uses_the_network_only_where_ssh_comes_from_another_host(
    transport: str, connection: SshConnection | None, instead: str
) -> None:
    assert without_network(transport, connection) == instead
