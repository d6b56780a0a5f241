# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Errors of a mail policy, with the exact words; and that all of them are reported at once."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.dnsbl import CLOSED_LISTS
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.mail import (
    DEFAULTS,
    Dnsbl,
    MailPolicy,
    read_mail_policy,
)

NETWORKS = 'write a list of networks, as ["192.0.2.0/24"]'
TEXT = 'write 1 to 200 printable ASCII characters without $ | " \\ ~ or blanks at the ends'
LIST_TEXT = 'write 1 to 200 printable ASCII characters without $ | " \\ ~ , ] or blanks at the ends'
CODES = 'write addresses, prefixes or ranges in 127.0.0.0/8, as ["127.0.0.2", "127.0.0.4-127.0.0.11"]'
WIDE = "and all its hosts could relay; write networks of"
EXCEPTION = "mailhost_relay_exceptions[0]"
LIST = "mailhost_dnsbls[0]"
NO_DOMAINS = (
    "names neither sender_domains nor recipient_domains; "
    "put networks that may relay everything into mailhost_internal_networks"
)


def exception(**changes: Any) -> dict[str, Any]:
    return {"relay_exceptions": [{"networks": ["192.0.2.7"], "sender_domains": ["a.example"], **changes}]}


def block_list(**changes: Any) -> dict[str, Any]:
    return {"dnsbls": [{"zone": "bl.example", **changes}]}


def lists(*zones: str) -> dict[str, Any]:
    return {"dnsbls": [{"zone": zone} for zone in zones]}


WRONG: list[tuple[Any, str]] = [
    # Shapes
    ("x", 'policy: "x" is not a dictionary; write the variables without mailhost_'),
    (None, "policy: null is not a dictionary; write the variables without mailhost_"),
    ({"domain": []}, f'policy: "domain" is not an option; write one of {", ".join(sorted(DEFAULTS))}'),
    ({"domains": "example.com"}, 'mailhost_domains: "example.com" is not a list; write a list, as ["example.com"]'),
    (
        {"domains": '["example.com"]'},
        'mailhost_domains: "["example.com"]" is not a list; write a list, as ["example.com"]; -e name=value and INI '
        "inventories give text, -e '{\"mailhost_domains\": [...]}' does not",
    ),
    *(
        (
            {"domains": text},
            f'mailhost_domains: "{text}" is not a list; write a list, as ["example.com"]; -e name=value and INI '
            "inventories give text, -e '{\"mailhost_domains\": [...]}' does not",
        )
        for text in ("example.com,example.org", "example.com example.org")
    ),
    (
        {"domains": date(2026, 1, 31)},
        'mailhost_domains: the date 2026-01-31 is not a list; write a list, as ["example.com"]',
    ),
    ({"internal_networks": "10.0.0.0/8"}, f'mailhost_internal_networks: "10.0.0.0/8" is not a list; {NETWORKS}'),
    ({"blocked_networks": "10.0.0.0/8"}, f'mailhost_blocked_networks: "10.0.0.0/8" is not a list; {NETWORKS}'),
    ({"dnsbl_exempt_networks": None}, f"mailhost_dnsbl_exempt_networks: null is not a list; {NETWORKS}"),
    (
        {"dnsbls": "bl.example"},
        'mailhost_dnsbls: "bl.example" is not a list; write a list, as [{zone: zen.example.org, stage: mail}]',
    ),
    (
        {"dnsbls": ["bl.example"]},
        f'{LIST}: "bl.example" is not a DNSBL; write a dictionary, as {{zone: zen.example.org, stage: mail}}',
    ),
    (
        {"relay_exceptions": {}},
        'mailhost_relay_exceptions: a dictionary is not a list; write a list, as [{networks: ["192.0.2.7"], sender_domains: ["example.com"]}]',
    ),
    (
        {"relay_exceptions": [1]},
        f'{EXCEPTION}: 1 is not a relay exception; write a dictionary, as {{networks: ["192.0.2.7"], sender_domains: ["example.com"]}}',
    ),
    (
        {"sender_domain_check": "yes"},
        'mailhost_sender_domain_check: "yes" is text; write true or false'
        "; -e name=value and INI inventories give text, -e '{\"mailhost_sender_domain_check\": true}' does not",
    ),
    ({"sender_domain_check": 1}, "mailhost_sender_domain_check: 1 is not accepted; write true or false"),
    # Domains
    (
        {"domains": ["b\u00fccher.example"]},
        'mailhost_domains[0]: "b\u00fccher.example" is not ASCII; write a domain as the DNS has it, with labels that begin with xn--',
    ),
    ({"domains": ["localhost"]}, 'mailhost_domains[0]: "localhost" is not a domain; write a name as "example.com"'),
    (
        {"domains": ["*.example.com"]},
        'mailhost_domains[0]: "*.example.com" is not a domain; write a name as "example.com"',
    ),
    ({"domains": ["a b.example"]}, 'mailhost_domains[0]: "a b.example" is not a domain; write a name as "example.com"'),
    (
        {"domains": ["a|$Y.example"]},
        'mailhost_domains[0]: "a|$Y.example" is not a domain; write a name as "example.com"',
    ),
    (
        {"domains": ["example.com\n"]},
        'mailhost_domains[0]: "example.com\\n" is not a domain; write a name as "example.com"',
    ),
    ({"domains": ["-a.example"]}, 'mailhost_domains[0]: "-a.example" is not a domain; write a name as "example.com"'),
    ({"domains": ["192.0.2.1"]}, 'mailhost_domains[0]: "192.0.2.1" is not a domain; write a name as "example.com"'),
    (
        {"domains": [f"{'a' * 64}.example"]},
        f'mailhost_domains[0]: "{"a" * 64}.example" is not a domain; write a name as "example.com"',
    ),
    ({"domains": [5]}, 'mailhost_domains[0]: 5 is not a domain; write a name as "example.com"'),
    (
        {"domains": ["a.example", "A.Example."]},
        'mailhost_domains[1]: "A.Example." repeats mailhost_domains[0]; leave one of them out',
    ),
    # Networks
    (
        {"internal_networks": ["0.0.0.0/0"]},
        'mailhost_internal_networks[0]: "0.0.0.0/0" is every address; name the networks that are meant',
    ),
    (
        {"blocked_networks": ["::/0"]},
        'mailhost_blocked_networks[0]: "::/0" is every address; name the networks that are meant',
    ),
    (
        {"internal_networks": ["198.51.0.0/15"]},
        'mailhost_internal_networks[0]: "198.51.0.0/15" has host bits set; write "198.50.0.0/15" or "198.51.0.0/32"',
    ),
    (
        {"internal_networks": ["198.50.0.0/15"]},
        f'mailhost_internal_networks[0]: "198.50.0.0/15" has a network of /15, {WIDE} /16 or longer, only those that are yours',
    ),
    (
        {"internal_networks": ["127.0.0.0/8"]},
        f'mailhost_internal_networks[0]: "127.0.0.0/8" has a network of /8, {WIDE} /16 or longer, only those that are yours',
    ),
    (
        {"internal_networks": ["9.0.0.0-10.255.255.255"]},
        f'mailhost_internal_networks[0]: "9.0.0.0-10.255.255.255" has a network of /8, {WIDE} /16 or longer, only those that are yours',
    ),
    (
        {"internal_networks": ["2001:d00::/31"]},
        f'mailhost_internal_networks[0]: "2001:d00::/31" has a network of /31, {WIDE} /32 or longer, only those that are yours',
    ),
    (
        {"internal_networks": ["::/32"]},
        'mailhost_internal_networks[0]: "::/32" has addresses that stand for any IPv4 address; write the IPv4 networks that are meant',
    ),
    (
        {"internal_networks": ["64:ff9b::/96"]},
        'mailhost_internal_networks[0]: "64:ff9b::/96" has addresses that stand for any IPv4 address; write the IPv4 networks that are meant',
    ),
    (
        exception(networks=["198.0.0.0/8"]),
        f'{EXCEPTION}.networks[0]: "198.0.0.0/8" has a network of /8, {WIDE} /16 or longer, only those that are yours',
    ),
    (
        {"internal_networks": ["10.0.0.0/8"], "blocked_networks": ["10.1.2.3"]},
        'mailhost_internal_networks: "10.0.0.0/8" overlaps "10.1.2.3" of mailhost_blocked_networks; remove one of them',
    ),
    (
        {"internal_networks": ["10.1.2.3"], "blocked_networks": ["9.0.0.1", "10.0.0.0/8"]},
        'mailhost_internal_networks: "10.1.2.3" overlaps "10.0.0.0/8" of mailhost_blocked_networks; remove one of them',
    ),
    (
        {"dnsbl_exempt_networks": ["192.0.2.7"], "blocked_networks": ["192.0.2.0/24"]},
        'mailhost_dnsbl_exempt_networks: "192.0.2.7" lies in "192.0.2.0/24" of mailhost_blocked_networks; remove one of them',
    ),
    (
        {**exception(), "blocked_networks": ["192.0.2.0/29"]},
        f'{EXCEPTION}.networks: "192.0.2.7" overlaps "192.0.2.0/29" of mailhost_blocked_networks; remove one of them',
    ),
    (
        {"blocked_networks": ["127.0.0.0/16"]},
        'mailhost_blocked_networks: "127.0.0.0/16" overlaps "127.0.0.0/8", the loopback of the host itself; remove it',
    ),
    # Relay exceptions
    (exception(sender_domains=None), f"{EXCEPTION}: {NO_DOMAINS}"),
    (exception(networks=[]), f"{EXCEPTION}.networks: is an empty list; name the networks that may relay"),
    (exception(networks=None), f"{EXCEPTION}.networks: null is not a list; {NETWORKS}"),
    (
        exception(recipient_domains=[]),
        f"{EXCEPTION}.recipient_domains: is an empty list; name the domains, or leave the key out to allow any",
    ),
    (
        exception(sender_domains="a.example"),
        f'{EXCEPTION}.sender_domains: "a.example" is not a list; write a list, as ["example.com"]',
    ),
    (
        exception(domains=["a.example"]),
        f'{EXCEPTION}: "domains" is not a key of a relay exception; write one of networks, sender_domains, recipient_domains',
    ),
    # Texts
    ({"relay_rejection": ""}, f'mailhost_relay_rejection: "" is not accepted; {TEXT}'),
    *[
        ({"relay_rejection": f"a{char}b"}, f'mailhost_relay_rejection: "a{char}b" is not accepted; {TEXT}')
        for char in '$|"\\~\u00e9'
    ],
    ({"relay_rejection": "a\nb"}, f'mailhost_relay_rejection: "a\\nb" is not accepted; {TEXT}'),
    ({"relay_rejection": " a"}, f'mailhost_relay_rejection: " a" is not accepted; {TEXT}'),
    ({"relay_rejection": ["a"]}, f"mailhost_relay_rejection: a list is not accepted; {TEXT}"),
    ({"relay_rejection": "a" * 201}, f'mailhost_relay_rejection: "{"a" * 80}"... is not accepted; {TEXT}'),
    *[(block_list(text=f"a{char}b"), f'{LIST}.text: "a{char}b" is not accepted; {LIST_TEXT}') for char in '$|"\\~,]'],
    (block_list(text="a\tb"), f'{LIST}.text: "a\\tb" is not accepted; {LIST_TEXT}'),
    # Block lists
    (block_list(stage="conect"), f'{LIST}.stage: "conect" is not accepted; write connect, mail or dispatcher'),
    (block_list(stage=None), f"{LIST}.stage: null is not accepted; write connect, mail or dispatcher"),
    (block_list(stage=["mail"]), f"{LIST}.stage: a list is not accepted; write connect, mail or dispatcher"),
    (
        block_list(name="x"),
        f'{LIST}: "name" is not a key of a DNSBL; write one of zone, stage, return_codes, text',
    ),
    ({"dnsbls": [{}]}, f'{LIST}.zone: null is not a zone; write a name as "zen.example.org"'),
    (block_list(zone="bl.example!"), f'{LIST}.zone: "bl.example!" is not a zone; write a name as "zen.example.org"'),
    (block_list(zone="bl.example,x"), f'{LIST}.zone: "bl.example,x" is not a zone; write a name as "zen.example.org"'),
    (
        block_list(zone="bl.example.]$Y"),
        f'{LIST}.zone: "bl.example.]$Y" is not a zone; write a name as "zen.example.org"',
    ),
    (
        block_list(zone=f"{'a.' * 116}example"),
        f'{LIST}.zone: "{"a." * 40}"... is not a zone; write a name as "zen.example.org"',
    ),
    (
        lists("bl.example", "BL.example."),
        'mailhost_dnsbls[1].zone: "BL.example." repeats mailhost_dnsbls[0].zone; query each DNSBL at one stage',
    ),
    (
        block_list(zone="dnsbl.sorbs.net"),
        f'{LIST}.zone: "dnsbl.sorbs.net" closed in 2024-06; SORBS was shut down and its zones are empty; remove it',
    ),
    (
        block_list(zone="RBL.maps.vix.com."),
        f'{LIST}.zone: "RBL.maps.vix.com." closed in 2001-07; MAPS left these zones; remove it',
    ),
    (block_list(return_codes="127.0.0.2"), f'{LIST}.return_codes: "127.0.0.2" is not a list with answers; {CODES}'),
    (block_list(return_codes=[]), f"{LIST}.return_codes: a list is not a list with answers; {CODES}"),
    (
        block_list(return_codes=["128.0.0.0"]),
        f'{LIST}.return_codes[0]: "128.0.0.0" is no answer of a DNSBL; {CODES}',
    ),
    (
        block_list(return_codes=["126.255.255.255"]),
        f'{LIST}.return_codes[0]: "126.255.255.255" is no answer of a DNSBL; {CODES}',
    ),
    (block_list(return_codes=["::1"]), f'{LIST}.return_codes[0]: "::1" is no answer of a DNSBL; {CODES}'),
    *[
        (
            block_list(return_codes=[code]),
            f'{LIST}.return_codes[0]: "{code}" has answers in 127.255.255.0/24, which say that the query was not permitted; leave them out',
        )
        for code in ("127.255.255.0", "127.255.255.255", "127.0.0.0/8", "127.255.254.255-127.255.255.0")
    ],
]


@pytest.mark.parametrize(("options", "expected"), WRONG)
def test_policy_error_has_path_value_and_accepted_form(options: Any, expected: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read_mail_policy(options)
    assert caught.value.problems == [expected]


def test_all_problems_are_said_at_once_under_the_names_that_were_given() -> None:
    options = {"domains": "a", "relay_rejection": "$", "dnsbls": [{"zone": "a", "stage": "x"}], "x": 1}
    with pytest.raises(PolicyError) as caught:
        read_mail_policy(options, {"domains": "served"})
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        "policy",
        "served",
        "mailhost_relay_rejection",
        "mailhost_dnsbls[0].zone",
        "mailhost_dnsbls[0].stage",
    ]


@pytest.mark.parametrize("closed", CLOSED_LISTS)
def test_closed_dnsbl_is_an_error_with_date_and_reason(closed: Any) -> None:
    for zone in (closed.zone, f"sub.{closed.zone}", f"{closed.zone.upper()}."):
        with pytest.raises(PolicyError) as caught:
            read_mail_policy(lists(zone))
        assert f"closed in {closed.closed}; {closed.became}; remove it" in str(caught.value)
    assert read_mail_policy(lists(f"not{closed.zone}")).dnsbls[0].zone == f"not{closed.zone}"


def test_defaults() -> None:
    assert read_mail_policy({}) == MailPolicy((), (), (), (), "Relaying not permitted", (), (), False)


def test_what_is_accepted() -> None:
    policy = read_mail_policy(
        {
            "domains": ["Example.COM.", "xn--bcher-kva.example"],
            "internal_networks": ["192.0.2.80-192.0.2.99", "10.0.0.0/8", "198.51.0.0/16", "fd00::/8", "2001:db8::/32"],
            "relay_exceptions": [{"networks": ["192.0.2.7"], "recipient_domains": ["b.example"]}],
            "dnsbls": [
                {"zone": "Zen.Example.", "return_codes": ["127.0.0.2", "127.255.254.255"], "text": "Ask {client}"}
            ],
            # A blocked host in an exempt network has a meaning, the other way round has none.
            "dnsbl_exempt_networks": ["8.0.0.0/8"],
            "blocked_networks": ["8.8.0.0/16"],
        }
    )
    assert policy.domains == ("example.com", "xn--bcher-kva.example")
    assert [str(network) for network in policy.internal] == [
        "10.0.0.0/8",
        "192.0.2.80/28",
        "192.0.2.96/30",
        "198.51.0.0/16",
        "2001:db8::/32",
        "fd00::/8",
    ]
    assert policy.relay_exceptions[0].sender_domains == ()
    assert policy.dnsbls == (Dnsbl("zen.example", "mail", ("127.0.0.2", "127.255.254.255"), "Ask {client}"),)
