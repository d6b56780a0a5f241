# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether users reach submission through the packet filter of the same inventory.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.services import (
    MAIL_SERVICES,
    UnknownServiceError,
    find_service,
)

_SUBMISSION = (MAIL_SERVICES["submission"], MAIL_SERVICES["submissions"])


def closed_submission(services: object, path: str) -> list[str]:
    """Warn where none of the packet filter's ``services`` is submission; who declares one of the two knows of it.

    ``path``: the variable to name. What is wrong with the services is told by the packet filter.
    """
    if not isinstance(services, Sequence) or isinstance(services, str):
        return []
    if any(_serves_submission(item) for item in services):
        return []
    told = (
        f"postfix_submission: is true, and {path} declares neither submission nor submissions: the packet filter "
        "closes 587 and 465; declare {service: submission, direction: server} and the same for submissions, or write "
        "postfix_submission: false"
    )
    return [told]


def _serves_submission(item: object) -> bool:
    if not isinstance(item, Mapping) or item.get("direction") != "server":
        return False
    try:
        return find_service(item.get("service"), MAIL_SERVICES) in _SUBMISSION
    except UnknownServiceError:
        return False
