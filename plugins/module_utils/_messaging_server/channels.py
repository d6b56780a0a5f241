# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Channels and services from a mail policy: keywords, the rewrite rule, missing blocks, dispatcher options.

Sources: docs/reference/messaging-server-facts.md#imta-cnf and docs/reference/messaging-server-facts.md#dispatcher-cnf.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .._policy.errors import Problems, shown
from .._policy.mail import STAGE_DISPATCHER, MailPolicy
from ._formats.dispatcher import CHANNEL_PARAMETER, SMTP_SERVICE, SUBMISSION_PORT, SUBMISSION_SERVICE, ZONE_OPTION
from ._formats.imta_keywords import MAX_CHANNEL_NAME
from ._formats.mapping import Pair
from ._formats.tables import INTERNAL_IP
from ._formats.text import fold
from .settings import BY_KEYWORD, Settings
from .tables import default_host


class Setting(NamedTuple):
    """A keyword of a channel (or of ``defaults``) with its arguments, or an option of a service with its values."""

    place: str
    name: str
    values: tuple[str, ...] = ()


class ChannelBlock(NamedTuple):
    """A channel to add: its name, its keywords, its official host name."""

    name: str
    keywords: str
    host: str


ALL_CHANNELS = "defaults"
"""Where a keyword stands for all channels that have none of its own."""


_NAME = re.compile(rf"[!-~]{{1,{MAX_CHANNEL_NAME}}}")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f.:]+\]")


def read_hosts(value: Any, path: str = "hosts") -> dict[str, str]:
    """Official host names by folded channel name, from a dictionary that may be left out. Raises PolicyError."""
    problems = Problems()
    if value is not None and not isinstance(value, Mapping):
        problems.add(path, f"{shown(value)} is not a dictionary; write one, as {{tcp_local: tcp-daemon}}")
        value = None
    for name, host in (value or {}).items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            problems.add(path, f"{shown(name)} is not the name of a channel")
        elif not isinstance(host, str) or not _HOST.fullmatch(host):
            problems.add(f"{path}.{name}", f"{shown(host)} is no host name; write the second line of the channel")
    problems.raise_if_any()
    return {fold(name): host for name, host in (value or {}).items()}


def build_keywords(policy: MailPolicy, settings: Settings) -> tuple[Setting, ...]:
    """The keywords that channels must have (docs/reference/messaging-server-facts.md#switching)."""
    channels = settings.channels
    keywords: list[Setting] = [
        Setting(ALL_CHANNELS, "noswitchchannel"),
        Setting(channels.external, "switchchannel"),
        # Without a name the server cannot switch by it; the owner of a reverse zone can choose the name.
        Setting(channels.external, "identnonenumeric"),
        Setting(channels.external, "maysaslserver"),
        Setting(channels.external, "saslswitchchannel", (channels.authenticated,)),
    ]
    if policy.sender_domain_check and settings.sender_domain_check_form == BY_KEYWORD:
        keywords.append(Setting(channels.external, "mailfromdnsverify"))
    keywords.append(Setting(channels.internal, "allowswitchchannel"))
    closed = [channels.authenticated] + ([channels.submission] if settings.submission else [])
    for channel in closed:
        keywords += [Setting(channel, "mustsaslserver"), Setting(channel, "noswitchchannel")]
    return tuple(keywords)


def build_blocks(settings: Settings, hosts: Mapping[str, str]) -> tuple[ChannelBlock, ...]:
    """Blocks for the channels that are missing, with the installer's keywords.

    Source: docs/reference/messaging-server-facts.md#default-channels.

    ``hosts`` are official host names by folded channel name.
    """
    channels = settings.channels
    wanted = {
        channels.internal: "smtp mx single_sys subdirs 20 dequeue_removeroute maxjobs 7 pool SMTP_POOL maytlsserver "
        f"allowswitchchannel saslswitchchannel {channels.authenticated} missingrecipientpolicy 4",
        channels.authenticated: "smtp mx single_sys mustsaslserver noswitchchannel missingrecipientpolicy 4",
    }
    if settings.submission:
        wanted[channels.submission] = (
            "submit smtp mx single_sys mustsaslserver noswitchchannel maytlsserver missingrecipientpolicy 4"
        )
    return tuple(
        ChannelBlock(name, keywords, default_host(name)) for name, keywords in wanted.items() if fold(name) not in hosts
    )


def build_rules(settings: Settings, hosts: Mapping[str, str]) -> tuple[Pair, ...]:
    """The rule that sends internal addresses to the internal channel.

    Source: docs/reference/messaging-server-facts.md#internal-rule.
    """
    internal = settings.channels.internal
    host = hosts.get(fold(internal)) or default_host(internal)
    return (Pair("[]", f"$E$R${{{INTERNAL_IP},$L}}$U%[$L]@{host}"),)


def build_options(policy: MailPolicy, settings: Settings, exists: bool, image: str) -> tuple[Setting, ...]:
    """Options of dispatcher.cnf.

    ``exists`` says whether there is a service for submission; a new one gets its port, and the ``image`` of the
    service for port 25 where that is known.
    """
    options: list[Setting] = []
    zones = tuple(f"{one.zone}." for one in policy.dnsbls_at(STAGE_DISPATCHER))
    if zones:
        options.append(Setting(SMTP_SERVICE, ZONE_OPTION, zones))
    if settings.submission:
        if not exists:
            options.append(Setting(SUBMISSION_SERVICE, "PORT", (str(SUBMISSION_PORT),)))
            if image:
                options.append(Setting(SUBMISSION_SERVICE, "IMAGE", (image,)))
        channel = f"{CHANNEL_PARAMETER}{settings.channels.submission}"
        options.append(Setting(SUBMISSION_SERVICE, "PARAMETER", (channel,)))
    return tuple(options)
