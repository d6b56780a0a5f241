# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Dispatcher has to read anew: it decides connections by its own copy of tables and general database."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server import change, wanted
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.compose import Texts, compose
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.live import Live
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.plan import compile_plan, read_wanted
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.product import activations
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.record import NOTHING

INSTALLED = Live(
    Texts(
        "[]  $U%[$L]@tcp-daemon\n.  $U%$H@tcp-daemon\n\ndefaults notices 1\n\nl viaaliasrequired\nmail.example\n\n"
        "tcp_local smtp mx\ntcp-daemon\n",
        "PORT_ACCESS\n\n  *|*|*|*|*  $C$|INTERNAL_IP;$3|$Y$E\n  *  $YEXTERNAL\n",
        "[SERVICE=SMTP]\nPORT=25\n",
        "",
    ),
    False,
    {},
    {"USE_TEXT_DATABASES": "1"},
    NOTHING,
)
DISPATCHER = ("restart", "dispatcher")
CONNECT = [{"zone": "bl.example", "stage": "connect"}]


def hosts(count: int) -> list[str]:
    return [f"203.0.113.{number}" for number in range(1, count + 1)]


def commands(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, ...]]:
    live = INSTALLED
    texts = []
    for policy in (before, after):
        plan = compile_plan(*read_wanted(policy, {}), wanted.host_facts(live))
        composed = compose(live.texts, plan, live.record)
        texts.append(composed.texts)
        live = live._replace(texts=composed.texts, record=composed.record)
    assert texts[0] != texts[1]
    return activations(change._parts(*texts))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"blocked_networks": hosts(120)}, {"blocked_networks": hosts(121)}),
        ({"internal_networks": hosts(120), "dnsbls": CONNECT}, {"internal_networks": hosts(121), "dnsbls": CONNECT}),
        ({"internal_networks": hosts(12), "dnsbls": CONNECT}, {"internal_networks": hosts(13), "dnsbls": CONNECT}),
        ({"blocked_networks": hosts(1)}, {"blocked_networks": hosts(2)}),
    ],
    ids=["blocked in the database", "internal in the database, with lists", "internal, with lists", "blocked"],
)
def test_what_decides_a_connection_restarts_the_dispatcher(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert DISPATCHER in commands(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"internal_networks": hosts(120)}, {"internal_networks": hosts(121)}),
        ({"internal_networks": hosts(12)}, {"internal_networks": hosts(13)}),
        ({"relay_rejection": "Go away"}, {"relay_rejection": "No"}),
    ],
    ids=["internal in the database", "internal", "text"],
)
def test_what_no_connection_depends_on_is_reloaded(before: dict[str, Any], after: dict[str, Any]) -> None:
    assert commands(before, after) == [("reload",)]
