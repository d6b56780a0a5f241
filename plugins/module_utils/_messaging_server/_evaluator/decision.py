# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the server does with an SMTP session: from the connection to each recipient.

Sources: docs/reference/messaging-server-facts.md#access-tables,
docs/reference/messaging-server-facts.md#switching-order, docs/reference/messaging-server-facts.md#dispatcher-cnf and
docs/reference/messaging-server-facts.md#dns-verify. The session is evaluated on the texts of the configuration files.
Nothing is looked up in a network unless the caller brings a resolver that does.
Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from .._formats.dispatcher import DEFAULT_CHANNEL, MAX_ZONES, ZONE_OPTION, DispatcherFile, parse_dispatcher
from .._formats.general import parse_general
from .._formats.imta import ImtaFile, parse_imta
from .._formats.mapping_flags import EFFECTS, Decision, decide
from .._formats.tables import (
    FROM_ACCESS,
    MAIL_ACCESS,
    ORIG_MAIL_ACCESS,
    ORIG_SEND_ACCESS,
    PORT_ACCESS,
    SEND_ACCESS,
    port_probe,
    send_probe,
)
from .._formats.text import BLANKS, INCLUDE, fold
from .callouts import Callouts
from .chance import weakest
from .channels import Switcher, may_authenticate
from .context import Result, surroundings
from .dns_verify import Resolver, StaticResolver, listing
from .mapping import Mappings, load_mappings
from .replies import (
    AUTHENTICATION_REQUIRED,
    LISTED_PORTS,
    OWN_WORDING,
    UNKNOWN_SENDER_DOMAIN,
    UNROUTABLE,
    listed,
    rejection,
)
from .rewrite import Rewriter
from .rewrite_template import Place

if TYPE_CHECKING:
    from .session import Config, Session

ROUTE = re.compile("[@%!]")
"""Signs of a route before the last ``@``: source route, percent hack, bang path."""

FIRST_HOP = re.compile("@([^@,:]+)[,:]")
"""The first host of a source route (RFC 5321, appendix C)."""

RECIPIENT_TABLES = (ORIG_SEND_ACCESS, ORIG_MAIL_ACCESS, SEND_ACCESS, MAIL_ACCESS)
"""Tables that are probed for each recipient, in this order."""
EXPANDED_TABLES = (SEND_ACCESS, MAIL_ACCESS)
"""Those of them that see the recipient after alias expansion."""


class Destination(NamedTuple):
    """Where a recipient goes: the channel (empty for none) and the address as the rewrite rules left it."""

    channel: str
    address: str


class Stage(NamedTuple):
    """A stage of the session: whether it was reached, accepted, the reply of a rejection, the tables probed."""

    name: str
    reached: bool
    accepted: bool
    reply: str
    tables: tuple[str, ...]
    channel: str


class Outcome(NamedTuple):
    """What became of a session."""

    connect: Stage
    mail: Stage
    recipients: tuple[Stage, ...]
    switches: tuple[tuple[str, str], ...]
    rule_set: str
    trace: tuple[str, ...]


class LoadedConfig(NamedTuple):
    """A configuration that was read once, for any number of sessions; ``notes`` begin the trace of each."""

    mappings: Mappings
    imta: ImtaFile
    dispatcher: DispatcherFile
    database: dict[str, str]
    access_errors: int
    notes: tuple[str, ...]


def load_config(config: Config) -> LoadedConfig:
    """Read the texts of a configuration. Raises MtaTextError for one that cannot be read."""
    mappings = load_mappings(config.mappings, "mappings", tuple(sorted(config.includes.items())))
    imta = parse_imta(config.imta_cnf, includes=config.includes).require_sound()
    dispatcher = parse_dispatcher(config.dispatcher_cnf).require_sound()
    general = parse_general(config.general)
    notes = tuple(
        f'Not certain: {line.file} includes "{line.text[1:].strip(BLANKS)}", which is not followed in this file.'
        for line in (*general.lines, *dispatcher.lines)
        if line.text.startswith(INCLUDE)
    )
    return LoadedConfig(mappings, imta, dispatcher, general.values, config.access_errors, notes)


def decide_session(session: Session, config: Config | LoadedConfig, resolver: Resolver | None = None) -> Outcome:
    """Evaluate a session.

    ``resolver`` answers instead of ``session.dns``. Raises MtaTextError for a configuration that cannot be read, and
    AddressError for an address that cannot.
    """
    return Evaluation(session, config if isinstance(config, LoadedConfig) else load_config(config), resolver).run()


class Evaluation:
    """One session, step by step.

    ``run`` takes all steps. A caller that learns the session as it goes takes them one by one in the same order, and
    replaces ``session`` by one that knows more in between.
    """

    def __init__(self, session: Session, config: LoadedConfig, resolver: Resolver | None = None) -> None:
        self.session = session
        self.config = config
        self.trace: list[str] = list(config.notes)
        self.mappings = config.mappings
        self.imta = config.imta
        self.dispatcher = config.dispatcher
        self.database = config.database
        self.resolver = resolver if resolver is not None else StaticResolver(session.dns, zones=True)
        self.callouts = Callouts(session.callouts, self.resolver)
        self.rewriter = Rewriter(self.imta, self.mappings, surroundings("", self.database, self.callouts))
        self.switcher = Switcher(self.imta, self.rewriter, self.trace)
        self.authenticated = False
        self.sender = ""
        self.port_probe = port_probe(session.client, session.server, session.port, session.client_port)
        self.probed: list[str] = []

    def run(self) -> Outcome:
        """Take all steps."""
        connect = self.connect()
        rule_set = ""
        if connect.accepted:
            self.begin_channels()
            rule_set = self.rule_set()
            connect = connect._replace(channel=self.switcher.switches[-1].channel, tables=tuple(self.probed))
            self.protect_and_authenticate()
        mail = self.mail(connect.accepted)
        recipients = tuple(self.recipient(address, mail.accepted) for address in self.session.rcpt_to)
        switches = tuple((switch.step, switch.channel) for switch in self.switcher.switches)
        return Outcome(connect, mail, recipients, switches, rule_set, tuple(self.trace))

    def probe(self, table: str, text: str, flags: str) -> Result | None:
        """Probe a table; None when there is none of this name."""
        if table not in self.mappings:
            return None
        self.probed.append(table)
        around = surroundings(flags, self.database, self.callouts)
        result, complete = weakest(
            lambda chances: self.mappings.probe(table, text, around._replace(chance=chances)),
            lambda result: result.matched and decide(table, result.flags, result.output).rejected,
        )
        self.trace.extend(result.trace())
        if not complete:
            self.trace.append("Not certain: with so many chances not every outcome was tried; another may accept.")
        return result

    def decision(self, table: str, result: Result) -> Decision:
        """Return what a table's result means, and trace its flags."""
        decision = decide(table, result.flags, result.output) if result.matched else Decision(False, "", "", ())
        self.trace.extend(f"Not certain: {note}." for note in decision.notes)
        self.trace.extend(f"Flag {flag}: {EFFECTS[flag]}." for flag in result.flags if flag in EFFECTS)
        if "D" in result.arguments:
            self.trace.append(f"The answer is delayed by {result.arguments['D']} hundredths of a second.")
        return decision

    def service(self) -> str | None:
        """Return the service of the Dispatcher that listens on the session's port."""
        return self.dispatcher.service_of_port(self.session.port)

    # Connection

    def connect(self) -> Stage:
        """What the Dispatcher does with the connection."""
        result = self.probe(PORT_ACCESS, self.port_probe, "A")
        if result is not None and result.matched:
            decision = self.decision(PORT_ACCESS, result)
            if decision.rejected:
                self.trace.append("The Dispatcher writes the text as it is and closes the connection.")
                return Stage("connect", True, False, decision.text, tuple(self.probed), "")
            if self.zones():
                self.trace.append("An entry of PORT_ACCESS matched, so DNS_VERIFY_DOMAIN is not looked at.")
            return Stage("connect", True, True, "", tuple(self.probed), "")
        if result is not None and self.zones() and any(str(step[0]).startswith("It fails") for step in result.steps):
            self.trace.append("Not certain: whether an entry of PORT_ACCESS that matches and fails hides the zones.")
        for zone in self.zones():
            found, _reason = listing(self.resolver, self.session.client, zone)
            self.trace.append(f"DNS_VERIFY_DOMAIN {zone}: {self.session.client} is {'' if found else 'not '}listed.")
            if found:
                if self.session.port not in LISTED_PORTS:
                    self.trace.append("Not certain: the reply is stated for ports 25, 110 and 143 only.")
                return Stage("connect", True, False, listed(self.session.client), tuple(self.probed), "")
        return Stage("connect", True, True, "", tuple(self.probed), "")

    def zones(self) -> list[str]:
        """Return the DNSBL zones that the Dispatcher queries for the session's service."""
        service = self.service()
        return self.dispatcher.values(service, ZONE_OPTION)[:MAX_ZONES] if service is not None else []

    # Channels

    def begin_channels(self) -> None:
        """The channel of the service, and switching by the client's address."""
        self.switcher.begin(self.session.service_channel or self.channel_of_service())
        self.switcher.by_address(self.session.client)

    def channel_of_service(self) -> str:
        """Return the channel on which a session of the service begins."""
        service = self.service()
        return DEFAULT_CHANNEL if service is None else self.dispatcher.channel_of(service)

    def rule_set(self) -> str:
        """PORT_ACCESS once more, without flag A, for the security rule set."""
        channel = self.switcher.channel()
        if channel is None or not may_authenticate(channel):
            return ""
        result = self.probe(PORT_ACCESS, self.port_probe, "")
        if result is None or not result.matched or self.decision(PORT_ACCESS, result).rejected:
            return ""
        return result.output.split("|", 1)[0]

    def protect_and_authenticate(self) -> None:
        """Switching after STARTTLS and AUTH, as far as the session has them."""
        if self.session.tls:
            self.switcher.by_tls()
        if self.session.authenticated:
            self.authenticated = self.switcher.by_authentication()

    # Sender

    def mail(self, reached: bool) -> Stage:
        """What becomes of MAIL FROM."""
        if not reached:
            return Stage("mail", False, False, "", (), "")
        self.probed = []
        self.sender = self.session.mail_from
        reply = self.reply_to_sender()
        return Stage("mail", True, not reply, reply, tuple(self.probed), self.switcher.switches[-1].channel)

    def reply_to_sender(self) -> str:
        """Return the reply that rejects the sender; empty where nothing does."""
        channel = self.switcher.channel()
        sender = self.sender
        if channel is not None and channel.has("mustsaslserver") and not self.authenticated:
            self.trace.append(f"Channel {channel.name} has mustsaslserver; {OWN_WORDING}.")
            return AUTHENTICATION_REQUIRED
        domain = sender.rpartition("@")[2]
        if channel is not None and channel.has("mailfromdnsverify") and "@" in sender:
            literal = domain.startswith("[")
            known = None if literal else self.resolver.exists(domain)
            answer = {True: "exists", False: "does not exist", None: "gives no answer"}[known]
            self.trace.append(f"mailfromdnsverify: domain {domain} {answer}.")
            if literal:
                self.trace.append("Not certain: what it makes of a domain literal is not described; taken as accepted.")
            if known is False:
                self.trace.append(f"Not certain: {OWN_WORDING}.")
                return UNKNOWN_SENDER_DOMAIN + sender
        text = "|".join((self.mail_probe(), self.switcher.switches[-1].channel, sender, self.session.user))
        result = self.probe(FROM_ACCESS, text, self.input_flags())
        if result is not None:
            decision = self.decision(FROM_ACCESS, result)
            if decision.rejected:
                return rejection(decision, sender, self.config.access_errors)
            self.replace_sender(result)
        return ""

    def replace_sender(self, result: Result) -> None:
        """Flag J of FROM_ACCESS gives the message another envelope sender."""
        sender = result.arguments.get("J")
        if sender is not None:
            self.sender = sender
            self.trace.append(f'Flag J: the envelope sender is now "{sender}"; taken as what the next tables see.')

    def mail_probe(self) -> str:
        """The part of the probes before the channel: connection, application, submission type."""
        if self.session.tls:
            self.trace.append("Not certain: with TLS the application field also has the cipher; left out here.")
        return f"{self.port_probe}|SMTP/{self.session.helo}|MAIL"

    def input_flags(self) -> str:
        """Return the input flags with which the access tables are probed in this session."""
        return (
            ("A" if self.authenticated else "") + ("T" if self.session.tls else "") + ("E" if self.session.ehlo else "")
        )

    # Recipients

    def recipient(self, address: str, reached: bool) -> Stage:
        """What becomes of RCPT TO."""
        if not reached:
            return Stage(address, False, False, "", (), "")
        self.probed = []
        stage = self.deliver(address, self.destination(address))
        hop = FIRST_HOP.match(address)
        if stage.accepted or hop is None:
            return stage
        routed = self.deliver(address, self.by_rules("@" + hop.group(1))._replace(address=address))
        if routed.accepted:
            self.trace.append(f"Not certain: routed to its first hop {hop.group(1)} it is accepted; taken so.")
        return routed if routed.accepted else stage

    def deliver(self, address: str, destination: Destination) -> Stage:
        """What becomes of a recipient that goes to this destination."""
        if not destination.channel:
            self.require_all_rules(address)
            self.trace.append(f"Not certain: {OWN_WORDING}.")
            return Stage(address, True, False, UNROUTABLE + address, (), "")
        reply = self.reply_to_recipient(address, destination)
        return Stage(address, True, not reply, reply, tuple(self.probed), destination.channel)

    def require_all_rules(self, address: str) -> None:
        """An address without a rule is not rejected when some of the rules are not known."""
        for node in self.imta.nodes:
            name = node.line.text[1:].strip(BLANKS)
            if node.kind == "include" and name in self.imta.missing:
                raise node.line.error(1, f'no rule takes {address}, but "{name}" was not given', "its text in includes")

    def destination(self, address: str) -> Destination:
        """Where a recipient goes: as the session says, else by the rewrite rules."""
        given = self.session.destination_channels.get(fold(address))
        if given is not None:
            return Destination(given, address)
        if ROUTE.search(address.rpartition("@")[0]):
            self.trace.append(f"Not certain: {address} names a route; only the host after its last @ is looked at.")
        return self.by_rules(address)

    def by_rules(self, address: str) -> Destination:
        """Where the rewrite rules send an address."""
        source = self.switcher.switches[-1].channel
        rewritten = self.rewriter.rewrite(address, Place(forward=True, envelope=True, source=source))
        self.trace.extend(rewritten.trace)
        found = self.imta.channel_of_host(rewritten.system) if rewritten.system else None
        if found is None:
            self.trace.append(f'No channel has the host name "{rewritten.system}" for {address}.')
            return Destination("", address)
        self.trace.append(f"{rewritten.address} goes to channel {found.name}.")
        return Destination(found.name, rewritten.address)

    def reply_to_recipient(self, address: str, destination: Destination) -> str:
        """Return the reply that rejects a recipient; empty where no table does."""
        reply = ""
        for table in RECIPIENT_TABLES:
            if table not in self.mappings:
                continue
            targets = [(address, destination)]
            if table in EXPANDED_TABLES and fold(address) in self.session.expansions:
                targets = [(member, self.destination(member)) for member in self.session.expansions[fold(address)]]
            for member, target in targets:
                decision = self.probe_recipient_table(table, target)
                if decision.rejected and not reply:
                    reply = rejection(decision, member, self.config.access_errors)
        return reply

    def probe_recipient_table(self, table: str, target: Destination) -> Decision:
        """Return the decision of one recipient access table about one target."""
        source = self.switcher.switches[-1].channel
        text = send_probe(source, self.sender, target.channel, target.address)
        if table in (ORIG_MAIL_ACCESS, MAIL_ACCESS):
            text = f"{self.mail_probe()}|{text}"
        result = self.probe(table, text, self.input_flags())
        return self.decision(table, result) if result is not None else Decision(False, "", "", ())


def as_data(outcome: Outcome) -> dict[str, Any]:
    """The outcome in the shape of the filter."""
    stages = [outcome.connect, outcome.mail, *outcome.recipients]
    tables: list[str] = []
    for stage in stages:
        tables.extend(table for table in stage.tables if table not in tables)

    def data(stage: Stage, channel: str) -> dict[str, Any]:
        return {
            "reached": stage.reached,
            "accepted": stage.accepted,
            "reply": stage.reply,
            channel: stage.channel,
            "tables": list(stage.tables),
        }

    return {
        "connect": data(outcome.connect, "source_channel"),
        "mail": data(outcome.mail, "source_channel"),
        "recipients": [{"address": stage.name, **data(stage, "destination_channel")} for stage in outcome.recipients],
        "source_channels": [{"step": step, "channel": channel} for step, channel in outcome.switches],
        "rule_set": outcome.rule_set,
        "tables": tables,
        "trace": list(outcome.trace),
    }
