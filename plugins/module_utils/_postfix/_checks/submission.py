# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether users can submit mail: the SASL server, unmanaged services with SMTP AUTH, and the packet filter.

Sources: master(5), Dovecot's authentication protocol.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping, Sequence

from ..._policy.services import MAIL_SERVICES, UnknownServiceError, find_service
from .._config.master_cf import is_loopback
from .context import Finding, PolicyContext, Warn

_SUBMISSION = (MAIL_SERVICES["submission"], MAIL_SERVICES["submissions"])
_AUTH, _RELAY_RESTRICTIONS = "smtpd_sasl_auth_enable", "smtpd_relay_restrictions"


def unmanaged_submission(context: PolicyContext) -> Iterator[Finding]:
    """Find unmanaged services with SMTP AUTH that took what they need for it from main.cf.

    Clients at the loopback address need no SMTP AUTH.
    """
    managed = (25, 465, 587) if context.settings.submission else (25,)
    inherited = context.live.facts.site.get(_AUTH, "no")
    for service in context.composed.master if context.changed else ():
        unmanaged = service.type == "inet" and service.command == "smtpd" and service.port not in managed
        options = service.options
        if not unmanaged or is_loopback(service.host) or options.get(_AUTH, inherited).lower() != "yes":
            continue
        place = f"master.cf: {service.name} {service.type} is unmanaged and does not set"
        if _AUTH not in options:
            yield Warn(f"{place} {_AUTH}, which is no in main.cf now; SMTP AUTH will fail there")
        elif _RELAY_RESTRICTIONS not in options:
            yield Warn(f"{place} {_RELAY_RESTRICTIONS}; authenticated clients cannot relay there any more")


def sasl_server(context: PolicyContext) -> Iterator[Finding]:
    """Warn where no SASL server listens; the canary does not need one."""
    path = context.settings.sasl_path
    socket_path = path if path.startswith(("/", "inet:")) else os.path.join(context.host.queue, path)
    if context.settings.submission and not is_listening(socket_path):
        variable = context.variable("sasl_path")
        yield Warn(f"no SASL server is listening on {path} ({variable}); SMTP AUTH will fail until Dovecot runs")


def is_listening(path: str) -> bool:
    """Whether a program listens on a socket, given by its path or as ``inet:host:port``."""
    host, _colon, port = path[5:].rpartition(":") if path.startswith("inet:") else ("", "", "")
    try:
        with contextlib.closing(socket.socket(socket.AF_UNIX) if not host else socket.socket()) as one:
            one.settimeout(2)
            one.connect((host.strip("[]"), int(port)) if host else path)
        return True
    except (OSError, ValueError):
        return False


def closed_submission(services: object, path: str) -> list[str]:
    """Warn where none of the packet filter's ``services`` is submission; one of the two is enough.

    ``path``: the variable to name. What is wrong with the services is reported by the packet filter.
    """
    if not isinstance(services, Sequence) or isinstance(services, str):
        return []
    if any(_serves_submission(item) for item in services):
        return []
    text = (
        f"postfix_submission: is true, and {path} declares neither submission nor submissions: the packet filter "
        "closes 587 and 465; declare {service: submission, direction: server} and the same for submissions, or write "
        "postfix_submission: false"
    )
    return [text]


def _serves_submission(item: object) -> bool:
    if not isinstance(item, Mapping) or item.get("direction") != "server":
        return False
    try:
        return find_service(item.get("service"), MAIL_SERVICES) in _SUBMISSION
    except UnknownServiceError:
        return False
