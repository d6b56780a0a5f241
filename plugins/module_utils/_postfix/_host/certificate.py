# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the files of the certificate can be what Postfix needs, told before it says so in the words of OpenSSL.

Private to this collection. Source: postconf(5). What is not certain is left to the private Postfix.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import NamedTuple

try:
    import ssl
except ImportError:  # a Python built without it
    ssl = None  # type: ignore[assignment]

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError, shown
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.files import read_main
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.settings import Settings

_CERTIFICATE = ("certificate", re.compile(rb"-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----"))
_KEY = ("private key", re.compile(rb"-----BEGIN ([A-Z]+ )*PRIVATE KEY-----"))

_CHAIN = "smtpd_tls_chain_files"
_PAIRS = (("smtpd_tls_cert_file", "smtpd_tls_key_file"), ("smtpd_tls_eccert_file", "smtpd_tls_eckey_file"))

#: What OpenSSL says of the key of another certificate, of the same and of another kind.
_OTHERS = ("KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED")

#: Of a service in master.cf; it may have another certificate than main.cf.
_OWN = re.compile("smtpd_tls_(cert|key|eccert|eckey|chain)")


class Named(NamedTuple):
    """A file, and where it is named."""

    where: str
    path: str


def check_certificate(main: str, master: str, settings: Settings, names: Mapping[str, str]) -> None:
    """Raise PolicyError where a file is missing, is of another kind, or the key is that of another certificate.

    ``main``, ``master``: the files with the policy in them. ``names``: the inventory variable to name for an option.
    """
    pairs, problems = [], []
    if settings.tls_certificate:
        certificate = Named(names.get("tls_certificate", "postfix_tls_certificate"), settings.tls_certificate)
        pairs = [(certificate, Named(names.get("tls_key", "postfix_tls_key"), settings.tls_key))]
    elif settings.submission and not _OWN.search(master):
        parameters = read_main(main)
        chain = re.split(r"[\s,]+", parameters.get(_CHAIN, ""))
        problems = [told for path in chain if _certain(path) for told in _missing(Named(f"{_CHAIN} of main.cf", path))]
        pairs = _pairs(parameters) if chain == [""] else []
    for certificate, key in pairs:
        found = [*_wrong(certificate, *_CERTIFICATE), *_wrong(key, *_KEY)]
        problems += found or _unfit(certificate, key)
    if problems:
        raise PolicyError(problems)


def _pairs(parameters: Mapping[str, str]) -> list[tuple[Named, Named]]:
    found = []
    for one, other in _PAIRS:
        path = parameters.get(one, "")
        key = parameters.get(other, path)
        key = path if key.strip("${}()") == one else key
        if _certain(path) and _certain(key):
            found.append((Named(f"{one} of main.cf", path), Named(f"{other} of main.cf", key)))
    return found


def _certain(path: str) -> bool:
    """Whether this is the path of a file as it stands."""
    return path.startswith("/") and "$" not in path


def _missing(file: Named) -> list[str]:
    return [] if os.path.isfile(file.path) else [f"{file.where}: {shown(file.path)} is no file on the host"]


def _wrong(file: Named, kind: str, form: re.Pattern[bytes]) -> list[str]:
    missing = _missing(file)
    if missing:
        return missing
    with open(file.path, "rb") as opened:
        text = opened.read()
    return [] if form.search(text) else [f"{file.where}: {shown(file.path)} has no {kind} in PEM form"]


def _unfit(certificate: Named, key: Named) -> list[str]:
    if ssl is None:
        return []
    try:
        # Without a word it would ask a terminal for that of an encrypted key.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate.path, key.path, password="")
    except ssl.SSLError as error:
        if error.reason in _OTHERS:
            return [f"{key.where}: {shown(key.path)} is not the key of the certificate {shown(certificate.path)}"]
    except (OSError, ValueError):
        pass
    return []
