"""A site whose postscreen has DNSBLs and a table of clients: clients that it rejects or exempts stay so."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mailhost_lab.packets import endpoints
from mailhost_lab.runs.role_runs import result
from mailhost_lab.scenarios.postfix_effects import POLICY, TO_ANN, Adoption, Site

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mailhost_lab.packets.probes import Lab

REJECTED, EXEMPT, NEIGHBOUR = "198.51.100.17", "198.51.100.18", "198.51.100.19"
"""Clients that the table names, and another of the network that it rejects."""

TABLE = "cidr:/etc/postfix/screen.cidr"
SITE = {
    "postscreen_access_list": f"permit_mynetworks, {TABLE}",
    "postscreen_denylist_action": "drop",
    "postscreen_dnsbl_sites": "plain.dnsbl.example*2",
    "postscreen_dnsbl_threshold": "2",
    "postscreen_dnsbl_action": "enforce",
    "postscreen_greet_wait": "1s",
}
SERVICES = {
    "smtp/inet": "smtp inet n - y - 1 postscreen",
    "smtpd/pass": "smtpd pass - - y - - smtpd",
    "dnsblog/unix": "dnsblog unix - - y - 0 dnsblog",
    "tlsproxy/unix": "tlsproxy unix - - y - 0 tlsproxy",
}
FILES = {"screen.cidr": f"# partners\n{EXEMPT} permit\n198.51.100.16/30 reject\n"}
MAILS = {
    "client that a DNSBL lists": TO_ANN,
    **{
        name: replace(TO_ANN, source=source)
        for name, source in (("rejected", REJECTED), ("exempt", EXEMPT), ("neighbour", NEIGHBOUR))
    },
}
BEFORE = dict(zip(MAILS, ["550", "521", "accepted", "521"]))


@pytest.fixture(scope="module", autouse=True)
def addresses(lab: Lab) -> Iterator[None]:
    """Have these clients."""
    with endpoints.addresses(lab, "external", REJECTED, EXEMPT, NEIGHBOUR):
        yield


@pytest.fixture(scope="module")
def adoption(site: Site, addresses: None) -> Adoption:  # noqa: ARG001 - its clients
    """Return the adoption of the site."""
    site.install(SITE, SERVICES, FILES)
    assert dict(zip(MAILS, site.codes(*MAILS.values()))) == BEFORE
    adopted = Adoption(site, {**POLICY, "postfix_submission": False})
    adopted.stop()
    adopted.paste()
    adopted.finish()
    return adopted


def test_clients_of_the_access_list_are_asked_for_and_stay_rejected(site: Site, adoption: Adoption) -> None:
    """S9: each entry of the table has its variable, and the first match counts."""
    assert adoption.inventory["mailhost_dnsbl_exempt_networks"] == [f"{EXEMPT}/32"]
    assert adoption.inventory["mailhost_blocked_networks"] == ["198.51.100.16/31", f"{NEIGHBOUR}/32"]
    assert dict(zip(MAILS, site.codes(*MAILS.values()))) == BEFORE


def test_table_that_is_not_read_any_more_is_a_warning(adoption: Adoption) -> None:
    """S9: what is added there later has no effect."""
    assert (
        f"postscreen_access_list: {TABLE} is not read any more; what it lists comes from the inventory, and belongs "
        "there from now on"
    ) in result(adoption.done)["warnings"]


def test_dnsbl_of_postscreen_is_asked_for_with_its_points(adoption: Adoption) -> None:
    """S9: what it lists is rejected as before, by `MAILS` above."""
    (dnsbl,) = adoption.inventory["mailhost_dnsbls"]
    assert (dnsbl["zone"], dnsbl["stage"]) == ("plain.dnsbl.example", "connect")
    assert adoption.inventory["postfix_dnsbl_weights"] == {"plain.dnsbl.example": 2}
    assert adoption.inventory["postfix_dnsbl_threshold"] == 2
