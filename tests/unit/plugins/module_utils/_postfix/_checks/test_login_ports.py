# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Login ports of the site that lived on main.cf get options that keep them as they were."""

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.login_ports import kept_options
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.unknown import (
    describe_unknown,
    find_all,
)
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._checks.contexts import (
    SMTP,
    StubHost,
    context,
)
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._plan.test_compose import plan

SITE = {
    "smtpd_sasl_auth_enable": "yes",
    "smtpd_sender_restrictions": "reject_sender_login_mismatch",
    "smtpd_client_restrictions": "permit_mynetworks, permit_sasl_authenticated",
    "smtpd_recipient_restrictions": "check_policy_service { unix:private/x, timeout=5s }, permit",
    "smtpd_helo_required": "yes",
}
RELAY = {"smtpd_relay_restrictions": "permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination"}
LINES = (
    "  -o smtpd_sasl_auth_enable=yes",
    "  -o smtpd_client_restrictions=permit_mynetworks,permit_sasl_authenticated",
    "  -o smtpd_helo_restrictions=",
    "  -o smtpd_sender_restrictions=reject_sender_login_mismatch",
    "  -o smtpd_relay_restrictions=permit_mynetworks,permit_sasl_authenticated,defer_unauth_destination",
    "  -o { smtpd_recipient_restrictions = check_policy_service { unix:private/x, timeout=5s }, permit }",
    "  -o smtpd_data_restrictions=",
)


def lines(master: str, *, submission: bool = False) -> dict[str, tuple[str, ...]]:
    site = {**SITE, "smtpd_tls_cert_file": "/c.pem"}
    settings = {"submission": submission}
    wanted = plan(site, settings=settings)
    host = StubHost(values=RELAY)
    return kept_options(context(live_master=SMTP + master, site=site, plan=wanted, settings=settings, host=host))


@pytest.mark.parametrize("name", ["submission", "587", "588", "192.0.2.1:2525", "465"])
def test_login_port_gets_the_options_that_it_took_from_main_cf(name: str) -> None:
    assert lines(f"{name} inet n - y - - smtpd\n") == {f"{name} inet": LINES}
    kept = "".join(f"{line}\n" for line in LINES)
    assert not lines(f"{name} inet n - y - - smtpd\n{kept}")


@pytest.mark.parametrize(
    "service",
    [
        "127.0.0.1:10025 inet n - y - - smtpd",
        "588 inet n - y - - smtpd -o smtpd_sasl_auth_enable=no",
        "588 inet n - y - - other",
        "submission unix n - y - - smtpd",
    ],
)
def test_other_services_get_none(service: str) -> None:
    assert not lines(f"{service}\n")


def test_managed_ports_get_none() -> None:
    found = lines("587 inet n - y - - smtpd\n588 inet n - y - - smtpd\n", submission=True)
    assert found.keys() == {"588 inet"}


def test_options_are_printed_last() -> None:
    site = {**SITE, "smtpd_tls_cert_file": "/c.pem"}
    settings = {"submission": False}
    one = context(
        live_master=f"{SMTP}588 inet n - y - - smtpd\n",
        site=site,
        plan=plan(site, settings=settings),
        settings=settings,
        host=StubHost(values=RELAY),
    )
    text = describe_unknown(find_all(one))
    behind = "# for master.cf, below the line of 588 inet, which works as before with them:"
    assert text.partition(f"{behind}\n")[2].splitlines() == list(LINES)
