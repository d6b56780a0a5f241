# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in for Sun Java System Messaging Server: look-ups in the real DNS, by the host's own resolver."""

from __future__ import annotations

import dns.exception
import dns.resolver

TRY_SECONDS = 1.5
SECONDS = 3.0
"""After this long without an answer, and a second try, there is none."""


class LiveResolver:
    """Answers of the DNS as the engine wants them: None where there is no definite answer."""

    def __init__(self) -> None:
        self._resolver = dns.resolver.Resolver()
        self._resolver.timeout, self._resolver.lifetime = TRY_SECONDS, SECONDS
        self._resolver.cache = None

    def _records(self, name: str, kind: str) -> list[str] | None:
        try:
            answer = self._resolver.resolve(name.rstrip(".") + ".", kind, search=False, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return []
        except dns.exception.DNSException:
            return None
        if kind == "TXT":
            return [b"".join(record.strings).decode("latin-1") for record in answer]
        return [record.to_text() for record in answer]

    def exists(self, name: str) -> bool | None:
        """Whether the name has a mail exchanger or an address; no definite answer to a question ends the search."""
        for kind in ("MX", "A", "AAAA"):
            records = self._records(name, kind)
            if records is None:
                return None
            if records:
                return True
        return False

    def texts(self, name: str) -> list[str] | None:
        """Its text records."""
        return self._records(name, "TXT")

    def addresses(self, name: str) -> list[str] | None:
        """Its address records."""
        return self._records(name, "A")
