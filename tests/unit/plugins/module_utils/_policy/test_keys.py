# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The key of a paying user of a DNSBL is in no error, wherever in an inventory it stands."""

from __future__ import annotations

import contextlib
import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailhost.hardening.plugins.action import packet_filter as packet_filter_action
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server import plan as messaging_server
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server import settings as messaging_settings
from ansible_collections.mailhost.hardening.plugins.module_utils._policy import mail, packet_filter
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.effects import read_accepted_effects
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import ReportedError
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.policy_tests import read_policy_tests
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config import settings as postfix_settings
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan import plan as postfix

KEY = "abcdefghij0123456789klmnopqr"
ZONE = f"{KEY}.zen.dq.spamhaus.net"
Read = Callable[[dict[str, Any]], Any]

BROKEN = [f"{key}.zen.dq.spamhaus.net" for key in (f"{KEY}\n", f"{KEY} ", KEY * 3)]
"""With the newline of a Vault block, with a blank, pasted thrice."""

TEXTS = st.builds(
    lambda before, zone, after: f"{before}{zone}{after}",
    st.sampled_from(["", " ", "\n", '"', "permit, reject_rbl_client ", "x\t"]),
    st.sampled_from([ZONE, ZONE.upper(), ZONE.capitalize(), *BROKEN]),
    st.sampled_from(["", " ", "\n", "\u00a0", "=127.0.0.2", "*3", ".", "]", ", permit", "." + "a" * 80]),
)
VALUES = st.recursive(
    TEXTS,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=2),
        st.lists(inner, min_size=1, max_size=1).map(lambda items: items * 2),
        st.dictionaries(st.one_of(TEXTS, st.sampled_from(["zone", "stage", "text", "networks"])), inner, max_size=2),
    ),
    max_leaves=4,
)
DNSBLS = st.lists(
    st.fixed_dictionaries(
        {"zone": st.one_of(TEXTS, VALUES), "stage": st.one_of(st.sampled_from(mail.STAGES), TEXTS)},
        optional={"return_codes": VALUES, "text": VALUES, "weight": VALUES, ZONE: VALUES},
    ),
    min_size=1,
    max_size=3,
)

READERS: dict[str, tuple[Read, Mapping[str, Any]]] = {
    "mail policy": (mail.read_mail_policy, mail.DEFAULTS),
    "packet filter": (packet_filter.read_packet_filter_policy, packet_filter.DEFAULTS),
    "postfix": (lambda options: postfix.read_wanted({}, options, {}), postfix_settings.DEFAULTS),
    "messaging server": (lambda options: messaging_server.read_wanted({}, options), messaging_settings.DEFAULTS),
}


def assert_hidden(read: Callable[[], Any]) -> None:
    try:
        read()
    except (ReportedError, AnsibleError) as error:
        assert KEY not in str(error).lower()


@pytest.mark.parametrize("reader", READERS)
@given(value=st.one_of(VALUES, DNSBLS), data=st.data())
def test_no_reader_shows_a_key(reader: str, value: Any, data: st.DataObject) -> None:
    read, defaults = READERS[reader]
    option = data.draw(st.sampled_from([*sorted(defaults), ZONE]))
    assert_hidden(lambda: read({option: value}))


@given(value=VALUES)
def test_no_test_and_no_effect_shows_a_key(value: Any) -> None:
    assert_hidden(lambda: read_policy_tests(value))
    assert_hidden(lambda: read_policy_tests([{"client": "192.0.2.1", "mail_from": value, "rcpt_to": value}]))
    assert_hidden(lambda: read_accepted_effects(value, "mailhost_accepted_effects"))


@pytest.mark.parametrize("name", ["dnsbl_entries", "dispatcher_options", "relay_block", "internal_ip", "mapping_lint"])
@given(value=VALUES)
def test_no_filter_shows_a_key(name: str, value: Any) -> None:
    module = importlib.import_module(f"ansible_collections.mailhost.hardening.plugins.filter.{name}")
    function = module.FilterModule().filters()[name]
    assert_hidden(lambda: function(value))
    assert_hidden(lambda: function({"dnsbls": value, "domains": value}))


class HostReachedError(Exception):
    """The arguments were accepted."""


ACTIONS = [
    *(("packet_filter", option) for option in packet_filter_action.OPTIONS),
    *((role, option) for role in ("postfix", "messaging_server") for option in ("state", "policy", "settings", ZONE)),
]


@pytest.mark.parametrize(("role", "option"), ACTIONS)
@given(value=VALUES)
def test_no_action_shows_a_key_in_an_error_of_ansible(role: str, option: str, value: Any) -> None:
    module = importlib.import_module(f"ansible_collections.mailhost.hardening.plugins.action.{role}")
    loader = DataLoader()
    task = SimpleNamespace(args={option: value}, diff=False, check_mode=True, async_val=0, action=role)
    action = module.ActionModule(task, MagicMock(transport="ssh"), MagicMock(), loader, Templar(loader), None)
    action._execute_module = MagicMock(side_effect=HostReachedError)
    action._find_needle = MagicMock(side_effect=OSError)
    with contextlib.suppress(HostReachedError):
        assert_hidden(lambda: action.run(None, {}))


@pytest.mark.parametrize("arguments", [{"timeout": ZONE}, {"policy": ZONE}, {ZONE: 1}])
def test_mail_probe_shows_no_key_in_an_error_of_ansible(arguments: dict[str, Any]) -> None:
    text = json.dumps({"ANSIBLE_MODULE_ARGS": {"addresses": ["192.0.2.1"], **arguments}})
    name = "ansible_collections.mailhost.hardening.plugins.modules.mail_probe"
    done = subprocess.run(
        [sys.executable, "-m", name, text],
        cwd=Path(__file__).resolve().parents[5] / ".venv" / "collections",
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(done.stdout)["failed"]
    assert KEY not in done.stdout + done.stderr
