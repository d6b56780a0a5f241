# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-in for Sun Java System Messaging Server: the Dispatcher and the SMTP server, which decide by the image.

The protocol is aiosmtpd's. Two configurations are held, as in the product two programs hold them: the Dispatcher's,
for ports, PORT_ACCESS and DNS_VERIFY_DOMAIN, read when it starts; and the server's, for everything after, whose
mapping tables `reload` reads again. The text files are never read here.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import ssl
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable

from aiosmtpd.smtp import MISSING, SMTP, AuthResult, Envelope, LoginPassword, Session
from live_dns import LiveResolver
from product import CONTROL, STATE, places, read_image

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.channels import (
    may_authenticate,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.decision import (
    Evaluation,
    LoadedConfig,
    Stage,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server._evaluator.session import (
    read_session,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import ReportedError

USERS = STATE / "users.json"
CERTIFICATE = STATE / "tls.pem"
SPOOL = Path("/var/spool/messaging-standin")
HOSTNAME = "messaging.example"
TEMPORARY = "451 4.3.0 the stand-in cannot decide: "

NULL_SENDER = "<>"
"""How aiosmtpd gives it."""

BRACKETED = re.compile(r"\s*<(.*@.*)>(.*)")


class Decisions:
    """What aiosmtpd asks in the course of one connection, answered by the engine."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.config = server.server_config
        self.evaluation: Evaluation

    async def ask(self, step: Callable[..., Stage], *arguments: Any) -> Stage:
        """Take a step of the evaluation; in a thread, as it may wait for the DNS."""
        try:
            stage = await asyncio.get_running_loop().run_in_executor(None, partial(step, *arguments))
        except (ReportedError, LookupError) as e:
            stage = Stage("", True, False, f"{TEMPORARY}{e}", (), "")
        if not stage.accepted:
            print(f"rejected: {stage.reply}", flush=True)
        return stage

    def accept(self, connection: dict[str, Any]) -> Stage:
        """The Dispatcher's decision about a connection, and the server's first steps."""
        session = read_session(connection)
        dispatcher = Evaluation(session, self.server.dispatcher_config, LiveResolver())
        stage = dispatcher.connect()
        if stage.accepted:
            # The server gets its channel from the Dispatcher, as a parameter of its service.
            session = session._replace(service_channel=dispatcher.channel_of_service())
            self.evaluation = Evaluation(session, self.config, LiveResolver())
            self.evaluation.begin_channels()
            self.evaluation.rule_set()
            self.evaluation.protect_and_authenticate()
        return stage

    def offers_tls(self) -> bool:
        """Whether the channel that the session is on now has STARTTLS."""
        channel = self.evaluation.switcher.channel()
        return channel is not None and (channel.has("maytlsserver") or channel.has("musttlsserver"))

    def offers_authentication(self) -> bool:
        """Whether the channel that the session is on now has AUTH."""
        channel = self.evaluation.switcher.channel()
        return channel is not None and may_authenticate(channel)

    def know(self, **values: Any) -> None:
        """Tell the evaluation what the session has become."""
        self.evaluation.session = self.evaluation.session._replace(**values)

    # Hooks by the names that aiosmtpd gives them.

    async def handle_HELO(self, server: SMTP, session: Session, _envelope: Envelope, name: str) -> str:  # noqa: N802
        """Note the client's name."""
        session.host_name = name
        self.know(helo=name, ehlo=False)
        return f"250 {server.hostname}"

    async def handle_EHLO(  # noqa: N802
        self, _server: SMTP, session: Session, _envelope: Envelope, name: str, responses: list[str]
    ) -> list[str]:
        """Note the client's name, and offer AUTH only where the channel does."""
        session.host_name = name
        self.know(helo=name, ehlo=True)
        return [line for line in responses if self.offers_authentication() or not line.startswith("250-AUTH")]

    def handle_STARTTLS(self, _server: SMTP, _session: Session, _envelope: Envelope) -> bool:  # noqa: N802
        """Switch the channel after STARTTLS."""
        self.know(tls=True)
        self.evaluation.switcher.by_tls()
        return True

    async def handle_AUTH(self, _server: SMTP, _session: Session, _envelope: Envelope, _words: list[str]) -> Any:  # noqa: N802
        """Take a login only where the channel does."""
        return MISSING if self.offers_authentication() else "503 5.5.1 AUTH is not available"

    def check_password(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: LoginPassword
    ) -> AuthResult:
        """Look a user up, and switch the channel when it is one."""
        name = data.login.decode("latin-1")
        if json.loads(USERS.read_text()).get(name) != data.password.decode("latin-1"):
            return AuthResult(success=False, handled=False)
        self.know(authenticated=True, user=name)
        self.evaluation.authenticated = self.evaluation.switcher.by_authentication()
        return AuthResult(success=True, auth_data=data)

    async def handle_MAIL(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """The server's decision about a sender."""
        self.know(mail_from="" if address == NULL_SENDER else address)
        stage = await self.ask(self.evaluation.mail, True)
        if stage.accepted:
            envelope.mail_from = address
        return stage.reply or "250 2.5.0 Address Ok."

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """The server's decision about a recipient."""
        stage = await self.ask(self.evaluation.recipient, address, True)
        if stage.accepted:
            envelope.rcpt_tos.append(address)
            envelope.rcpt_options.append(stage.channel)
        return stage.reply or "250 2.1.5 Address Ok."

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Put the message into the spool, one file for each."""
        session = self.evaluation.session
        message = {
            "client": session.client,
            "helo": session.helo,
            "user": session.user,
            "tls": session.tls,
            "source_channel": self.evaluation.switcher.switches[-1].channel,
            "mail_from": self.evaluation.sender,
            "recipients": [
                {"address": address, "destination_channel": channel}
                for address, channel in zip(envelope.rcpt_tos, envelope.rcpt_options)
            ],
            "message": (envelope.content or b"").decode("latin-1"),
        }
        name = f"{time.time_ns()}-{id(self)}"
        SPOOL.joinpath(f".{name}").write_text(json.dumps(message, indent=1))
        SPOOL.joinpath(f".{name}").rename(SPOOL / f"{name}.json")
        return "250 2.5.0 Ok."


class Client(SMTP):  # type: ignore[misc]
    """One connection: aiosmtpd's protocol behind the Dispatcher's decision."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.decisions = Decisions(server)
        super().__init__(
            self.decisions,
            hostname=HOSTNAME,
            ident="stand-in for Messaging Server",
            tls_context=server.tls,
            auth_require_tls=False,
            authenticator=self.decisions.check_password,
            loop=asyncio.get_running_loop(),
        )

    async def _handle_client(self) -> None:
        """Speak SMTP only with clients that the Dispatcher accepts; others get its text as it is."""
        self.server.clients.add(self)
        stage = await self.decisions.ask(self.decisions.accept, self.connection())
        if stage.accepted:
            if not self.decisions.offers_tls():
                self.tls_context = None
            await super()._handle_client()
        else:
            self.transport.write(f"{stage.reply}\r\n".encode("latin-1", "replace"))
            self.transport.close()

    def connection(self) -> dict[str, Any]:
        """The addresses and ports of the connection, and whether it began with TLS."""
        client, server = (self.transport.get_extra_info(name) for name in ("peername", "sockname"))
        ends = {"client": client[0], "client_port": client[1], "server": server[0], "port": server[1]}
        return {**ends, "tls": self.transport.get_extra_info("ssl_object") is not None}

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """The address as it was written: aiosmtpd would leave out a source route."""
        found = BRACKETED.fullmatch(arg or "")
        if found is None:
            address, rest = super()._getaddr(arg)
            return address, rest
        return found.group(1), found.group(2)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget the connection."""
        self.server.clients.discard(self)
        super().connection_lost(error)


class Server:
    """The Dispatcher with its ports, and what the SMTP servers know."""

    def __init__(self) -> None:
        self.image = places().image
        self.dispatcher_config: LoadedConfig
        self.server_config: LoadedConfig
        self.clients: set[Client] = set()
        self.listeners: list[asyncio.Server] = []
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(CERTIFICATE)

    async def start(self) -> None:
        """Read the image and listen on the ports of its services."""
        self.dispatcher_config = self.server_config = read_image(self.image)
        for option, tls in (("PORT", None), ("TLS_PORT", self.tls)):
            for port in self.ports(option):
                for host in ("0.0.0.0", "::"):  # noqa: S104 - a server of the lab
                    loop = asyncio.get_running_loop()
                    self.listeners.append(await loop.create_server(lambda: Client(self), host, port, ssl=tls))

    def ports(self, option: str) -> list[int]:
        """The ports of all services of the dispatcher.cnf in the image."""
        dispatcher = self.dispatcher_config.dispatcher
        services = {entry.service for entry in dispatcher.options if entry.service}
        values = [value for service in services for value in dispatcher.values(service, option)]
        return sorted({int(port) for value in values for port in value.split(",") if port.strip()})

    def stop(self) -> None:
        """Stop listening and end all sessions."""
        for listener in self.listeners:
            listener.close()
        self.listeners.clear()
        self.end_sessions()

    def end_sessions(self) -> None:
        """Close all connections, as a process that ends does."""
        for client in list(self.clients):
            if client.transport is not None:
                client.transport.close()

    async def command(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Do what imsimta asks for."""
        words = (await reader.readline()).decode().split()
        try:
            await self.obey(words)
            answer = "ok"
        except (ReportedError, ValueError, OSError) as e:
            answer = " ".join(str(e).split())
        print(f"{' '.join(words)}: {answer}", flush=True)
        writer.write(f"{answer}\n".encode())
        writer.close()

    async def obey(self, words: list[str]) -> None:
        """Read of the image what this command has the product's processes read.

        Source: docs/reference/messaging-server-facts.md#compile-and-activate.
        """
        if words == ["reload"]:
            new = read_image(self.image)
            self.server_config = self.server_config._replace(mappings=new.mappings, database=new.database)
        elif words == ["restart", "smtp"]:
            self.server_config = read_image(self.image)
            self.end_sessions()
        elif words == ["restart", "dispatcher"]:
            self.stop()
            await self.start()
        else:
            raise ValueError(f"unknown command {words}")


def ready() -> None:
    """Tell systemd that connections are taken from now on."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(b"READY=1", "\0" + address[1:] if address.startswith("@") else address)


async def serve() -> None:
    """Serve until systemd says stop."""
    server = Server()
    await server.start()
    control = await asyncio.start_unix_server(server.command, CONTROL)
    ready()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    server.stop()
    control.close()


if __name__ == "__main__":
    try:
        asyncio.run(serve())
    except (ReportedError, ValueError, OSError) as error:
        sys.exit(f"messaging-standin: {error}")
