# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of master.cf.

Source: master(5).

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..._policy.errors import Problems
from .._config.facts import PostfixFacts
from .._config.master_cf import Place
from .._config.settings import PREFIX, Settings
from .access import Access
from .general import has_certificate
from .submission import HEADER_CHECKS, HIDE

Option = tuple[str, str]

CLEANUP = "mailhost-cleanup"
"""Takes what users submit, to leave out of its header where they wrote it."""


class Service(NamedTuple):
    """A service, column by column; ``-`` is the default. Values of options are names, or parameters of main.cf."""

    name: str
    type: str
    private: str
    chroot: str
    limit: str
    command: str
    options: tuple[Option, ...] = ()

    @property
    def place(self) -> Place:
        """Name and type."""
        return self.name, self.type

    def lines(self) -> str:
        """The service as master.cf has it."""
        words = [self.name, self.type, self.private, "-", self.chroot, "-", self.limit, self.command]
        widths = (11, 6, 8, 8, 8, 8, 8, 0)
        first = " ".join(word.ljust(width - 1) for word, width in zip(words, widths)).rstrip()
        return "".join([f"{first}\n", *(f"  -o {name}={value}\n" for name, value in self.options)])


def check_services(problems: Problems, settings: Settings, facts: PostfixFacts, names: Mapping[str, str]) -> None:
    """Submission needs a certificate and a way to check passwords."""
    if not settings.submission:
        return
    path = names.get("submission", "postfix_submission")
    if not has_certificate(settings, facts):
        certificate = names.get("tls_certificate", "postfix_tls_certificate")
        problems.add(path, f"needs TLS, and main.cf names no certificate; set {certificate}, or write false")
    if "dovecot" not in facts.sasl_types:
        problems.add(path, "needs SASL through Dovecot, which the installed Postfix cannot; write false")


def build_services(access: Access) -> tuple[Service, ...]:
    """All managed services."""
    chroot = "y" if access.facts.chroot else "n"
    if access.postscreen:
        found = [
            Service("smtp", "inet", "n", chroot, "1", "postscreen"),
            Service("smtpd", "pass", "-", chroot, "-", "smtpd"),
            Service("dnsblog", "unix", "-", chroot, "0", "dnsblog"),
            Service("tlsproxy", "unix", "-", chroot, "0", "tlsproxy"),
        ]
    else:
        found = [Service("smtp", "inet", "n", chroot, "-", "smtpd")]
    if access.settings.submission:
        found += [
            Service(name, "inet", "n", chroot, "-", "smtpd", _submission(access, name))
            for name in ("submission", "submissions")
        ]
        checks = tuple((name, f"${PREFIX}submission_{name}") for name in HEADER_CHECKS)
        found.append(Service(CLEANUP, "unix", "n", chroot, "0", "cleanup", checks))
    return tuple(found)


def _submission(access: Access, name: str) -> tuple[Option, ...]:
    options = [
        ("syslog_name", f"postfix/{name}"),
        ("smtpd_tls_security_level", "encrypt"),
        ("smtpd_tls_wrappermode", "yes" if name == "submissions" else "no"),
        ("smtpd_sasl_auth_enable", "yes"),
        # A blocked client is rejected before it can try a password.
        ("smtpd_delay_reject", "no"),
        ("smtpd_helo_restrictions", ""),
        ("smtpd_data_restrictions", ""),
        ("smtpd_end_of_data_restrictions", ""),
        *((f"smtpd_{stage}_restrictions", f"${PREFIX}submission_{stage}_restrictions") for stage in _STAGES),
        ("cleanup_service_name", CLEANUP),
        ("milter_macro_daemon_name", "ORIGINATING"),
    ]
    if access.facts.knows(HIDE):
        options.append((HIDE, "yes"))
    return tuple(options)


_STAGES = ("client", "sender", "relay", "recipient")
