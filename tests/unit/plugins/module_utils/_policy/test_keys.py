# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The key of a paying user of a DNSBL is in no error, wherever in an inventory it stands."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from ansible.errors import AnsibleError
from hypothesis import given
from hypothesis import strategies as st

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

TEXTS = st.builds(
    lambda before, zone, after: f"{before}{zone}{after}",
    st.sampled_from(["", " ", "\n", '"', "permit, reject_rbl_client ", "x\t"]),
    st.sampled_from([ZONE, ZONE.upper(), ZONE.capitalize()]),
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
