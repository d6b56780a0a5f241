# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forms of envelopes by which an external client may try to relay.

Private to the collection: other collections must not import it.

Sources: RFC 5321 section 4.1.2 (paths, quoted local parts), appendix C (source routes) and
F.2; RFC 1123 section 5.2.16 (percent); the relay tests of mail operators. The same forms are evaluated on staged files
and sent to live servers, up to RCPT.
"""

from __future__ import annotations

from typing import NamedTuple

TARGET_DOMAIN = "relay-target.example"
EXTERNAL_DOMAIN = "relay-sender.example"
"""Domains that no mail host serves (RFC 6761: .example belongs to nobody)."""

TARGET4 = "203.0.113.25"
TARGET6 = "2001:db8:ffff:ffff::25"
"""Addresses of RFC 5737 and RFC 3849 that stand for a server elsewhere."""

EXTERNAL_SENDER = f"external@{EXTERNAL_DOMAIN}"
TARGET = f"victim@{TARGET_DOMAIN}"


class RelayForm(NamedTuple):
    """A name for the report, and the paths of MAIL FROM and RCPT TO without angle brackets."""

    name: str
    mail_from: str
    rcpt_to: str


def relay_forms(own_domain: str, own_address: str, channel_hosts: tuple[str, ...] = ()) -> list[RelayForm]:
    """Return all forms for a server that accepts mail for ``own_domain`` and answers on ``own_address`` (no brackets).

    ``channel_hosts`` are internal names of a server, as the official host names of Messaging Server's channels.
    """
    literal = f"[IPv6:{own_address}]" if ":" in own_address else f"[{own_address}]"
    recipients = {
        "plain": TARGET,
        "upper case": TARGET.upper(),
        "mixed case": "Victim@Relay-Target.Example",
        "final dot": f"{TARGET}.",
        "detail": f"victim+box@{TARGET_DOMAIN}",
        "subdomain of the target": f"victim@{own_domain}.{TARGET_DOMAIN}",
        "target below our name": f"victim@{TARGET_DOMAIN}.{own_domain}.invalid",
        "percent": f"victim%{TARGET_DOMAIN}@{own_domain}",
        "percent, our address": f"victim%{TARGET_DOMAIN}@{literal}",
        "percent, localhost": f"victim%{TARGET_DOMAIN}@localhost",
        "percent, no domain": f"victim%{TARGET_DOMAIN}",
        "percent twice": f"victim%{TARGET_DOMAIN}%{own_domain}@{own_domain}",
        "percent to the target": f"victim%{own_domain}@{TARGET_DOMAIN}",
        "bang": f"{TARGET_DOMAIN}!victim",
        "bang, our domain": f"{TARGET_DOMAIN}!victim@{own_domain}",
        "bang, our address": f"{TARGET_DOMAIN}!victim@{literal}",
        "bang through us": f"{own_domain}!{TARGET_DOMAIN}!victim",
        "bang and percent": f"{TARGET_DOMAIN}!victim%{TARGET_DOMAIN}@{own_domain}",
        "source route": f"@{own_domain}:{TARGET}",
        "source route, two hops": f"@{own_domain},@{TARGET_DOMAIN}:{TARGET}",
        "source route, our address": f"@{literal}:{TARGET}",
        "source route, localhost": f"@localhost:{TARGET}",
        "source route through the target": f"@{TARGET_DOMAIN}:victim@{own_domain}",
        "quoted, no domain": f'"{TARGET}"',
        "quoted, our domain": f'"{TARGET}"@{own_domain}',
        "quoted, our address": f'"{TARGET}"@{literal}',
        "quoted percent": f'"victim%{TARGET_DOMAIN}"@{own_domain}',
        "quoted percent, no domain": f'"victim%{TARGET_DOMAIN}"',
        "quoted blank": f'"a victim"@{TARGET_DOMAIN}',
        "two domains": f"{TARGET}@{own_domain}",
        "two domains, our address": f"{TARGET}@{literal}",
        "two domains, target last": f"victim@{own_domain}@{TARGET_DOMAIN}",
        "literal": f"victim@[{TARGET4}]",
        "IPv6 literal": f"victim@[IPv6:{TARGET6}]",
        "mapped IPv4 literal": f"victim@[IPv6:::ffff:{TARGET4}]",
        "address without brackets": f"victim@{TARGET4}",
    }
    senders = {
        "null sender": "",
        "spoofed local sender": f"postmaster@{own_domain}",
        "spoofed local sender, upper case": f"POSTMASTER@{own_domain.upper()}",
        "sender at our address": f"user@{literal}",
        "sender at localhost": "root@localhost",
        "sender without domain": "postmaster",
        "sender is the target": TARGET,
        "sender with a route": f"@{own_domain}:{EXTERNAL_SENDER}",
        "sender with percent": f"external%{EXTERNAL_DOMAIN}@{own_domain}",
        "quoted local sender": f'"user@{own_domain}"@{EXTERNAL_DOMAIN}',
        "sender at a literal": "external@[127.0.0.1]",
    }
    forms = [RelayForm(name, EXTERNAL_SENDER, path) for name, path in recipients.items()]
    forms += [RelayForm(name, path, TARGET) for name, path in senders.items()]
    for host in channel_hosts:
        forms.append(RelayForm(f"percent, {host}", EXTERNAL_SENDER, f"victim%{TARGET_DOMAIN}@{host}"))
        forms.append(RelayForm(f"quoted, {host}", EXTERNAL_SENDER, f'"{TARGET}"@{host}'))
        forms.append(RelayForm(f"source route, {host}", EXTERNAL_SENDER, f"@{host}:{TARGET}"))
    return forms
