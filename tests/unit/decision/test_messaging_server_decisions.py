# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files made from a policy for Messaging Server decide as the policy means it, session by session."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.decision import (
    LoadedConfig,
    decide_session,
    load_config,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.session import (
    read_config,
    read_session,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.compose import Texts, compose
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.plan import (
    HostFacts,
    Plan,
    compile_plan,
    read_wanted,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.record import Record
from ansible_collections.mailhost.hardening.tests.decision_differences import as_messaging_server
from ansible_collections.mailhost.hardening.tests.decision_sessions import make_policy, make_sessions
from ansible_collections.mailhost.hardening.tests.decision_table import (
    ABSENT,
    CONNECT,
    EXISTS,
    MAIL,
    RCPT,
    TROUBLE,
    Session,
    Verdict,
    decide,
    domain_of,
)

POLICIES, SESSIONS = 24, 40

IMTA = """\
! A small installation
mail.example\t$U%$D@mail.example
.\t$U%$H@tcp-daemon

defaults noswitchchannel

l subdirs 20
mail.example

tcp_local smtp mx single_sys remotehost inner switchchannel
tcp-daemon
"""
DISPATCHER = "[SERVICE=SMTP]\nPORT=25\nIMAGE=IMTA_BIN:tcp_smtp_server\n\n"
CHANNEL_HOSTS = {"l": "mail.example", "tcp_local": "tcp-daemon"}

NO_RECORD = Record({}, {}, {}, (), (), {})


def load(policy: dict[str, Any], **settings: Any) -> LoadedConfig:
    plan: Plan = compile_plan(*read_wanted(policy, settings), HostFacts(channel_hosts=CHANNEL_HOSTS))
    texts = compose(Texts(IMTA, "", DISPATCHER, ""), plan, NO_RECORD).texts
    return load_config(read_config(dict(texts._asdict())))


def outcome(config: LoadedConfig, policy: dict[str, Any], session: Session) -> tuple[str, tuple[str, ...]]:
    """Where the session is rejected, or empty; and why."""
    own = domain_of(session.rcpt_to) in policy["domains"]
    dns: dict[str, Any] = {
        zone: answer if isinstance(answer, str) else {session.client: list(answer)}
        for zone, answer in session.listed.items()
    }
    if session.mail_from and session.sender_domain != ABSENT:
        dns[domain_of(session.mail_from)] = ["192.0.2.80"] if session.sender_domain == EXISTS else "SERVFAIL"
    found = decide_session(
        read_session(
            {
                "client": session.client,
                "port": session.port,
                "authenticated": session.authenticated,
                "helo": "client.example",
                "tls": session.authenticated,
                "mail_from": session.mail_from,
                "rcpt_to": [session.rcpt_to],
                "destination_channels": {session.rcpt_to: "l"} if own else {},
                "dns": dns,
            }
        ),
        config,
    )
    stages = ((CONNECT, found.connect), (MAIL, found.mail), (RCPT, found.recipients[0]))
    return next((name for name, stage in stages if not stage.accepted), ""), found.trace


def chances() -> list[int]:
    return list(range(POLICIES))


@pytest.mark.parametrize("seed", chances())
def test_composed_files_for_random_sessions_decide_as_the_decision_table(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    policy = make_policy(chance)
    config = load(policy)
    for session in make_sessions(chance, policy, SESSIONS):
        seen = as_messaging_server(policy, session)
        wanted: Verdict = decide(policy, seen)
        stage, trace = outcome(config, policy, session._replace(port=seen.port))
        assert stage == wanted.stage, (policy, session, wanted, trace)


def test_random_sessions_reach_every_verdict() -> None:
    """A generator that never comes near a boundary would prove nothing."""
    seen = set()
    for seed in chances():
        chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
        policy = make_policy(chance)
        seen |= {decide(policy, session)[:3] for session in make_sessions(chance, policy, SESSIONS)}
        assert any(session.sender_domain == TROUBLE for session in make_sessions(chance, policy, SESSIONS))
    assert {why for _accept, _stage, why in seen} == {
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
