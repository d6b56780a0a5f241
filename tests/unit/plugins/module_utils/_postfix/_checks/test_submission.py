# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Submission that users cannot reach, or at which SMTP AUTH fails."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.packet_filter import DEFAULTS
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.context import Warn
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.submission import (
    closed_submission,
    sasl_server,
    unmanaged_submission,
)
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._checks.contexts import (
    StubHost,
    context,
)

CLOSED = (
    "postfix_submission: is true, and mailhost_services declares neither submission nor submissions: the packet filter "
    "closes 587 and 465; declare {service: submission, direction: server} and the same for submissions, or write "
    "postfix_submission: false"
)


@pytest.mark.parametrize(
    "services",
    [
        DEFAULTS["services"],
        [],
        [{"service": "submission", "direction": "client"}],
        [{"service": "nonsense", "direction": "server"}, "submission"],
    ],
)
def test_submission_that_is_not_declared_is_a_warning(services: object) -> None:
    assert closed_submission(services, "mailhost_services") == [CLOSED]


@pytest.mark.parametrize("service", ["submission", "submissions", 587, 465])
def test_one_of_the_two_services_is_enough(service: object) -> None:
    flow = {"service": service, "direction": "server", "peers": ["192.0.2.0/24"]}
    assert not closed_submission([flow], "mailhost_services")


@pytest.mark.parametrize("services", [None, "submission", {"service": "submission"}])
def test_services_that_are_no_list_are_left_to_the_packet_filter(services: object) -> None:
    assert not closed_submission(services, "mailhost_services")


_UNSET = "is unmanaged and does not set"
_NO_RELAY = f"{_UNSET} smtpd_relay_restrictions; authenticated clients cannot relay there any more"
_NO_AUTH = f"{_UNSET} smtpd_sasl_auth_enable, which is no in main.cf now; SMTP AUTH will fail there"
_ON, _OFF, _OWN = "smtpd_sasl_auth_enable=yes", "smtpd_sasl_auth_enable=no", "smtpd_relay_restrictions=reject"


@pytest.mark.parametrize("inherited", ["yes", "no", None])
@pytest.mark.parametrize(
    ("name", "options", "texts"),
    [
        ("10587", (_ON,), (_NO_RELAY, _NO_RELAY)),
        ("10587", (_ON, _OWN), ("", "")),
        ("10587", (), ("", _NO_AUTH)),
        ("10587", (_OWN,), ("", _NO_AUTH)),
        ("10587", (_OFF,), ("", "")),
        ("198.51.100.7:10587", (_ON,), (_NO_RELAY, _NO_RELAY)),
        ("127.0.0.1:10025", (_ON,), ("", "")),
        ("[::1]:10025", (), ("", "")),
        ("smtp", (_ON,), ("", "")),
    ],
)
def test_unmanaged_service_without_its_own_smtp_auth_is_a_warning(
    name: str, options: tuple[str, ...], texts: tuple[str, str], inherited: str | None
) -> None:
    line = " ".join([f"{name} inet n - y - - smtpd", *(f"-o {one}" for one in options)])
    site = {} if inherited is None else {"smtpd_sasl_auth_enable": inherited}
    text = texts[inherited == "yes"]
    for settings in ({}, {"submission": False}):
        found = context(master=f"{line}\n", settings=settings, site=site)
        assert list(unmanaged_submission(found)) == ([Warn(f"master.cf: {name} inet {text}")] if text else [])
        assert not list(unmanaged_submission(dataclasses.replace(found, changed=False)))


def test_unmanaged_submission_is_a_warning() -> None:
    master = f"submission inet n - y - - smtpd -o {_ON}\n"
    found = unmanaged_submission(context(master=master, settings={"submission": False}))
    assert list(found) == [Warn(f"master.cf: submission inet {_NO_RELAY}")]
    assert not list(unmanaged_submission(context(master=master)))


def test_missing_sasl_server_is_a_warning(tmp_path: Path) -> None:
    wanted = context(host=StubHost(queue=str(tmp_path)))
    text = "no SASL server is listening on private/auth (postfix_sasl_path); SMTP AUTH will fail until Dovecot runs"
    assert list(sasl_server(wanted)) == [Warn(text)]
    assert not list(sasl_server(context(settings={"submission": False}, host=StubHost(queue=str(tmp_path)))))
    (tmp_path / "private").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "private" / "auth"))
        server.listen()
        assert not list(sasl_server(wanted))


def test_sasl_server_of_the_network_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        path = f"inet:127.0.0.1:{server.getsockname()[1]}"
        assert not list(sasl_server(context(settings={"sasl_path": path})))
    (warning,) = sasl_server(context(settings={"sasl_path": path}))
    assert path in warning.text
