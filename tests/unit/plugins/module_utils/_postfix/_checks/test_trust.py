# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may say that he is another client."""

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.networks import parse_networks
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.trust import (
    other_instances,
    proxies,
    soft_bounces,
    untrusted_hosts,
)

INTERNAL = [*parse_networks("198.51.100.64/26"), *parse_networks("2001:db8:200::/64")]
MASTER = "smtp inet n - y - - smtpd\n"


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
def test_who_is_inside_may(value: str) -> None:
    assert not untrusted_hosts(f"smtpd_authorized_xclient_hosts = {value}\n", MASTER, INTERNAL)


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
def test_who_is_not_inside_may_not(host: str) -> None:
    told = f"smtpd_authorized_xclient_hosts has {host}, which is not inside by mailhost_internal_networks"
    assert untrusted_hosts(f"smtpd_authorized_xclient_hosts = 127.0.0.1 {host}\n", MASTER, INTERNAL) == [
        f"main.cf: {told}"
    ]
    master = f"{MASTER}2525 inet n - y - - smtpd\n  -o smtpd_authorized_xclient_hosts={host}\n"
    assert untrusted_hosts("", master, INTERNAL) == [f"master.cf: 2525 inet: {told}"]


def test_a_value_by_another_parameter_is_read() -> None:
    main = "filters = 203.0.113.0/24\nsmtpd_authorized_xclient_hosts = $filters\n"
    assert untrusted_hosts(main, MASTER, INTERNAL)


@pytest.mark.parametrize("value", ["${myhostname?0.0.0.0/0}", "${filters:203.0.113.0/24}", "$(filters)"])
def test_a_reference_with_a_default_is_somebody(value: str) -> None:
    assert untrusted_hosts(f"filters =\nsmtpd_authorized_xclient_hosts = {value}\n", MASTER, INTERNAL)
    assert not untrusted_hosts("filters =\nsmtpd_authorized_xclient_hosts = ${filters}\n", MASTER, INTERNAL)
    option = "2525 inet n - y - - smtpd\n  -o smtpd_authorized_xclient_hosts=${filters}\n"
    assert not untrusted_hosts("filters =\n", f"{MASTER}{option}", INTERNAL)


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
def test_who_is_not_inside_may_not_send_by_qmqp(main: str, service: str, place: str) -> None:
    assert untrusted_hosts(main, MASTER + service, INTERNAL) == [
        f"{place}: qmqpd_authorized_clients has 203.0.113.0/26, which is not inside by mailhost_internal_networks"
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
def test_qmqp_for_nobody_else_is_let_be(main: str, service: str) -> None:
    assert not untrusted_hosts(main, MASTER + service, INTERNAL)


def test_soft_bounces_are_remarked_on() -> None:
    told = "who is refused gets 4xx instead of 5xx, and tries again for days; remove it"
    master = "smtp inet n - y - - smtpd -o soft_bounce=Yes\n"
    assert soft_bounces("soft_bounce = yes\n", master) == [
        f"main.cf: soft_bounce = yes: {told}",
        f"master.cf: smtp inet: soft_bounce = Yes: {told}",
    ]
    assert not soft_bounces("soft_bounce = no\n", MASTER)


def test_a_proxy_is_remarked_on() -> None:
    (told,) = proxies("smtpd_upstream_proxy_protocol = haproxy\n", MASTER)
    assert told.startswith("main.cf: smtpd_upstream_proxy_protocol = haproxy: whoever reaches this port directly")
    assert not proxies("", MASTER)


def test_other_instances_are_remarked_on() -> None:
    assert other_instances("multi_instance_directories = /etc/postfix-out,\n  /etc/postfix-lists\n") == [
        "main.cf: multi_instance_directories has /etc/postfix-out, /etc/postfix-lists: other instances are not looked at, "
        "and may relay for anybody; ask them by the playbook verify"
    ]
    assert not other_instances("multi_instance_directories =\nmulti_instance_enable = yes\n")
