# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The canary's files: the staged decisions, another place, no other server queried, and no delivery."""

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._canary.files import (
    SMTP,
    SUBMISSION,
    SUBMISSIONS,
    Canary,
    Entrance,
    Place,
    canary_files,
    find_entrances,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.main_cf import MainCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.master_cf import MasterCf

PORTS = range(10001, 10011)
PLACE = Place("/run/c", "127.0.0.1", "/run/c/sasl")
MAIN = "mynetworks = 192.0.2.0/24\nqueue_directory = /var/spool/postfix\nsmtpd_sasl_path = private/auth\n"
PLAIN = "smtp inet n - y - - smtpd -o content_filter=scan\nqmgr unix n - n 300 1 qmgr\nsmtp unix - - y - - smtp\n"
FULL = """\
smtp inet n - y - 1 postscreen
smtpd pass - - y - - smtpd
  -o smtpd_banner=x
submission inet n - y - - smtpd
  -o { smtpd_tls_security_level = encrypt }
cleanup unix n - y - 0 cleanup
own-cleanup unix n - y - 0 cleanup -o header_checks=$x
pickup unix n - y 60 1 pickup
qmgr unix n - n 300 1 qmgr
relay unix - - y - - smtp
10.0.0.1:10025 inet n - n - - smtpd -o mynetworks=0.0.0.0/0
127.0.0.1:10026 inet n - n - - smtpd -o mynetworks=0.0.0.0/0
"""


def made(main: str = MAIN, master: str = FULL, *, submission: bool = True) -> Canary:
    return canary_files(MainCf(main), MasterCf(master), PLACE, PORTS, submission=submission)


def entrances(main: str, master: str) -> tuple[Entrance, ...]:
    return find_entrances(MainCf(main), MasterCf(master))


def test_canary_has_postscreen_submission_and_unmanaged_services() -> None:
    found = made()
    assert [(one.role, one.name, one.line, one.port, one.inner) for one in found.entrances] == [
        (SMTP, "smtp", 1, 10001, False),
        (SUBMISSION, "submission", 4, 10002, False),
        ("", "10.0.0.1:10025", 11, 10003, False),
        ("", "127.0.0.1:10026", 12, 10004, True),
    ]
    assert found.master.text.splitlines()[:7] == [
        "[127.0.0.1]:10001 inet n - n - 1 postscreen -o postscreen_upstream_proxy_protocol=haproxy",
        "[127.0.0.1]:10002 inet n - n - - smtpd -o { smtpd_tls_security_level = encrypt } "
        "-o smtpd_upstream_proxy_protocol=haproxy -o smtpd_authorized_xclient_hosts=static:all",
        "[127.0.0.1]:10003 inet n - n - - smtpd -o mynetworks=0.0.0.0/0 -o smtpd_upstream_proxy_protocol=haproxy",
        "[127.0.0.1]:10004 inet n - n - - smtpd -o mynetworks=0.0.0.0/0 -o smtpd_upstream_proxy_protocol=haproxy",
        "smtpd pass - - n - - smtpd -o smtpd_banner=x",
        "cleanup unix n - n - 0 cleanup",
        "own-cleanup unix n - n - 0 cleanup -o header_checks=$x",
    ]


def test_canary_without_postscreen_has_smtpd_at_port_25() -> None:
    found = made(master=PLAIN)
    assert [one.role for one in found.entrances] == [SMTP]
    assert found.master.text.startswith(
        "[127.0.0.1]:10001 inet n - n - - smtpd -o content_filter=scan -o smtpd_upstream_proxy_protocol=haproxy\n"
    )


@pytest.mark.parametrize(
    ("staged", "left"),
    [
        ("", "reject"),
        ("check_policy_servic inet:127.0.0.1:10031", "check_policy_servic inet:127.0.0.1:10031, reject"),
        ("check_policy_service inet:127.0.0.1:10031", "check_client_access,static:DUNNO, reject"),
    ],
)
def test_end_of_data_restrictions_are_tried_and_end_in_a_reject(staged: str, left: str) -> None:
    main = f"smtpd_end_of_data_restrictions = {staged}\n"
    found = made(main, "smtp inet n - y - - smtpd -o smtpd_end_of_data_restrictions=\n")
    assert found.main["smtpd_end_of_data_restrictions"] == left
    assert found.master.services[0].options["smtpd_end_of_data_restrictions"] == "reject"


def test_client_without_tls_is_tried_where_the_site_demands_tls() -> None:
    master = f"{PLAIN}submission inet n - y - - smtpd -o smtpd_tls_security_level=encrypt\n"
    found = made("smtpd_tls_security_level = encrypt\n", master)
    assert found.main["smtpd_tls_security_level"] == "may"
    assert found.master.services[1].options["smtpd_tls_security_level"] == "encrypt"


def test_bytes_beyond_ascii_stay() -> None:
    text = "voil\u00e0".encode().decode("latin-1")
    found = made(master=f"smtp inet n - y - - smtpd -o {{ smtpd_banner = {text} {text} }}\n")
    assert f"-o {{ smtpd_banner = {text} {text} }} -o " in found.master.text


def test_canary_has_no_milters() -> None:
    main = made("smtpd_milters = inet:h:1\nsmtpd_milter_maps = cidr:/m\nnon_smtpd_milters = inet:h:2\n").main
    assert [main[name] for name in ("smtpd_milters", "smtpd_milter_maps", "non_smtpd_milters")] == [""] * 3


def test_unmanaged_submission_has_no_xclient() -> None:
    assert "xclient" not in made(submission=False).master.text


def test_canary_delivers_nothing_and_listens_at_one_address() -> None:
    found = made()
    for service in found.master:
        assert service.columns[7] not in ("qmgr", "pickup", "smtp", "lmtp", "local", "virtual", "pipe", "error")
        assert service.type != "inet" or service.name.startswith("[127.0.0.1]:")
        assert service.columns[4] == "n"
    main = found.main
    assert main["mynetworks"] == "192.0.2.0/24"
    assert main["smtpd_end_of_data_restrictions"] == "reject"
    assert main["smtpd_sasl_path"] == "/run/c/sasl"
    for name in ("queue_directory", "data_directory", "maillog_file"):
        assert main[name].startswith("/run/c/")


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("25", SMTP),
        ("192.0.2.1:smtp", SMTP),
        ("[2001:db8::1]:25", SMTP),
        ("587", SUBMISSION),
        ("smtps", SUBMISSIONS),
        ("465", SUBMISSIONS),
        ("2525", ""),
    ],
)
def test_entrance_of_each_name_of_a_port_has_its_role(name: str, role: str) -> None:
    (found,) = entrances("", f"{name} inet n - y - - smtpd\n")
    assert (found.role, found.name) == (role, name)


@pytest.mark.parametrize("name", ["127.0.0.1:10025", "localhost:10025", "[::1]:10025", "127.0.0.2:smtp"])
def test_service_at_the_loopback_address_is_no_entrance(name: str) -> None:
    assert entrances("", f"{name} inet n - y - - smtpd\n") == ()


def test_host_without_interfaces_has_the_entrances_of_the_policy() -> None:
    master = "smtp inet n - y - - smtpd\n2525 inet n - y - - smtpd\n192.0.2.1:2526 inet n - y - - smtpd\n"
    found = entrances("inet_interfaces = loopback-only\n", master)
    assert [one.name for one in found] == ["smtp", "192.0.2.1:2526"]


def test_smtpd_by_another_path_is_an_entrance() -> None:
    (found,) = entrances("", "2525 inet n - y - - ./smtpd\n")
    assert found.command == "smtpd"


def test_second_entrance_to_a_port_is_unmanaged() -> None:
    found = entrances("", "192.0.2.1:smtp inet n - y - - smtpd\nsmtp inet n - y - 1 postscreen\n")
    assert [(one.name, one.role, one.line) for one in found] == [("smtp", SMTP, 2), ("192.0.2.1:smtp", "", 1)]


def test_entrance_with_wrapper_mode_is_wrapped() -> None:
    master = "465 inet n - y - - smtpd\n  -o smtpd_tls_wrappermode=yes\n2525 inet n - y - - smtpd\n"
    assert [one.wrapped for one in entrances("", master)] == [True, False]
    assert [one.wrapped for one in entrances("smtpd_tls_wrappermode = yes\n", master)] == [
        True,
        True,
    ]


def test_options_in_all_spellings_are_read() -> None:
    text = "-o a=1 -o { b = 2, 3 } -o {c=4 5} -od=6 -v -o a=7 -o e= -o f=${x} -o { g = pcre:{{/a/ IGNORE}} }"
    braces = {"f": "${x}", "g": "pcre:{{/a/ IGNORE}}"}
    assert MasterCf(f"smtp inet n - y - - smtpd {text}\n").services[0].options == {
        "a": "7",
        "b": "2, 3",
        "c": "4 5",
        "d": "6",
        "e": "",
        **braces,
    }


def test_options_of_a_service_are_overridden_by_the_canary() -> None:
    found = made(
        master="submission inet n - y - - smtpd -o smtpd_milters=inet:127.0.0.1:8891 -o message_size_limit=1\n"
    )
    (service,) = [one for one in found.master if one.command == "smtpd"]
    assert service.options == {
        "smtpd_milters": "",
        "message_size_limit": "102400",
        "smtpd_upstream_proxy_protocol": "haproxy",
        "smtpd_authorized_xclient_hosts": "static:all",
    }


QUIET = "check_client_access,static:DUNNO"


@pytest.mark.parametrize(
    ("written", "left"),
    [
        (
            "permit_mynetworks, reject_rbl_client zen.example.org=127.0.0.[2..11;20], reject",
            f"permit_mynetworks, {QUIET}, reject",
        ),
        ("reject_rhsbl_sender,dbl.example", QUIET),
        ("check_policy_service { unix:private/x, timeout=10s, default_action=DUNNO } permit", f"{QUIET} permit"),
        ("check_policy_service inet:127.0.0.1:10023", QUIET),
        ("reject_unknown_sender_domain", QUIET),
        ("warn_if_reject reject_unknown_client_hostname", f"warn_if_reject {QUIET}"),
        ("check_sender_mx_access hash:/etc/x, permit_mx_backup", f"{QUIET}, {QUIET}"),
        ("reject_unverified_recipient", QUIET),
        ("reject_unauth_destination", "reject_unauth_destination"),
        ("check_client_access hash:/etc/reject_unknown_client", "check_client_access hash:/etc/reject_unknown_client"),
        ("reject_non_fqdn_sender", "reject_non_fqdn_sender"),
    ],
)
def test_restrictions_that_query_other_servers_are_silenced(written: str, left: str) -> None:
    found = made(f"smtpd_recipient_restrictions = {written}\n")
    assert found.main["smtpd_recipient_restrictions"] == left
    assert bool(found.silenced) == (written != left)
    (line,) = made(
        "", f"2525 inet n - y - - smtpd -o {{ smtpd_recipient_restrictions = {written} }}\n"
    ).master.text.splitlines()[:1]
    assert f"-o {{ smtpd_recipient_restrictions = {left} }}" in line


def test_silenced_restrictions_are_named() -> None:
    assert made("a = reject_rbl_client x.example, reject_unknown_sender_domain\n").silenced == (
        "reject_rbl_client",
        "reject_unknown_sender_domain",
    )


@pytest.mark.parametrize("written", ["sleep 1", "sleep 10, permit", "sleep,2"])
def test_sleeps_among_restrictions_are_left_out(written: str) -> None:
    found = made(f"smtpd_client_restrictions = permit_mynetworks, {written}\n")
    assert "sleep" not in found.main["smtpd_client_restrictions"]
    assert found.silenced == ()


def test_table_with_sleep_in_its_name_stays() -> None:
    value = "check_client_access hash:/etc/postfix/sleep, check_sender_access inline:{a=sleep}"
    assert made(f"smtpd_client_restrictions = {value}\n").main["smtpd_client_restrictions"] == value


def test_senders_of_the_sessions_exist() -> None:
    place = PLACE._replace(existing={"a@b.example": "a"})
    found = canary_files(MainCf(MAIN), MasterCf(FULL), place, PORTS, submission=True)
    assert found.main["virtual_alias_maps"] == "$virtual_maps, inline:{ { a@b.example = a@b.example } }"
    place = PLACE._replace(existing={"a@b.example": "a", "c@b.example": "c"})
    with_own = canary_files(MainCf("virtual_alias_maps = hash:/etc/v\n"), MasterCf(FULL), place, PORTS, submission=True)
    assert with_own.main["virtual_alias_maps"] == (
        "hash:/etc/v, inline:{ { a@b.example = a@b.example }, { c@b.example = c@b.example } }"
    )


def test_service_with_auth_has_a_port_for_sessions_that_have_logged_in() -> None:
    found = made(f"{MAIN}smtpd_sasl_auth_enable = yes\n", submission=False)
    assert [(one.name, one.port, one.login_port) for one in found.entrances] == [
        ("smtp", 10001, 10010),
        ("submission", 10002, 10009),
        ("10.0.0.1:10025", 10003, 10008),
        ("127.0.0.1:10026", 10004, 10007),
    ]
    lines = {line.split()[0]: line for line in found.master.text.splitlines()}
    # Behind postscreen it is the smtpd to which that hands over.
    assert lines["[127.0.0.1]:10010"].startswith("[127.0.0.1]:10010 inet n - n - - smtpd -o smtpd_banner=x")
    assert "smtpd_authorized_xclient_hosts" not in lines["[127.0.0.1]:10002"]
    assert lines["[127.0.0.1]:10009"].endswith("-o smtpd_authorized_xclient_hosts=static:all")


def test_key_is_where_a_service_listens() -> None:
    found = entrances("", "smtps inet n - y - - smtpd\n10.0.0.1:587 inet n - y - - smtpd\n2525 inet n - y - - smtpd\n")
    assert {one.name: one.key for one in found} == {
        "smtps": ("", "465"),
        "10.0.0.1:587": ("10.0.0.1", "587"),
        "2525": ("", "2525"),
    }


@pytest.mark.parametrize(
    ("value", "left"),
    [
        ("", ""),
        ("hash:/etc/postfix/senders", "hash:/etc/postfix/senders, inline:{ { a@b.example = a } }"),
        ("regexp:${config_directory}/mailhost/sender-logins.regexp",) * 2,
    ],
)
def test_unmanaged_table_of_owners_knows_the_senders(value: str, left: str) -> None:
    place = PLACE._replace(existing={"a@b.example": "a"})
    found = canary_files(MainCf(f"smtpd_sender_login_maps = {value}\n"), MasterCf(FULL), place, PORTS, submission=True)
    assert found.main["smtpd_sender_login_maps"] == left
