# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the files of the certificate can be what Postfix needs; it would report a mistake in the words of OpenSSL.

Source: postconf(5). What is not certain is left to the canary.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

try:
    import ssl
except ImportError:  # a Python built without it
    ssl = None  # type: ignore[assignment]

from ..._policy.errors import shown
from .context import Finding, PolicyContext, Problem

_CERTIFICATE = ("certificate", re.compile(rb"-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----"))
_KEY = ("private key", re.compile(rb"-----BEGIN ([A-Z]+ )*PRIVATE KEY-----"))

_CHAIN = "smtpd_tls_chain_files"
_PAIRS = (("smtpd_tls_cert_file", "smtpd_tls_key_file"), ("smtpd_tls_eccert_file", "smtpd_tls_eckey_file"))

_OTHERS = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""What OpenSSL says of the key of another certificate, of the same and of another kind."""

_OWN = re.compile("smtpd_tls_(cert|key|eccert|eckey|chain)")
"""Of a service in master.cf; it may have another certificate than main.cf."""


class CertificateFile(NamedTuple):
    """A file, and where it is named."""

    where: str
    path: str


def certificate_files(context: PolicyContext) -> Iterator[Finding]:
    """Find files that are missing or of another kind, and keys of other certificates."""
    main, settings = context.composed.main, context.settings
    pairs = []
    if settings.tls_certificate:
        certificate = CertificateFile(context.variable("tls_certificate"), settings.tls_certificate)
        pairs = [(certificate, CertificateFile(context.variable("tls_key"), settings.tls_key))]
    elif settings.submission and not _OWN.search(context.composed.master.text):
        chain = main.words(_CHAIN)
        for path in filter(_certain, chain):
            yield from map(Problem, _missing(CertificateFile(f"{_CHAIN} of main.cf", path)))
        pairs = [] if chain else _pairs(main)
    for certificate, key in pairs:
        found = [*_wrong(certificate, *_CERTIFICATE), *_wrong(key, *_KEY)]
        yield from map(Problem, found or _unfit(certificate, key))


def _pairs(parameters: Mapping[str, str]) -> list[tuple[CertificateFile, CertificateFile]]:
    found = []
    for one, other in _PAIRS:
        path = parameters.get(one, "")
        key = parameters.get(other, path)
        key = path if key.strip("${}()") == one else key
        if _certain(path) and _certain(key):
            found.append((CertificateFile(f"{one} of main.cf", path), CertificateFile(f"{other} of main.cf", key)))
    return found


def _certain(path: str) -> bool:
    """Whether this is the path of a file as it stands."""
    return path.startswith("/") and "$" not in path


def _missing(file: CertificateFile) -> list[str]:
    return [] if os.path.isfile(file.path) else [f"{file.where}: {shown(file.path)} is no file on the host"]


def _wrong(file: CertificateFile, kind: str, form: re.Pattern[bytes]) -> list[str]:
    missing = _missing(file)
    if missing:
        return missing
    with open(file.path, "rb") as opened:
        text = opened.read()
    return [] if form.search(text) else [f"{file.where}: {shown(file.path)} has no {kind} in PEM form"]


def _unfit(certificate: CertificateFile, key: CertificateFile) -> list[str]:
    if ssl is None:
        return []
    try:
        # Without a password it would read that of an encrypted key from a terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate.path, key.path, password="")
    except ssl.SSLError as error:
        if error.reason in _OTHERS:
            return [f"{key.where}: {shown(key.path)} is not the key of the certificate {shown(certificate.path)}"]
    except (OSError, ValueError):
        pass
    return []
