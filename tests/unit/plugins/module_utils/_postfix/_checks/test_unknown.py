# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What main.cf has beyond the inventory is shown in the inventory's own form."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.context import (
    Conflict,
    PolicyContext,
    Warn,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.restrictions import restrictions_of
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.unknown import (
    Unknown,
    describe_unknown,
    find_unknown,
    relayed_by_default,
    replaced_settings,
    replaced_tables,
    unknown_entries,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.lines import Lines
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.record import NOTHING, Owned, Record
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import (
    Plan,
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
    plan,
)


def unknown(
    site: dict[str, str],
    record: Record = NOTHING,
    tables: dict[str, list[tuple[str, str]]] | None = None,
    **settings: Any,
) -> str:
    return describe_unknown(find_unknown(site_context(site, record, tables, **settings)))


def site_context(
    site: dict[str, str],
    record: Record = NOTHING,
    tables: dict[str, list[tuple[str, str]]] | None = None,
    **settings: Any,
) -> PolicyContext:
    read = {"submission": False, **settings}
    site = {"myhostname": "mx.mail.example", **site}
    compiled = compile_plan(*read_wanted(POLICY, read), facts(site))
    return context(site=site, record=record, plan=compiled, settings=read, host=StubHost(tables=tables or {}))


def test_debian_as_shipped_has_nothing_unknown() -> None:
    assert not unknown(
        {
            "mynetworks": "127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128",
            "mydestination": "$myhostname, mx.mail.example, mx, localhost.localdomain, , localhost",
            "smtpd_relay_restrictions": "permit_mynetworks permit_sasl_authenticated defer_unauth_destination",
        }
    )


def test_everything_is_shown_in_its_place() -> None:
    site = {
        "mynetworks": "127.0.0.0/8 198.51.100.64/27, 10.0.0.0/8 hash:/etc/postfix/nets [2001:db8::]/32",
        "mydestination": "$myhostname, mail.example, old.example, /etc/postfix/domains",
        "smtpd_recipient_restrictions": "permit_mynetworks, reject_rbl_client bl.example, reject_rbl_client other.example,"
        " check_policy_service unix:private/greylist, warn_if_reject reject_unknown_client_hostname",
        "smtpd_relay_restrictions": "permit_mynetworks, check_client_access hash:/etc/postfix/partners, reject",
    }
    assert unknown(site) == (
        "mailhost_internal_networks:\n"
        "  - 10.0.0.0/8\n"
        "  - '2001:db8::/32'\n"
        "mailhost_domains:\n"
        "  - old.example\n"
        "postfix_extra_restrictions:\n"
        "  recipient:\n"
        "    - 'reject_rbl_client other.example'\n"
        "    - 'check_policy_service unix:private/greylist'\n"
        "    - 'warn_if_reject reject_unknown_client_hostname'\n"
        "# without a variable of their own:\n"
        "#   mynetworks: hash:/etc/postfix/nets\n"
        "#   mydestination: /etc/postfix/domains\n"
        "#   smtpd_relay_restrictions: check_client_access hash:/etc/postfix/partners\n"
        "#   smtpd_relay_restrictions: reject, which rejects mail to the domains of the policy as well"
    )


def test_what_the_inventory_has_is_known() -> None:
    site = {"smtpd_recipient_restrictions": "permit_mynetworks, check_policy_service unix:private/greylist"}
    assert unknown(site)
    assert not unknown(site, extra_restrictions={"recipient": ["check_policy_service unix:private/greylist"]})


@pytest.mark.parametrize("stage", ["client", "helo", "sender", "recipient", "data", "end_of_data"])
@pytest.mark.parametrize("closing", ["reject", "defer", "check_client_access static:reject", "defer_if_permit"])
def test_closing_restriction_is_kept_behind_what_the_site_lets_past(stage: str, closing: str) -> None:
    text = unknown({f"smtpd_{stage}_restrictions": f"permit_mynetworks, check_client_access cidr:/a, {closing}"})
    kept = yaml.safe_load(text)["postfix_extra_restrictions"][stage]
    first = [] if stage in ("helo", "sender", "recipient") else ["permit_mynetworks"]
    assert kept == [*first, "check_client_access cidr:/a", closing]


@pytest.mark.parametrize(
    ("site", "kept"),
    [
        ({"client": "permit_mynetworks, reject"}, {"client": ["permit_mynetworks", "reject"]}),
        ({"client": "permit_mynetworks permit_sasl_authenticated reject"}, {"client": ["permit_mynetworks", "reject"]}),
        ({"client": "permit, reject"}, {"client": ["permit", "reject"]}),
        ({"client": "permit_mynetworks, permit"}, None),
        ({"client": "permit_mynetworks, reject_unauth_destination"}, None),
        ({"recipient": "permit_mynetworks, permit_auth_destination, reject"}, None),
        ({"recipient": "permit_mynetworks, reject_unauth_destination, permit"}, None),
        ({"recipient": "permit_mynetworks, reject_unauth_destination, reject"}, {"recipient": ["reject"]}),
        ({"relay": "permit_mynetworks, reject"}, {"recipient": ["reject"]}),
        ({"relay": "permit_mynetworks, reject_unauth_destination"}, None),
        ({"relay": "permit_mynetworks, permit_auth_destination, reject"}, None),
        ({"helo": "permit_mynetworks, reject_invalid_helo_hostname, reject"}, {"helo": ["reject"]}),
    ],
)
def test_only_restrictions_that_change_something_are_printed(
    site: dict[str, str], kept: dict[str, list[str]] | None
) -> None:
    text = unknown({f"smtpd_{stage}_restrictions": value for stage, value in site.items()})
    assert (yaml.safe_load(text) if text else None) == (kept and {"postfix_extra_restrictions": kept})
    assert not kept or not unknown(
        {f"smtpd_{stage}_restrictions": value for stage, value in site.items()}, extra_restrictions=kept
    )


def test_restrictions_of_the_inventory_are_printed_with_those_to_add() -> None:
    site = {"smtpd_client_restrictions": "permit_mynetworks, check_client_access cidr:/a, reject"}
    own = {"client": ["check_client_access cidr:/a", "check_client_access cidr:/b"], "data": ["sleep 1"]}
    assert yaml.safe_load(unknown(site, extra_restrictions=own)) == {
        "postfix_extra_restrictions": {
            "client": [
                "permit_mynetworks",
                "check_client_access cidr:/a",
                "reject",
                "check_client_access cidr:/b",
            ],
            "data": ["sleep 1"],
        }
    }


def test_checks_of_the_sender_are_named_or_get_their_variable() -> None:
    site = {"smtpd_sender_restrictions": "reject_sender_login_mismatch, reject_unknown_sender_domain"}
    assert unknown(site) == (
        "mailhost_sender_domain_check: true\n"
        "# without a variable of their own:\n"
        "#   smtpd_sender_restrictions: reject_sender_login_mismatch (holds for authenticated clients on 587 and 465; at "
        "port 25 is no SMTP AUTH, without which Postfix ignores it; a check_sender_access can reject external clients that "
        "use these senders)"
    )
    assert not unknown({"smtpd_sender_restrictions": "reject_authenticated_sender_login_mismatch"})


def test_networks_that_are_printed_are_accepted_beside_those_of_the_inventory() -> None:
    site = {"mynetworks": "[fe80::]/10 169.254.0.0/16 10.0.0.0/8 10.1.0.0/16 198.51.100.0/24 0.0.0.0/0 100.64.0.0/10"}
    text = unknown(site)
    networks = yaml.safe_load(text)["mailhost_internal_networks"]
    read_wanted({**POLICY, "internal_networks": [*POLICY["internal_networks"], *networks]}, {})
    assert networks == ["fe80::/10", "169.254.0.0/16", "10.0.0.0/8", "198.51.100.0/26", "198.51.100.128/25"]
    assert "#   mynetworks: 0.0.0.0/0 (" in text
    assert "#   mynetworks: 100.64.0.0/10 (" in text


def test_keys_of_dnsbls_are_not_printed() -> None:
    key = "abcdefghijklmnopqrstuvwxyz01"
    text = unknown({"smtpd_client_restrictions": f"permit_mynetworks, reject_rbl_client {key}.zen.dnsbl.example"})
    assert key not in text
    assert "#   smtpd_client_restrictions: reject_rbl_client <key " in text


def test_replaced_entries_are_a_warning() -> None:
    site = {"smtpd_client_restrictions": "permit_mynetworks, reject", "smtpd_tls_cert_file": "/c.pem"}
    (warning,) = unknown_entries(context(site=site, plan=plan(site), settings={"unknown_entries": "replace"}))
    assert warning == Warn(
        "postfix_unknown_entries: replace drops what main.cf has beyond the inventory:\n"
        "postfix_extra_restrictions:\n  client:\n    - permit_mynetworks\n    - reject"
    )


def test_what_was_there_at_the_first_run_is_known() -> None:
    site = {"mynetworks": "10.0.0.0/8"}
    assert unknown(site)
    assert not unknown(site, Record({"mynetworks": Owned(Lines("mynetworks = 10.0.0.0/8\n"), "x")}, {}, ()))


@pytest.mark.parametrize(
    ("name", "managed", "more", "shown"),
    [
        ("mynetworks", "cidr:/a/internal.cidr", "10.0.0.0/8", "mailhost_internal_networks:\n  - 10.0.0.0/8"),
        ("mydestination", "localhost, mail.example", "old.example", "mailhost_domains:\n  - old.example"),
        (
            "smtpd_client_restrictions",
            "check_client_access cidr:/a/blocked.cidr",
            "reject_unknown_client_hostname",
            "postfix_extra_restrictions:\n  client:\n    - reject_unknown_client_hostname",
        ),
    ],
)
def test_values_added_to_a_managed_parameter_are_unknown(name: str, managed: str, more: str, shown: str) -> None:
    for before in (None, Lines(f"{name} = x\n")):
        assert unknown({name: f"{managed}, {more}"}, Record({name: Owned(before, managed)}, {}, ())) == shown


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("", []),
        ("permit_mynetworks,reject", ["permit_mynetworks", "reject"]),
        ("check_client_access hash:/a reject", ["check_client_access hash:/a", "reject"]),
        ("check_recipient_access { hash:/a, { search_order = x } }, reject", None),
        ("warn_if_reject check_sender_access hash:/a", ["warn_if_reject check_sender_access hash:/a"]),
        ("check_client_access", ["check_client_access"]),
        (
            "check_sender_access inline:{ {a.example = REJECT no, thank you} },reject",
            ["check_sender_access inline:{ {a.example = REJECT no, thank you} }", "reject"],
        ),
    ],
)
def test_restrictions_keep_their_arguments(value: str, found: list[str] | None) -> None:
    if found is None:
        assert restrictions_of(value)[-1] == "reject"
    else:
        assert restrictions_of(value) == found


def replaced(
    site: dict[str, str],
    wanted: Plan,
    record: Record = NOTHING,
    defaults: dict[str, str] | None = None,
    master: str = "",
) -> dict[str, tuple[str, ...]]:
    """Return what a first run would replace."""
    return replaced_settings(context(live_master=master, site=site, record=record, defaults=defaults, plan=wanted))


def test_unknown_entries_are_a_conflict() -> None:
    site = {"mynetworks_style": "subnet", "smtpd_tls_cert_file": "/c.pem"}
    (conflict,) = unknown_entries(context(site=site, plan=plan(site)))
    assert isinstance(conflict, Conflict)
    assert conflict.step == "unknown entries"
    assert conflict.text.endswith(
        "postfix_unknown_entries: replace\n# without a variable of their own:\n#   mynetworks_style: subnet"
    )


def test_settings_that_users_depend_on_are_replaced() -> None:
    site = {
        "mynetworks_style": "subnet",
        "smtpd_sasl_type": "cyrus",
        "smtpd_tls_cert_file": "/etc/ssl/mail.pem",
    }
    assert replaced(site, plan(site)) == {
        "mynetworks_style": ("subnet",),
        "smtpd_sasl_type": ("cyrus",),
    }
    managed = Record({name: Owned(None, "x") for name in ("mynetworks", *site)}, {}, ())
    assert not replaced(site, plan(site), managed)


def test_debian_as_shipped_has_nothing_replaced() -> None:
    site = {"mynetworks": "127.0.0.0/8", "smtpd_sasl_type": "dovecot", "smtpd_tls_cert_file": "/etc/ssl/mail.pem"}
    assert not replaced(site, plan(site))


DEFAULTS = {"mynetworks_style": "subnet", "relay_domains": "mx.mail.example, mail.example"}


def test_defaults_of_a_low_compatibility_level_are_reported() -> None:
    found = replaced({}, plan({"smtpd_tls_cert_file": "x"}), defaults=DEFAULTS)
    assert found == {"mynetworks_style": ("subnet, by the low compatibility_level; host trusts no neighbours",)}
    assert list(relayed_by_default(context(defaults=DEFAULTS))) == [
        Warn(
            'relay_domains is "mx.mail.example, mail.example" by the low compatibility_level: mail for subdomains of '
            "these was accepted, and no longer is; to keep some, set it in main.cf"
        )
    ]


@pytest.mark.parametrize(
    ("site", "record", "defaults"),
    [
        ({}, NOTHING, {"mynetworks_style": "host", "relay_domains": ""}),
        ({"mynetworks": "127.0.0.0/8", "relay_domains": ""}, NOTHING, DEFAULTS),
        ({"mynetworks_style": "host", "relay_domains": "$mydestination"}, NOTHING, DEFAULTS),
        ({}, Record({name: Owned(None, "x") for name in ("mynetworks", "relay_domains")}, {}, ()), DEFAULTS),
    ],
)
def test_other_defaults_are_not_reported(site: dict[str, str], record: Record, defaults: dict[str, str]) -> None:
    assert not replaced(site, plan({"smtpd_tls_cert_file": "x"}), record, defaults)
    assert not list(relayed_by_default(context(site=site, record=record, defaults=defaults)))


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("private/auth", ""),
        ("/var/spool/postfix/private/auth", ""),
        ("unix:private/auth", ""),
        ("$queue_directory/private/auth", ""),
        ("unix:${queue_directory}/private/auth", ""),
        ("private/dovecot-auth", "private/dovecot-auth"),
        ("unix:/run/dovecot/auth", "/run/dovecot/auth"),
        ("inet:127.0.0.1:12345", "inet:127.0.0.1:12345"),
    ],
)
def test_another_socket_of_dovecot_is_shown(path: str, shown: str) -> None:
    site = {"smtpd_sasl_type": "dovecot", "smtpd_sasl_path": path, "smtpd_tls_cert_file": "/etc/ssl/mail.pem"}
    found = replaced(site, plan(site))
    assert found == ({"smtpd_sasl_path": (shown,)} if shown else {})
    elsewhere = {**found, "smtpd_sasl_type": ("cyrus",)}
    assert describe_unknown(Unknown((), (), {}, elsewhere)).splitlines() == [
        *([f"postfix_sasl_path: {shown if shown[0] == 'p' else repr(shown)}"] if shown else []),
        "# without a variable of their own:",
        "#   smtpd_sasl_type: cyrus",
    ]
    assert not replaced(site, plan(site, settings={"sasl_path": "private/chosen"}))
    assert not replaced(site, plan(site, settings={"submission": False}))
    assert not replaced(site, plan(site), Record({"smtpd_sasl_path": Owned(None, "x")}, {}, ()))


AUTH = "submission inet n - y - - smtpd -o smtpd_sasl_auth_enable=yes"


@pytest.mark.parametrize(
    ("settings", "master", "shown"),
    [
        ({"smtpd_sasl_auth_enable": "yes"}, "", True),
        ({"smtpd_sasl_path": "smtpd"}, "", True),
        ({}, AUTH, True),
        ({"smtpd_sasl_type": "dovecot"}, AUTH, False),
        ({}, f"{AUTH} -o smtpd_sasl_type=dovecot", False),
        ({}, AUTH.replace("yes", "no"), False),
    ],
)
def test_smtp_auth_without_a_type_is_that_of_cyrus(settings: dict[str, str], master: str, shown: bool) -> None:
    site = {**settings, "smtpd_tls_cert_file": "/etc/ssl/mail.pem"}
    found = replaced(site, plan(site), master=f"{master}\n")
    assert found == ({"smtpd_sasl_type": ("cyrus",)} if shown else {})


TABLE = "hash:/etc/postfix/relay_domains"


@pytest.mark.parametrize(
    ("keys", "text"),
    [
        (["mail.example"], ""),
        (["mail.example", "Branch.example"], "mailhost_domains:\n  - branch.example"),
        (["mail.example", ".branch.example"], f"# without a variable of their own:\n#   relay_domains: {TABLE}"),
        ([], f"# without a variable of their own:\n#   relay_domains: {TABLE}"),
    ],
)
def test_domains_of_a_table_are_read_where_each_has_a_place_in_the_inventory(keys: list[str], text: str) -> None:
    tables = {TABLE: [(key, "OK") for key in keys]}
    assert unknown({"relay_domains": TABLE}, tables=tables, domain_class="relay") == text


def test_table_that_is_not_read_any_more_is_a_warning_of_the_first_run() -> None:
    warning = Warn(
        f"relay_domains: {TABLE} is not read any more; what it lists comes from the inventory, and belongs there from "
        "now on"
    )
    site, read = {"relay_domains": f"mail.example, {TABLE}"}, {"domain_class": "relay"}
    assert list(replaced_tables(site_context(site, **read))) == [warning]
    assert list(replaced_tables(site_context(site, Record({"relay_domains": Owned("x", "y")}, {}, ()), **read))) == []
