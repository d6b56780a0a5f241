# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which setting rejected a session, as far as the reply and the files say.

Source: postconf(5), for the order of the lists and the text of replies.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from .._config.main_cf import MainCf
from .._config.master_cf import MasterCf
from .files import Entrance, all_entrances
from .sessions import CONNECT, HELLO, LOGIN, NO_AUTH, TLS, Heard

RELAY_REJECTION = "relay-rejection"
"""In the name of the managed table with that reply."""

STAGES = ("client", "helo", "sender", "relay", "recipient", "data", "end_of_data")

_MARKS = (
    (re.compile("not owned by|not logged in"), "sender_login_mismatch", "sender"),
    (re.compile("Relay access denied"), "reject_unauth_destination", "relay"),
    (re.compile("Domain not found"), "reject_unknown_", "sender"),
    (re.compile("need fully-qualified hostname"), "reject_non_fqdn_h", "helo"),
    (re.compile("Sender address rejected: need fully-qualified"), "reject_non_fqdn_sender", "sender"),
    (re.compile("Helo command rejected: Invalid name"), "reject_invalid_h", "helo"),
    (re.compile("Client host rejected"), "", "client"),
    (re.compile("Helo command rejected"), "", "helo"),
    (re.compile("Sender address rejected"), "", "sender"),
    (re.compile("Recipient address rejected"), "", "recipient"),
)
"""How a reply begins, the restriction that gives it, and the list that has it in most configurations."""

_OTHERS = (
    (re.compile("Must issue a STARTTLS"), "smtpd_tls_security_level"),
    (re.compile("User unknown"), "smtpd_reject_unlisted_sender"),
)
_STAGES = {
    TLS: "smtpd_tls_security_level",
    CONNECT: "smtpd_client_restrictions",
    HELLO: "smtpd_helo_restrictions",
}
_REFERENCE = re.compile(r"\$\{?(\w+)\}?")


class Files(NamedTuple):
    """main.cf and master.cf, of which a session was held, and the reply of the policy to what may not relay."""

    main: MainCf
    master: MasterCf
    relay_rejection: str = ""

    def entrance(self, key: tuple[str, str]) -> Entrance | None:
        """The service that listens there."""
        return next((one for one in all_entrances(self.main, self.master) if one.key == key), None)

    def options(self, key: tuple[str, str]) -> Mapping[str, str]:
        """What master.cf sets for the service that listens there, or for the smtpd behind it."""
        entrance = self.entrance(key)
        if entrance is None:
            return {}
        services = dict(self.master.numbered())
        found = dict(services[entrance.line].options)
        if entrance.command == "postscreen":
            for one in services.values():
                if one.type == "pass" and one.command == "smtpd":
                    found.update(one.options)
        return found

    def option(self, key: tuple[str, str], parameter: str) -> str:
        """The value of an option of a service, empty for none."""
        return self.options(key).get(parameter, "")

    def value(self, key: tuple[str, str], parameter: str) -> str:
        """What a service works with, as far as the files say it, with what it refers to in main.cf."""
        text = self.options(key).get(parameter, self.main.get(parameter, ""))
        return _REFERENCE.sub(lambda match: self.main.get(match.group(1), match.group(0)), text)

    def place(self, key: tuple[str, str], parameter: str) -> str:
        """The parameter with where it is set."""
        entrance = self.entrance(key)
        if entrance is not None and parameter in self.options(key):
            return f"{parameter} (-o, master.cf line {entrance.line})"
        return f"{parameter} ({'main.cf' if parameter in self.main else 'default'})"


def setting_of(heard: Heard, key: tuple[str, str], files: Files) -> str:
    """The setting that rejected a session, with its place; empty where the reply does not say."""
    parameter = _parameter_of(heard, key, files)
    return files.place(key, parameter) if parameter else ""


def _parameter_of(heard: Heard, key: tuple[str, str], files: Files) -> str:
    if heard.stage == LOGIN and heard.text == NO_AUTH.text:
        known = files.value(key, "smtpd_sasl_auth_enable") or "no"
        return "smtpd_sasl_auth_enable" if known == "no" else "smtpd_tls_auth_only"
    if files.relay_rejection and files.relay_rejection in heard.text:
        return _list_with(RELAY_REJECTION, "relay", key, files)
    found = [parameter for pattern, parameter in _OTHERS if pattern.search(heard.text)]
    found += [_list_with(one, usual, key, files) for pattern, one, usual in _MARKS if pattern.search(heard.text)]
    return found[0] if found else _STAGES.get(heard.stage, "")


def _list_with(restriction: str, usual: str, key: tuple[str, str], files: Files) -> str:
    """The list that has a restriction; the usual one where none does."""
    names = [f"smtpd_{stage}_restrictions" for stage in STAGES]
    if restriction:
        for name in names:
            if restriction in files.value(key, name):
                return name
    return f"smtpd_{usual}_restrictions"
