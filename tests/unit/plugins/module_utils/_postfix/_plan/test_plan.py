# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of a policy for Postfix, where a live Postfix cannot show it: other versions, refusals, hostile texts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.facts import PostfixFacts, read_facts
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.maps import MapError, Maps
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import (
    Plan,
    compile_plan,
    read_wanted,
)

VECTORS = json.loads((Path(__file__).parents[4] / "vectors" / "postfix.json").read_text())
RELEASES = ("debian_12", "debian_13")

POLICY: dict[str, Any] = {
    "domains": ["example.org"],
    "internal_networks": ["192.0.2.80-192.0.2.99"],
    "blocked_networks": ["203.0.113.0/24", "198.18.0.1"],
    "relay_exceptions": [{"networks": ["198.51.100.5"], "sender_domains": ["partner.example"]}],
    "dnsbls": [
        {"zone": "one.bl.example", "stage": "mail", "return_codes": ["127.0.0.2"]},
        {"zone": "two.bl.example", "stage": "connect", "return_codes": ["127.0.0.4"]},
    ],
    "dnsbl_exempt_networks": ["198.51.100.128/25"],
    "sender_domain_check": True,
}


def facts(release: str = "debian_12", without: tuple[str, ...] = (), **changes: Any) -> PostfixFacts:
    found = {**VECTORS[release], **changes}
    known = {name: value for name, value in found["parameters"].items() if name not in without}
    return read_facts({**found, "parameters": known})


def plan(policy: dict[str, Any] | None = None, settings: dict[str, Any] | None = None, **changes: Any) -> Plan:
    return compile_plan(*read_wanted(POLICY if policy is None else policy, settings or {}), facts(**changes))


def problems(policy: dict[str, Any] | None = None, settings: dict[str, Any] | None = None, **changes: Any) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        plan(policy, settings, **changes)
    return list(caught.value.problems)


def services(found: Plan) -> set[tuple[str, str, str]]:
    return {(one.name, one.type, one.command) for one in found.services}


@pytest.mark.parametrize("release", RELEASES)
def test_plan_has_only_parameters_that_the_release_knows(release: str) -> None:
    found = plan(release=release)
    unknown = [name for name in found.main if name not in VECTORS[release]["parameters"]]
    assert all(name.startswith("mailhost_") for name in unknown)
    options = {name for service in found.services for name, _value in service.options}
    assert options <= set(VECTORS[release]["parameters"]) | {
        *("syslog_name", "smtpd_tls_wrappermode", "cleanup_service_name", "milter_macro_daemon_name"),
        *("header_checks", "nested_header_checks", "mime_header_checks"),
    }


def test_every_managed_parameter_is_used() -> None:
    """postconf warns about parameters that nothing refers to, and a warning stops a run."""
    found = plan()
    text = "\n".join(
        [*found.main.values(), *(one.lines() for one in found.services), *(one.text for one in found.maps.values())]
    )
    for name in found.main:
        if name.startswith("mailhost_"):
            assert re.search(rf"\b{name}\b", text), name


@pytest.mark.parametrize(
    ("without", "expected", "note"),
    [
        ((), {"smtpd_forbid_bare_newline": "normalize", "smtpd_forbid_unauth_pipelining": "yes"}, ""),
        (
            ("smtpd_forbid_bare_newline_reject_code",),
            {"smtpd_forbid_bare_newline": "yes"},
            "smtpd_forbid_bare_newline of the installed Postfix does not know normalize; it is set to yes",
        ),
        (
            ("smtpd_forbid_bare_newline", "smtpd_forbid_unauth_pipelining"),
            {"smtpd_discard_ehlo_keywords": "chunking, silent-discard", "smtpd_data_restrictions": "reject_unauth_pipelining"},
            "smtpd_forbid_bare_newline is unknown to the installed Postfix; unauthorised pipelining is rejected instead",
        ),
    ],
)  # fmt: skip
def test_older_versions_get_notes(without: tuple[str, ...], expected: dict[str, str], note: str) -> None:
    found = plan(without=without)
    assert expected.items() <= found.main.items()
    assert not set(without) & set(found.main)
    assert [one for one in found.notes if "hide" not in one] == ([note] if note else [])


def test_older_versions_get_their_names_of_parameters() -> None:
    parameters = {**VECTORS["debian_12"]["parameters"], "postscreen_blacklist_action": "ignore"}
    del parameters["postscreen_denylist_action"]
    main = plan(parameters=parameters).main
    assert main["postscreen_blacklist_action"] == "drop"
    assert "postscreen_denylist_action" not in main


def test_older_versions_get_protocols_in_their_form() -> None:
    parameters = {**VECTORS["debian_12"]["parameters"], "smtpd_tls_mandatory_protocols": "!SSLv2, !SSLv3"}
    found = plan(parameters=parameters)
    assert found.main["smtpd_tls_mandatory_protocols"] == "!SSLv2, !SSLv3, !TLSv1, !TLSv1.1"


def test_version_without_needed_parameters_is_a_problem() -> None:
    assert problems(without=("smtpd_relay_restrictions", "smtpd_client_auth_rate_limit")) == [
        "Postfix: does not know smtpd_relay_restrictions, smtpd_client_auth_rate_limit; it is too old for this collection"
    ]


def test_client_of_a_submission_is_hidden_in_each_version() -> None:
    old, new = plan(), plan(release="debian_13")
    hidden = ("smtpd_hide_client_session", "yes")
    assert not any(hidden in one.options for one in old.services)
    assert [one.name for one in new.services if hidden in one.options] == ["submission", "submissions"]
    assert "Received" in old.maps["submission-headers.regexp"].text
    assert "Received" not in new.maps["submission-headers.regexp"].text
    assert len(old.notes) == 1
    assert not new.notes


@pytest.mark.parametrize("with_protocol", ["ESMTPA", "ESMTPSA", "UTF8SMTPA", "UTF8SMTPSA"])
def test_received_with_the_client_is_replaced(with_protocol: str) -> None:
    """As smtpd of 3.7 writes it; ESMTP and UTF8SMTP are all it says of SMTP AUTH."""
    (row,) = [one for one in plan().maps["submission-headers.regexp"].text.splitlines() if "Received" in one]
    pattern = re.compile(row.split("/")[1].replace("[:space:]", r"\s"), re.DOTALL)
    by = f"by mx.example.org (Postfix) with {with_protocol} id 4cQ\n\tfor <a@far.example>; Mon, 1 Jan"
    match = pattern.search(f"Received: from pc.home.example (dsl [192.0.2.9])\n\t(using TLSv1.3)\n\t{by}")
    assert match is not None
    assert by in match.groups()


CHECKS = ("header_checks", "nested_header_checks", "mime_header_checks")


@pytest.mark.parametrize(
    ("site", "cleanup", "extra", "expected"),
    [
        ({}, {}, {}, ("", "", "")),
        ({"header_checks": "pcre:/hc"}, {}, {}, ("pcre:/hc", "pcre:/hc", "pcre:/hc")),
        (
            {
                "header_checks": "pcre:/hc",
                "nested_header_checks": "pcre:/n, ${header_checks}",
                "mime_header_checks": "",
            },
            {},
            {},
            ("pcre:/hc", "pcre:/n, pcre:/hc", ""),
        ),
        (
            {"header_checks": "pcre:/hc", "mime_header_checks": "$header_checks pcre:/$managed_header_checks"},
            {"header_checks": "pcre:/cleanup"},
            {},
            ("pcre:/cleanup", "pcre:/cleanup", "pcre:/cleanup pcre:/$managed_header_checks"),
        ),
        (
            {"header_checks": "pcre:/hc"},
            {"nested_header_checks": ""},
            {"header_checks": "regexp:/extra"},
            ("regexp:/extra", "", "regexp:/extra"),
        ),
        ({}, {"header_checks": ""}, {"header_checks": "regexp:/extra"}, ("", "", "")),
    ],
)
def test_unmanaged_header_checks_stay_and_managed_ones_are_for_the_outermost_header(
    site: dict[str, str], cleanup: dict[str, str], extra: dict[str, str], expected: tuple[str, ...]
) -> None:
    site = {**VECTORS["debian_12"]["site"], **site}
    found = plan(settings={"extra_settings": extra}, site=site, cleanup=cleanup)
    managed = "regexp:${config_directory}/mailhost/submission-headers.regexp"
    first, *others = (found.main[f"mailhost_submission_{name}"] for name in CHECKS)
    assert (first, *others) == (", ".join(filter(None, (managed, expected[0]))), *expected[1:])
    assert "header_checks" not in found.main.keys() - extra.keys()
    (service,) = [one for one in found.services if one.name == "mailhost-cleanup"]
    assert service.options == tuple((name, f"$mailhost_submission_{name}") for name in CHECKS)


def test_postscreen_is_there_when_the_policy_needs_it() -> None:
    assert ("smtp", "inet", "postscreen") in services(plan())
    bare = {"domains": ["example.org"]}
    assert ("smtp", "inet", "smtpd") in services(plan(bare))
    assert not any(name.startswith("postscreen") for name in plan(bare).main)
    assert ("smtpd", "pass", "smtpd") in services(plan(bare, {"postscreen": "always"}))
    assert ("smtp", "inet", "postscreen") in services(plan({"blocked_networks": ["203.0.113.0/24"]}))


def test_port_25_has_no_smtp_auth_and_submission_needs_it() -> None:
    found = plan()
    assert found.main["smtpd_sasl_auth_enable"] == "no"
    assert "sasl" not in found.main["smtpd_relay_restrictions"]
    for service in found.services:
        options = dict(service.options)
        if service.name.startswith("submission"):
            assert options["smtpd_sasl_auth_enable"] == "yes"
            assert options["smtpd_tls_security_level"] == "encrypt"
        else:
            assert "smtpd_sasl_auth_enable" not in options
    assert not any(one.name.startswith("submission") for one in plan(settings={"submission": False}).services)


@pytest.mark.parametrize("form", ["address", "local part"])
def test_quoted_address_has_no_owner(form: str) -> None:
    """Its parts would be logins: Postfix splits what a table gives at blanks and commas, and shows it quoted addresses."""
    rows = plan(settings={"login_form": form}).maps["sender-logins.regexp"].text.splitlines()
    patterns = [re.compile(row.split("/")[1].replace("[:space:]", r"\s")) for row in rows]
    for sender in ("ann@example.org", "ann+box@example.org", "o'hara@example.org"):
        assert any(one.search(sender) for one in patterns)
    for sender in ('"a, ann@example.org, b"@far.example', '"a ann b"@example.org', "x@[a, ann@example.org, b]"):
        assert not any(one.search(sender) for one in patterns)


def test_login_without_a_domain_owns_addresses_of_managed_domains_alone() -> None:
    logins = {"info@example.org": ["ann"], "ceo@partner.example": ["ann"], "nologin@partner.example": []}

    def owners(form: str, sender: str) -> str:
        rows = plan(settings={"login_form": form, "sender_logins": logins}).maps["sender-logins.regexp"].text
        pairs = (row[1:].split("/ ", 1) for row in rows.splitlines())
        return next((owner for pattern, owner in pairs if re.search(pattern.replace("[:space:]", r"\s"), sender)), "")

    assert owners("local part", "info@example.org") == "ann, info"
    assert owners("local part", "ceo@partner.example") == "ann"
    assert not owners("local part", "nologin@partner.example")
    assert owners("address", "ceo@partner.example") == "ann, ceo@partner.example"


def owners(sender: str, found: Plan) -> list[str]:
    """Whose an address is by the managed tables; a table of the site is named."""
    for table in found.main["smtpd_sender_login_maps"].split(", "):
        name = table.rpartition("/")[2]
        if name not in found.maps:
            return [table]
        for line in found.maps[name].text.splitlines():
            pattern, _blank, result = line.partition("$/ ")
            match = re.match(f"{pattern[1:]}$".replace("[:space:]", r"\s"), sender)
            if match:
                return match.expand(re.sub(r"\$\{(\d)\}", r"\\\1", result)).split(", ")
    return []


LOGINS = {"login_form": "local part", "sender_logins": {"info@example.org": ["ann"], "@example.org": ["boss"]}}


def test_key_of_a_domain_owns_addresses_without_a_key_of_their_own() -> None:
    found = plan(settings=LOGINS)
    assert owners("info@example.org", found) == ["ann", "info"]
    assert owners("bob@example.org", found) == ["boss", "bob"]
    assert owners("bob+x@example.org", found) == ["boss", "bob", "bob+x"]
    assert owners('"a, boss, b"@example.org', found) == []
    elsewhere = plan(settings={**LOGINS, "sender_logins": {"@elsewhere.example": ["boss"]}})
    assert owners("bob@elsewhere.example", elsewhere) == ["boss"]
    addresses = plan(settings={"sender_logins": {"@elsewhere.example": ["boss@example.org"]}})
    assert owners("bob@elsewhere.example", addresses) == ["boss@example.org", "bob@elsewhere.example"]


def test_tables_of_the_site_replace_the_login_of_the_same_name() -> None:
    table = "proxy:cidr:/etc/postfix/owners"
    kinds = [*VECTORS["debian_12"]["map_types"], "proxy"]
    alone = plan(settings={"sender_login_maps": [table]}, map_types=kinds)
    assert alone.main["smtpd_sender_login_maps"] == table
    assert not [name for name in alone.maps if name.startswith("sender-login")]
    behind = plan(settings={**LOGINS, "sender_login_maps": [table]}, map_types=kinds)
    assert owners("info@example.org", behind) == ["ann", "info"]
    assert owners("bob@example.org", behind) == [table]
    assert behind.main["smtpd_sender_login_maps"].endswith("/sender-login-domains.regexp")


def test_table_of_a_type_that_postfix_has_not_is_a_problem() -> None:
    (problem,) = problems(settings={"sender_login_maps": ["oracle:/x"]})
    assert problem.startswith(
        'postfix_sender_login_maps[0]: "oracle:/x" is of the type oracle, which the installed Postfix has not; install '
        "it, or write one of btree, cidr, "
    )


def test_login_owns_its_address_at_the_name_of_the_host() -> None:
    site = {"myhostname": "mx.example.org", "smtpd_tls_cert_file": "/c.pem"}
    assert owners("ann@mx.example.org", plan(settings={"login_form": "local part"}, site=site)) == ["ann"]
    relay = {"login_form": "local part", "domain_class": "relay"}
    assert owners("ann@mx.example.org", plan(settings=relay, site=site)) == []


def test_restrictions_of_submission_come_before_it_permits() -> None:
    found = plan(settings={"submission_restrictions": ["check_policy_service inet:127.0.0.1:10031"]})
    assert found.main["mailhost_submission_recipient_restrictions"] == (
        "reject_non_fqdn_recipient, check_policy_service inet:127.0.0.1:10031, permit_sasl_authenticated, reject"
    )
    assert found.main["mailhost_submission_relay_restrictions"] == "permit_sasl_authenticated, reject"


def test_submission_that_could_not_work_is_a_problem() -> None:
    assert problems(site={}) == [
        "postfix_submission: needs TLS, and main.cf names no certificate; set postfix_tls_certificate, or write false"
    ]
    assert problems(sasl_types=["cyrus"]) == [
        "postfix_submission: needs SASL through Dovecot, which the installed Postfix cannot; write false"
    ]
    assert plan(settings={"submission": False}, site={}, sasl_types=[])
    assert "smtpd_tls_security_level" not in plan(settings={"submission": False}, site={}).main


@pytest.mark.parametrize(
    ("site", "level"),
    [
        ({}, "may"),
        ({"smtpd_tls_security_level": "none"}, "may"),
        ({"smtpd_tls_security_level": "encrypt"}, "encrypt"),
        ({"smtpd_tls_security_level": "Encrypt"}, "encrypt"),
        ({"smtpd_tls_security_level": "${level}", "level": "encrypt"}, "encrypt"),
        ({"smtpd_tls_security_level": "$level"}, "may"),
        ({"smtpd_enforce_tls": "yes"}, "encrypt"),
        ({"smtpd_enforce_tls": "yes", "smtpd_tls_security_level": "may"}, "may"),
    ],
)
def test_site_that_demands_tls_still_does(site: dict[str, str], level: str) -> None:
    found = plan(site={"smtpd_tls_cert_file": "/etc/ssl/mail.pem", **site})
    assert found.main["smtpd_tls_security_level"] == level


def test_certificate_goes_where_main_cf_has_it() -> None:
    settings = {"tls_certificate": "/c.pem", "tls_key": "/k.pem"}
    assert plan(settings=settings).main["smtpd_tls_cert_file"] == "/c.pem"
    assert plan(settings=settings).main["smtpd_tls_key_file"] == "/k.pem"
    chained = plan(settings=settings, site={"smtpd_tls_chain_files": "/old.pem"}).main
    assert chained["smtpd_tls_chain_files"] == "/k.pem, /c.pem"
    assert "smtpd_tls_cert_file" not in chained


def test_return_codes_are_mandatory_and_weights_belong_to_lists() -> None:
    policy = {"dnsbls": [{"zone": "one.bl.example"}, {"zone": "two.bl.example", "stage": "connect"}]}
    assert problems(policy, {"dnsbl_weights": {"one.bl.example": 2, "two.bl.example": 1}}) == [
        'mailhost_dnsbls[0].return_codes: is missing; name the answers of one.bl.example that mean listed, as ["127.0.0.2-127.0.0.11"]',
        'mailhost_dnsbls[1].return_codes: is missing; name the answers of two.bl.example that mean listed, as ["127.0.0.2-127.0.0.11"]',
        'postfix_dnsbl_weights["one.bl.example"]: is no list of mailhost_dnsbls with stage connect; remove it, or correct the zone',
    ]  # fmt: skip


def test_problem_of_return_codes_is_without_the_key() -> None:
    (found,) = problems({"dnsbls": [{"zone": "abcdefghijklmnopqrstuvwxyz.paid.example"}]})
    assert "the answers of paid.example that mean listed" in found


def test_problems_of_policy_and_settings_are_reported_at_once() -> None:
    assert problems({"internal_networks": ["10.0.0.5/8"]}, {"submission": "no"}) == [
        'mailhost_internal_networks[0]: "10.0.0.5/8" has host bits set; write "10.0.0.0/8" or "10.0.0.5/32"',
        'postfix_submission: "no" is text; write true or false; -e name=value and INI inventories give text, -e \'{"postfix_submission": false}\' does not',
    ]


def test_error_answers_are_never_a_match() -> None:
    for codes in (["127.255.255.254"], ["127.0.0.0/8"], ["127.255.0.0-127.255.255.1"]):
        policy = {"dnsbls": [{"zone": "one.bl.example", "return_codes": codes}]}
        assert "127.255.255.0/24" in problems(policy)[0]


def test_weights_count_as_points() -> None:
    found = plan(settings={"dnsbl_threshold": 3, "dnsbl_weights": {"two.bl.example": 2}})
    assert found.main["postscreen_dnsbl_sites"] == "two.bl.example=127.0.0.4*2"
    assert plan(settings={"dnsbl_threshold": 3}).main["postscreen_dnsbl_sites"] == "two.bl.example=127.0.0.4*3"


def test_key_of_a_zone_is_in_no_reply() -> None:
    key = "abcdefghijklmnopqrstuvwxyz"
    lists = [
        {"zone": f"{key}.{stage}.example", "stage": stage, "return_codes": ["127.0.0.2"], **text}
        for stage in ("mail", "connect")
        for text in [{}, {"text": "see {client}"}]
    ]
    for one in lists:
        found = plan({"dnsbls": [one]})
        name = "dnsbl-replies.txt" if one["stage"] == "mail" else "postscreen-replies.txt"
        rows = [line.partition(" ")[::2] for line in found.maps[name].text.splitlines()]
        # Postfix 3.7 looks for the second, 3.10 for the first.
        both = [one["zone"], f"{one['zone']}=127.0.0.2"]
        assert [zone for zone, _reply in rows] == (both if one["stage"] == "mail" else both[:1])
        for reply in [*(reply for _zone, reply in rows), found.main.get("default_rbl_reply", "")]:
            assert not re.search(rf"{key}|rbl_reason|rbl_domain|rbl_txt", reply)


def test_long_lists_have_an_index() -> None:
    policy = {"blocked_networks": ["198.18.0.1", "198.18.0.9", "2001:db8::1", "203.0.113.0/24"]}
    found = plan(policy, {"indexed_map_from": 3})
    assert found.maps["blocked-addresses"].type == "hash"
    assert found.maps["blocked-addresses"].text == "198.18.0.1 REJECT\n198.18.0.9 REJECT\n2001:db8::1 REJECT\n"
    assert found.maps["blocked.cidr"].text == "203.0.113.0/24 REJECT\n"
    for name in ("postscreen_access_list", "smtpd_client_restrictions", "mailhost_submission_client_restrictions"):
        assert "hash:${config_directory}/mailhost/blocked-addresses" in found.main[name]
        assert "cidr:${config_directory}/mailhost/blocked.cidr" in found.main[name]
    assert set(plan(policy, {"indexed_map_from": 4}).maps) & {"blocked-addresses", "blocked.cidr"} == {"blocked.cidr"}
    kept = plan(policy, {"indexed_map_from": 1}, map_types=["cidr", "regexp", "texthash"])
    assert "blocked-addresses" not in kept.maps
    assert plan(policy, {"indexed_map_from": 1}, map_types=["cidr", "lmdb"]).maps["blocked-addresses"].type == "lmdb"


def test_domains_go_where_they_are_served() -> None:
    assert plan().main["mydestination"] == "$myhostname, localhost.$mydomain, localhost, example.org"
    virtual = plan(settings={"domain_class": "virtual"}).main
    assert virtual["virtual_mailbox_domains"] == "example.org"
    assert "mydestination" not in virtual
    relay = plan(settings={"domain_class": "relay"}).main
    assert relay["relay_domains"] == "example.org"
    assert "relay_domains" not in relay["parent_domain_matches_subdomains"].split(", ")
    assert "smtpd_access_maps" in relay["parent_domain_matches_subdomains"].split(", ")
    unmanaged = plan(settings={"domain_class": "unmanaged"}).main
    assert not {"mydestination", "virtual_mailbox_domains"} & set(unmanaged)
    assert unmanaged["relay_domains"] == ""
    assert "relay_domains" not in plan(site={**VECTORS["debian_12"]["site"], "relay_domains": "x.example"}).main


def test_mailbox_is_not_smaller_than_a_message() -> None:
    main = plan(settings={"message_size_limit": 60000000}).main
    assert "mailbox_size_limit" not in main  # Debian sets it to 0, without limit
    assert main["virtual_mailbox_limit"] == "60000000"
    assert "virtual_mailbox_limit" not in plan().main


def test_restriction_classes_of_the_site_stay() -> None:
    site = {**VECTORS["debian_12"]["site"], "smtpd_restriction_classes": "greylist, mailhost_relay_7_senders"}
    assert plan(site=site).main["smtpd_restriction_classes"].startswith("greylist, mailhost_relay_0_recipients, ")


def test_extra_restrictions_follow_the_managed_ones() -> None:
    main = plan(settings={"extra_restrictions": {"recipient": ["check_policy_service unix:private/p"]}}).main
    assert main["smtpd_recipient_restrictions"].endswith(", check_policy_service unix:private/p")
    assert main["smtpd_recipient_restrictions"].startswith("permit_mynetworks, ")


def test_extra_settings_are_parameters_that_the_policy_leaves_free() -> None:
    found = plan(settings={"extra_settings": {"biff": False, "maildrop_destination_recipient_limit": 1}})
    assert found.main["biff"] == "no"
    assert found.main["maildrop_destination_recipient_limit"] == "1"
    assert problems(settings={"extra_settings": {"mynetworks": "static:all", "no_such": "x"}}) == [
        'postfix_extra_settings["mynetworks"]: is decided by the policy and the variables of the role; remove it',
        'postfix_extra_settings["no_such"]: is no parameter that the installed Postfix knows; remove it',
    ]
    assert problems(settings={"extra_settings": {"maximal_queue_lifetime": "an hour"}}) == [
        'postfix_extra_settings["maximal_queue_lifetime"]: "an hour" is not a time; write one as "3d" (s, m, h, d, w)',
    ]
    for time in ("90", "2h", "$minimal_backoff_time", "${stress?{10s}:{60s}}"):
        assert (
            plan(settings={"extra_settings": {"maximal_queue_lifetime": time}}).main["maximal_queue_lifetime"] == time
        )


DEFAULTS = {
    "biff": "yes",
    "smtp_tls_note_starttls_offer": "no",
    "postscreen_use_tls": "${smtpd_use_tls}",
    "smtpd_use_tls": "no",
    "default_destination_concurrency_limit": "20",
    "smtp_destination_concurrency_limit": "$default_destination_concurrency_limit",
    "default_destination_rate_delay": "0s",
    "default_destination_concurrency_positive_feedback": "1",
    "smtp_destination_concurrency_positive_feedback": "$default_destination_concurrency_positive_feedback",
    "compatibility_level": "0",
    "lmtp_tcp_port": "24",
    "postscreen_dnsbl_whitelist_threshold": "0",
    "smtp_tls_loglevel": "0",
    "smtputf8_enable": "${{$compatibility_level} <level {1} ? {no} : {yes}}",
    "myorigin": "$myhostname",
    "circle": "$circle",
}
NEITHER, NUMBER, TIME = (
    'is neither yes nor no; write "yes" or "no"',
    'is not a number; write digits, as "20"',
    'is not a time; write one as "3d" (s, m, h, d, w)',
)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("smtp_tls_note_starttls_offer", "true", NEITHER),
        ("postscreen_use_tls", "on", NEITHER),
        ("biff", "", NEITHER),
        ("default_destination_concurrency_limit", "20x", NUMBER),
        ("smtp_destination_concurrency_limit", "2s", NUMBER),
        ("scan_destination_concurrency_limit", "1.5", NUMBER),
        ("scan_destination_rate_delay", "1x", TIME),
        *((name, value, "") for name, value in {
            "biff": "No",
            "smtp_tls_note_starttls_offer": "$biff",
            "smtp_destination_concurrency_limit": "${stress?{1}:{20}}",
            "scan_destination_rate_delay": "1s",
            # Whose default is a number, and which take something else.
            "smtp_destination_concurrency_positive_feedback": "1/concurrency",
            "compatibility_level": "3.6",
            "lmtp_tcp_port": "lmtp",
            "postscreen_dnsbl_whitelist_threshold": "-1",
            "smtp_tls_loglevel": "summary",
            "smtputf8_enable": "whatever",
            "myorigin": "/etc/mailname",
            "circle": "x",
        }.items()),
    ],
)  # fmt: skip
def test_values_have_the_form_of_the_default(name: str, value: str, text: str) -> None:
    """A program that first runs when the change is live would end, and the mail stay where it is."""
    parameters = {**VECTORS["debian_12"]["parameters"], **DEFAULTS}
    settings = {"extra_settings": {name: value}}
    if text:
        assert problems(settings=settings, parameters=parameters) == [
            f'postfix_extra_settings["{name}"]: "{value}" {text}'
        ]
    else:
        assert plan(settings=settings, parameters=parameters).main[name] == value


@pytest.mark.parametrize("name", ["mailbox_size_limit", "virtual_mailbox_limit"])
def test_mailbox_limit_below_a_message_is_a_problem(name: str) -> None:
    assert problems(settings={"extra_settings": {name: 20480000}}) == [
        f'postfix_extra_settings["{name}"]: "20480000" is below postfix_message_size_limit (51200000), and Postfix '
        "would deliver nothing; write at least as much, or 0 for no limit"
    ]
    for value in (0, 60000001):
        settings = {"extra_settings": {name: value}, "message_size_limit": 60000000}
        assert plan(settings=settings).main[name] == str(value)


def test_services_have_the_chroot_of_the_others() -> None:
    assert {one.chroot for one in plan().services} == {"y"}
    assert {one.chroot for one in plan(chroot=False).services} == {"n"}


@pytest.mark.parametrize(
    "row",
    [("a b", "OK"), ("a\nb", "OK"), ("#a", "OK"), ("", "OK"), ("a", "x\ny"), ("a", " x"), ("a", ""), ("a", "\u00e9")],
)
def test_no_value_leaves_its_entry(row: tuple[str, str]) -> None:
    with pytest.raises(MapError):
        Maps().add("x", "texthash", [row])


VISIBLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=60)


@given(VISIBLE, VISIBLE)
def test_texts_add_no_entry(rejection: str, text: str) -> None:
    """Whatever the policy accepts as text stands at the end of one line of a table, and in no parameter."""
    lists = [{"zone": "one.bl.example", "return_codes": ["127.0.0.2"], "text": text}]
    try:
        found = plan({"relay_rejection": rejection, "dnsbls": lists, "domains": ["example.org"]})
    except PolicyError:
        return
    plain = plan({"dnsbls": [{**lists[0], "text": "x"}], "domains": ["example.org"]})
    assert found.main == plain.main
    assert found.services == plain.services
    assert found.maps["relay-rejection.regexp"].text == f"/^/ 550 5.7.1 {rejection}\n"
    reply = text.replace("{client}", "$client_address")
    assert found.maps["dnsbl-replies.txt"].text == "".join(
        f"one.bl.example{pattern} $rbl_code 5.7.1 {reply}\n" for pattern in ("", "=127.0.0.2")
    )


def test_main_cf_has_one_line_for_each_parameter() -> None:
    for name, value in plan().main.items():
        assert re.fullmatch(r"[a-z0-9_]+", name)
        assert value == value.strip()
        assert "\n" not in value
        assert "#" not in value


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("x", 'facts: "x" is not a dictionary; write parameters, map_types, sasl_types, chroot, site, postscreen, cleanup'),
        ({"map_types": []}, "facts.parameters: null is not accepted; write a dictionary from parameter to default, as postconf -d prints them"),
        ({"parameters": {}, "map_types": "cidr"}, 'facts.map_types: "cidr" is not accepted; write a list, as postconf -m prints it'),
        (
            {"parameters": {}, "map_types": [], "version": "3"},
            'facts: "version" is not a fact; write one of parameters, map_types, sasl_types, chroot, site, postscreen, cleanup',
        ),
        ({"parameters": {}, "map_types": [], "chroot": "y"}, 'facts.chroot: "y" is not accepted; write true or false'),
    ],
)  # fmt: skip
def test_wrong_facts_are_reported(data: Any, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read_facts(data)
    assert str(caught.value) == message
