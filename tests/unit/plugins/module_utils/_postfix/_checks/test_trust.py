# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clients that may name another client's address."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.context import (
    Conflict,
    PolicyContext,
    Warn,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.trust import (
    other_instances,
    proxies,
    soft_bounces,
    untrusted_hosts,
)
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._checks.contexts import (
    SMTP as MASTER,
)
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._checks.contexts import context

POLICY = {"internal_networks": ["198.51.100.64/26", "2001:db8:200::/64"]}
ADVICE = (
    "these clients can relay: they may claim an internal address (XCLIENT), or are not checked (QMQP); remove them "
    "there, or add them to mailhost_internal_networks"
)


def hosts(main: str, master: str = MASTER) -> list[str]:
    """Return the hosts that are reported."""
    lines = []
    for conflict in untrusted_hosts(context(main, master, policy=POLICY)):
        assert isinstance(conflict, Conflict)
        assert conflict.step == "trust"
        *lines, advice = conflict.text.splitlines()
        assert advice == ADVICE
    return lines


def unchanged(found: PolicyContext) -> PolicyContext:
    return dataclasses.replace(found, changed=False)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "127.0.0.0/8 [::1]/128",
        "198.51.100.64/27, 198.51.100.100",
        "$mynetworks",
        "[2001:db8:200::7]",
        "!203.0.113.9, 198.51.100.70",
    ],
)
def test_xclient_of_internal_hosts_is_accepted(value: str) -> None:
    assert not hosts(f"smtpd_authorized_xclient_hosts = {value}\n", MASTER)


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0/0",
        "198.51.100.0/24",
        "[::]/0",
        "static:all",
        "filter.example",
        "hash:/etc/postfix/x",
        "$mydomain",
    ],
)
def test_xclient_of_external_hosts_is_a_conflict(host: str) -> None:
    text = f"smtpd_authorized_xclient_hosts has {host}, which is not in mailhost_internal_networks"
    assert hosts(f"smtpd_authorized_xclient_hosts = 127.0.0.1 {host}\n", MASTER) == [f"main.cf: {text}"]
    master = f"{MASTER}2525 inet n - y - - smtpd\n  -o smtpd_authorized_xclient_hosts={host}\n"
    assert hosts("", master) == [f"master.cf: 2525 inet: {text}"]


def test_xclient_by_another_parameter_is_a_conflict() -> None:
    main = "filters = 203.0.113.0/24\nsmtpd_authorized_xclient_hosts = $filters\n"
    assert hosts(main, MASTER)


@pytest.mark.parametrize("value", ["${myhostname?0.0.0.0/0}", "${filters:203.0.113.0/24}", "$(filters)"])
def test_reference_with_a_default_is_a_conflict(value: str) -> None:
    assert hosts(f"filters =\nsmtpd_authorized_xclient_hosts = {value}\n", MASTER)
    assert not hosts("filters =\nsmtpd_authorized_xclient_hosts = ${filters}\n", MASTER)
    option = "2525 inet n - y - - smtpd\n  -o smtpd_authorized_xclient_hosts=${filters}\n"
    assert not hosts("filters =\n", f"{MASTER}{option}")


QMQPD = "628 inet n - y - - qmqpd\n"


@pytest.mark.parametrize(
    ("main", "service", "place"),
    [
        ("qmqpd_authorized_clients = 127.0.0.1 203.0.113.0/26\n", QMQPD, "main.cf"),
        ("qmqpd_authorized_clients = 203.0.113.0/26\n", QMQPD + QMQPD.replace("628 ", "[::]:629 "), "main.cf"),
        ("", QMQPD.replace("qmqpd\n", "qmqpd -o qmqpd_authorized_clients=203.0.113.0/26\n"), "master.cf: 628 inet"),
        (
            "inet_interfaces = loopback-only\nqmqpd_authorized_clients = 203.0.113.0/26\n",
            "198.51.100.12:628 inet n - y - - ./qmqpd\n",
            "main.cf",
        ),
    ],
)
def test_qmqp_of_external_hosts_is_a_conflict(main: str, service: str, place: str) -> None:
    assert hosts(main, MASTER + service) == [
        f"{place}: qmqpd_authorized_clients has 203.0.113.0/26, which is not in mailhost_internal_networks"
    ]


@pytest.mark.parametrize(
    ("main", "service"),
    [
        ("qmqpd_authorized_clients = 203.0.113.0/26\n", ""),
        ("qmqpd_authorized_clients = 203.0.113.0/26\n", "127.0.0.1:628 inet n - y - - qmqpd\n"),
        ("qmqpd_authorized_clients = 203.0.113.0/26\ninet_interfaces = 127.0.0.1, [::1]\n", QMQPD),
        ("qmqpd_authorized_clients = 203.0.113.0/26\n", "628 inet n - y - - qmqpd -o qmqpd_authorized_clients=\n"),
        ("qmqpd_authorized_clients = !203.0.113.9, $mynetworks, 198.51.100.70\n", QMQPD),
        ("", QMQPD),
    ],
)
def test_qmqp_without_external_hosts_is_accepted(main: str, service: str) -> None:
    assert not hosts(main, MASTER + service)


def test_soft_bounce_is_a_warning_for_each_place() -> None:
    text = "rejected mail gets 4xx instead of 5xx, and the sender retries for days; remove it"
    found = context("soft_bounce = yes\n", "smtp inet n - y - - smtpd -o soft_bounce=Yes\n")
    assert list(soft_bounces(found)) == [
        Warn(f"main.cf: soft_bounce = yes: {text}"),
        Warn(f"master.cf: smtp inet: soft_bounce = Yes: {text}"),
    ]
    assert not list(soft_bounces(unchanged(found)))
    assert not list(soft_bounces(context("soft_bounce = no\n")))


def test_proxy_protocol_is_a_warning() -> None:
    found = context("smtpd_upstream_proxy_protocol = haproxy\n")
    (warning,) = proxies(found)
    assert warning.text.startswith(
        "main.cf: smtpd_upstream_proxy_protocol = haproxy: a client that reaches this port directly can claim an "
        "internal address"
    )
    assert not list(proxies(unchanged(found)))
    assert not list(proxies(context()))


def test_other_instances_are_a_warning() -> None:
    found = context("multi_instance_directories = /etc/postfix-out,\n  /etc/postfix-lists\n")
    assert list(other_instances(found)) == [
        Warn(
            "main.cf: multi_instance_directories has /etc/postfix-out, /etc/postfix-lists: other instances are not "
            "checked, and may relay for external clients; test them by the playbook verify"
        )
    ]
    assert not list(other_instances(unchanged(found)))
    assert not list(other_instances(context("multi_instance_directories =\nmulti_instance_enable = yes\n")))
