"""A port 25 that is for inside only, users that do not exist, and settings that make every session slow."""

from __future__ import annotations

import pytest

from mailhost_lab.runs.role_runs import result
from mailhost_lab.scenarios.postfix_effects import OUTWARD, POLICY, TO_ANN, Adoption, Site, mail

SITE = {
    "smtpd_client_restrictions": "sleep 1, permit_mynetworks, reject",
    "smtpd_reject_unlisted_sender": "yes",
    "smtpd_error_sleep_time": "10s",
    "smtpd_soft_error_limit": "1",
}
UNLISTED = mail("internal", "victim@remote.example", "nobody-there@mail.example")
BEFORE = ["554", "accepted", "550"]


@pytest.fixture(scope="module")
def adoption(site: Site) -> Adoption:
    """Return the adoption of the site."""
    site.install(SITE)
    assert site.codes(TO_ANN, mail("internal", "victim@remote.example", "ann@mail.example"), UNLISTED) == BEFORE
    adopted = Adoption(site, {**POLICY, "postfix_submission": False})
    adopted.stop()
    adopted.paste()
    adopted.finish()
    return adopted


def test_port_for_inside_only_stays_closed(site: Site, adoption: Adoption) -> None:
    """S1: what closes it is printed whole, and holds after the paste."""
    assert adoption.inventory["postfix_extra_restrictions"] == {"client": ["sleep 1", "permit_mynetworks", "reject"]}
    assert site.codes(TO_ANN) == ["554"]
    assert site.codes(mail("internal", "victim@remote.example", "ann@mail.example")) == ["accepted"]


def test_sessions_end_in_time_and_have_senders_that_exist(site: Site, adoption: Adoption) -> None:
    """S7: neither the sleeps nor the unlisted senders of the site stop a proof, and both stay in force."""
    done = result(adoption.done)
    assert done["evaluated"] > 40
    assert not [text for text in done.get("warnings", []) if "clear end" in text]
    assert site.codes(UNLISTED) == ["550"]
    assert OUTWARD.mail_from == "clerk@mail.example"
