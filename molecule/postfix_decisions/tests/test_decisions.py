"""Postfix decides as a policy means it, session by session; where it cannot, the difference has a name.

The names are in tests/decision_differences.py. No answer may show the key of a list.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.mailhost.hardening.tests.decision_differences import as_postfix, postfix_agrees
from ansible_collections.mailhost.hardening.tests.decision_sessions import make_policy, make_sessions
from ansible_collections.mailhost.hardening.tests.decision_table import (
    ABSENT,
    EXISTS,
    SUBMISSION_PORTS,
    TROUBLE,
    Session,
    decide,
    domain_of,
)

if TYPE_CHECKING:
    from mailhost_lab.runs.plays import Run

SEEDS = (15, 25, 56, 182, 363, 373)
"""Of 400 those whose sessions reach every verdict most evenly."""

SESSIONS = 80
"""For each policy."""

KEY = "abcdefghijklmnopqrstuvwxyz"
ROLES = {25: "smtp", 587: "submission", 465: "submissions"}
DOMAINS = {EXISTS: ["198.51.100.20"], ABSENT: None, TROUBLE: "SERVFAIL"}


def made(seed: int) -> tuple[dict[str, Any], list[Session]]:
    """A policy and its sessions."""
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    policy = make_policy(chance, return_codes=True)
    return policy, list(make_sessions(chance, policy, SESSIONS))


def dns(session: Session) -> dict[str, Any]:
    """What the DNS says of a session's client and sender; None where a name does not exist."""
    reverse = ipaddress.ip_address(session.client).reverse_pointer.rpartition(".")[0].rpartition(".")[0]
    found: dict[str, Any] = {f"{reverse}.{zone}": answer or None for zone, answer in session.listed.items()}
    if session.mail_from:
        found[domain_of(session.mail_from)] = DOMAINS[session.sender_domain]
    return found


def asked(session: Session) -> dict[str, Any]:
    """A session as it is held; an authenticated user is named by the sender's address."""
    submits = session.port in SUBMISSION_PORTS
    return {
        "role": ROLES[session.port],
        "port": session.port,
        "client": session.client,
        "helo": "client.example",
        "tls": submits,
        "authenticated": (session.mail_from or "user@example.org") if submits and session.authenticated else "",
        "mail_from": session.mail_from,
        "rcpt_to": [session.rcpt_to],
        "dns": dns(session),
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_postfix_decides_as_the_decision_table(
    seed: int, role: Callable[..., Run], ask: Callable[[Sequence[dict[str, Any]]], list[tuple[str, int, str]]]
) -> None:
    policy, sessions = made(seed)
    done = role(**{f"mailhost_{name}": value for name, value in policy.items()})
    assert done.rc == 0, str(done)
    answers = ask([asked(session) for session in sessions])
    differences = [
        (session, decide(policy, as_postfix(policy, session)), (stage, code, text))
        for session, (stage, code, text) in zip(sessions, answers)
        if KEY in text or not postfix_agrees(policy, session, stage == "", code)
    ]
    assert len(answers) == SESSIONS
    assert not differences, (policy, differences)


def test_sessions_reach_every_verdict() -> None:
    """Sessions that never come near a boundary would prove nothing."""
    verdicts = {
        decide(policy, as_postfix(policy, session))[1:3]
        for policy, sessions in map(made, SEEDS)
        for session in sessions
    }
    assert {why for _stage, why in verdicts} == {
        "the client is blocked",
        "an authenticated client",
        "submission requires AUTH",
        "a DNSBL of stage connect lists the client",
        "the client is internal",
        "the sender's domain does not exist",
        "a relay exception",
        "an external client may not relay",
        "a DNSBL of stage mail lists the client",
        "mail for a domain of the policy",
    }
