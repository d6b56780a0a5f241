"""The server of an office: users of the system, aliases, devices inside, limits of its own."""

from __future__ import annotations

import pytest

from mailhost_lab.addresses import POSTFIX
from mailhost_lab.mail.dialogues import Dialogue
from mailhost_lab.mail.postfix import ANN
from mailhost_lab.runs.plays import POSTFIX as ROLE
from mailhost_lab.runs.plays import harden
from mailhost_lab.scenarios.postfix_effects import OUTWARD, POLICY, TO_ANN, Adoption, Site, login, mail

SITE = {
    "mynetworks": "127.0.0.0/8 [::1]/128 198.51.100.64/26 [2001:db8:200::]/64 [fe80::]/10",
    "smtpd_sender_restrictions": "permit_mynetworks, reject_sender_login_mismatch, reject_unknown_sender_domain",
    "message_size_limit": "104857600",
    "virtual_alias_domains": "old.mail.example",
    "virtual_alias_maps": "hash:/etc/postfix/virtual",
}
SERVICES = {
    "submission/inet": "submission inet n - y - - smtpd -o syslog_name=postfix/submission"
    " -o smtpd_tls_security_level=encrypt -o smtpd_sasl_auth_enable=yes"
    " -o smtpd_client_restrictions=permit_sasl_authenticated,reject -o smtpd_sender_restrictions=",
}
FILES = {"virtual": "# indexed\nann@old.mail.example ann@mail.example\n"}
MANY = tuple(f"user{number}@remote.example" for number in range(150))
MAILS = {
    "own": login(ANN[0]),
    "alias domain": login("ann@old.mail.example"),
    "alias": login("post@mail.example"),
    "inside": OUTWARD,
    "to the alias domain": mail("external", "ann@old.mail.example", "a@remote.example"),
    "sender domain that does not exist": mail("external", "ann@mail.example", "x@nothing.invalid"),
}
BEFORE = dict(zip(MAILS, ["accepted", "accepted", "accepted", "accepted", "accepted", "450"]))


@pytest.fixture(scope="module")
def adoption(site: Site) -> Adoption:
    """Return the adoption of the site."""
    site.install(SITE, SERVICES, FILES)
    assert dict(zip(MAILS, site.codes(*MAILS.values()))) == BEFORE
    adopted = Adoption(site, dict(POLICY))
    adopted.stop()
    adopted.paste()
    # It has no variable, and where no login is, Postfix never evaluated it.
    value = "permit_mynetworks, reject_unknown_sender_domain"
    site.postfix.run("postconf", "-e", f"smtpd_sender_restrictions={value}")
    site.postfix.run("touch", "--date=10 seconds ago", "/etc/postfix/main.cf")
    adopted.stop()
    adopted.inventory["postfix_message_size_limit"] = 104857600
    adopted.finish()
    return adopted


def test_check_of_the_sender_domain_is_asked_for_and_holds(site: Site, adoption: Adoption) -> None:
    """S2: the variable for it is printed, and what has none is named."""
    assert adoption.inventory["mailhost_sender_domain_check"] is True
    assert "smtpd_sender_restrictions: reject_sender_login_mismatch (" in adoption.stops[0]
    # The managed check rejects where Postfix defers by default.
    assert site.codes(MAILS["sender domain that does not exist"]) == ["550"]


def test_printed_networks_are_accepted(adoption: Adoption) -> None:
    """S8: links as well."""
    assert "fe80::/10" in adoption.inventory["mailhost_internal_networks"]


def test_lowered_limit_stops_the_run_with_the_variable_that_keeps_it(site: Site, adoption: Adoption) -> None:
    """S10: the size of a message."""
    assert "to keep it, set postfix_message_size_limit: 104857600" in adoption.stops[1]
    assert site.postfix.run("postconf", "-h", "message_size_limit").stdout.strip() == "104857600"


def test_internal_client_keeps_its_recipient_limit(site: Site, adoption: Adoption) -> None:
    """S10: a mailing list sends to many at once."""
    assert "smtpd_recipient_limit" not in str(adoption.done.effects)
    letter = Dialogue("internal", POSTFIX.address("internal", 4), mail_from="list@mail.example", rcpt_to=MANY)
    assert site.codes(letter) == ["accepted"]


def test_aliases_of_users_are_printed_and_stay_their_senders(site: Site, adoption: Adoption) -> None:
    """S11: of virtual aliases, and of the local ones."""
    logins = adoption.inventory["postfix_sender_logins"]
    assert logins["ann@old.mail.example"] == logins["post@mail.example"] == ["ann@mail.example"]
    senders = [MAILS[name] for name in ("own", "alias domain", "alias", "inside", "to the alias domain")]
    assert site.codes(*senders) == ["accepted"] * 5
    assert site.codes(login("bob@mail.example")) == ["553"]


def test_effect_of_the_first_run_is_listed_with_its_reason(adoption: Adoption) -> None:
    """S10, S11: what the policy asks for is no stop."""
    reasons = {one["subject"]: one["reason"] for one in adoption.done.effects}
    assert reasons["port 587, authenticated client, sender of somebody else"] == "postfix_submission, own senders only"
    assert reasons["port 25, external client, connections a minute"] == "postfix_connections_per_minute"


def test_later_change_of_the_inventory_lists_what_it_takes(site: Site, adoption: Adoption) -> None:
    """The same holds after the first activation."""
    done = harden(playbook=ROLE, check=True, **{**adoption.inventory, "mailhost_sender_domain_check": False})
    assert (done.rc, done.changed) == (0, True), done
    assert site.codes(TO_ANN) == ["accepted"]
