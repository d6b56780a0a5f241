# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An SMTP session and a configuration as data, checked.

The shape is that of the filter ``mailhost.hardening.smtp_decision``.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import ipaddress
from typing import Any, NamedTuple

from ..._policy.errors import ReportedError, shown
from .._formats.tables import SAMPLE_CLIENT_PORT, SAMPLE_SERVER
from .._formats.text import fold
from .dns_verify import NO_ANSWER


class SessionError(ReportedError):
    """A value of the session or configuration that cannot be used. ``path``: where it stands; ``text``: why."""

    def __init__(self, path: str, text: str) -> None:
        self.path, self.text = path, text
        super().__init__(f"{path}: {text}")


class Session(NamedTuple):
    """A session that was checked. ``user`` is the address of an authenticated client, or empty.

    Keys of ``destination_channels`` and ``expansions`` are folded: the case of an address changes no channel.
    """

    client: str
    server: str
    port: int
    client_port: int
    service_channel: str
    helo: str
    ehlo: bool
    tls: bool
    authenticated: bool
    user: str
    mail_from: str
    rcpt_to: tuple[str, ...]
    destination_channels: dict[str, str]
    expansions: dict[str, tuple[str, ...]]
    dns: dict[str, object]
    callouts: dict[str, dict[str, str]]


class Config(NamedTuple):
    """Texts of the configuration files; ``access_errors`` is the option ACCESS_ERRORS."""

    imta_cnf: str
    mappings: str
    dispatcher_cnf: str
    general: str
    includes: dict[str, str]
    access_errors: int


_SESSION_KEYS = frozenset(Session._fields) - {"user"}


def read_session(data: Any) -> Session:
    """Check a session given as a dictionary. Raises SessionError with the path, the value and what is accepted."""
    values = _dictionary("_input", data)
    _known("_input", values, _SESSION_KEYS)
    if "client" not in values:
        raise SessionError("_input.client", "is missing; write the client's address")
    authenticated = values.get("authenticated", False)
    if not isinstance(authenticated, (bool, str)) and authenticated is not None:
        raise _wrong("_input.authenticated", authenticated, "a boolean or the user's address")
    return Session(
        client=_address("_input.client", values["client"]),
        server=_address("_input.server", values.get("server", SAMPLE_SERVER)),
        port=_port("_input.port", values.get("port", 25)),
        client_port=_port("_input.client_port", values.get("client_port", SAMPLE_CLIENT_PORT)),
        service_channel=_field("_input.service_channel", values.get("service_channel", "")),
        helo=_field("_input.helo", values.get("helo", "")),
        ehlo=_boolean("_input.ehlo", values.get("ehlo", True)),
        tls=_boolean("_input.tls", values.get("tls", False)),
        authenticated=bool(authenticated),
        user=_field("_input.authenticated", authenticated) if isinstance(authenticated, str) else "",
        mail_from=_mailbox("_input.mail_from", values.get("mail_from", "")),
        rcpt_to=_texts("_input.rcpt_to", values.get("rcpt_to", [])),
        destination_channels={
            fold(key): _channel(f"_input.destination_channels[{shown(key)}]", item)
            for key, item in _dictionary("_input.destination_channels", values.get("destination_channels", {})).items()
        },
        expansions={
            fold(key): _texts(f"_input.expansions[{shown(key)}]", item)
            for key, item in _dictionary("_input.expansions", values.get("expansions", {})).items()
        },
        dns={
            key: _answers(f"_input.dns[{shown(key)}]", item)
            for key, item in _dictionary("_input.dns", values.get("dns", {})).items()
        },
        callouts={
            key: _text_map(f"_input.callouts[{shown(key)}]", item)
            for key, item in _dictionary("_input.callouts", values.get("callouts", {})).items()
        },
    )


def read_config(data: Any) -> Config:
    """Check a configuration given as a dictionary of texts. Raises SessionError."""
    values = _dictionary("config", data)
    _known("config", values, frozenset(Config._fields))
    access_errors = values.get("access_errors", 0)
    if isinstance(access_errors, bool) or access_errors not in (0, 1):
        raise _wrong("config.access_errors", access_errors, "0 or 1")
    return Config(
        imta_cnf=_text("config.imta_cnf", values.get("imta_cnf", "")),
        mappings=_text("config.mappings", values.get("mappings", "")),
        dispatcher_cnf=_text("config.dispatcher_cnf", values.get("dispatcher_cnf", "")),
        general=_text("config.general", values.get("general", "")),
        includes=_text_map("config.includes", values.get("includes", {})),
        access_errors=int(access_errors),
    )


def _wrong(path: str, value: Any, expected: str) -> SessionError:
    return SessionError(path, f"{shown(value)} is not accepted; write {expected}")


def _known(path: str, values: dict[str, Any], known: frozenset[str]) -> None:
    for key in values:
        if key not in known:
            raise SessionError(path, f"{shown(key)} is not a key; write one of {', '.join(sorted(known))}")


def _dictionary(path: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(path, value, "a dictionary")
    for key in value:
        if not isinstance(key, str):
            raise _wrong(f"{path} key", key, "a string")
    return {str(key): item for key, item in value.items()}


def _text(path: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(path, value, "a string")
    return str(value)


def _field(path: str, value: Any) -> str:
    """A text that becomes one field of a probe: a bar in it would add a field."""
    text = _text(path, value)
    if "|" in text or any(ord(char) < 32 for char in text):
        raise _wrong(path, value, 'text without "|" and control characters')
    return text


def _mailbox(path: str, value: Any) -> str:
    """A field with an address, empty for the null sender; the angle brackets of the dialogue are no part of it."""
    text = _field(path, value)
    if text.startswith("<") and text.endswith(">"):
        raise _wrong(path, value, "an address without angle brackets")
    return text


def _channel(path: str, value: Any) -> str:
    text = _field(path, value)
    if not text:
        raise _wrong(path, value, "the name of a channel")
    return text


def _texts(path: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)):
        raise _wrong(path, value, "a list of addresses")
    return tuple(_mailbox(f"{path}[{index}]", item) for index, item in enumerate(value))


def _answers(path: str, value: Any) -> object:
    """Answers of the DNS: a list of texts, the text SERVFAIL, or a dictionary of answers by record type or address."""
    if isinstance(value, dict):
        return {key: _answers(f"{path}[{shown(key)}]", item) for key, item in _dictionary(path, value).items()}
    if isinstance(value, (list, tuple)):
        return [_text(f"{path}[{index}]", item) for index, item in enumerate(value)]
    if isinstance(value, str) and value == NO_ANSWER:
        return NO_ANSWER
    raise _wrong(path, value, f'a list of answers, a dictionary of lists, or "{NO_ANSWER}"')


def _text_map(path: str, value: Any) -> dict[str, str]:
    return {key: _text(f"{path}[{shown(key)}]", item) for key, item in _dictionary(path, value).items()}


def _boolean(path: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _wrong(path, value, "a boolean")
    return value


def _port(path: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 65536:
        raise _wrong(path, value, "a port from 1 to 65535")
    return int(value)


def _address(path: str, value: Any) -> str:
    text = _text(path, value)
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise _wrong(path, value, "an IPv4 or IPv6 address") from None
    if "%" in text:
        # Behind it any text may stand for the scope of a link, also a bar.
        raise _wrong(path, value, "an address without scope")
    return text
