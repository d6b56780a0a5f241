"""The relay classes of a policy: what clients say to any mail server, and what the policy wants of it.

A scenario says what an outcome looks like at its server, and adds the cases that hold there alone. Nothing here
is taken from the collection.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, NamedTuple

from mailhost_lab.addresses import EXTERNAL, HOSTS, INTERNAL, REMOTE, Host
from mailhost_lab.mail.dialogues import Dialogue, hold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailhost_lab.packets.probes import Lab

FAMILIES = (4, 6)
PREFIX = {4: "198.51.100.", 6: "2001:db8:100::"}
EXCEPTED = {4: "198.51.100.21", 6: "2001:db8:100::21"}
"""The client of the relay exception: from excepted.example to partner.example."""

INNER = {4: "198.51.100.84", 6: "2001:db8:200::84"}

TEXT = "Relaying is not for you, see https://mail.example/relay"
EXTERNAL_SENDER, EXCEPTED_SENDER = "eve@sender.example", "fred@excepted.example"
LOCAL, ELSEWHERE, PARTNER = "post@mail.example", "bob@remote.example", "pat@partner.example"


class Outcome(Enum):
    """What the policy wants of a mail."""

    DELIVERED = auto()
    DELIVERED_FROM_INTERNAL = auto()
    RELAYED_FROM_INTERNAL = auto()
    RELAYED_BY_EXCEPTION = auto()
    RELAYED_AUTHENTICATED = auto()
    NO_RELAY = auto()


class Case(NamedTuple):
    """A dialogue and its outcome, or what the scenario's server answers."""

    name: str
    dialogue: Dialogue
    outcome: Outcome | tuple[str, str]


class Boundaries(NamedTuple):
    """Last parts of boundary addresses of a network, and of their neighbours, by family."""

    first_and_last: dict[int, tuple[str, ...]]
    neighbours: dict[int, tuple[str, ...]]


@dataclass(frozen=True)
class Relay:
    """The clients of one server, where `user` has a mailbox."""

    server: Host
    user: str
    internal: Boundaries
    blocked: Boundaries
    message: str | None = None

    def says(self, family: int, src: str, mail_from: str | None, *rcpt_to: str, **more: Any) -> Dialogue:
        """Return what a host says to the server, which it reaches in its own network."""
        network = "internal" if src == INTERNAL.name else "external"
        message = self.message if mail_from is not None else None
        values = {"mail_from": mail_from, "rcpt_to": rcpt_to, "message": message, **more}
        return Dialogue(src, self.server.address(network, family), **values)

    def excepted(self, family: int, mail_from: str = EXCEPTED_SENDER, rcpt_to: str = PARTNER, **more: Any) -> Dialogue:
        """Return what the client of the relay exception says."""
        return self.says(family, EXTERNAL.name, mail_from, rcpt_to, **{"source": EXCEPTED[family], **more})

    def external(self, family: int, rcpt_to: str, mail_from: str = EXTERNAL_SENDER, **more: Any) -> Dialogue:
        """Return what an external client says."""
        return self.says(family, EXTERNAL.name, mail_from, rcpt_to, **more)

    def to_local_domain(self, family: int) -> Iterator[Case]:
        """Mail to a local domain is accepted from every client that is not blocked."""
        delivered = Outcome.DELIVERED
        for src in (EXTERNAL.name, REMOTE.name):
            yield Case(f"{src} to local", self.says(family, src, EXTERNAL_SENDER, LOCAL), delivered)
        yield Case("HELO to local", self.external(family, LOCAL, ehlo=False), delivered)
        yield Case("bounce to local", self.external(family, LOCAL, ""), delivered)
        yield Case("spoofed sender to local", self.external(family, LOCAL, "boss@mail.example"), delivered)
        yield Case("upper case to local", self.external(family, LOCAL.upper()), delivered)
        yield Case("TLS to local", self.external(family, LOCAL, starttls=True), delivered)
        yield Case("excepted client to local", self.excepted(family, rcpt_to=LOCAL), delivered)
        for end in self.blocked.neighbours[family]:
            dialogue = self.external(family, LOCAL, source=PREFIX[family] + end)
            yield Case(f"neighbour of the blocked network, {end}", dialogue, delivered)

    def from_internal_network(self, family: int) -> Iterator[Case]:
        """Internal clients relay, also those in the external network; the neighbours of the internal range do not."""
        relayed = Outcome.RELAYED_FROM_INTERNAL
        for name, sender in (("local", self.user), ("external", EXTERNAL_SENDER), ("null", "")):
            yield Case(f"internal, {name} sender", self.says(family, "internal", sender, ELSEWHERE), relayed)
        own = Outcome.DELIVERED_FROM_INTERNAL
        yield Case("internal to local", self.says(family, "internal", self.user, LOCAL), own)
        yield Case("internal, HELO", self.says(family, "internal", self.user, ELSEWHERE, ehlo=False), relayed)
        yield Case("internal, TLS", self.says(family, "internal", self.user, ELSEWHERE, starttls=True), relayed)
        for end in self.internal.first_and_last[family]:
            dialogue = self.external(family, ELSEWHERE, self.user, source=PREFIX[family] + end)
            yield Case(f"boundary address {end}", dialogue, relayed)
        literal = f"[{INNER[family]}]" if family == 4 else f"[IPv6:{INNER[family]}]"
        for name, dialogue in {
            **{
                f"neighbour {end} of the range": self.external(
                    family, ELSEWHERE, self.user, source=PREFIX[family] + end
                )
                for end in self.internal.neighbours[family]
            },
            "remote": self.says(family, REMOTE.name, self.user, ELSEWHERE),
            "external": self.external(family, ELSEWHERE),
            "external, TLS": self.external(family, ELSEWHERE, starttls=True),
            "external, HELO": self.external(family, ELSEWHERE, ehlo=False),
            "external bounce": self.external(family, ELSEWHERE, ""),
            "HELO of an internal host": self.external(family, ELSEWHERE, helo=literal),
        }.items():
            yield Case(name, dialogue, Outcome.NO_RELAY)

    def by_exception(self, family: int) -> Iterator[Case]:
        """The exception holds for its network, its sender domain and its recipient domain together."""
        relayed = Outcome.RELAYED_BY_EXCEPTION
        yield Case("excepted", self.excepted(family), relayed)
        upper = self.excepted(family, EXCEPTED_SENDER.upper(), PARTNER.upper())
        yield Case("excepted, upper case", upper, relayed)
        yield Case("excepted, TLS", self.excepted(family, starttls=True), relayed)
        beside = PREFIX[family] + self.blocked.neighbours[family][1]
        for name, dialogue in {
            "other external client": self.excepted(family, source=None),
            "other mail server": self.says(family, REMOTE.name, EXCEPTED_SENDER, PARTNER),
            "neighbour of the blocked network": self.excepted(family, source=beside),
            **{f"excepted, sender <{sender}>": self.excepted(family, sender) for sender in OTHER_SENDERS},
            **{f"excepted to <{rcpt_to}>": self.excepted(family, rcpt_to=rcpt_to) for rcpt_to in OTHER_RECIPIENTS},
        }.items():
            yield Case(name, dialogue, Outcome.NO_RELAY)


OTHER_SENDERS = (
    EXTERNAL_SENDER,
    "",
    "fred@mail.example",
    "fred@sub.excepted.example",
    "fred@notexcepted.example",
    "fred@excepted.example.evil.example",
)
OTHER_RECIPIENTS = (
    ELSEWHERE,
    "pat@sub.partner.example",
    "pat@notpartner.example",
    "pat@partner.example.evil.example",
)
EVASIVE_RECIPIENTS = (
    "pat%remote.example@partner.example",
    "remote.example!pat@partner.example",
    '"bob@remote.example"@partner.example',
    "pat%partner.example@remote.example",
)
"""What a relay exception does not permit either; servers differ in the text with which they reject it."""


def by_name(*classes: Callable[[int], Iterator[Case]]) -> dict[str, Case]:
    """Return the cases of classes in both families."""
    return {f"{of.__name__}, IPv{n}: {case.name}": case for n in FAMILIES for of in classes for case in of(n)}


def client_address(dialogue: Dialogue) -> str:
    """Return the address from which a host speaks to the server."""
    host = HOSTS[dialogue.src]
    return dialogue.source or host.address(host.ports[0].network, 6 if ":" in dialogue.dst else 4)


def verdicts(lab: Lab, *dialogues: Dialogue) -> list[str]:
    """Return how dialogues end."""
    return [talk.verdict for talk in hold(lab, dialogues)]
