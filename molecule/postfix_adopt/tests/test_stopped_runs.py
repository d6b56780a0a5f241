"""What stops a run before anything is changed, in exact words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mailhost_lab.runs.role_runs import pasted, result
from mailhost_lab.scenarios.postfix_adopt import MAIN, MASTER, Site, run

if TYPE_CHECKING:
    from collections.abc import Iterator

UNTOUCHED = "nothing was changed"
pytestmark = pytest.mark.any_release


@pytest.fixture(scope="module", autouse=True)
def installed(site: Site) -> None:
    """Have the site's configuration in force."""
    site.install()


@pytest.fixture
def put_back(site: Site) -> Iterator[None]:
    """Put the site's files back that a test has edited."""
    before = {path: site.postfix.read(path) for path in (MAIN, MASTER)}
    yield
    for path, text in before.items():
        site.write(path, text)


def stopped(site: Site, **variables: Any) -> str:
    """Run with these variables; what was said when nothing was changed."""
    before = site.look()
    done = run(**{"postfix_unknown_entries": "replace", **variables})
    assert done.rc != 0, done
    assert site.look() == before
    return done.message


@pytest.mark.usefixtures("put_back")
def test_smtpd_on_one_address_of_port_25_stops_the_run(site: Site) -> None:
    site.edit(MASTER, "smtp      inet", "198.51.100.12:smtp inet")
    assert stopped(site) == (
        "read: master.cf: 198.51.100.12:smtp inet listens at one address of port 25, which is to be smtp inet; remove "
        f"the address there, and set inet_interfaces in main.cf instead\n{UNTOUCHED}"
    )


@pytest.mark.usefixtures("put_back")
def test_main_cf_that_cannot_be_read_stops_the_run(site: Site) -> None:
    site.edit(MAIN, "biff = no", "biff no")
    number = site.postfix.read(MAIN).splitlines().index("biff no") + 1
    assert stopped(site) == (
        f"discover: postconf failed: postconf: fatal: {MAIN}, line {number}: missing '=' after attribute name: "
        f'"biff no"\n(exit status 1)\n{UNTOUCHED}'
    )


@pytest.mark.usefixtures("put_back")
def test_port_in_use_where_postfix_listens_by_a_name_stops_the_run(site: Site) -> None:
    site.edit(MAIN, "inet_interfaces = all", "inet_interfaces = $myhostname")
    other = ["--unit=lab-other", "--socket-property=ListenStream=0.0.0.0:587", "/bin/true"]
    site.postfix.run("systemd-run", "--quiet", *other)
    try:
        assert stopped(site) == (
            "ports: port 587 is in use, and not by a service of master.cf: Postfix would end where it cannot listen; "
            f"stop the other program, or write postfix_submission: false where it serves submission\n{UNTOUCHED}"
        )
    finally:
        site.postfix.run("systemctl", "stop", "lab-other.socket")


def test_missing_lookup_table_stops_the_run(site: Site) -> None:
    message = stopped(site, postfix_extra_restrictions={"recipient": ["check_recipient_access hash:/etc/postfix/no"]})
    assert message.startswith("canary: ")
    assert "/etc/postfix/no.db" in message
    assert message.endswith(UNTOUCHED)


def test_extra_restriction_unknown_to_postfix_stops_the_run(site: Site) -> None:
    restrictions = {"data": ["reject_multi_recipient_bounces"], "end_of_data": ["check_policy_servic inet:[::1]:9"]}
    for stage, where in (("data", "DATA"), ("end_of_data", "the end of DATA")):
        message = stopped(site, postfix_extra_restrictions={stage: restrictions[stage]})
        assert message.startswith("canary: message of external client ")
        assert f"deferred at {where} with '451 4.3.5 " in message
        assert f'unknown smtpd restriction: "{restrictions[stage][0].partition(" ")[0]}"' in message
        assert message.endswith(UNTOUCHED)


def test_missing_table_of_a_program_beside_the_canary_stops_the_run(site: Site) -> None:
    for kind, missing in (("regexp", "/etc/postfix/no"), ("hash", "/etc/postfix/no.db")):
        table = f"{kind}:/etc/postfix/no"
        message = stopped(site, postfix_extra_settings={"body_checks": table})
        database = "database " if kind == "hash" else ""
        assert message == (
            f'postfix_extra_settings["body_checks"]: "{table}" cannot be read: open {database}{missing}: '
            "No such file or directory; write a table that postmap -q can read"
        )


def test_missing_certificate_stops_the_run(site: Site) -> None:
    paths = {"postfix_tls_certificate": "/etc/postfix/main.cf", "postfix_tls_key": "/etc/ssl/private/no.key"}
    assert stopped(site, **paths) == (
        'postfix_tls_certificate: "/etc/postfix/main.cf" has no certificate in PEM form\n'
        'postfix_tls_key: "/etc/ssl/private/no.key" is no file on the host'
    )


@pytest.mark.usefixtures("put_back")
def test_top_level_domain_by_reference_stops_the_run(site: Site) -> None:
    """Only the real postconf knows what a reference is, mydomain of a short myhostname above all."""
    site.write(MAIN, f"{site.postfix.read(MAIN)}myhostname = mail.example\nrelay_domains = $mydomain\n")
    assert stopped(site) == (
        'postfix_domain_class: example is in relay_domains of main.cf ("$mydomain"): any client could relay to every '
        "domain below it; set relay_domains without it"
    )


@pytest.mark.usefixtures("put_back")
def test_old_compatibility_level_is_a_warning(site: Site) -> None:
    """Postfix tells of them in its log, each time with another number of a process."""
    text = site.postfix.read(MAIN)
    site.write(MAIN, "".join(line for line in text.splitlines(True) if not line.startswith("compatibility_level")))
    foreseen = run(check=True, postfix_unknown_entries="replace")
    assert foreseen.rc == 0, foreseen
    warnings = result(foreseen)["warnings"]
    assert "Postfix is using backwards-compatible default settings" in warnings
    assert any(one.startswith('relay_domains is "postfix.example, ') for one in warnings), warnings


def test_all_problems_of_the_settings_are_listed_at_once(site: Site) -> None:
    message = stopped(
        site,
        postfix_message_size_limit=-1,
        mailhost_internal_networks=["198.51.100.64/255.255.255.0.0"],
        mailhost_dnsbls=[{"zone": "good.dnsbl.example", "return_codes": ["127.255.255.254"]}],
    )
    starts = [line.partition(" ")[0] for line in message.splitlines()]
    assert starts == [
        "mailhost_internal_networks[0]:",
        "mailhost_dnsbls[0].return_codes[0]:",
        "postfix_message_size_limit:",
    ], message


def test_run_without_root_fails(site: Site) -> None:
    message = stopped(site, ansible_become=True, ansible_become_user="nobody")
    assert "root" in message


@pytest.mark.usefixtures("put_back")
def test_restriction_that_closes_port_25_stops_the_run(site: Site) -> None:
    site.edit(MAIN, "biff = no\n", "biff = no\nsmtpd_client_restrictions = permit_mynetworks, reject\n")
    found = pasted(stopped(site, postfix_unknown_entries="stop"))
    assert found["postfix_extra_restrictions"]["client"] == ["permit_mynetworks", "reject"]


@pytest.mark.usefixtures("put_back")
def test_login_port_that_uses_main_cf_stops_the_run_with_its_options(site: Site) -> None:
    service = "2525      inet  n       -       y       -       -       smtpd -o smtpd_sasl_auth_enable=yes\n"
    site.edit(MASTER, "pickup    unix", f"{service}pickup    unix")
    said = stopped(site, postfix_unknown_entries="stop")
    behind = said.partition("# for master.cf, below the line of 2525 inet, which works as before with them:\n")[2]
    names = [line.split()[1].partition("=")[0] for line in behind.splitlines() if line.startswith("  -o smtpd_")]
    assert {"smtpd_helo_restrictions", "smtpd_data_restrictions"} <= {*names}
