# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is printed to be pasted is accepted when pasted, and the next run does not ask for it again."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as settings_of_test
from hypothesis import strategies as st

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.paste import quoted, yaml_lines
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.unknown import (
    describe_unknown,
    find_all,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import compile_plan, read_wanted
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._checks.contexts import (
    StubHost,
    context,
)
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._plan.test_compose import (
    POLICY,
    facts,
)

VIRTUAL = "hash:/etc/postfix/virtual"
RESTRICTIONS = (
    *("permit_mynetworks", "permit_sasl_authenticated", "permit_auth_destination", "permit", "reject", "defer"),
    *("reject_unauth_destination", "reject_unknown_sender_domain", "reject_sender_login_mismatch", "defer_if_permit"),
    *("check_client_access static:reject", "check_sender_access inline:{ {a.example = REJECT no, thank you} }"),
    *("reject_rbl_client bl.example", "reject_rbl_client other.example", "warn_if_reject reject", "sleep 1", "\u00e9"),
    *("check_policy_service { unix:private/x, timeout=5s }", "$own_restrictions", "reject_invalid_hostname", "it's"),
)
NETWORKS = (
    *("127.0.0.0/8", "[::1]/128", "[fe80::]/10", "169.254.0.0/16", "10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "[::]/0"),
    *("198.51.100.0/24", "198.51.100.64/26", "100.64.0.0/10", "[2001:db8::]/20", "64:ff9b::/96", "x", "hash:/nets"),
    *("203.0.113.7", "[::ffff:127.0.0.0]/104", "!10.1.1.1", "/etc/postfix/nets"),
)
DOMAINS = (
    "mail.example",
    "1.2",
    "on.example",
    "-a.example",
    "a..example",
    "$mydomain",
    "hash:/d",
    "x_y.example",
    "No.Example",
)
SITES = (
    "zen.example*3",
    "zen.example=127.0.0.[2;4..9]*2",
    "a.example",
    "x.sorbs.net",
    "b.example=127.0.[0..3].1",
    "1*x",
)
ALIASES = ("no@mail.example", "1234@mail.example", "on@old.example", "@old.example", "a'b@mail.example", "office")
LOGINS = ("1234", "no", "ann", "bob@mail.example", "|x", "true, ann", "0x1f")


def printed(policy: dict[str, Any], settings: dict[str, Any], site: dict[str, str], entries: Any) -> str:
    found = facts(site)._replace(postscreen=True)
    read = read_wanted(policy, settings)
    host = StubHost(values={"virtual_alias_maps": VIRTUAL}, tables={VIRTUAL: entries})
    one = context(site=site, plan=compile_plan(*read, found), policy=policy, settings=settings, host=host)
    return describe_unknown(find_all(type(one)(**{**vars(one), "live": one.live._replace(facts=found)})))


def pasted(text: str, policy: dict[str, Any], settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the inventory with what a text has for it; lists of the policy are added to."""
    for name, value in (yaml.safe_load(text.partition("# ")[0]) or {}).items():
        prefix, _underscore, option = name.partition("_")
        if prefix == "mailhost":
            policy = {**policy, option: [*policy.get(option, []), *value] if isinstance(value, list) else value}
        else:
            settings = {**settings, option: value}
    return policy, settings


def lists(words: tuple[str, ...]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(words), max_size=6).map(", ".join)


@settings_of_test(max_examples=40)
@given(
    restrictions=st.dictionaries(
        st.sampled_from(["client", "helo", "sender", "recipient", "relay", "data", "end_of_data", "etrn"]),
        lists(RESTRICTIONS),
    ),
    networks=lists(NETWORKS),
    domains=lists(DOMAINS),
    sites=lists(SITES),
    owners=st.sampled_from(["", "hash:/etc/owners", "texthash:/a b, cidr:/c", "oracle:/x, hash:/y"]),
    entries=st.lists(st.tuples(st.sampled_from(ALIASES), st.sampled_from(LOGINS)), max_size=4),
    login_form=st.sampled_from(["address", "local part"]),
)
def test_what_is_printed_is_accepted_and_not_asked_for_again(  # noqa: PLR0917
    restrictions: dict[str, str],
    networks: str,
    domains: str,
    sites: str,
    owners: str,
    entries: list[tuple[str, str]],
    login_form: str,
) -> None:
    site = {
        "myhostname": "mx.mail.example",
        "smtpd_tls_cert_file": "/c.pem",
        "smtpd_sasl_auth_enable": "yes",
        "smtpd_sasl_type": "dovecot",
        "smtpd_sasl_path": "private/no",
        "mynetworks": networks,
        "mydestination": domains,
        "postscreen_dnsbl_sites": sites,
        **({"smtpd_sender_login_maps": owners} if owners else {}),
        **{f"smtpd_{stage}_restrictions": value for stage, value in restrictions.items()},
    }
    policy, settings = POLICY, {"login_form": login_form}
    first = printed(policy, settings, site, entries)
    wanted = pasted(first, policy, settings)
    read_wanted(*wanted)
    again = printed(*wanted, site, entries)
    assert not yaml.safe_load(again.partition("# ")[0]), again
    # What has no place is named again, but for what the pasted entries say as well.
    assert set(again.partition("# ")[2].splitlines()) <= set(first.partition("# ")[2].splitlines())


@pytest.mark.parametrize(
    "text",
    ["no", "On", "1234", "0x1f", "1e5", "2001-01-01", "1.5", "a: b", "it's", "~", "null", "192.0.2.1", "1:2", "x #y"],
)
def test_text_is_read_back_as_text(text: str) -> None:
    assert yaml.safe_load(quoted(text)) == text


@pytest.mark.parametrize(
    "value", [True, 3, "no", ["on", "12"], {"a": ["b"], "c": {"no": 1}}, [{"zone": "x", "codes": ["1"]}], {"a": []}]
)
def test_variable_is_read_back_with_its_value(value: Any) -> None:
    assert yaml.safe_load("\n".join(yaml_lines("name", value))) == {"name": value}
