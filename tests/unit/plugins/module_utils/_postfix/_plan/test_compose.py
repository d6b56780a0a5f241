# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan in files of a site: what is the site's stays, and absent gives every byte back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.facts import read_facts
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.lines import FileError
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.live import (
    has_postscreen,
    site_settings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.main_cf import MainCf
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.master_cf import (
    MasterCf,
    MasterService,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.record import (
    NOTHING,
    Record,
    RecordError,
    dump_record,
    load_record,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.compose import (
    NO_PLAN,
    Composed,
    compose,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import (
    Plan,
    compile_plan,
    read_wanted,
)

VECTORS = json.loads((Path(__file__).parents[4] / "vectors" / "postfix.json").read_text())
POLICY = {
    "domains": ["mail.example"],
    "internal_networks": ["198.51.100.64/26"],
    "dnsbls": [{"zone": "bl.example", "stage": "mail", "return_codes": ["127.0.0.2"]}],
}
MAIN = """\
# the site's own
smtpd_banner=$myhostname ESMTP $mail_name (Debian)
biff = no
mynetworks = 127.0.0.0/8 [::ffff:127.0.0.0]/104
# a comment within
   [::1]/128
smtpd_tls_cert_file=/etc/ssl/mail.pem
smtpd_tls_key_file=/etc/ssl/mail.key
alias_maps = hash:/etc/aliases
smtpd_relay_restrictions = permit_mynetworks permit_sasl_authenticated defer_unauth_destination
"""
MASTER = """\
# service type
smtp      inet  n       -       y       -       50       smtpd
  -o content_filter=smtp-amavis:[127.0.0.1]:10024
# -o smtpd_proxy_filter=127.0.0.1:10026

  -o smtpd_helo_required=no
  -o { smtpd_milters = inet:127.0.0.1:8891, inet:127.0.0.1:8892 }
  -v
smtps     inet  n       -       y       -       -       smtpd
  -o smtpd_tls_wrappermode=yes
  -o receive_override_options=no_address_mappings
pickup    unix  n       -       y       60      1       pickup
127.0.0.1:10025 inet n  -       n       -       -       smtpd
  -o smtpd_relay_restrictions=permit_mynetworks,reject
"""


def facts(site: dict[str, str], release: str = "debian_12") -> Any:
    return read_facts({**VECTORS[release], "site": site, "chroot": True})


def plan(site: dict[str, str], **changes: Any) -> Plan:
    settings = changes.pop("settings", {})
    policy, read = read_wanted({**POLICY, **changes}, settings)
    return compile_plan(policy, read, facts(site))


def adopt(
    main: str | MainCf = MAIN, master: str | MasterCf = MASTER, record: Record = NOTHING, **changes: Any
) -> Composed:
    live = main if isinstance(main, MainCf) else MainCf(main)
    services = master if isinstance(master, MasterCf) else MasterCf(master)
    return compose(live, services, plan(site_settings(live, record), **changes), record)


def test_the_second_run_changes_nothing() -> None:
    first = adopt()
    second = adopt(first.main, first.master, first.record)
    assert second == first


def test_removal_restores_every_byte() -> None:
    first = adopt()
    again = adopt(first.main, first.master, first.record, blocked_networks=["203.0.113.0/24"])
    left = compose(again.main, again.master, NO_PLAN, again.record)
    assert left.master.text == MASTER
    assert left.main.text == MAIN
    assert left.record.empty
    assert not left.maps


@pytest.mark.parametrize("gone", ["# a comment within\n", "# -o smtpd_proxy_filter=127.0.0.1:10026\n"])
def test_removed_comments_are_not_restored(gone: str) -> None:
    first = adopt()
    left = compose(
        MainCf(first.main.text.replace(gone, "")), MasterCf(first.master.text.replace(gone, "")), NO_PLAN, first.record
    )
    wanted = MAIN.replace(gone, ""), MASTER.replace(gone, "")
    assert (dict(left.main), left.master.services) == (dict(MainCf(MAIN)), MasterCf(MASTER).services)
    assert [sorted(file.text.splitlines()) for file in left[:2]] == [sorted(text.splitlines()) for text in wanted]


def test_unmanaged_lines_stay() -> None:
    first = adopt()
    before, after = MainCf(MAIN).lines, first.main.lines
    for name in ("biff", "alias_maps", "smtpd_tls_cert_file", "smtpd_tls_key_file"):
        assert after[name] == before[name]
    places = MasterCf(MASTER).lines
    for place in (("pickup", "unix"), ("127.0.0.1:10025", "inet")):
        assert first.master.lines[place] == places[place]


def test_unmanaged_options_stay_but_for_those_of_the_policy() -> None:
    first = adopt()
    (smtp,) = [one for one in first.master if one.name == "smtp"]
    assert smtp.columns[6:] == ("50", "smtpd")
    assert [words for _name, words in smtp.option_words] == [
        "-o content_filter=smtp-amavis:[127.0.0.1]:10024",
        "-o { smtpd_milters = inet:127.0.0.1:8891, inet:127.0.0.1:8892 }",
        "-v",
    ]
    assert first.warnings == ("master.cf: smtp inet: -o smtpd_helo_required=no is decided by the policy, and left out",)


@pytest.mark.parametrize("blocked", [[], ["203.0.113.0/24"]])
def test_a_command_with_a_path_is_the_same_program(blocked: list[str]) -> None:
    written = "-       50       smtpd\n"
    path = "-       50       /usr/lib/postfix/sbin/smtpd\n"
    assert MASTER.count(written) == 1
    plain, found = (adopt(master=text, blocked_networks=blocked) for text in (MASTER, MASTER.replace(written, path)))
    assert (found.master, found.warnings) == (plain.master, plain.warnings)
    assert "content_filter=smtp-amavis:[127.0.0.1]:10024" in found.master.text


@pytest.mark.parametrize("blocked", [[], ["203.0.113.0/24"]])
def test_options_of_another_program_are_left_out_with_a_warning(blocked: list[str]) -> None:
    master = "smtp inet n - y - - /opt/smtp-gate -o content_filter=scan -v\n"
    found = adopt(master=master, blocked_networks=blocked)
    assert [one for one in found.warnings if "smtp inet" in one] == [
        "master.cf: smtp inet: -o content_filter=scan is an option of /opt/smtp-gate, and left out",
        "master.cf: smtp inet: -v is an option of /opt/smtp-gate, and left out",
    ]


@pytest.mark.parametrize("letters", ["voil\u00e0", "\u2026", "\u0085", "\u00a0"])
def test_bytes_beyond_ascii_are_no_blanks(letters: str) -> None:
    """Some are blanks where they are read as Latin-1, and the options of a service are written anew."""
    text = letters.encode().decode("latin-1")
    master = MASTER.replace("  -v\n", f"  -o {{ smtpd_client_message = {text} {text}x }}\n")
    main = MAIN + f"mail_name = {text} x{text}\nmyorigin{text} = x\n"
    first = adopt(main, master)
    assert f"  -o {{ smtpd_client_message = {text} {text}x }}\n" in first.master.text
    assert first.main["mail_name"] == f"{text} x{text}"
    assert f"mail_name = {text} x{text}\n" in first.main.text
    assert adopt(first.main, first.master, first.record) == first
    left = compose(first.main, first.master, NO_PLAN, first.record)
    assert (left.main.text, left.master.text) == (main, master)


def test_smtpd_after_postscreen_gets_the_unmanaged_options() -> None:
    first = adopt(blocked_networks=["203.0.113.0/24"])
    services = {(one.name, one.type): one for one in first.master}
    assert services["smtp", "inet"].columns[7] == "postscreen"
    assert services["smtp", "inet"].arguments == ()
    assert services["smtpd", "pass"].columns[6] == "50"
    assert "content_filter=smtp-amavis:[127.0.0.1]:10024" in services["smtpd", "pass"].arguments
    back = adopt(first.main, first.master, first.record)
    assert back.master == adopt().master


PROXY = "smtpd_upstream_proxy_protocol"


@pytest.mark.parametrize(
    ("main", "options", "expected"),
    [
        ("", "", []),
        ("", f"-o {PROXY}=haproxy", ["postscreen_upstream_proxy_protocol=haproxy"]),
        ("", f"-o {{ {PROXY} = haproxy }}", ["postscreen_upstream_proxy_protocol=haproxy"]),
        (
            "",
            f"-o {{ {PROXY} = ${{x?haproxy : }} }}",
            ["{", "postscreen_upstream_proxy_protocol=${x?haproxy", ":", "}", "}"],
        ),
        (f"{PROXY} = haproxy\n", "", ["postscreen_upstream_proxy_protocol=haproxy"]),
        (f"{PROXY} = haproxy\n", f"-o {PROXY}=", []),
        (f"{PROXY} = haproxy\npostscreen_upstream_proxy_protocol = haproxy\n", "", []),
        ("postscreen_upstream_proxy_protocol = haproxy\n", "", ["postscreen_upstream_proxy_protocol="]),
        ("postscreen_upstream_proxy_protocol = haproxy\n", f"-o {PROXY}=haproxy", []),
    ],
)
@pytest.mark.parametrize("name", ["smtp", "25"])
def test_postscreen_takes_the_clients_address_from_where_smtpd_did(
    name: str, main: str, options: str, expected: list[str]
) -> None:
    master = f"{name} inet n - y - - smtpd {options} -o content_filter=x\n"
    main = f"{main}smtpd_tls_cert_file=/etc/ssl/mail.pem\n"
    first = adopt(main, master, blocked_networks=["203.0.113.0/24"])
    services = {(one.name, one.type): one for one in first.master}
    assert [word for word in services["smtp", "inet"].arguments if word != "-o"] == expected
    # Nothing reads it behind postscreen.
    assert services["smtpd", "pass"].arguments == ("-o", "content_filter=x")
    assert adopt(first.main, first.master, first.record, blocked_networks=["203.0.113.0/24"]) == first
    assert compose(first.main, first.master, NO_PLAN, first.record)[:2] == (MainCf(main), MasterCf(master))


def test_the_inventory_decides_how_postscreen_learns_of_the_client() -> None:
    wanted = plan({"smtpd_tls_cert_file": "x"}, blocked_networks=["203.0.113.0/24"])
    wanted.main["postscreen_upstream_proxy_protocol"] = ""
    found = compose(MainCf(f"{PROXY} = haproxy\n"), MasterCf("smtp inet n - y - - smtpd\n"), wanted, NOTHING)
    assert next(one for one in found.master if one.name == "smtp").arguments == ()


def test_managed_cleanup_works_like_the_unmanaged_one() -> None:
    """What runs in the jail does not reach the sockets of tables outside."""
    site = (
        "cleanup unix n - n - 7 cleanup -v\n"
        "  -o header_checks=pcre:/hc -o mime_header_checks=\n"
        "  -o { recipient_bcc_maps = socketmap:unix:/run/bcc.sock:bcc }\n"
        "  -o message_size_limit=7\n"
    )
    first = adopt(master=f"smtp inet n - y - - smtpd\n{site}")
    (managed,) = [one for one in first.master if one.name == "mailhost-cleanup"]
    assert managed.columns[2:] == ("n", "-", "n", "-", "0", "cleanup")
    assert [words for _name, words in managed.option_words] == [
        "-o header_checks=$mailhost_submission_header_checks",
        "-o nested_header_checks=$mailhost_submission_nested_header_checks",
        "-o mime_header_checks=$mailhost_submission_mime_header_checks",
        "-v",
        "-o { recipient_bcc_maps = socketmap:unix:/run/bcc.sock:bcc }",
    ]
    assert first.warnings == (
        "master.cf: mailhost-cleanup unix: -o message_size_limit=7 is decided by the policy, and left out",
    )
    assert site in first.master.text
    assert adopt(first.main, first.master, first.record) == first
    without = adopt(first.main, first.master.text.replace(site, ""), first.record)
    (managed,) = [one for one in without.master if one.name == "mailhost-cleanup"]
    assert (managed.columns[4], len(managed.option_words)) == ("y", 3)


def test_unmanaged_postscreen_stays() -> None:
    policy, read = read_wanted(POLICY, {})
    found = compile_plan(policy, read, facts(dict(MainCf(MAIN)))._replace(postscreen=True))
    assert [one.command for one in found.services if one.name == "smtp"] == ["postscreen"]


def test_managed_postscreen_is_not_the_unmanaged_one() -> None:
    first = adopt(blocked_networks=["203.0.113.0/24"])
    assert not has_postscreen(first.master, first.record)
    site = MASTER.replace("smtpd\n  -o content", "postscreen\n  -o content", 1)
    assert has_postscreen(MasterCf(site), NOTHING)
    second = adopt(master=site)
    assert has_postscreen(second.master, second.record)


def test_alias_of_a_port_is_that_port() -> None:
    composed = adopt(master="mail inet n - y - - smtpd\n")
    assert next(one.name for one in composed.master if one.type == "inet") == "smtp"
    assert "mail inet" not in composed.master.text


def test_service_of_the_same_port_gives_its_place() -> None:
    first = adopt()
    names = [one.name for one in first.master]
    assert names.index("submissions") == 1
    assert "smtps" not in names
    (service,) = [one for one in first.master if one.name == "submissions"]
    assert "receive_override_options=no_address_mappings" in service.arguments


def test_value_with_braces_is_one_option() -> None:
    words = "-o { smtpd_client_restrictions = check_policy_service { inet:[::1]:10023 } } -o content_filter="
    assert [name for name, _words in MasterCf(f"smtp inet n - y - - smtpd {words}\n").services[0].option_words] == [
        "smtpd_client_restrictions",
        "content_filter",
    ]


def test_unmanaged_option_with_the_managed_value_is_no_warning() -> None:
    smtps = "smtps inet n - y - - smtpd -o { milter_macro_daemon_name = ORIGINATING } -o smtpd_sasl_auth_enable=yes\n"
    assert adopt(master=f"smtp inet n - y - - smtpd\n{smtps}").warnings == ()


def test_service_at_one_address_of_a_port_is_an_error() -> None:
    with pytest.raises(FileError, match=r"198\.51\.100\.12:smtp inet listens at one address of port 25"):
        adopt(master="198.51.100.12:smtp inet n - y - - smtpd\n")


def test_edited_parameter_is_set_again_and_stays_at_removal() -> None:
    first = adopt()
    changed = first.main.text.replace("disable_vrfy_command = yes", "disable_vrfy_command = no")
    assert changed != first.main.text
    assert adopt(changed, first.master, first.record).main == first.main
    left = compose(MainCf(changed), first.master, NO_PLAN, first.record)
    assert left.main["disable_vrfy_command"] == "no"


@pytest.mark.parametrize(
    ("line", "edited"),
    [
        ("  -o smtpd_sasl_auth_enable=yes\n", "  -o smtpd_sasl_auth_enable=yes\n  -o smtpd_tls_ask_ccert=yes\n"),
        (" postscreen\n", " postscreen -v\n"),
    ],
)
def test_edited_service_that_uses_removed_objects_is_an_error(line: str, edited: str) -> None:
    """Else submission has no restrictions, or postscreen has no smtpd to hand clients to."""
    first = adopt(blocked_networks=["203.0.113.1"])
    assert line in first.master.text
    with pytest.raises(FileError, match="was edited, and uses managed objects that are being removed"):
        compose(first.main, MasterCf(first.master.text.replace(line, edited, 1)), NO_PLAN, first.record)


def test_setting_dropped_from_the_inventory_is_restored() -> None:
    first = adopt(settings={"extra_settings": {"biff": "yes", "mailbox_size_limit": "99999999"}})
    assert first.main["biff"] == "yes"
    second = adopt(first.main, first.master, first.record)
    assert second.main.lines["biff"] == "biff = no\n"
    assert "mailbox_size_limit" not in second.main
    assert "mailbox_size_limit" not in second.record.main


def test_site_settings_are_without_managed_ones() -> None:
    first = adopt()
    assert site_settings(first.main, first.record) == dict(MainCf(MAIN))


def test_record_is_read_as_written() -> None:
    record = adopt().record
    assert load_record(dump_record(record)) == record
    for text in (b"{}", b"[]", b'{"version": 9}', b"\xff"):
        with pytest.raises(RecordError):
            load_record(text)


VALUES = st.sampled_from(
    ["", "no", "permit_mynetworks, reject", "$myhostname", "a\n  b", "a\n# c\n\n  b", "hash:/etc/postfix/x"]
)
NAMES = st.sampled_from(["biff", "mynetworks", "smtpd_banner", "smtpd_helo_restrictions", "relay_domains", "x_y"])


@given(st.lists(st.tuples(NAMES, VALUES, st.sampled_from(["", "# note\n", "\n"])), unique_by=lambda one: one[0]))
def test_any_main_cf_is_restored(settings: list[tuple[str, str, str]]) -> None:
    main = "".join(f"{note}{name} = {value}\n" for name, value, note in settings)
    first = compose(MainCf(main), MasterCf(MASTER), plan({}, settings={"submission": False}), NOTHING)
    left = compose(first.main, first.master, NO_PLAN, first.record)
    assert (left.main.text, left.master.text) == (main, MASTER)


def service(found: Composed, name: str) -> MasterService:
    return next(one for one in found.master if one.name == name)


TLS = {"tls_certificate": "/etc/ssl/m.pem", "tls_key": "/etc/ssl/m.key"}


@pytest.mark.parametrize(("column", "other"), [("-", "y"), ("n", "y"), ("y", "n")])
def test_replaced_service_keeps_its_chroot(column: str, other: str) -> None:
    master = f"smtp inet n - {other} - - smtpd\nsubmission inet n - {column} - - smtpd\n"
    found = adopt(master=master, settings=TLS)
    assert (service(found, "smtp").columns[4], service(found, "submission").columns[4]) == (other, column)
    again = adopt(found.main, found.master, found.record, settings=TLS)
    assert again == found


@pytest.mark.parametrize(
    "option", ["smtpd_proxy_filter=127.0.0.1:10026", "content_filter=scan", "smtpd_milters=unix:/run/sign"]
)
@pytest.mark.parametrize(("there", "new"), [("submission", "submissions"), ("submissions", "submission")])
def test_new_way_to_submit_has_the_filters_of_the_one_that_is_there(there: str, new: str, option: str) -> None:
    master = (
        f"smtp inet n - y - - smtpd\n{there} inet n - n - - smtpd\n  -o syslog_name=x\n  -o {option}\n"
        "  -o smtpd_client_restrictions=permit_sasl_authenticated,reject\n"
    )
    found = adopt(master=master, settings=TLS)
    for name in (there, new):
        name_of_option, _equals, value = option.partition("=")
        assert service(found, name).options[name_of_option] == value
        assert service(found, name).options["syslog_name"] == f"postfix/{name}"
        assert service(found, name).columns[4] == "n"
    assert not [one for one in found.warnings if new in one.split(":")[1].split()]
    assert adopt(found.main, found.master, found.record, settings=TLS) == found
