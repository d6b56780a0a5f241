"""A user that becomes root by sudo: the controller's address is found all the same, and the confirmation arrives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailhost_lab.containers.engine import LabError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailhost_lab.packets.probes import Lab

USER = "postmaster1"
MAKE_USER = f"""
useradd --create-home --shell /bin/bash {USER}
install --directory --mode=700 --owner={USER} /home/{USER}/.ssh
install --mode=600 --owner={USER} /root/.ssh/authorized_keys /home/{USER}/.ssh/authorized_keys
echo '{USER} ALL=(root) NOPASSWD: ALL' > /etc/sudoers.d/{USER}
"""


@pytest.fixture(scope="module", autouse=True)
def _user(lab: Lab) -> None:
    lab.run("mailhost", ["sh", "-ec", MAKE_USER])


def test_second_run_by_sudo_changes_nothing(harden: Callable[..., bool]) -> None:
    assert not harden(ansible_user=USER, ansible_become=True)


def test_change_by_sudo_is_confirmed(harden: Callable[..., bool]) -> None:
    others = ["198.51.100.24/29", "2001:db8:100:0:c::/80"]
    assert harden(ansible_user=USER, ansible_become=True, packet_filter_management_networks=others)
    assert not harden(packet_filter_management_networks=others)


def test_run_without_root_fails_before_any_change(harden: Callable[..., bool]) -> None:
    with pytest.raises(LabError, match="only root can change the packet filter; set ansible_become: true"):
        harden(ansible_user=USER)
