"""The figures of the role postfix, alone and with the packet filter; `make bench` prints them."""

from __future__ import annotations

from typing import Any

import pytest
from measure import CLOSED, play, report, server_role

from mailhost_lab.addresses import POSTFIX
from mailhost_lab.containers.lifecycle import reset
from mailhost_lab.runs import plays

PING = {"bench_hosts": "postfix_hosts"}
POLICY: dict[str, Any] = {
    "mailhost_domains": ["mail.example"],
    "mailhost_internal_networks": ["198.51.100.64/26", "2001:db8:200::/64"],
    "mailhost_blocked_networks": ["203.0.113.0/28"],
    "mailhost_dnsbls": [{"zone": "good.dnsbl.example", "stage": "mail", "return_codes": ["127.0.0.2-127.0.0.11"]}],
    "mailhost_sender_domain_check": True,
    "postfix_unknown_entries": "replace",
}
BOTH: dict[str, Any] = {
    "mailhost_hosts": "postfix_hosts",
    "mailhost_mail_server": "postfix",
    "packet_filter_services": [
        {"service": "smtp", "direction": "client"},
        *({"service": name, "direction": "server"} for name in ("smtp", "submission", "submissions")),
    ],
    "packet_filter_close_services": CLOSED,
    **POLICY,
}
ROUNDS = 7


@pytest.fixture(autouse=True)
def _server(lab: object) -> None:  # noqa: ARG001 - without a lab there is nothing to measure
    reset("bookworm", POSTFIX)


def middle(found: list[float]) -> float:
    return sorted(found)[len(found) // 2]


def test_second_run() -> None:
    server_role(changed=True, playbook="postfix.yml", **POLICY)
    pings, roles = [], []
    for _round in range(ROUNDS):
        pings.append(play("ping.yml", **PING))
        roles.append(server_role(changed=False, playbook="postfix.yml", **POLICY))
    report("postfix, second run / ping play", middle(roles) / middle(pings), 1.8)


def test_second_run_of_both_roles() -> None:
    assert plays.harden(**BOTH).changed
    pings, runs = [], []
    for _round in range(ROUNDS):
        pings.append(play("ping.yml", **PING))
        done = plays.harden(**BOTH)
        assert (done.rc, done.changed) == (0, False), done
        runs.append(done.seconds)
    report("packet_filter and postfix, second run / ping play", middle(runs) / middle(pings), 2.5)
