# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A site's own postscreen: its DNSBLs, access lists and tests are printed or named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.unknown import (
    describe_unknown,
    find_all,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import (
    compile_plan,
    read_wanted,
)
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._checks.contexts import (
    StubHost,
    context,
)
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._plan.test_compose import (
    POLICY,
    facts,
)

KEY = "abcdefghijklmnopqrstuvwxyz01"
SITE = {
    "postscreen_dnsbl_sites": "zen.bl.example=127.0.0.[2..11;20]*3, list.example*2 allowed.example=127.0.0.3*-4"
    f" twice.example=127.0.0.2*2 twice.example=127.0.0.3*1 {KEY}.zen.dq.example*3 wide.example=127.0.[0..255].1*-2",
    "postscreen_dnsbl_threshold": "3",
    "postscreen_access_list": "permit_mynetworks, cidr:/etc/postfix/postscreen_access.cidr",
    "postscreen_dnsbl_action": "ignore",
    "postscreen_bare_newline_enable": "yes",
}


def printed(
    policy: dict[str, Any],
    settings: dict[str, Any],
    *,
    postscreen: bool = True,
    texts: Mapping[str, str] | None = None,
    site: Mapping[str, str] | None = None,
) -> str:
    site = SITE if site is None else site
    found = facts(dict(site))._replace(postscreen=postscreen)
    wanted = compile_plan(*read_wanted(policy, settings), found)
    host = StubHost(texts=texts or {})
    one = context(site=site, plan=wanted, policy=policy, settings=settings, host=host)
    live = one.live._replace(facts=found)
    return describe_unknown(find_all(type(one)(**{**vars(one), "live": live})))


def test_lists_of_postscreen_are_printed_and_accepted_once() -> None:
    text = printed(POLICY, {"submission": False})
    found = yaml.safe_load(text)
    assert found == {
        "mailhost_dnsbls": [
            {"zone": "zen.bl.example", "stage": "connect", "return_codes": ["127.0.0.2-127.0.0.11", "127.0.0.20"]},
            {"zone": "list.example", "stage": "connect", "return_codes": ["127.0.0.0-127.255.254.255"]},
            {"zone": "allowed.example", "stage": "connect", "return_codes": ["127.0.0.3"]},
        ],
        "postfix_dnsbl_weights": {"zen.bl.example": 3, "list.example": 2, "allowed.example": -4},
        "postfix_dnsbl_threshold": 3,
        "postfix_postscreen_tests": ["pregreet", "bare_newline"],
    }
    assert KEY not in text
    for words in ("twice.example=127.0.0.2*2", "wide.example=", "<key ", "postscreen_access.cidr (put", "ignore (the"):
        assert words in text
    policy = {**POLICY, "dnsbls": [*POLICY["dnsbls"], *found["mailhost_dnsbls"]]}  # type: ignore[misc]
    settings = {name[len("postfix_") :]: value for name, value in found.items() if name.startswith("postfix_")}
    assert "mailhost" not in printed(policy, {**settings, "submission": False}).partition("# without")[0]
    assert printed(policy, {**settings, "submission": False}).startswith("# without a variable of their own:")


def test_settings_of_a_postscreen_that_is_not_in_use_are_not_asked_for() -> None:
    settings = {"submission": False, "postscreen": "always"}
    assert not printed(POLICY, settings, postscreen=False)


def test_clients_of_access_lists_are_printed_and_accepted_once() -> None:
    texts = {"/etc/postfix/postscreen_access.cidr": "192.0.2.9 permit\n192.0.2.0/28 reject\n127.0.0.2 reject\n"}
    found = yaml.safe_load(printed(POLICY, {"submission": False}, texts=texts))
    assert found["mailhost_dnsbl_exempt_networks"] == ["192.0.2.9/32"]
    assert found["mailhost_blocked_networks"] == ["192.0.2.0/29", "192.0.2.8/32", "192.0.2.10/31", "192.0.2.12/30"]
    policy = {
        **POLICY,
        "dnsbl_exempt_networks": found["mailhost_dnsbl_exempt_networks"],
        "blocked_networks": [*POLICY.get("blocked_networks", []), *found["mailhost_blocked_networks"]],  # type: ignore[misc]
    }
    again = printed(policy, {"submission": False}, texts=texts)
    assert "_networks" not in again
    assert "postscreen_access_list" not in again


def test_clients_that_the_policy_cannot_block_are_named() -> None:
    policy = {**POLICY, "internal_networks": ["198.51.100.64/26"]}
    texts = {"/etc/postfix/postscreen_access.cidr": "127.0.0.2 reject\n"}
    site = {**SITE, "postscreen_access_list": "cidr:/etc/postfix/postscreen_access.cidr"}
    text = printed(policy, {"submission": False}, texts=texts, site=site)
    assert "mailhost_blocked_networks:" not in text
    (line,) = (one for one in text.splitlines() if one.startswith("#   postscreen_access_list: "))
    assert line == (
        '#   postscreen_access_list: 127.0.0.2/32 ("127.0.0.2" overlaps "127.0.0.0/8", the loopback of the host itself; '
        "remove it)"
    )
