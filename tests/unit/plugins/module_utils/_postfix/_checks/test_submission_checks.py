# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the site checks of authenticated clients on 587 and 465 is asked for, and not dropped."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.submission_checks import (
    SubmissionChecks,
    submission_checks,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.unknown import (
    describe_unknown,
    find_all,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.record import Owned, Record
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import read_wanted
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._checks.contexts import (
    SMTP,
    context,
)
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._postfix._plan.test_compose import (
    POLICY,
    plan,
)

QUOTA = "check_policy_service inet:127.0.0.1:10031"
LISTED = "check_recipient_access inline:{ {closed@remote.example = REJECT} }"
AUTH = " -o smtpd_sasl_auth_enable=yes"


def found(
    line: str, site: dict[str, str] | None = None, record: Record | None = None, **settings: Any
) -> SubmissionChecks:
    more: dict[str, Any] = {} if record is None else {"record": record}
    return submission_checks(context(live_master=f"{SMTP}{line}\n", site=site, settings=settings, **more))


@pytest.mark.parametrize("name", ["submission", "587", "465", "submissions"])
def test_checks_of_a_service_are_kept_in_their_order(name: str) -> None:
    options = (
        f" -o smtpd_client_restrictions=reject_unknown_client_hostname,permit_sasl_authenticated,reject"
        f" -o {{ smtpd_recipient_restrictions = {LISTED}, {QUOTA}, permit_sasl_authenticated, reject }}"
    )
    kept = found(f"{name} inet n - y - - smtpd{AUTH}{options}")
    assert kept == SubmissionChecks(("reject_unknown_client_hostname", LISTED, QUOTA), {})


def test_checks_of_main_cf_hold_where_the_service_has_none() -> None:
    site = {
        "smtpd_recipient_restrictions": f"permit_mynetworks, {QUOTA}, permit_sasl_authenticated, check_x_access hash:/x"
    }
    assert found(f"submission inet n - y - - smtpd{AUTH}", site).restrictions == (QUOTA,)


def test_reference_to_a_parameter_is_read() -> None:
    line = f"submission inet n - y - - smtpd{AUTH} -o smtpd_sender_restrictions=$mua_sender_restrictions"
    assert found(line, {"mua_sender_restrictions": f"{QUOTA}, permit"}).restrictions == (QUOTA,)


@pytest.mark.parametrize(
    "covered",
    [
        "reject_sender_login_mismatch",
        "reject_authenticated_sender_login_mismatch",
        "reject_non_fqdn_sender",
        "reject_unknown_sender_domain",
        "reject_plaintext_session",
        "permit_sasl_authenticated",
        f"permit_sasl_authenticated,{QUOTA}",
        f"reject,{QUOTA}",
    ],
)
def test_what_the_policy_decides_and_what_no_login_meets_is_left_out(covered: str) -> None:
    line = f"submission inet n - y - - smtpd{AUTH} -o {{ smtpd_sender_restrictions = {covered} }}"
    assert found(line) == SubmissionChecks()


@pytest.mark.parametrize(
    "line",
    [
        f"submission inet n - y - - smtpd -o {{ smtpd_sender_restrictions = {QUOTA} }}",
        f"588 inet n - y - - smtpd{AUTH} -o {{ smtpd_sender_restrictions = {QUOTA} }}",
        f"127.0.0.1:587 inet n - y - - smtpd{AUTH} -o {{ smtpd_sender_restrictions = {QUOTA} }}",
    ],
)
def test_services_without_logins_from_outside_and_at_other_ports_are_none(line: str) -> None:
    assert found(line) == SubmissionChecks()


def test_managed_service_is_none() -> None:
    line = f"submission inet n - y - - smtpd{AUTH} -o {{ smtpd_sender_restrictions = {QUOTA} }}"
    assert found(line, record=Record({}, {("submission", "inet"): Owned(None, line)}, {})) == SubmissionChecks()
    assert found(line, submission=False) == SubmissionChecks()


def test_check_of_the_inventory_is_not_asked_for_and_the_variable_is_printed_whole() -> None:
    line = f"submission inet n - y - - smtpd{AUTH} -o {{ smtpd_sender_restrictions = {QUOTA} }}"
    assert found(line, submission_restrictions=[QUOTA]).restrictions == ()
    assert found(line, submission_restrictions=["reject_unknown_helo_hostname"]).restrictions == (
        "reject_unknown_helo_hostname",
        QUOTA,
    )


def test_check_of_a_later_stage_has_no_variable() -> None:
    line = f"submission inet n - y - - smtpd{AUTH} -o {{ smtpd_end_of_data_restrictions = {QUOTA} }}"
    assert found(line) == SubmissionChecks((), {"submission inet: smtpd_end_of_data_restrictions": (QUOTA,)})


def test_printed_restrictions_are_accepted() -> None:
    site = {"smtpd_tls_cert_file": "/c.pem", "smtpd_sasl_type": "dovecot"}
    line = f"submission inet n - y - - smtpd{AUTH} -o {{ smtpd_recipient_restrictions = {LISTED}, {QUOTA} }}\n"
    text = describe_unknown(find_all(context(live_master=SMTP + line, site=site, plan=plan(site))))
    assert text.splitlines() == [
        "postfix_submission_restrictions:",
        f"  - '{LISTED}'",
        f"  - '{QUOTA}'",
    ]
    assert read_wanted(POLICY, {"submission_restrictions": [LISTED, QUOTA]})[1].submission_restrictions == (
        LISTED,
        QUOTA,
    )
