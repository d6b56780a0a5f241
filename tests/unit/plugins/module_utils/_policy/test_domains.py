# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Public suffixes, by the form of a name."""

from __future__ import annotations

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.domains import (
    is_public_suffix,
    public_suffixes,
)


@pytest.mark.parametrize(
    ("domain", "ends"),
    [
        ("firma.de", ["de"]),
        ("MX.Firma.De.", ["de"]),
        ("a.firma.co.uk", ["uk", "co.uk"]),
        ("co.uk", ["uk"]),
        ("mx.com.example", ["example"]),
        ("mx.lan", []),
        ("mail.host.localdomain", []),
        ("mail", []),
        ("", []),
        ("192.0.2.1", []),
    ],
)
def test_public_suffixes_of_a_domain(domain: str, ends: list[str]) -> None:
    assert public_suffixes(domain) == ends


@pytest.mark.parametrize(("word", "expected"), [("com", True), (".com", True), ("co.uk", True), ("firma.de", False)])
def test_public_suffix_is_recognised_with_and_without_dot(word: str, expected: bool) -> None:
    assert is_public_suffix(word) is expected
