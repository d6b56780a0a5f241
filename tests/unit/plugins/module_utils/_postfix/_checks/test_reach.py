# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Submission that the packet filter of the same inventory closes."""

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.packet_filter import DEFAULTS
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.reach import closed_submission

TOLD = (
    "postfix_submission: is true, and mailhost_services declares neither submission nor submissions: the packet filter "
    "closes 587 and 465; declare {service: submission, direction: server} and the same for submissions, or write "
    "postfix_submission: false"
)


@pytest.mark.parametrize(
    "services",
    [
        DEFAULTS["services"],
        [],
        [{"service": "submission", "direction": "client"}],
        [{"service": "nonsense", "direction": "server"}, "submission"],
    ],
)
def test_submission_that_is_not_declared_is_closed(services: object) -> None:
    assert closed_submission(services, "mailhost_services") == [TOLD]


@pytest.mark.parametrize("service", ["submission", "submissions", 587, 465])
def test_one_of_the_two_is_enough(service: object) -> None:
    flow = {"service": service, "direction": "server", "peers": ["192.0.2.0/24"]}
    assert not closed_submission([flow], "mailhost_services")


@pytest.mark.parametrize("services", [None, "submission", {"service": "submission"}])
def test_what_is_no_list_is_for_the_packet_filter_to_tell(services: object) -> None:
    assert not closed_submission(services, "mailhost_services")
