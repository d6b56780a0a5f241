# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The source channel of an SMTP session: which channel it begins on and how it switches.

Source: docs/reference/messaging-server-facts.md#switching-order: each step uses the keywords of the channel the session
is on at that moment.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .._formats.imta_keywords import SWITCH_DEFAULT
from .._formats.text import fold
from .rewrite import Rewriter
from .rewrite_template import Place

if TYPE_CHECKING:
    from .._formats.imta import Channel, ImtaFile


SWITCHABLE = ("switchchannel", "allowswitchchannel")
"""Keywords that let a session switch to the channel."""


class Switch(NamedTuple):
    """The channel after a step: ``service``, ``address``, ``tls`` or ``authentication``."""

    step: str
    channel: str


def switching(channel: Channel) -> str:
    """Which of switchchannel, allowswitchchannel and noswitchchannel counts for a channel."""
    found = channel.setting("switchchannel")
    return found.name if found else SWITCH_DEFAULT


def may_authenticate(channel: Channel) -> bool:
    """Whether the channel offers AUTH."""
    return channel.has("maysaslserver") or channel.has("mustsaslserver")


class Switcher:
    """Follows a session through its channels and writes down why."""

    def __init__(self, imta: ImtaFile, rewriter: Rewriter, trace: list[str]) -> None:
        self._imta = imta
        self._rewriter = rewriter
        self._trace = trace
        self.switches: list[Switch] = []

    def channel(self) -> Channel | None:
        """The channel the session is on."""
        return self._imta.channel(self.switches[-1].channel)

    def begin(self, name: str) -> None:
        """The channel of the service."""
        self.switches.append(Switch("service", name))
        self._trace.append(f"The session begins on channel {name}.")
        if self._imta.channel(name) is None:
            self._trace.append(f"Channel {name} is not defined in imta.cnf; nothing can switch it.")

    def by_address(self, client: str) -> None:
        """Switching by the client's address: a backward pointing envelope rewrite of its domain literal."""
        channel = self.channel()
        if channel is None or switching(channel) != "switchchannel":
            self._trace.append("Channel does not switch by address (no switchchannel).")
            return
        if ":" in client:
            self._trace.append("Not certain: whether $L has the tag IPv6: for an IPv6 client; rewritten without it.")
            if "." in client:
                self._trace.append("Not certain: the server may take the IPv4 address in this one as the client's.")
        rewritten = self._rewriter.rewrite(f"@[{client}]", Place(forward=False, envelope=True, source=channel.name))
        self._trace.extend(f"  {step}" for step in rewritten.trace)
        target = self._imta.channel_of_host(rewritten.system) if rewritten.system else None
        if target is None:
            self._trace.append(f'No channel has the host name "{rewritten.system}"; no switch by address.')
            self._remark_host_name(channel)
        elif fold(target.name) == fold(channel.name):
            self._trace.append(f"The client's address belongs to channel {target.name} already.")
            self._remark_host_name(channel)
        elif switching(target) not in SWITCHABLE:
            self._trace.append(f"Channel {target.name} does not allow switching to it ({switching(target)}).")
        else:
            self._to("address", target.name)

    def _remark_host_name(self, channel: Channel) -> None:
        """When the address leads nowhere the server may try the name that the client's DNS gives.

        Source: docs/reference/messaging-server-facts.md#switching.
        """
        for other in self._imta.channels:
            if fold(other.name) != fold(channel.name) and switching(other) in SWITCHABLE:
                self._trace.append(
                    "Not certain: the client's host name may be tried too, and a client can choose it; "
                    f"not looked at here. Channel {other.name} can be switched to."
                )
                return

    def by_tls(self) -> None:
        """Switching after STARTTLS."""
        self._by_keyword("tls", "tlsswitchchannel")

    def by_authentication(self) -> bool:
        """Switching after AUTH; returns whether the channel lets a client authenticate at all."""
        channel = self.channel()
        if channel is None or not may_authenticate(channel):
            self._trace.append(f"Channel {self.switches[-1].channel} offers no AUTH (no maysaslserver).")
            return False
        self._by_keyword("authentication", "saslswitchchannel")
        return True

    def _by_keyword(self, step: str, name: str) -> None:
        channel = self.channel()
        keyword = channel.setting(name) if channel else None
        if keyword is None or keyword.name != name or not keyword.arguments:
            self._trace.append(f"Channel {self.switches[-1].channel} has no {name}; it stays.")
        elif self._imta.channel(keyword.arguments[0]) is None:
            self._trace.append(f"{name} names channel {keyword.arguments[0]}, which is not defined; it stays.")
        else:
            self._to(step, keyword.arguments[0])

    def _to(self, step: str, name: str) -> None:
        self.switches.append(Switch(step, name))
        self._trace.append(f"The session switches to channel {name} ({step}).")
