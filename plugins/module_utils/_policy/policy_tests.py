# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tests that a user writes for the policy: sessions with their expected end.

They are evaluated on the staged configuration, and one that fails stops the deployment.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from .errors import Problems, not_a_list, shown
from .networks import NetworkError, parse_address

PATH = "mailhost_policy_tests"
EXPECTATIONS = ("accept", "reject")
PORTS = (25, 465, 587)
LONGEST = 320
"""Characters of an address (RFC 5321, section 4.5.3.1: 64 of the local part, 255 of the domain)."""
KEYS = ("client", "authenticated", "mail_from", "rcpt_to", "expect", "port", "comment")


class PolicyTest(NamedTuple):
    """A session of one recipient and its expected end. ``mail_from`` is empty for the null sender.

    ``path``: where the inventory has it.
    """

    client: str
    authenticated: bool
    mail_from: str
    rcpt_to: str
    expect: str
    port: int
    comment: str
    path: str

    @property
    def title(self) -> str:
        """What a report calls the test."""
        client = f"{self.client} (authenticated)" if self.authenticated else self.client
        name = f"{self.path} ({self.comment})" if self.comment else self.path
        return f"{name}: {client}, port {self.port}, from <{self.mail_from}> to <{self.rcpt_to}>"


def read_policy_tests(value: object, path: str = PATH) -> tuple[PolicyTest, ...]:
    """Read a list of tests; PolicyError names everything that is wrong with it."""
    problems = Problems()
    tests: list[PolicyTest] = []
    if not isinstance(value, (list, tuple)):
        problems.add(path, not_a_list(path, value, "a list of {client, mail_from, rcpt_to, expect}"))
        problems.raise_if_any()
    for index, item in enumerate(value if isinstance(value, (list, tuple)) else ()):
        here = f"{path}[{index}]"
        if isinstance(item, Mapping):
            tests.append(_read(problems, here, item))
        else:
            problems.add(here, f"{shown(item)} is not a dictionary; write {{client, mail_from, rcpt_to, expect}}")
    problems.raise_if_any()
    return tuple(tests)


def _read(problems: Problems, path: str, item: Mapping[object, object]) -> PolicyTest:
    for key in item:
        if key not in KEYS:
            problems.add(path, f"{shown(key)} is not a key; write one of {', '.join(KEYS)}")
    authenticated = item.get("authenticated", False)
    if not isinstance(authenticated, bool):
        problems.add(f"{path}.authenticated", f"{shown(authenticated)} is not accepted; write true or false")
    expect = item.get("expect")
    if expect not in EXPECTATIONS:
        problems.add(f"{path}.expect", f"{shown(expect)} is not accepted; write {' or '.join(EXPECTATIONS)}")
    port = item.get("port", 25)
    if isinstance(port, bool) or not isinstance(port, int) or port not in PORTS:
        problems.add(f"{path}.port", f"{shown(port)} is not accepted; write {', '.join(map(str, PORTS))}")
    return PolicyTest(
        client=_client(problems, f"{path}.client", item.get("client")),
        authenticated=authenticated is True,
        mail_from=_address(problems, f"{path}.mail_from", item.get("mail_from"), null=True),
        rcpt_to=_address(problems, f"{path}.rcpt_to", item.get("rcpt_to"), null=False),
        expect=str(expect),
        port=port if isinstance(port, int) else 25,
        comment=_comment(problems, f"{path}.comment", item.get("comment", "")),
        path=path,
    )


def _client(problems: Problems, path: str, value: object) -> str:
    try:
        parse_address(value if isinstance(value, str) else "")
    except NetworkError:
        problems.add(path, f'{shown(value)} is not an address; write an address, as "192.0.2.7" or "2001:db8::7"')
        return ""
    return str(value)


def _address(problems: Problems, path: str, value: object, *, null: bool) -> str:
    """An address in a path; anything that does not leave its line or field."""
    accepted = 'write an address without angle brackets, as "a@example.org"' + (', or "" for none' if null else "")
    text = value if isinstance(value, str) else None
    whole = re.fullmatch(r"(.+@[^@]+)?", text or "") and len(text or "") <= LONGEST
    broken = text is None or not whole or any(not 32 < ord(char) < 127 or char == "|" for char in text.replace(" ", ""))
    if broken or (not text and not null) or str(text).startswith("<"):
        problems.add(path, f"{shown(value)} is not accepted; {accepted}")
        return ""
    return str(text)


def _comment(problems: Problems, path: str, value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        problems.add(path, f"{shown(value)} is not accepted; write a line of text")
        return ""
    return value
