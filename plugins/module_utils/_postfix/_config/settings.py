# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of Postfix alone: submission, checks, limits, entries of the user's own.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..._policy.domains import LABEL
from ..._policy.errors import Problems, shown
from ..._policy.networks import Network
from ..._policy.options import Known, OptionReader

LOCAL, VIRTUAL, RELAY, UNMANAGED = "local", "virtual", "relay", "unmanaged"
OFF, SYNTAX, FQDN = "off", "syntax", "fqdn"
AUTO, ALWAYS = "auto", "always"
NORMALIZE, REJECT = "normalize", "reject"
ADDRESS, LOCAL_PART = "address", "local part"
STOP, REPLACE, SKIP = "stop", "replace", "skip"

PREGREET, PIPELINING, NON_SMTP_COMMAND, BARE_NEWLINE = "pregreet", "pipelining", "non_smtp_command", "bare_newline"
TESTS = (PREGREET, PIPELINING, NON_SMTP_COMMAND, BARE_NEWLINE)
"""Tests of postscreen; all but the first make the client try again, as they end after the server's banner."""

STAGES = ("client", "helo", "sender", "recipient", "data", "end_of_data")
"""Lists of restrictions that a user may add to, each after the managed ones."""

PREFIX = "mailhost_"
"""Begins the names of managed parameters, which no other parameter may have."""

INSTALLATION = (
    *("command_directory", "config_directory", "daemon_directory", "data_directory", "mail_owner", "queue_directory"),
    *("inet_interfaces", "inet_protocols", "master_service_disable", "setgid_group"),
)
"""What the whole installation is built on: a reload does not change it, or ends Postfix, or loses its queue."""


class Limits(NamedTuple):
    """Limits of one external client: in a minute, or at the same time. 0 is without limit."""

    connections_per_minute: int
    concurrent_connections: int
    messages_per_minute: int
    recipients_per_minute: int
    logins_per_minute: int


class Settings(NamedTuple):
    """How the policy is written for this installation.

    ``sender_logins``: the logins that own an address, or with ``@domain`` every address of a domain, beside the one of
    the same name. ``sender_login_maps``: unmanaged tables that say so instead. ``submission_restrictions``: further
    ones for authenticated clients. ``dnsbl_weights``: points of a
    DNSBL by zone; one without counts as much as the threshold. ``indexed_map_from``: the number of
    blocked single addresses from which they go into an indexed map. ``unknown_entries``: what becomes of restrictions,
    networks and domains of main.cf that the inventory does not have.
    """

    domain_class: str
    submission: bool
    sasl_path: str
    login_form: str
    sender_logins: dict[str, tuple[str, ...]]
    sender_login_maps: tuple[str, ...]
    submission_restrictions: tuple[str, ...]
    tls_certificate: str
    tls_key: str
    helo_check: str
    sender_domain_exceptions: tuple[str, ...]
    postscreen: str
    postscreen_tests: tuple[str, ...]
    dnsbl_threshold: int
    dnsbl_weights: dict[str, int]
    bare_newline: str
    bare_newline_exclusions: tuple[Network, ...]
    limits: Limits
    message_size_limit: int
    recipient_limit: int
    indexed_map_from: int
    extra_restrictions: dict[str, tuple[str, ...]]
    extra_settings: dict[str, str]
    unknown_entries: str
    unusable_dnsbls: str


DEFAULTS: dict[str, Any] = {
    "domain_class": LOCAL,
    "submission": True,
    "sasl_path": "private/auth",
    "login_form": ADDRESS,
    "sender_logins": {},
    "sender_login_maps": [],
    "submission_restrictions": [],
    "tls_certificate": "",
    "tls_key": "",
    "helo_check": FQDN,
    "sender_domain_exceptions": [],
    "postscreen": AUTO,
    "postscreen_tests": [PREGREET],
    "dnsbl_threshold": 1,
    "dnsbl_weights": {},
    "bare_newline": NORMALIZE,
    "bare_newline_exclusions": [],
    "connections_per_minute": 60,
    "concurrent_connections": 20,
    "messages_per_minute": 120,
    "recipients_per_minute": 600,
    "logins_per_minute": 60,
    "message_size_limit": 51200000,
    "recipient_limit": 1000,
    "indexed_map_from": 1000,
    "extra_restrictions": {},
    "extra_settings": {},
    "unknown_entries": STOP,
    "unusable_dnsbls": STOP,
}
"""Options of the settings and their defaults. 51200000 is Postfix's own limit of a mailbox, which must not be less."""

_CHOICES = {
    "domain_class": (LOCAL, VIRTUAL, RELAY, UNMANAGED),
    "login_form": (ADDRESS, LOCAL_PART),
    "helo_check": (FQDN, SYNTAX, OFF),
    "postscreen": (AUTO, ALWAYS),
    "bare_newline": (NORMALIZE, REJECT),
    "unknown_entries": (STOP, REPLACE),
    "unusable_dnsbls": (STOP, SKIP),
}
_MAX = 2147483647
_RANGES = {
    **dict.fromkeys(Limits._fields, (0, 1000000)),
    "dnsbl_threshold": (1, 1000),
    "dnsbl_weights": (-1000, 1000),
    "message_size_limit": (10240, _MAX),
    # RFC 5321, section 4.5.3.1.8: a server must take 100 recipients.
    "recipient_limit": (100, 100000),
    "indexed_map_from": (1, _MAX),
}

_SENDER = re.compile(rf"(?:[A-Za-z0-9._+=-]{{1,64}})?@{LABEL}(?:\.{LABEL})+")
# A login becomes part of the right side of a map, where blanks and commas separate and dollar signs mean something.
_LOGIN = re.compile(r"[A-Za-z0-9._+=@-]{1,128}")
_FILE = re.compile(r"/[A-Za-z0-9._/+@-]*[A-Za-z0-9._+@-]")
_TABLE = re.compile(r"(?:proxy:)?[a-z][a-z0-9_-]*:[^\s,](?:.*[^\s,])?")
_PERMITS = re.compile(r"permit(?:_\w+)?(?: .*)?|.*\bstatic:\{?\s*(?:permit|ok)\b.*", re.IGNORECASE)
"""Restrictions that end a list of their own for a client, whatever stands behind them."""
_SOCKET = re.compile(r"/?[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*|inet:[A-Za-z0-9.:\[\]-]+")
_PARAMETER = re.compile(r"[a-z0-9][A-Za-z0-9_-]{0,99}")
_BRACES = re.compile(r"\{[^{}]*\}")
_VALUE = re.compile(r"(?:[!-~](?:[ -~]*[!-~])?)?")


def read_settings(options: Any, names: Mapping[str, str] | None = None) -> Settings:
    """Return validated settings for a dictionary of options, or raise PolicyError with every problem.

    ``options``: the keys of DEFAULTS, each of them optional. ``names``: the inventory variable to name in errors
    for an option, by default ``postfix_<option>``.
    """
    if not isinstance(options, Mapping):
        problems = Problems()
        problems.add("settings", f"{shown(options)} is not a dictionary; write the variables without postfix_")
        problems.raise_if_any()
    reader = _PostfixSettingsReader(options, names or {})
    reader.reject_unknown("settings")
    settings = Settings(
        domain_class=reader.choice("domain_class"),
        submission=reader.boolean("submission"),
        sasl_path=reader.text("sasl_path", _SOCKET, "a path", "private/auth"),
        login_form=reader.choice("login_form"),
        sender_logins=reader.sender_logins(),
        sender_login_maps=reader.tables(),
        submission_restrictions=reader.submission_restrictions(),
        tls_certificate=reader.file("tls_certificate"),
        tls_key=reader.file("tls_key"),
        helo_check=reader.choice("helo_check"),
        sender_domain_exceptions=reader.domains(
            reader.path("sender_domain_exceptions"), reader.value("sender_domain_exceptions")
        ),
        postscreen=reader.choice("postscreen"),
        postscreen_tests=reader.tests(),
        dnsbl_threshold=reader.integer("dnsbl_threshold"),
        dnsbl_weights=reader.weights(),
        bare_newline=reader.choice("bare_newline"),
        bare_newline_exclusions=reader.networks("bare_newline_exclusions"),
        limits=Limits(*(reader.integer(name) for name in Limits._fields)),
        message_size_limit=reader.integer("message_size_limit"),
        recipient_limit=reader.integer("recipient_limit"),
        indexed_map_from=reader.integer("indexed_map_from"),
        extra_restrictions=reader.extra_restrictions(),
        extra_settings=reader.extra_settings(),
        unknown_entries=reader.choice("unknown_entries"),
        unusable_dnsbls=reader.choice("unusable_dnsbls"),
    )
    reader.check_tls()
    reader.problems.raise_if_any()
    return settings


class _PostfixSettingsReader(OptionReader):
    """Reads the settings of Postfix."""

    known = Known("postfix", DEFAULTS, _CHOICES, _RANGES)

    def text(self, option: str, form: re.Pattern[str], what: str, example: str) -> str:
        value = self.value(option)
        if isinstance(value, str) and form.fullmatch(value):
            return str(value)
        self.problems.add(self.path(option), f'{shown(value)} is not {what}; write one as "{example}"')
        return str(DEFAULTS[option])

    def file(self, option: str) -> str:
        value = self.value(option)
        if value == "":
            return ""
        return self.text(option, _FILE, "the path of a file", "/etc/ssl/private/mail.pem")

    def tests(self) -> tuple[str, ...]:
        path, found = self.path("postscreen_tests"), []
        for index, item in enumerate(self.items(path, self.value("postscreen_tests"), f'["{PREGREET}"]')):
            if isinstance(item, str) and item in TESTS:
                found.append(str(item))
            else:
                self.problems.add(
                    f"{path}[{index}]", f"{shown(item)} is not a test of postscreen; write one of {', '.join(TESTS)}"
                )
        return tuple(found)

    def weights(self) -> dict[str, int]:
        path = self.path("dnsbl_weights")
        return {
            str(zone).lower().rstrip("."): self.integer("dnsbl_weights", f"{path}[{shown(zone)}]", weight)
            for zone, weight in self.mapping("dnsbl_weights", "{zen.example.org: 2}").items()
        }

    def sender_logins(self) -> dict[str, tuple[str, ...]]:
        path, found = self.path("sender_logins"), {}
        for sender, logins in self.mapping("sender_logins", "{info@example.com: [ann, bob]}").items():
            where = f"{path}[{shown(sender)}]"
            if not isinstance(sender, str) or not _SENDER.fullmatch(sender.lower()):
                self.problems.add(where, 'is not an address; write one as "info@example.com", or "@example.com"')
                continue
            owners = self.items(where, logins, "[ann, bob]")
            for index, login in enumerate(owners):
                if not isinstance(login, str) or not _LOGIN.fullmatch(login):
                    self.problems.add(
                        f"{where}[{index}]",
                        f"{shown(login)} is not a login; write letters, digits and any of . _ + = @ -",
                    )
            found[sender.lower()] = tuple(str(login) for login in owners)
        return found

    def tables(self) -> tuple[str, ...]:
        path, found = self.path("sender_login_maps"), []
        example = "['proxy:mysql:/etc/postfix/owners.cf']"
        for index, item in enumerate(self.items(path, self.value("sender_login_maps"), example)):
            if isinstance(item, str) and _is_restriction(item) and _TABLE.fullmatch(item):
                found.append(str(item))
            else:
                self.problems.add(
                    f"{path}[{index}]",
                    f"{shown(item)} is not a table; write one as main.cf has it, as hash:/etc/postfix/owners",
                )
        return tuple(found)

    def submission_restrictions(self) -> tuple[str, ...]:
        path, found = self.path("submission_restrictions"), []
        example = "['check_policy_service inet:127.0.0.1:10031']"
        for index, item in enumerate(self.items(path, self.value("submission_restrictions"), example)):
            if not isinstance(item, str) or not _is_restriction(item):
                self.problems.add(
                    f"{path}[{index}]",
                    f"{shown(item)} is not one restriction; write one as 'check_policy_service inet:127.0.0.1:10031', "
                    "without commas outside of braces",
                )
            elif _PERMITS.fullmatch(item):
                self.problems.add(
                    f"{path}[{index}]",
                    f"{shown(item)} permits, and who may send is decided by SMTP AUTH alone; write restrictions that "
                    "reject or defer",
                )
            else:
                found.append(str(item))
        return tuple(found)

    def extra_restrictions(self) -> dict[str, tuple[str, ...]]:
        path, found = self.path("extra_restrictions"), {}
        example = "{recipient: ['check_policy_service unix:private/greylist']}"
        for stage, items in self.mapping("extra_restrictions", example).items():
            if stage not in STAGES:
                accepted = ", ".join(STAGES)
                self.problems.add(path, f"{shown(stage)} is no stage with restrictions; write one of {accepted}")
                continue
            restrictions = self.items(f"{path}.{stage}", items, "['reject_unknown_client_hostname']")
            for index, item in enumerate(restrictions):
                if not isinstance(item, str) or not _is_restriction(item):
                    self.problems.add(
                        f"{path}.{stage}[{index}]",
                        f"{shown(item)} is not one restriction; write one as "
                        "'check_policy_service unix:private/greylist', without commas outside of braces",
                    )
            found[stage] = tuple(str(item) for item in restrictions)
        return found

    def extra_settings(self) -> dict[str, str]:
        path, found = self.path("extra_settings"), {}
        for name, value in self.mapping("extra_settings", "{biff: 'no'}").items():
            where = f"{path}[{shown(name)}]"
            if not isinstance(name, str) or not _PARAMETER.fullmatch(name):
                self.problems.add(where, "is not the name of a parameter; write one as biff")
                continue
            if name.startswith(PREFIX):
                self.problems.add(where, f"begins with {PREFIX}, as managed parameters do; write another name")
            if name in INSTALLATION:
                self.problems.add(
                    where,
                    "needs a restart of Postfix, which the role never does; set it in main.cf and restart Postfix",
                )
            text = _as_text(value)
            if not isinstance(text, str) or not _VALUE.fullmatch(text):
                self.problems.add(
                    where,
                    f"{shown(value)} is not a value; write printable ASCII on one line, without blanks at the ends",
                )
            found[str(name)] = str(text)
        return found

    def check_tls(self) -> None:
        for one, other in (("tls_certificate", "tls_key"), ("tls_key", "tls_certificate")):
            if self.value(one) and not self.value(other):
                self.problems.add(self.path(other), f"is missing, and {self.path(one)} is set; set both or none")


def _is_restriction(text: str) -> bool:
    """Whether this is one restriction: a comma would begin another one, but for those in braces."""
    bare = text
    while (shorter := _BRACES.sub("", bare)) != bare:
        bare = shorter
    return bool(text and _VALUE.fullmatch(text)) and not re.search("[,{}]", bare)


def _as_text(value: Any) -> Any:
    """YAML reads yes, no and numbers, and Postfix wants their text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) if isinstance(value, int) else value
