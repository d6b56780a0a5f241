# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sessions that confirm the live Postfix, held with a server that answers from a script."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.mail import read_mail_policy
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix import confirm
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix.confirm import confirm_live
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions import smtp
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.command import StepError

POLICY = read_mail_policy({"domains": ["mail.example"], "internal_networks": ["198.51.100.64/26"]})
FIB = """\
Local:
  +-- 0.0.0.0/0 3 0 5
     +-- 127.0.0.0/8 2 0 2
           |-- 127.0.0.1
              /32 host LOCAL
     |-- 198.51.100.12
        /32 host LOCAL
     |-- 198.51.100.63
        /32 link BROADCAST
     |-- 198.51.100.76
        /32 host LOCAL
""".splitlines()
IF_INET6 = [
    "00000000000000000000000000000001 01 80 10 80       lo",
    "20010db8010000000000000000000012 02 40 00 80     eth0",
    "fe800000000000000000c6fffe336412 02 40 20 80     eth0",
]

Answer = Callable[[str], str]


def closed(line: str) -> str:
    """What a hardened Postfix says."""
    word = line[:4].upper()
    if word in ("EHLO", "HELO"):
        return "250-mail.example\r\n250 PIPELINING\r\n"
    return "550 5.7.1 Relaying not permitted\r\n" if word == "RCPT" else "250 2.0.0 Ok\r\n"


def serve(server: socket.socket, answer: Answer) -> None:
    while True:
        try:
            connection, _peer = server.accept()
        except OSError:
            return
        with contextlib.suppress(ConnectionError), connection, connection.makefile("rwb") as stream:
            stream.write(b"220 mail.example ESMTP\r\n")
            stream.flush()
            for line in stream:
                stream.write(answer(line.decode("ascii").rstrip()).encode("ascii"))
                stream.flush()
                if line[:4].upper() == b"QUIT":
                    break


@pytest.fixture
def confirmed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Answer], None]]:
    """Ask a server on the loopback, which stands for the host's own address outside as well."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(confirm, "SMTP_PORT", server.getsockname()[1])
        monkeypatch.setattr(confirm, "_outside", lambda _policy, _addresses: ["127.0.0.1"])

        def ask(answer: Answer, *, milters: bool = False, host: confirm.Host = confirm.Host()) -> None:  # noqa: B008
            threading.Thread(target=serve, args=(server, answer), daemon=True).start()
            confirm_live(POLICY, submission=False, milters=milters, host=host)

        yield ask


def test_closed_server_is_confirmed(confirmed: Callable[[Answer], None]) -> None:
    assert confirmed(closed) is None


def test_accepted_relay_form_is_an_error(confirmed: Callable[[Answer], None]) -> None:
    def answer(line: str) -> str:
        return "250 2.1.5 Ok\r\n" if line.startswith("RCPT TO:<victim%") else closed(line)

    with pytest.raises(StepError) as caught:
        confirmed(answer)
    assert caught.value.step == "confirm"
    assert caught.value.output == (
        "an external client (127.0.0.1) may relay: percent, RCPT TO:<victim%relay-target.example@mail.example>: 250 2.1.5 Ok"
    )


def test_auth_without_tls_is_an_error(confirmed: Callable[[Answer], None]) -> None:
    with pytest.raises(StepError, match=r"offers AUTH without TLS"):
        confirmed(lambda line: "250-mail.example\r\n250 AUTH PLAIN\r\n" if line[:4] == "EHLO" else closed(line))


def test_server_that_listens_at_one_address_is_found_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        threading.Thread(target=serve, args=(server, closed), daemon=True).start()
        assert confirm._offered(port, ("127.0.0.9", "127.0.0.1")) == []
        server.shutdown(socket.SHUT_RDWR)


def test_submission_without_an_answer_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setattr(confirm, "SUBMISSION_PORT", port)
    (problem,) = confirm._offered(port, ("127.0.0.1", "127.0.0.9"))
    assert problem.startswith(f"port {port} does not answer: 127.0.0.1: ")
    assert "127.0.0.9: " in problem


def test_closed_connection_is_no_relay(confirmed: Callable[[Answer], None]) -> None:
    assert confirmed(lambda _line: "421 4.7.0 too many connections\r\n") is None


def test_mail_deferred_for_a_mistake_is_an_error(confirmed: Callable[[Answer], None]) -> None:
    """As by a policy service that does not answer."""

    def answer(line: str) -> str:
        to_us = line.startswith("RCPT TO:<postmaster@mail.example>")
        return "451 4.3.5 Server configuration problem\r\n" if to_us else closed(line)

    with pytest.raises(StepError) as caught:
        confirmed(answer)
    assert caught.value.output == (
        "mail from an external client (127.0.0.1) to own domains is deferred, RCPT TO:<postmaster@mail.example>: "
        "451 4.3.5 Server configuration problem"
    )


def test_greylisting_is_no_mistake(confirmed: Callable[[Answer], None]) -> None:
    greylisted = "451 4.7.1 greylisted\r\n"
    assert confirmed(lambda line: greylisted if line.startswith("RCPT TO:<postmaster@") else closed(line)) is None


def without_milter(line: str) -> str:
    """What Postfix says when it reaches no milter."""
    word = line[:4].upper()
    if word == "MAIL":
        return "451 4.7.1 Service unavailable - try again later\r\n"
    return "503 5.5.1 Error: need MAIL command\r\n" if word == "RCPT" else closed(line)


def test_new_milter_without_an_answer_is_an_error(confirmed: Callable[..., None]) -> None:
    with pytest.raises(StepError) as caught:
        confirmed(without_milter, milters=True)
    assert caught.value.output == (
        "mail from an external client (127.0.0.1) to own domains is deferred, MAIL FROM:<>: "
        "451 4.7.1 Service unavailable - try again later\n"
        "port 25 defers mail, as a milter does not answer: 451 4.7.1 Service unavailable - try again later"
    ).replace("port 25", f"port {confirm.SMTP_PORT}")


def test_milter_that_was_gone_before_is_no_error(confirmed: Callable[..., None]) -> None:
    assert confirmed(without_milter) is None


def test_addresses_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "_read", lambda path: FIB if path == confirm.FIB else IF_INET6)
    assert confirm.own_addresses() == ["198.51.100.12", "198.51.100.76", "2001:db8:100::12"]
    assert confirm._outside(POLICY, confirm.own_addresses()) == ["198.51.100.12", "2001:db8:100::12"]


def test_internal_address_is_no_external_client() -> None:
    assert confirm._outside(POLICY, ["198.51.100.76"]) == []


def test_a_host_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "FIB", "/nonexistent")
    monkeypatch.setattr(confirm, "IF_INET6", "/nonexistent")
    assert confirm.own_addresses() == []


def test_session_that_ends_for_want_of_time_is_an_error(
    confirmed: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relay that answers slowly must not be confirmed because it was not tried to the end."""
    late = threading.Event()

    class Impatient(smtp.Patience):
        def left(self, deadline: float) -> float:
            if late.is_set():
                raise self.late()
            return super().left(deadline)

    def answer(line: str) -> str:
        if line.startswith("RCPT TO:<victim%"):
            late.set()
        return closed(line)

    monkeypatch.setattr(confirm, "Patience", Impatient)
    with pytest.raises(StepError) as caught:
        confirmed(
            answer, host=confirm.Host(waits="clients may wait for:\n'sleep 60' in smtpd_client_restrictions (main.cf)")
        )
    first, *rest = caught.value.output.splitlines()
    assert first.startswith("not every way of relaying could be tried from an external client (127.0.0.1): ")
    assert rest[:2] == ["clients may wait for:", "'sleep 60' in smtpd_client_restrictions (main.cf)"]


def test_server_that_never_sends_its_banner_to_external_clients_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that was never asked must not be confirmed."""
    monkeypatch.setattr(confirm, "SECONDS", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(confirm, "SMTP_PORT", server.getsockname()[1])
        monkeypatch.setattr(confirm, "_outside", lambda _policy, _addresses: ["127.0.0.1"])
        with pytest.raises(StepError) as caught:
            confirm_live(POLICY, submission=False)
    assert caught.value.output == (
        "not every way of relaying could be tried from an external client (127.0.0.1): no answer within 0.01 s"
    )


class Talk:
    """A server that answers from a script, and counts connections."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.connections = 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.server.getsockname()[1]
        threading.Thread(target=serve, args=(self.server, self._counted), daemon=True).start()

    def _counted(self, line: str) -> str:
        self.connections += line.startswith("EHLO")
        return self.answer(line)


@pytest.fixture
def talk() -> Iterator[Callable[[Answer], Talk]]:
    made: list[Talk] = []

    def begin(answer: Answer) -> Talk:
        made.append(Talk(answer))
        return made[-1]

    yield begin
    for one in made:
        one.server.close()


@pytest.mark.parametrize(
    ("command", "reply", "found"),
    [
        ("STARTTLS", "454 4.3.0 Try again later", "STARTTLS: 454 4.3.0 Try again later"),
        ("EHLO", "451 4.7.1 Service unavailable", "EHLO localhost.localdomain: 451 4.7.1 Service unavailable"),
        ("STARTTLS", "502 5.5.1 Error: command not implemented", ""),
    ],
)
def test_port_of_submission_that_defers_every_client_is_found(
    talk: Callable[[Answer], Talk], monkeypatch: pytest.MonkeyPatch, command: str, reply: str, found: str
) -> None:
    def answer(line: str) -> str:
        return f"{reply}\r\n" if line.startswith(command) else closed(line)

    monkeypatch.setattr(confirm, "SUBMISSION_PORT", talk(answer).port)
    assert confirm.deferral() == found


def test_shut_port_defers_nobody(talk: Callable[[Answer], Talk], monkeypatch: pytest.MonkeyPatch) -> None:
    one = talk(closed)
    one.server.shutdown(socket.SHUT_RDWR)
    one.server.close()
    monkeypatch.setattr(confirm, "SUBMISSION_PORT", one.port)
    assert confirm.deferral() == ""


@pytest.mark.parametrize(("errors", "connections"), [(8, 1), (3, 3), (1, 8)])
def test_no_connection_sees_more_rejections_than_it_may(
    talk: Callable[[Answer], Talk], monkeypatch: pytest.MonkeyPatch, errors: int, connections: int
) -> None:
    one = talk(closed)
    monkeypatch.setattr(confirm, "SMTP_PORT", one.port)
    monkeypatch.setattr(confirm, "_outside", lambda _policy, _addresses: ["127.0.0.1"])
    confirm_live(POLICY, submission=False, host=confirm.Host("", errors, 4))
    # One more looks at what is offered.
    assert one.connections == connections + 1


@pytest.mark.parametrize("before", ["", "STARTTLS: 454 4.3.0 Try again later"])
def test_deferral_at_587_is_a_fault_where_it_is_new(
    talk: Callable[[Answer], Talk], monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    def answer(line: str) -> str:
        if line.startswith("MAIL"):
            return "530 5.7.0 Must issue a STARTTLS command first\r\n"
        return "454 4.3.0 Try again later\r\n" if line == "STARTTLS" else closed(line)

    one = talk(answer)
    monkeypatch.setattr(confirm, "SMTP_PORT", one.port)
    monkeypatch.setattr(confirm, "SUBMISSION_PORT", one.port)
    monkeypatch.setattr(confirm, "_outside", lambda _policy, _addresses: [])
    host = confirm.Host(before)
    if before:
        confirm_live(POLICY, submission=True, host=host)
        return
    with pytest.raises(StepError) as caught:
        confirm_live(POLICY, submission=True, host=host)
    assert caught.value.output == (
        "port 587 defers every client, which it did not before: STARTTLS: 454 4.3.0 Try again later".replace(
            "587", str(one.port)
        )
    )


def still_testing(line: str) -> str:
    """What postscreen says while it still tests a client."""
    return "450 4.3.2 Service currently unavailable\r\n" if line[:4] == "RCPT" else closed(line)


def test_client_that_postscreen_still_tests_is_no_mistake(confirmed: Callable[..., None]) -> None:
    assert confirmed(still_testing, host=confirm.Host(postscreen=True)) is None


def test_reply_of_postscreen_is_a_mistake_where_smtpd_serves_the_port(confirmed: Callable[..., None]) -> None:
    with pytest.raises(StepError) as caught:
        confirmed(still_testing)
    assert caught.value.output == (
        "mail from an external client (127.0.0.1) to own domains is deferred, RCPT TO:<postmaster@mail.example>: "
        "450 4.3.2 Service currently unavailable"
    )
