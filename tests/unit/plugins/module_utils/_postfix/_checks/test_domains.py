# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Domains of the policy in several classes, public suffixes, and domains without a list of addresses."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.context import Problem, Warn
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.domains import (
    domain_classes,
    domain_references,
    recipient_maps,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.compose import Composed
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import compile_plan, read_wanted
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._checks.contexts import (
    StubHost,
    context,
)
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._plan.test_compose import (
    POLICY,
    adopt,
    facts,
)

OWN = "localhost.$mydomain, localhost, $mydomain"


def problems(kind: str, main: dict[str, str], expanded: dict[str, str], domain: str = "firma.de") -> list[str]:
    """Return the problems that are found."""
    text = "".join(f"{name} = {value}\n" for name, value in main.items())
    settings = {"domain_class": kind, "submission": False}
    host = StubHost(values=expanded)
    found = list(domain_references(context(text, policy={"domains": [domain]}, settings=settings, host=host)))
    assert all(isinstance(one, Problem) for one in found)
    return [one.text for one in found]


@pytest.mark.parametrize("kind", ["local", "unmanaged"])
@pytest.mark.parametrize(
    ("value", "expanded", "word"),
    [
        ("$mydomain", "de", "de"),
        ("$mydestination", "firma.de, localhost.de, localhost, de", "de"),
        (".de", ".de", ".de"),
    ],
)
def test_reference_to_a_public_suffix_is_a_problem(kind: str, value: str, expanded: str, word: str) -> None:
    assert problems(kind, {"relay_domains": value}, {"relay_domains": expanded, "myhostname": "firma.de"}) == [
        f'postfix_domain_class: {word} is in relay_domains of main.cf ("{value}"): any client could relay to every '
        "domain below it; set relay_domains without it"
    ]


def test_public_suffix_of_two_labels_is_a_problem() -> None:
    found = problems(
        "local", {"relay_domains": "co.uk"}, {"relay_domains": "co.uk", "myhostname": "mx.a.co.uk"}, "b.org"
    )
    assert [one.partition(":")[2].split()[0] for one in found] == ["co.uk"]


@pytest.mark.parametrize(
    ("value", "expanded", "host"),
    [
        ("$mydestination", "mx.lan, localhost.lan, localhost, lan", "mx.lan"),
        ("$mydestination", "mx.firma.de, localhost.firma.de, localhost, firma.de, mx", "mx.firma.de"),
        ("firma.de hash:/etc/postfix/relay", "firma.de hash:/etc/postfix/relay", "mx.firma.de"),
        ("", "", "mx.firma.de"),
    ],
)
def test_names_of_the_host_are_no_public_suffix(value: str, expanded: str, host: str) -> None:
    assert not problems("local", {"relay_domains": value}, {"relay_domains": expanded, "myhostname": host})


def test_reference_to_a_domain_of_another_class_is_a_problem() -> None:
    main, expanded = {"mydestination": OWN}, {"mydestination": "localhost.firma.de, localhost, firma.de"}
    rest = f'firma.de is in mydestination of main.cf ("{OWN}") as well; write local, or set mydestination without it'
    for kind in ("virtual", "relay"):
        assert problems(kind, main, expanded) == [f'postfix_domain_class: "{kind}", and {rest}']
    assert not problems("local", main, expanded)
    assert not problems("unmanaged", main, expanded)


def test_default_that_names_a_domain_is_a_problem() -> None:
    (problem,) = problems("virtual", {}, {"mydestination": "firma.de, localhost.de, localhost"})
    assert problem.endswith(
        "firma.de is in the default of mydestination as well; write local, or set mydestination without it"
    )


def test_class_after_that_of_the_policy_is_accepted() -> None:
    """Postfix looks into mydestination first, and relay_domains = $mydestination was its default for long."""
    main = {"relay_domains": "$mydestination"}
    expanded = {"relay_domains": "mx.firma.de, firma.de", "mydestination": "mx.firma.de, firma.de"}
    assert not problems("local", main, expanded)


def classes(kind: str, main: str) -> list[str]:
    """Return the problems of classes that are found."""
    return [one.text for one in domain_classes(context(main, settings={"domain_class": kind, "submission": False}))]


@pytest.mark.parametrize(
    ("kind", "main", "text"),
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
def test_domain_of_two_classes_is_a_problem(kind: str, main: str, text: str) -> None:
    assert classes(kind, main) == [f'postfix_domain_class: "{kind}", and mail.example is in {text}, or remove it there']


def test_domain_that_would_be_restored_is_reported_as_that() -> None:
    site = "mydestination = mail.example, localhost\nsmtpd_tls_cert_file = /c.pem\n"
    first = adopt(site)
    second = adopt(first.main, first.master, first.record, settings={"domain_class": "virtual"})

    def problems_of(composed: Composed) -> list[str]:
        found = context(settings={"domain_class": "virtual"}, record=first.record)
        live = found.live._replace(main=first.main)
        return [one.text for one in domain_classes(dataclasses.replace(found, live=live, composed=composed))]

    assert problems_of(second) == [
        'postfix_domain_class: "virtual", and mail.example is in the value of mydestination from before this role, '
        "which would be restored; write local, or set mydestination without it in postfix_extra_settings"
    ]
    own = {"domain_class": "virtual", "extra_settings": {"mydestination": "localhost"}}
    assert not problems_of(adopt(first.main, first.master, first.record, settings=own))


@pytest.mark.parametrize("kind", ["local", "unmanaged"])
def test_public_suffix_in_relay_domains_is_a_problem(kind: str) -> None:
    words = "partner.example com .com co.uk $mydestination lan hash:/etc/postfix/relayed"
    text = "a public suffix: any client could relay to every domain below it; remove it there"
    assert classes(kind, f"relay_domains = {words}\n") == [
        f"postfix_domain_class: relay_domains of main.cf has {word}, {text}" for word in ("com", ".com", "co.uk")
    ]


@pytest.mark.parametrize("kind", ["local", "virtual", "relay", "unmanaged"])
def test_domain_of_one_class_is_accepted(kind: str) -> None:
    policy, settings = read_wanted(POLICY, {"domain_class": kind, "submission": False})
    plan = compile_plan(policy, settings, facts({}))
    assert not classes(kind, "".join(f"{name} = {value}\n" for name, value in plan.main.items()))


def maps(kind: str, main: str, added: tuple[str, ...] = (), policy: dict[str, object] | None = None) -> list[object]:
    """Return what is found about lists of addresses."""
    settings = {"domain_class": kind, "extra_restrictions": {"recipient": list(added)}}
    return list(recipient_maps(context(main, live_main="biff = no\n", policy=policy, settings=settings)))


def test_virtual_domains_without_mailboxes_are_a_problem() -> None:
    assert maps("virtual", "virtual_mailbox_maps =\n") == [
        Problem(
            'postfix_domain_class: "virtual", and main.cf has no virtual_mailbox_maps: mail to every address would be '
            "accepted and bounced later; set it, or write local"
        )
    ]
    assert not maps("virtual", "virtual_mailbox_maps = hash:/etc/users\n")


@pytest.mark.parametrize(
    ("kind", "name", "added"),
    [
        ("relay", "relay_recipient_maps", ()),
        ("virtual", "virtual_mailbox_maps", ("check_policy_service unix:private/quota",)),
    ],
)
def test_addresses_that_something_else_may_check_are_a_warning(kind: str, name: str, added: tuple[str, ...]) -> None:
    assert maps(kind, "", added) == [
        Warn(
            f'postfix_domain_class: "{kind}", and main.cf has no {name}: mail to every address is accepted and bounced '
            "later, unless something else rejects it; set it, as by postfix_extra_settings"
        )
    ]
    assert not maps(kind, "biff = no\n", added)  # nothing changes
    assert not maps(kind, f"{name} = hash:/etc/users\n", added)


@pytest.mark.parametrize(
    ("policy", "kind", "added"),
    [
        (POLICY, "local", ()),
        (POLICY, "unmanaged", ()),
        ({}, "virtual", ()),
        (POLICY, "virtual", ("reject_unverified_recipient",)),
    ],
)
def test_domains_that_need_no_list_of_addresses_are_accepted(
    policy: dict[str, object], kind: str, added: tuple[str, ...]
) -> None:
    assert not maps(kind, "", added, policy)
