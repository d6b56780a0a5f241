# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of Postfix that are not accepted, with the exact words; all of them are reported at once."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.settings import (
    DEFAULTS,
    read_settings,
)

LOGIN = "write letters, digits and any of . _ + = @ -"
ONE = "write one as 'check_policy_service unix:private/greylist', without commas outside of braces"
VALUE = "write printable ASCII on one line, without blanks at the ends"
TABLE = "write one as main.cf has it, as hash:/etc/postfix/owners"
PERMITS = "permits, and who may send is decided by SMTP AUTH alone; write restrictions that reject or defer"
TESTS = "write one of pregreet, pipelining, non_smtp_command, bare_newline"

WRONG: list[tuple[Any, str]] = [
    ("x", 'settings: "x" is not a dictionary; write the variables without postfix_'),
    ({"submision": True}, f'settings: "submision" is not an option; write one of {", ".join(sorted(DEFAULTS))}'),
    ({"domain_class": "x"}, 'postfix_domain_class: "x" is not accepted; write "local" or "virtual" or "relay" or "unmanaged"'),
    ({"submission": "yes"}, 'postfix_submission: "yes" is text; write true or false'
        '; -e name=value and INI inventories give text, -e \'{"postfix_submission": true}\' does not'),
    ({"submission": "maybe"}, 'postfix_submission: "maybe" is text; write true or false'),
    ({"submission": 1}, "postfix_submission: 1 is not accepted; write true or false"),
    ({"sasl_path": "private/auth x"}, 'postfix_sasl_path: "private/auth x" is not a path; write one as "private/auth"'),
    ({"sasl_path": "private/auth\n"}, 'postfix_sasl_path: "private/auth\\n" is not a path; write one as "private/auth"'),
    ({"sasl_path": "$queue"}, 'postfix_sasl_path: "$queue" is not a path; write one as "private/auth"'),
    ({"login_form": "name"}, 'postfix_login_form: "name" is not accepted; write "address" or "local part"'),
    ({"sender_logins": []}, "postfix_sender_logins: a list is not a dictionary; write one, as {info@example.com: [ann, bob]}"),
    ({"sender_logins": {"info": ["ann"]}}, 'postfix_sender_logins["info"]: is not an address; write one as "info@example.com", or "@example.com"'),
    (
        {"sender_logins": {"a/b@example.com": ["x"]}},
        'postfix_sender_logins["a/b@example.com"]: is not an address; write one as "info@example.com", or "@example.com"',
    ),
    ({"sender_logins": {"a@example.com": "ann"}}, 'postfix_sender_logins["a@example.com"]: "ann" is not a list; write a list, as [ann, bob]'),
    ({"sender_logins": {"a@example.com": ["ann bob"]}}, f'postfix_sender_logins["a@example.com"][0]: "ann bob" is not a login; {LOGIN}'),
    ({"sender_logins": {"a@example.com": ["${1}"]}}, f'postfix_sender_logins["a@example.com"][0]: "${{1}}" is not a login; {LOGIN}'),
    ({"tls_certificate": "mail.pem", "tls_key": "/k"}, 'postfix_tls_certificate: "mail.pem" is not the path of a file; '
     'write one as "/etc/ssl/private/mail.pem"'),
    ({"tls_certificate": "/a, /b", "tls_key": "/k"}, 'postfix_tls_certificate: "/a, /b" is not the path of a file; write one as "/etc/ssl/private/mail.pem"'),
    ({"tls_certificate": "/a"}, "postfix_tls_key: is missing, and postfix_tls_certificate is set; set both or none"),
    ({"tls_key": "/a"}, "postfix_tls_certificate: is missing, and postfix_tls_key is set; set both or none"),
    ({"helo_check": False}, 'postfix_helo_check: false is not accepted; write "fqdn" or "syntax" or "off"'),
    ({"sender_domain_exceptions": "example.com"}, 'postfix_sender_domain_exceptions: "example.com" is not a list; write a list, as ["example.com"]'),
    ({"sender_domain_exceptions": ["a b"]}, 'postfix_sender_domain_exceptions[0]: "a b" is not a domain; write a name as "example.com"'),
    ({"postscreen": "never"}, 'postfix_postscreen: "never" is not accepted; write "auto" or "always"'),
    ({"postscreen_tests": ["all"]}, f'postfix_postscreen_tests[0]: "all" is not a test of postscreen; {TESTS}'),
    ({"dnsbl_threshold": 0}, "postfix_dnsbl_threshold: 0 is not accepted; write a whole number from 1 to 1000"),
    ({"dnsbl_weights": {"a.example": "2"}}, 'postfix_dnsbl_weights["a.example"]: "2" is text; write a whole number from -1000 to 1000'),
    ({"bare_newline": "yes"}, 'postfix_bare_newline: "yes" is not accepted; write "normalize" or "reject"'),
    ({"bare_newline_exclusions": ["0.0.0.0/0"]}, 'postfix_bare_newline_exclusions[0]: "0.0.0.0/0" is every address; name the networks that are meant'),
    ({"logins_per_minute": -1}, "postfix_logins_per_minute: -1 is not accepted; write a whole number from 0 to 1000000"),
    ({"connections_per_minute": True}, "postfix_connections_per_minute: true is not accepted; write a whole number from 0 to 1000000"),
    ({"recipient_limit": 50}, "postfix_recipient_limit: 50 is not accepted; write a whole number from 100 to 100000"),
    ({"message_size_limit": 0}, "postfix_message_size_limit: 0 is not accepted; write a whole number from 10240 to 2147483647"),
    ({"extra_restrictions": {"relay": ["permit"]}}, 'postfix_extra_restrictions: "relay" is no stage with restrictions; '
     'write one of client, helo, sender, recipient, data, end_of_data'),
    ({"extra_restrictions": {"helo": "permit"}}, "postfix_extra_restrictions.helo: \"permit\" is not a list; "
     "write a list, as ['reject_unknown_client_hostname']"),
    ({"extra_restrictions": {"helo": ["a, b"]}}, f'postfix_extra_restrictions.helo[0]: "a, b" is not one restriction; {ONE}'),
    ({"extra_restrictions": {"helo": ["a\nb = c"]}}, f'postfix_extra_restrictions.helo[0]: "a\\nb = c" is not one restriction; {ONE}'),
    ({"extra_restrictions": {"helo": ["a { b, c } d, e"]}}, f'postfix_extra_restrictions.helo[0]: "a {{ b, c }} d, e" is not one restriction; {ONE}'),
    ({"extra_restrictions": {"helo": ["a { b } }"]}}, f'postfix_extra_restrictions.helo[0]: "a {{ b }} }}" is not one restriction; {ONE}'),
    ({"sender_login_maps": "hash:/a"}, 'postfix_sender_login_maps: "hash:/a" is not a list; '
     "write a list, as ['proxy:mysql:/etc/postfix/owners.cf']"),
    ({"sender_login_maps": ["/etc/owners"]}, f'postfix_sender_login_maps[0]: "/etc/owners" is not a table; {TABLE}'),
    ({"sender_login_maps": ["hash:/a, hash:/b"]}, f'postfix_sender_login_maps[0]: "hash:/a, hash:/b" is not a table; {TABLE}'),
    ({"submission_restrictions": ["permit_mynetworks"]}, f'postfix_submission_restrictions[0]: "permit_mynetworks" {PERMITS}'),
    ({"submission_restrictions": ["permit"]}, f'postfix_submission_restrictions[0]: "permit" {PERMITS}'),
    ({"submission_restrictions": ["check_client_access static:ok"]},
     f'postfix_submission_restrictions[0]: "check_client_access static:ok" {PERMITS}'),
    ({"submission_restrictions": ["a, permit"]}, 'postfix_submission_restrictions[0]: "a, permit" is not one restriction; '
     "write one as 'check_policy_service inet:127.0.0.1:10031', without commas outside of braces"),
    ({"extra_settings": {"a b": "c"}}, 'postfix_extra_settings["a b"]: is not the name of a parameter; write one as biff'),
    ({"extra_settings": {"mailhost_x": "c"}}, 'postfix_extra_settings["mailhost_x"]: begins with mailhost_, as managed parameters do; write another name'),
    ({"extra_settings": {"biff": "no\nmynetworks = static:all"}}, f'postfix_extra_settings["biff"]: "no\\nmynetworks = static:all" is not a value; {VALUE}'),
    (
        {"extra_settings": {"inet_interfaces": "loopback-only"}},
        'postfix_extra_settings["inet_interfaces"]: needs a restart of Postfix, which the role never does; '
        "set it in main.cf and restart Postfix",
    ),
    ({"extra_settings": {"biff": " no"}}, f'postfix_extra_settings["biff"]: " no" is not a value; {VALUE}'),
    ({"extra_settings": {"biff": ["no"]}}, f'postfix_extra_settings["biff"]: a list is not a value; {VALUE}'),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_wrong_option_is_reported(options: Any, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read_settings(options)
    assert str(caught.value) == message


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(PolicyError) as caught:
        read_settings({"postscreen": "never", "submission": 0, "x": 1})
    assert len(caught.value.problems) == 3


def test_problems_name_the_variable_of_the_inventory() -> None:
    with pytest.raises(PolicyError) as caught:
        read_settings({"submission": 0}, {"submission": "my_submission"})
    assert str(caught.value) == "my_submission: 0 is not accepted; write true or false"


def test_defaults_are_accepted_and_values_arrive() -> None:
    assert read_settings({}) == read_settings(DEFAULTS)
    found = read_settings(
        {
            "extra_restrictions": {"sender": ["check_sender_access inline:{ {a.example = REJECT no, thank you} }"]},
            "extra_settings": {"biff": False, "bounce_size_limit": 5, "x": ""},
            "sender_logins": {"A@Example.com": ["ann"]},
        }
    )
    assert found.extra_settings == {"biff": "no", "bounce_size_limit": "5", "x": ""}
    assert found.sender_logins == {"a@example.com": ("ann",)}
