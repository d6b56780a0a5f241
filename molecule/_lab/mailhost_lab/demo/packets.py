"""The packets of the demo, and what the policy wants of each.

The table stands here, written from the policy's meaning; nothing of the role is asked what it did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mailhost_lab.demo.display import paint, summary, verdict
from mailhost_lab.packets.probes import Craft, Probe

if TYPE_CHECKING:
    from mailhost_lab.packets.probes import Lab


@dataclass(frozen=True)
class Flow:
    """One line of the table: an attempt, and whether the policy wants it."""

    name: str
    src: str
    dst: str
    port: int
    wanted: bool
    note: str = ""
    user: str | None = None
    second_address: bool = False
    sport: int | None = None
    lone_ack: bool = False
    has_banner: bool = True

    @property
    def expected(self) -> str:
        """Return what the policy wants, in the table's words."""
        return "open" if self.wanted else "blocked"

    def network(self) -> str:
        """Return the network over which the two hosts meet."""
        return "internal" if "internal" in (self.src, self.dst) else "external"

    def probe(self, lab: Lab, family: int) -> Probe | Craft:
        """Return the packets that find out."""
        target = lab.address(self.dst, self.network(), family)
        if self.lone_ack:
            return Craft(self.src, target, self.port, flags="A")
        host = lab.hosts[self.src]
        source = (host.extra4 if family == 4 else host.extra6)[0] if self.second_address else None
        return Probe(
            self.src, target, self.port, self.sport, source, self.user, greeting=self.wanted and self.has_banner
        )


FLOWS = {
    "From the external network to the mail host": (
        Flow("smtp", "external", "mailhost", 25, wanted=True),
        Flow("smtp", "external", "mailhost", 25, wanted=False, note="from port 1000", sport=1000),
        Flow("smtp", "external", "mailhost", 25, wanted=False, note="lone ACK", lone_ack=True),
        Flow("submission", "external", "mailhost", 587, wanted=False),
        Flow("imap", "external", "mailhost", 143, wanted=False),
        Flow("imaps", "external", "mailhost", 993, wanted=False),
        Flow("pop3", "external", "mailhost", 110, wanted=True, note="the partner"),
        Flow("pop3", "external", "mailhost", 110, wanted=False, note="its neighbour", second_address=True),
        Flow("pop3s", "external", "mailhost", 995, wanted=False),
        Flow("ssh", "external", "mailhost", 22, wanted=True, note="left alone"),
    ),
    "From the internal network to the mail host": (
        Flow("smtp", "internal", "mailhost", 25, wanted=True),
        Flow("imap", "internal", "mailhost", 143, wanted=True),
        Flow("imaps", "internal", "mailhost", 993, wanted=True, has_banner=False),
        Flow("pop3", "internal", "mailhost", 110, wanted=False),
        Flow("pop3s", "internal", "mailhost", 995, wanted=False),
    ),
    "From the mail host": (
        Flow("smtp", "mailhost", "remote", 25, wanted=True, note="as postfix", user="postfix"),
        Flow("smtp", "mailhost", "remote", 25, wanted=False, note="as nobody", user="nobody"),
        Flow("smtp", "mailhost", "remote", 25, wanted=False, note="as root", user="root"),
        Flow("pop3", "mailhost", "remote", 110, wanted=True, note="the provider"),
        Flow("pop3", "mailhost", "internal", 110, wanted=False, note="anybody else"),
        Flow("imap", "mailhost", "remote", 143, wanted=False),
    ),
}

SHOWN = {
    "open": "open",
    "silent": "open, no answer",
    "filtered": "blocked",
    "rejected": "blocked",
    "closed": "port closed",
    None: "blocked",
    "eperm": "blocked",
}


def shown(verdict: str | None) -> str:
    """Return a verdict in the table's words; what has no word is shown as it is and counts as wrong."""
    return "blocked" if verdict and verdict.startswith("icmp") else SHOWN.get(verdict, str(verdict))


def send_packets(lab: Lab, *, incoming: bool = False) -> dict[tuple[Flow, int], str]:
    """Send the packets, or those to the mail host alone; what came of each, in the table's words."""
    every = [flow for flows in FLOWS.values() for flow in flows if not incoming or flow.dst == "mailhost"]
    asked = [(flow, family) for flow in every for family in (4, 6)]
    verdicts = lab.batch([flow.probe(lab, family) for flow, family in asked])
    return {one: shown(found) for one, found in zip(asked, verdicts)}


def packet_verdicts(lab: Lab) -> list[bool]:
    """Send the packets to the mail host; whether each verdict is the policy's.

    A session from it would be one that is in use and not declared: the first run stops at those.
    """
    return [found == flow.expected for (flow, _family), found in send_packets(lab, incoming=True).items()]


def show_packets(lab: Lab) -> int:
    """Send the packets, print the table, return how many verdicts are not the policy's."""
    verdicts = send_packets(lab)
    wrong = 0
    row = "   {:<12}{:<16}{:<10}{:<10}{:>5}   {:<10} {} {}"
    print(paint(row.format("flow", "", "from", "to", "port", "expected", f"{'IPv4':<17}", "IPv6"), "2"))
    for group, flows in FLOWS.items():
        print(f"\n   {paint(group, '1')}")
        for flow in flows:
            cells = []
            for family in (4, 6):
                answer = verdicts[flow, family]
                good = answer == flow.expected
                wrong += not good
                cells.append(verdict(answer, good, 17))
            print(row.format(flow.name, flow.note, flow.src, flow.dst, flow.port, flow.expected, *cells).rstrip())
    summary(wrong, len(verdicts))
    return wrong
