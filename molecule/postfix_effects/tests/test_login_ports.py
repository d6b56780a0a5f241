"""A site whose users authenticate at 587 and at a port of its own: everything they had, and every check, stays."""

from __future__ import annotations

from typing import Any

import pytest

from mailhost_lab.mail.postfix import ANN
from mailhost_lab.runs.role_runs import result
from mailhost_lab.scenarios.postfix_effects import MILTER, POLICY, Adoption, Site, login
from mailhost_lab.waiting import until

OWNERS = "inline:{ {ann@mail.example = ann@mail.example}, {bob@mail.example = bob@mail.example} }"
LISTED = "check_recipient_access inline:{ {closed@remote.example = REJECT not from here} }"
SITE = {
    "smtpd_sender_login_maps": OWNERS,
    "smtpd_sender_restrictions": "reject_sender_login_mismatch",
    "mua_client_restrictions": "permit_sasl_authenticated, reject",
}
SERVICES = {
    # Outside of the chroot, as the milter's socket is; port 25 is inside.
    "submission/inet": "submission inet n - n - - smtpd -o syslog_name=postfix/submission"
    " -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes"
    " -o smtpd_client_restrictions=$mua_client_restrictions"
    f" -o {{ smtpd_recipient_restrictions = {LISTED}, permit_sasl_authenticated, reject }}"
    f" -o smtpd_milters=unix:{MILTER} -o content_filter=discard:filtered",
    "2525/inet": "2525 inet n - y - - smtpd -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes",
}
OWN: dict[str, Any] = {"dport": 2525}
MAILS = {
    "587": login(ANN[0]),
    "587, to a closed address": login(ANN[0], "closed@remote.example"),
    "587, sender of bob": login("bob@mail.example"),
    "2525": login(ANN[0], **OWN),
    "2525, sender of bob": login("bob@mail.example", **OWN),
    "2525, bare HELO": login(ANN[0], helo="pc", **OWN),
}
BEFORE = dict(zip(MAILS, ["accepted", "554", "553", "accepted", "553", "accepted"]))


@pytest.fixture(scope="module")
def adoption(site: Site) -> Adoption:
    """Return the adoption of the site: one stop, whose entries are pasted, and two runs."""
    site.start_milter()
    site.install(SITE, SERVICES)
    assert dict(zip(MAILS, site.codes(*MAILS.values()))) == BEFORE
    adopted = Adoption(site, dict(POLICY))
    message = adopted.stop()
    adopted.paste()
    head = "# for master.cf, below the line of 2525 inet, which works as before with them:\n"
    site.add_options("2525", message.partition(head)[2].removesuffix("nothing was changed").splitlines())
    # It has no variable: 587 does it by itself, and 2525 has it as an option now.
    site.postfix.run("postconf", "-X", "smtpd_sender_restrictions")
    site.postfix.run("touch", "--date=10 seconds ago", "/etc/postfix/main.cf")
    adopted.finish()
    return adopted


def test_own_login_port_works_as_before(site: Site, adoption: Adoption) -> None:
    """S3: it lived on restrictions of main.cf, which are managed now."""
    assert "  -o smtpd_sender_restrictions=reject_sender_login_mismatch" in adoption.stops[0].splitlines()
    assert dict(zip(MAILS, site.codes(*MAILS.values()))) == BEFORE


def test_own_login_port_without_the_options_stops_the_run(adoption: Adoption) -> None:
    """S3: what would be lost there has been named before anything was live."""
    assert "# for master.cf, below the line of 2525 inet" in adoption.stops[0]
    assert "smtpd_sender_restrictions: reject_sender_login_mismatch (holds for" in adoption.stops[0]


def test_replaced_service_stays_outside_of_the_chroot_where_its_milter_is(site: Site, adoption: Adoption) -> None:
    """S4: mail through the milter is taken."""
    assert "/etc/postfix/master.cf" in result(adoption.done)["files"]
    lines = site.postfix.run("postconf", "-M", "submission/inet", "smtp/inet").stdout.splitlines()
    assert {line.split()[0]: line.split()[4] for line in lines} == {"submission": "n", "smtp": "y"}
    assert site.postfix.run("postconf", "-Ph", "submission/inet/smtpd_milters").stdout.strip() == f"unix:{MILTER}"
    assert site.codes(login(ANN[0], message="Subject: milter\r\n\r\nx\r\n")) == ["accepted"]


def test_new_port_of_submission_has_the_content_filter_of_the_other(site: Site, adoption: Adoption) -> None:
    """S5: mail of 465 goes where mail of 587 goes."""
    (opened,) = (one for one in adoption.done.effects if one["subject"] == "port 465, authenticated client")
    assert opened["before"] == "was without a service"
    site.postfix.clear()
    sent = login(ANN[0], "bob@mail.example", dport=465, starttls=False, tls=True, message="Subject: x\r\n\r\nx\r\n")
    assert site.codes(sent) == ["accepted"]

    def filtered() -> bool:
        return any("to=<bob@mail.example>" in line and "(filtered)" in line for line in site.postfix.log())

    until("the filter has it", filtered)
    assert site.postfix.mailbox("bob") == []


def test_parameter_that_only_a_replaced_option_named_is_a_warning(adoption: Adoption) -> None:
    """S6: Debian's commented lines of submission have such parameters."""
    assert any(
        text.startswith("main.cf: mua_client_restrictions is not used any more")
        for text in result(adoption.done)["warnings"]
    )


def test_check_of_users_is_asked_for_and_holds(site: Site, adoption: Adoption) -> None:
    """S13: postfix_submission_restrictions."""
    assert adoption.inventory["postfix_submission_restrictions"] == [LISTED]
    again = login(ANN[0], "closed@remote.example", dport=465, starttls=False, tls=True)
    assert site.codes(MAILS["587, to a closed address"], again) == ["554", "554"]


def test_table_of_owners_of_the_site_is_used(site: Site, adoption: Adoption) -> None:
    """S12: postfix_sender_login_maps, of a type that the installed Postfix has."""
    assert adoption.inventory["postfix_sender_login_maps"] == [OWNERS]
    assert site.codes(MAILS["587"], MAILS["587, sender of bob"]) == ["accepted", "553"]
