# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What postscreen does before smtpd at port 25: clients that may not connect, DNSBLs, and tests of the protocol.

Source: POSTSCREEN_README.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from ..._policy.dnsbl import shown_zone
from ..._policy.mail import CLIENT_IN_TEXT
from .._config.maps import TEXT
from .._config.settings import BARE_NEWLINE, NON_SMTP_COMMAND, PIPELINING, PREGREET
from .access import Access, answer_patterns


def build_postscreen(access: Access) -> dict[str, str]:
    """Parameters of main.cf for postscreen."""
    facts, settings = access.facts, access.settings
    permitted = []
    if access.policy.exempt:
        permitted.append(access.maps.cidr("exempt.cidr", access.policy.exempt, "permit"))
    # The name of older releases, which the newer ones still read.
    denylist = "postscreen_denylist_action"
    denylist = denylist if facts.knows(denylist) else "postscreen_blacklist_action"
    tests = settings.postscreen_tests
    main = {
        "postscreen_access_list": ", ".join(["permit_mynetworks", *access.blocked, *permitted]),
        denylist: "drop",
        # Without a banner there is nothing that a client could talk before, and it does not have to wait.
        "postscreen_greet_banner": "$smtpd_banner" if PREGREET in tests else "",
        "postscreen_greet_action": "enforce",
        "postscreen_dnsbl_sites": _sites(access),
        "postscreen_dnsbl_threshold": str(settings.dnsbl_threshold),
        "postscreen_dnsbl_action": "enforce",
        "postscreen_dnsbl_reply_map": _replies(access),
    }
    for test in (PIPELINING, NON_SMTP_COMMAND, BARE_NEWLINE):
        main[f"postscreen_{test}_enable"] = "yes" if test in tests else "no"
        main[f"postscreen_{test}_action"] = "enforce"
    return main


def _sites(access: Access) -> str:
    settings = access.settings
    return ", ".join(
        f"{one.zone}={pattern}*{settings.dnsbl_weights.get(one.zone, settings.dnsbl_threshold)}"
        for one in access.connect_lists
        for pattern in answer_patterns(one.return_codes)
    )


def _replies(access: Access) -> str:
    """What postscreen says behind ``client [address] blocked using``; there is no macro for the address here."""
    rows = [
        (
            one.zone,
            f"{shown_zone(one.zone)}; {one.text.replace(CLIENT_IN_TEXT, 'at this address')}" if one.text else shown,
        )
        for one in access.connect_lists
        for shown in [shown_zone(one.zone)]
    ]
    return access.maps.add("postscreen-replies.txt", TEXT, rows) if rows else ""
