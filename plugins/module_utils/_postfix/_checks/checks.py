# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of a run, in the order in which they are reported.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from .certificate import certificate_files
from .context import Context, Finding, PolicyContext
from .dangling import dangling_references
from .domains import domain_classes, domain_references, recipient_maps
from .ports import silent_server, taken_ports
from .senders import unlisted_aliases
from .submission import sasl_server, unmanaged_submission
from .tables import lookup_tables
from .trust import other_instances, proxies, soft_bounces, untrusted_hosts
from .unknown import relayed_by_default, replaced_tables, unknown_entries

Check = Callable[[Context], Iterable[Finding]]
PolicyCheck = Callable[[PolicyContext], Iterable[Finding]]

POLICY_CHECKS: tuple[PolicyCheck, ...] = (
    unknown_entries,
    replaced_tables,
    relayed_by_default,
    domain_classes,
    recipient_maps,
    untrusted_hosts,
    domain_references,
    lookup_tables,
    unlisted_aliases,
    unmanaged_submission,
    sasl_server,
)
"""Of a run that has a policy."""

CHECKS: tuple[Check, ...] = (dangling_references, taken_ports, proxies, soft_bounces, other_instances, silent_server)
"""Of every run."""

PROOF_CHECKS: tuple[PolicyCheck, ...] = (certificate_files,)
"""Before a proof: the canary would report the same in the words of OpenSSL."""
