# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a policy and a host do not fit together."""

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.fit import (
    check_domain_classes,
    check_recipient_maps,
    foreign_submission,
    relayed_by_default,
    replaced_settings,
    restored,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.unknown import (
    Unknown,
    describe_unknown,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.record import NOTHING, Owned, Record
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import compile_plan, read_wanted
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._plan.test_compose import (
    POLICY,
    adopt,
    facts,
    plan,
)


@pytest.mark.parametrize(
    ("kind", "main", "told"),
    [
        (
            "local",
            "virtual_mailbox_domains = old.example, Mail.Example\n",
            "virtual_mailbox_domains of main.cf as well; write virtual",
        ),
        (
            "local",
            "virtual_alias_domains = mail.example\n",
            "virtual_alias_domains of main.cf as well; write unmanaged",
        ),
        ("virtual", "mydestination = $myhostname mail.example\n", "mydestination of main.cf as well; write local"),
    ],
)
def test_a_domain_of_two_classes_is_refused(kind: str, main: str, told: str) -> None:
    policy, settings = read_wanted(POLICY, {"domain_class": kind})
    with pytest.raises(PolicyError) as caught:
        assert check_domain_classes(main, policy, settings, "postfix_domain_class") is None
    problem = f'postfix_domain_class: "{kind}", and mail.example stands in {told}, or remove it there'
    assert caught.value.problems == [problem]


def test_a_domain_that_would_come_back_is_told_as_what_it_is() -> None:
    site = "mydestination = mail.example, localhost\nsmtpd_tls_cert_file = /c.pem\n"
    first = adopt(site)
    second = adopt(first.main, first.master, first.record, settings={"domain_class": "virtual"})
    back = restored(first.main, second.main, first.record, second.record)
    assert "mydestination" in back
    policy, settings = read_wanted(POLICY, {"domain_class": "virtual"})
    with pytest.raises(PolicyError) as caught:
        check_domain_classes(second.main, policy, settings, "postfix_domain_class", back)
    assert caught.value.problems == [
        'postfix_domain_class: "virtual", and mail.example stands in what stood in mydestination before this role and '
        "would come back; write local, or set mydestination without it in postfix_extra_settings"
    ]
    own = {"domain_class": "virtual", "extra_settings": {"mydestination": "localhost"}}
    third = adopt(first.main, first.master, first.record, settings=own)
    assert not restored(first.main, third.main, first.record, third.record) & {"mydestination"}
    check_domain_classes(third.main, policy, settings, "postfix_domain_class")


def test_virtual_domains_without_mailboxes_are_refused() -> None:
    policy, settings = read_wanted(POLICY, {"domain_class": "virtual"})
    with pytest.raises(PolicyError) as caught:
        check_recipient_maps("virtual_mailbox_maps =\n", policy, settings, "postfix_domain_class")
    assert caught.value.problems == [
        'postfix_domain_class: "virtual", and main.cf has no virtual_mailbox_maps: every address would be taken and '
        "bounced later; set it, or write local"
    ]
    assert not check_recipient_maps("virtual_mailbox_maps = hash:/etc/users\n", policy, settings, "x")


@pytest.mark.parametrize(
    ("kind", "name", "added"),
    [
        ("relay", "relay_recipient_maps", []),
        ("virtual", "virtual_mailbox_maps", ["check_policy_service unix:private/quota"]),
    ],
)
def test_addresses_that_something_else_may_check_are_a_warning(kind: str, name: str, added: list[str]) -> None:
    extra = {"extra_restrictions": {"recipient": added}} if added else {}
    policy, settings = read_wanted(POLICY, {"domain_class": kind, **extra})
    assert check_recipient_maps("", policy, settings, "postfix_domain_class") == [
        f'postfix_domain_class: "{kind}", and main.cf has no {name}: every address is taken and bounced later, unless '
        "something else refuses it; set it, as by postfix_extra_settings"
    ]
    assert not check_recipient_maps(f"{name} = hash:/etc/users\n", policy, settings, "x")


@pytest.mark.parametrize(
    ("policy", "settings"),
    [
        (POLICY, {"domain_class": "local"}),
        (POLICY, {"domain_class": "unmanaged"}),
        ({}, {"domain_class": "virtual"}),
        (POLICY, {"domain_class": "virtual", "extra_restrictions": {"recipient": ["reject_unverified_recipient"]}}),
    ],
)
def test_who_needs_no_list_of_addresses(policy: dict[str, object], settings: dict[str, object]) -> None:
    assert not check_recipient_maps("", *read_wanted(policy, settings), "x")


@pytest.mark.parametrize("kind", ["local", "unmanaged"])
def test_the_domain_of_a_registry_is_refused(kind: str) -> None:
    policy, settings = read_wanted(POLICY, {"domain_class": kind})
    words = "partner.example com .com co.uk $mydestination lan hash:/etc/postfix/relayed"
    with pytest.raises(PolicyError) as caught:
        check_domain_classes(f"relay_domains = {words}\n", policy, settings, "x")
    told = "a registry's domain: everybody could relay to all below it; remove it there"
    assert caught.value.problems == [
        f"x: relay_domains of main.cf has {word}, {told}" for word in ("com", ".com", "co.uk")
    ]


@pytest.mark.parametrize("kind", ["local", "virtual", "relay", "unmanaged"])
def test_a_domain_of_one_class_is_not(kind: str) -> None:
    policy, settings = read_wanted(POLICY, {"domain_class": kind, "submission": False})
    main = "".join(f"{name} = {value}\n" for name, value in compile_plan(policy, settings, facts({})).main.items())
    assert check_domain_classes(main, policy, settings, "postfix_domain_class") is None


def test_what_users_live_by_is_told() -> None:
    site = {
        "mynetworks_style": "subnet",
        "smtpd_sender_login_maps": "mysql:/etc/postfix/owners.cf",
        "smtpd_sasl_type": "cyrus",
        "smtpd_tls_cert_file": "/etc/ssl/mail.pem",
    }
    assert replaced_settings(site, plan(site), NOTHING, {}) == {
        "mynetworks_style": ("subnet",),
        "smtpd_sender_login_maps": ("mysql:/etc/postfix/owners.cf",),
        "smtpd_sasl_type": ("cyrus",),
    }
    managed = Record({name: Owned(None, "x") for name in ("mynetworks", *site)}, {}, ())
    assert not replaced_settings(site, plan(site), managed, {})


def test_debian_as_shipped_fits() -> None:
    site = {"mynetworks": "127.0.0.0/8", "smtpd_sasl_type": "dovecot", "smtpd_tls_cert_file": "/etc/ssl/mail.pem"}
    assert not replaced_settings(site, plan(site), NOTHING, {})


DEFAULTS = {"mynetworks_style": "subnet", "relay_domains": "mx.mail.example, mail.example"}


def test_what_a_low_compatibility_level_sets_is_told() -> None:
    found = replaced_settings({}, plan({"smtpd_tls_cert_file": "x"}), NOTHING, DEFAULTS)
    assert found == {"mynetworks_style": ("subnet, by the low compatibility_level; host trusts no neighbours",)}
    assert relayed_by_default({}, NOTHING, DEFAULTS) == [
        'relay_domains is "mx.mail.example, mail.example" by the low compatibility_level: mail for domains below these '
        "was taken, and is no longer; where some are to stay, set it in main.cf"
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
def test_what_it_does_not_set_is_not(site: dict[str, str], record: Record, defaults: dict[str, str]) -> None:
    assert not replaced_settings(site, plan({"smtpd_tls_cert_file": "x"}), record, defaults)
    assert not relayed_by_default(site, record, defaults)


@pytest.mark.parametrize(
    ("path", "asked"),
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
def test_another_socket_of_dovecot_is_asked_about(path: str, asked: str) -> None:
    site = {"smtpd_sasl_type": "dovecot", "smtpd_sasl_path": path, "smtpd_tls_cert_file": "/etc/ssl/mail.pem"}
    told = replaced_settings(site, plan(site), NOTHING, {})
    assert told == ({"smtpd_sasl_path": (asked,)} if asked else {})
    elsewhere = {**told, "smtpd_sasl_type": ("cyrus",)}
    assert describe_unknown(Unknown((), (), {}, elsewhere)).splitlines() == [
        *([f"postfix_sasl_path: {asked if asked[0] == 'p' else repr(asked)}"] if asked else []),
        "# without a variable of their own:",
        "#   smtpd_sasl_type: cyrus",
    ]
    assert not replaced_settings(site, plan(site, settings={"sasl_path": "private/chosen"}), NOTHING, {})
    assert not replaced_settings(site, plan(site, settings={"submission": False}), NOTHING, {})
    assert not replaced_settings(site, plan(site), Record({"smtpd_sasl_path": Owned(None, "x")}, {}, ()), {})


LOGINS = "submission inet n - y - - smtpd -o smtpd_sasl_auth_enable=yes"


@pytest.mark.parametrize(
    ("settings", "master", "asked"),
    [
        ({"smtpd_sasl_auth_enable": "yes"}, "", True),
        ({"smtpd_sasl_path": "smtpd"}, "", True),
        ({}, LOGINS, True),
        ({"smtpd_sasl_type": "dovecot"}, LOGINS, False),
        ({}, f"{LOGINS} -o smtpd_sasl_type=dovecot", False),
        ({}, LOGINS.replace("yes", "no"), False),
    ],
)
def test_who_names_no_type_of_logins_has_those_of_cyrus(settings: dict[str, str], master: str, asked: bool) -> None:
    site = {**settings, "smtpd_tls_cert_file": "/etc/ssl/mail.pem"}
    told = replaced_settings(site, plan(site), NOTHING, {}, f"{master}\n")
    assert told == ({"smtpd_sasl_type": ("cyrus",)} if asked else {})


_SILENT = "is the site's own and says nothing of"
_NO_RELAY = f"{_SILENT} smtpd_relay_restrictions; who logs in there cannot send to others any more"
_NO_LOGIN = f"{_SILENT} smtpd_sasl_auth_enable, which is no in main.cf now; nobody can log in there any more"
_ON, _OFF, _OWN = "smtpd_sasl_auth_enable=yes", "smtpd_sasl_auth_enable=no", "smtpd_relay_restrictions=reject"


@pytest.mark.parametrize("inherited", ["yes", "no", None])
@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("10587", (_ON,), (_NO_RELAY, _NO_RELAY)),
        ("10587", (_ON, _OWN), ("", "")),
        ("10587", (), ("", _NO_LOGIN)),
        ("10587", (_OWN,), ("", _NO_LOGIN)),
        ("10587", (_OFF,), ("", "")),
        ("198.51.100.7:10587", (_ON,), (_NO_RELAY, _NO_RELAY)),
        ("127.0.0.1:10025", (_ON,), ("", "")),
        ("[::1]:10025", (), ("", "")),
        ("smtp", (_ON,), ("", "")),
    ],
)
def test_logins_at_a_port_of_the_site_are_told(
    name: str, options: tuple[str, ...], told: tuple[str, str], inherited: str | None
) -> None:
    line = " ".join([f"{name} inet n - y - - smtpd", *(f"-o {one}" for one in options)])
    site = {} if inherited is None else {"smtpd_sasl_auth_enable": inherited}
    wanted = told[inherited == "yes"]
    for changes in ({}, {"submission": False}):
        _policy, settings = read_wanted(POLICY, changes)
        found = foreign_submission(f"{line}\n", settings, site)
        assert found == ([f"master.cf: {name} inet {wanted}"] if wanted else [])


def test_the_sites_own_submission_is_told() -> None:
    _policy, without = read_wanted(POLICY, {"submission": False})
    _policy, managed = read_wanted(POLICY, {})
    master = f"submission inet n - y - - smtpd -o {_ON}\n"
    assert foreign_submission(master, without, {}) == [f"master.cf: submission inet {_NO_RELAY}"]
    assert not foreign_submission(master, managed, {})
