# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lint of imta.cnf: channels that switch where they should not, blocks that lost their lines.

Sources: docs/reference/messaging-server-facts.md#switching and
docs/reference/messaging-server-facts.md#open-relay-mistakes.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .._formats.imta import Channel, ImtaFile, parse_imta
from .._formats.imta_keywords import FIXED_ARGUMENTS, GROUPS, NUMBER_LISTS, QUOTED_LISTS
from .._formats.text import fold
from .findings import Finding, fault_findings, unless_included

if TYPE_CHECKING:
    from collections.abc import Iterator

KNOWN_KEYWORDS = (
    frozenset(FIXED_ARGUMENTS)
    | NUMBER_LISTS
    | QUOTED_LISTS
    | {name for group in GROUPS for name in group}
    | {
        "smtp",
        "mx",
        "single_sys",
        "submit",
        "remotehost",
        "defaulthost",
        "inner",
        "routelocal",
        "defragment",
        "identnone",
        "identnonenumeric",
        "identnonelimited",
        "identtcp",
        "maytlsserver",
        "musttlsserver",
        "dequeue_removeroute",
        "viaaliasrequired",
        "blocketrn",
        "allowetrn",
        "silentetrn",
        "sendetrn",
        "vrfyhide",
        "vrfyallow",
        "vrfydefault",
        "domainvrfy",
        "rejectsmtplonglines",
        "rejectsmtp",
        "smtp_cr",
        "smtp_crlf",
        "smtp_lf",
        "smtp_crorlf",
        "expnallow",
        "expndisable",
        "expndefault",
        "truncatesmtplonglines",
        "copywarnpost",
        "copysendpost",
        "postheadonly",
        "immnonurgent",
    }
)
"""Keywords of the manuals, to recognise two that are written as one."""

_HOST_LIKE = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)+|[A-Za-z0-9_]+-[Dd]aemon")
_HOST_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f.:]+\]")
_FAULT_HINTS = {
    "no-official-host": "Write the host name in a line of its own below the channel's line.",
    "rule-among-channels": "Rewrite rules end at the first blank line of the file; move the rule up.",
    "duplicate-channel": "Merge the two blocks.",
}


def lint_imta(text: str) -> list[Finding]:
    """Findings of an imta.cnf, by line."""
    parsed = parse_imta(text)
    findings = fault_findings(parsed.faults, _FAULT_HINTS)
    findings.extend(_switch_defaults(parsed))
    findings.extend(_hosts(parsed))
    findings.extend(_internal_rule(parsed))
    for channel in parsed.channels:
        findings.extend(_keywords(channel))
        findings.extend(_targets(parsed, channel))
    return sorted(set(findings))


def _switch_defaults(parsed: ImtaFile) -> Iterator[Finding]:
    """The built-in default is allowswitchchannel: the first channel without noswitchchannel in its defaults.

    Without a channel that switches, as on a host with LMTP alone, it decides nothing.
    """
    if not any(channel.has("switchchannel") for channel in parsed.channels):
        return
    for channel in parsed.channels:
        if not any(keyword.name == "noswitchchannel" for keyword in channel.defaults):
            message = "no defaults with noswitchchannel before this channel; channels can be switched to unasked"
            hint = 'Put "defaults noswitchchannel" (with your other defaults) before the first channel.'
            yield Finding(
                channel.line.number, "missing-noswitchchannel", unless_included(message, parsed.missing), hint
            )
            return


def _hosts(parsed: ImtaFile) -> Iterator[Finding]:
    owners: dict[str, str] = {}
    for node in parsed.nodes:
        if node.kind != "host" or node.channel >= len(parsed.channels):
            continue
        name = parsed.channels[node.channel].name
        for host in node.line.text.split():
            if not _HOST_NAME.fullmatch(host):
                yield Finding(node.line.number, "host-name", f'"{host[:60]}" is no host name', "Correct the name.")
            owner = owners.setdefault(fold(host), name)
            if owner != name:
                message = f'host name "{host[:60]}" belongs to channel {owner} already'
                yield Finding(node.line.number, "duplicate-host", message, "Give each channel a host name of its own.")


def _internal_rule(parsed: ImtaFile) -> Iterator[Finding]:
    switching = [channel for channel in parsed.channels if channel.has("switchchannel")]
    calls = any(
        rule.pattern == "[]" and "${" in rule.template and "$R" in rule.template.upper() for rule in parsed.rules
    )
    if parsed.rules and switching and not calls:
        message = f"channel {switching[0].name} switches by address, but no [] rule looks up a table of them"
        hint = "Put a rule such as [] $E$R${INTERNAL_IP,$L}$U%[$L]@tcp_intranet-daemon before the other [] rules."
        message = unless_included(message, parsed.missing)
        yield Finding(switching[0].line.number, "missing-internal-rule", message, hint)


def _keywords(channel: Channel) -> Iterator[Finding]:
    line = channel.line.number
    for keyword in channel.keywords:
        name = keyword.name
        if name not in KNOWN_KEYWORDS:
            parts = [(name[:cut], name[cut:]) for cut in range(1, min(len(name), 80))]
            glued = next((pair for pair in parts if pair[0] in KNOWN_KEYWORDS and pair[1] in KNOWN_KEYWORDS), None)
            if glued:
                message = f'"{name[:60]}" is two keywords without a blank'
                yield Finding(line, "glued-keywords", message, f'Write "{glued[0]} {glued[1]}".')
    last = channel.line.text.split()[-1:]
    if not channel.hosts and last and _HOST_LIKE.fullmatch(last[0]):
        message = f'"{last[0][:60]}" at the end of the keywords looks like the host name of channel {channel.name}'
        yield Finding(line, "flattened-channel", message, "Write it in a line of its own below.")


def _targets(parsed: ImtaFile, channel: Channel) -> Iterator[Finding]:
    line = channel.line.number
    for name in ("saslswitchchannel", "tlsswitchchannel"):
        keyword = channel.setting(name)
        if keyword is None or keyword.name != name:
            continue
        target = parsed.channel(keyword.arguments[0]) if keyword.arguments else None
        if target is None:
            message = f"{name} of channel {channel.name} names no channel of this file"
            message = unless_included(message, parsed.missing)
            yield Finding(line, "unknown-switch-target", message, "Define the channel or correct the name.")
            continue
        if name != "saslswitchchannel":
            continue
        # The vendor's own tcp_intranet, which is only switched to, has the keyword without AUTH:
        # docs/reference/messaging-server-facts.md#default-channels.
        if not (channel.has("maysaslserver") or channel.has("mustsaslserver") or channel.has("allowswitchchannel")):
            message = f"channel {channel.name} has saslswitchchannel but offers no AUTH"
            yield Finding(line, "switch-without-auth", message, "Add maysaslserver.")
        if not target.has("mustsaslserver"):
            message = f"channel {target.name} is for authenticated clients but lacks mustsaslserver"
            yield Finding(target.line.number, "auth-channel", message, "Add mustsaslserver.")
        if not target.has("noswitchchannel"):
            message = f"channel {target.name} is for authenticated clients but can be switched to by address"
            yield Finding(target.line.number, "auth-channel-open", message, "Add noswitchchannel.")
