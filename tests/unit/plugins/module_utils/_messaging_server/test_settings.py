# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the settings of Messaging Server do not accept, with the exact words."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.settings import (
    DEFAULTS,
    Channels,
    Extra,
    read_settings,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError

EXTRA = "messaging_server_extra_entries"
EXAMPLE = "{ORIG_SEND_ACCESS: {before: [['tcp_local|*|tcp_local|*@example.com', '$Y']]}}"
ENTRY = "write [pattern, template] with quoted blanks, as ['tcp_local|*|l|*', '$Y']"
CHANNEL = "write a letter, then up to 31 letters, digits, underscores or hyphens"
LIBRARY = 'write a path without blanks, as "IMTA_LIB:dns_verify.so" or "/opt/SUNWmsgsr/lib/dns_verify.so"'


def extra(*entries: Any, table: str = "INTERNAL_IP") -> dict[str, Any]:
    return {"extra_entries": {table: {"before": list(entries)}}}


REJECTED: list[tuple[Any, str]] = [
    (1, "settings: 1 is not a dictionary; write the variables without messaging_server_"),
    ({"channel": {}}, f'settings: "channel" is not an option; write one of {", ".join(sorted(DEFAULTS))}'),
    (
        {"channels": "tcp_local"},
        'messaging_server_channels: "tcp_local" is not a dictionary; write one, as {internal: tcp_inside}',
    ),
    (
        {"channels": {"inside": "a"}},
        'messaging_server_channels: "inside" is not a kind of channel; write one of external, internal, authenticated, submission, local',
    ),
    (
        {"channels": {"internal": "a b"}},
        f'messaging_server_channels.internal: "a b" is not the name of a channel; {CHANNEL}',
    ),
    (
        {"channels": {"internal": "a|*"}},
        f'messaging_server_channels.internal: "a|*" is not the name of a channel; {CHANNEL}',
    ),
    (
        {"channels": {"internal": "defaults"}},
        f'messaging_server_channels.internal: "defaults" is not the name of a channel; {CHANNEL}',
    ),
    (
        {"channels": {"internal": "a" * 33}},
        f'messaging_server_channels.internal: "{"a" * 33}" is not the name of a channel; {CHANNEL}',
    ),
    (
        {"channels": {"internal": "TCP_Local"}},
        'messaging_server_channels.internal: "TCP_Local" is the external channel; name two different ones',
    ),
    (
        {"submission": "no"},
        'messaging_server_submission: "no" is text; write true or false'
        "; -e name=value and INI inventories give text, -e '{\"messaging_server_submission\": false}' does not",
    ),
    ({"release": 6.2}, 'messaging_server_release: 6.2 is not accepted; write "6-2005q4" or "6.3"'),
    (
        {"sender_domain_check_form": "both"},
        'messaging_server_sender_domain_check_form: "both" is not accepted; write "keyword" or "mapping"',
    ),
    (
        {"unknown_entries": "keep"},
        'messaging_server_unknown_entries: "keep" is not accepted; write "stop" or "replace"',
    ),
    (
        {"unusable_dnsbls": True},
        'messaging_server_unusable_dnsbls: true is not accepted; write "stop" or "skip"',
    ),
    (
        {"general_database_from": -1},
        "messaging_server_general_database_from: -1 is not accepted; write a whole number from 0 to 2147483647",
    ),
    (
        {"general_database_from": "5"},
        'messaging_server_general_database_from: "5" is text; write a whole number from 0 to 2147483647'
        "; -e name=value and INI inventories give text, -e '{\"messaging_server_general_database_from\": 5}' does not",
    ),
    ({"dns_library": "a b"}, f'messaging_server_dns_library: "a b" is no library; {LIBRARY}'),
    ({"dns_library": "/lib/x.so,y"}, f'messaging_server_dns_library: "/lib/x.so,y" is no library; {LIBRARY}'),
    ({"extra_entries": []}, f"{EXTRA}: a list is not a dictionary; write one, as {EXAMPLE}"),
    (
        {"extra_entries": {"SEND_ACCESS": {}}},
        f'{EXTRA}: "SEND_ACCESS" is not a table of the collection; write one of PORT_ACCESS, INTERNAL_IP, ORIG_SEND_ACCESS, ORIG_MAIL_ACCESS',
    ),
    (
        {"extra_entries": {"INTERNAL_IP": []}},
        f"{EXTRA}.INTERNAL_IP: a list is not a dictionary; write one, as {EXAMPLE}",
    ),
    (
        {"extra_entries": {"INTERNAL_IP": {"first": []}}},
        f'{EXTRA}.INTERNAL_IP: "first" is not a place; write before or after',
    ),
    (
        {"extra_entries": {"INTERNAL_IP": {"after": "x"}}},
        f"{EXTRA}.INTERNAL_IP.after: \"x\" is not a list; write a list, as [['tcp_local|*|l|*', '$Y']]",
    ),
    (extra("ab"), f'{EXTRA}.INTERNAL_IP.before[0]: "ab" is not an entry; {ENTRY}'),
    (extra(["a"]), f"{EXTRA}.INTERNAL_IP.before[0]: a list is not an entry; {ENTRY}"),
    (
        extra(["a b", "$Y"]),
        f"{EXTRA}.INTERNAL_IP.before[0]: is not an entry: pattern 'a b' with template '$Y' is not one entry; expected quoted blanks",
    ),
    (
        extra(["a", "$Y\n  * $Y"]),
        f"{EXTRA}.INTERNAL_IP.before[0]: is not an entry: pattern 'a' with template '$Y\\n  * $Y' is not one entry; expected quoted blanks",
    ),
    (
        extra(["a", "$Y\\"]),
        f"{EXTRA}.INTERNAL_IP.before[0]: is not an entry: pattern 'a' with template '$Y\\\\' is not one entry; expected quoted blanks",
    ),
    (
        extra(["*", "$Y"]),
        f'{EXTRA}.INTERNAL_IP.before[0]: the pattern "*" takes every host for an internal one: an open relay; Name the internal networks.',
    ),
    (
        extra(["$(20.0.0.0/8)", "$Y"]),
        f'{EXTRA}.INTERNAL_IP.before[0]: "$(20.0.0.0/8)" is a network of /8; all its hosts may relay; Name only the networks that are yours.',
    ),
]


@pytest.mark.parametrize(("options", "expected"), REJECTED)
def test_settings_reject(options: Any, expected: str) -> None:
    with pytest.raises(PolicyError) as caught:
        read_settings(options)
    assert caught.value.problems == [expected]


def test_what_is_accepted() -> None:
    assert read_settings({}).channels == Channels()
    settings = read_settings(
        {
            "channels": {"internal": "Inside-1"},
            "dns_library": "/opt/SUNWmsgsr/lib/dns_verify.so",
            **extra(["$(192.0.2.0/24)", "$Y"]),
        }
    )
    assert settings.channels == Channels(internal="Inside-1")
    assert settings.extra_entries == {"INTERNAL_IP": Extra(before=(("$(192.0.2.0/24)", "$Y"),))}
