# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Domains that main.cf names by reference."""

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.domains import check_references
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import read_wanted

OWN = "localhost.$mydomain, localhost, $mydomain"


def problems(kind: str, main: dict[str, str], expanded: dict[str, str], domain: str = "firma.de") -> list[str]:
    policy, settings = read_wanted({"domains": [domain]}, {"domain_class": kind, "submission": False})
    try:
        check_references(main, expanded, policy, settings, "postfix_domain_class")
    except PolicyError as error:
        return list(error.problems)
    return []


@pytest.mark.parametrize("kind", ["local", "unmanaged"])
@pytest.mark.parametrize(
    ("value", "expanded", "word"),
    [
        ("$mydomain", "de", "de"),
        ("$mydestination", "firma.de, localhost.de, localhost, de", "de"),
        (".de", ".de", ".de"),
    ],
)
def test_a_reference_to_a_whole_registry_is_refused(kind: str, value: str, expanded: str, word: str) -> None:
    assert problems(kind, {"relay_domains": value}, {"relay_domains": expanded, "myhostname": "firma.de"}) == [
        f'postfix_domain_class: {word} stands in relay_domains of main.cf ("{value}"): everybody could relay to all '
        "domains below it; set relay_domains without it"
    ]


def test_a_registry_of_two_words_is_refused() -> None:
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
def test_names_of_the_host_are_no_registry(value: str, expanded: str, host: str) -> None:
    assert not problems("local", {"relay_domains": value}, {"relay_domains": expanded, "myhostname": host})


def test_a_reference_to_a_domain_of_another_class_is_refused() -> None:
    main, expanded = {"mydestination": OWN}, {"mydestination": "localhost.firma.de, localhost, firma.de"}
    told = (
        f'firma.de stands in mydestination of main.cf ("{OWN}") as well; write local, or set mydestination without it'
    )
    for kind in ("virtual", "relay"):
        assert problems(kind, main, expanded) == [f'postfix_domain_class: "{kind}", and {told}']
    assert not problems("local", main, expanded)
    assert not problems("unmanaged", main, expanded)


def test_the_default_is_a_reference_as_well() -> None:
    (told,) = problems("virtual", {}, {"mydestination": "firma.de, localhost.de, localhost"})
    assert told.endswith(
        "firma.de stands in the default of mydestination as well; write local, or set mydestination without it"
    )


def test_a_class_behind_that_of_the_policy_does_no_harm() -> None:
    """Postfix looks into mydestination first, and relay_domains = $mydestination was its default for long."""
    main = {"relay_domains": "$mydestination"}
    expanded = {"relay_domains": "mx.firma.de, firma.de", "mydestination": "mx.firma.de, firma.de"}
    assert not problems("local", main, expanded)
