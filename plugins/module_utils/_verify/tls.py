# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which versions of TLS a server accepts, as far as the OpenSSL of this host can still speak them.

Private to the collection: other collections must not import it.

Sources: RFC 8996 (1.0 and 1.1 are deprecated); OpenSSL, SSL_CTX_set_security_level(3).
"""

from __future__ import annotations

import ssl
import warnings
from typing import TYPE_CHECKING, NamedTuple

from .._sessions.smtp import NoAnswerError, any_certificate

if TYPE_CHECKING:
    from collections.abc import Callable

ACCEPTED, REJECTED, UNKNOWN = "accepted", "rejected", "unknown"

FLOOR = "1.2"
OLD = ("1.0", "1.1")
_VERSIONS = {"1.0": ssl.TLSVersion.TLSv1, "1.1": ssl.TLSVersion.TLSv1_1, "1.2": ssl.TLSVersion.TLSv1_2}


class Trial(NamedTuple):
    """What came of a handshake: accepted, rejected or unknown, and why."""

    outcome: str
    detail: str


def context_of(version: str) -> ssl.SSLContext | None:
    """A client that speaks one version with any cipher and believes any certificate; None if OpenSSL cannot.

    A distribution may have a version in OpenSSL and not allow it (security level, crypto policy), so it is tried.
    """
    context = any_certificate()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python's own, for the old versions
            context.minimum_version = context.maximum_version = _VERSIONS[version]
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO()).do_handshake()
    except ssl.SSLWantReadError:
        return context
    except (ssl.SSLError, ValueError):
        return None
    return None


def try_version(begin: Callable[[], None]) -> Trial:
    """Say what a handshake came to; ``begin`` makes it."""
    try:
        begin()
    except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
        return Trial(REJECTED, "cut off")
    except ssl.SSLError as error:
        reason = str(error.reason or error)
        if "ALERT" in reason.upper() or reason in {"UNSUPPORTED_PROTOCOL", "WRONG_SSL_VERSION"}:
            return Trial(REJECTED, reason)
        return Trial(UNKNOWN, reason)
    except NoAnswerError as error:
        return Trial(REJECTED if "cut off" in str(error) else UNKNOWN, str(error))
    return Trial(ACCEPTED, "")
