# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A look at a mail host from outside, over real sockets: what is asked, and every sentence of the report."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.mailhost.hardening.plugins.module_utils._policy import mail
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import PolicyError
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions import smtp
from ansible_collections.mailhost.hardening.plugins.module_utils._sessions.dnsbl import Answers
from ansible_collections.mailhost.hardening.plugins.module_utils._verify import probe as outside
from ansible_collections.mailhost.hardening.plugins.module_utils._verify.verdicts import POINTS, Expected, judge_ports
from ansible_collections.mailhost.hardening.tests.unit.plugins.module_utils._verify.smtp_stub import (
    ADDRESS,
    ANCIENT,
    CLOSE,
    HANG,
    Session,
    Stub,
    listening,
    redirect,
    takes_own,
)

DECLARED = [{"service": name, "direction": "server"} for name in ("smtp", "submission", "submissions")]
ASKED = "seen from 127.0.0.1"


def submission(**more: Any) -> Stub:
    """A port that takes nothing without login."""
    values = {"protected": ("AUTH PLAIN",), "rcpt": lambda *_words: "530 5.7.0 Authentication required", **more}
    return Stub(**values)


@contextlib.contextmanager
def servers(stubs: dict[int, Stub]) -> Iterator[None]:
    """Stubs at the ports of a mail host; the probing host counts as an external client."""
    with contextlib.ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        ports = {port: stack.enter_context(listening(stub)) for port, stub in stubs.items()}
        patch.setattr(smtp, "connect", redirect(ports))
        patch.setattr(outside, "LOOPBACK", ())
        yield


def check(stubs: dict[int, Stub], **more: Any) -> dict[str, Any]:
    """Look at such a host."""
    options = {"addresses": [ADDRESS], "policy": {"domains": ["example.org"]}, "services": [], "skip": [], "timeout": 5}
    with servers(stubs):
        return outside.check(outside.read_wanted({**options, **more}))


def points(stubs: dict[int, Stub], **more: Any) -> dict[str, str]:
    """The verdict on each point with its detail."""
    return {one["point"]: f"{one['verdict']}: {one['detail']}" for one in check(stubs, **more)["points"]}


def relay(rcpt: Callable[[Session, str, str], str], **more: Any) -> str:
    """The detail about relaying through a server that answers RCPT in this way."""
    return points({25: Stub(rcpt=rcpt)}, **more)["relay"]


def test_a_host_as_it_should_be() -> None:
    stubs = {25: Stub(), 587: submission(), 465: submission(implicit=True)}
    result = check(stubs, services=DECLARED)
    assert result["lines"] == [
        f"at {ADDRESS}, {ASKED}",
        "ok         ports     25, 465 and 587 answer, 110, 143, 993, 995 and 4190",
        "                     not",
        "ok         relay     56 forms tried from 127.0.0.1, all rejected",
        "ok         auth      25 offers none; 587 offers AUTH after STARTTLS alone;",
        "                     465 offers AUTH under TLS alone",
        "ok         tls       25, 587 and 465 accept TLS 1.2, not 1.0 or 1.1",
        "ok         starttls  what is sent in the clear with STARTTLS is discarded",
        "                     on 25 and 587",
        "ok         banner    neither product nor version in the banner of 25, 587",
        "                     and 465",
        "ok         vrfy      VRFY and EXPN show nothing",
        "ok         xclient   neither XCLIENT nor XFORWARD on 25, 587 and 465",
        "in general",
        "skipped    dnsbls    mailhost_dnsbls names none",
        "0 of 9 points deviate, 1 skipped (dnsbls)",
    ]
    assert (result["deviations"], result["summary"]) == (0, "0 of 9 points deviate, 1 skipped (dnsbls)")
    assert {one["point"] for one in result["points"]} == set(POINTS)
    # Nothing that could become a message, and not more connections than a careful server allows.
    words = {line.split(" ")[0] for stub in stubs.values() for line in stub.lines}
    assert words == {"EHLO", "STARTTLS", "MAIL", "RCPT", "RSET", "VRFY", "EXPN", "NOOP", "QUIT"}
    assert [len(stub.sessions) for stub in stubs.values()] == [10, 5, 4]
    assert max(session.errors for session in stubs[25].sessions) <= 9


def test_the_report_of_the_page_is_what_such_a_host_gets() -> None:
    page = (Path(__file__).parents[5] / "docs/verify.md").read_text(encoding="utf-8")
    shown = re.findall(r"```text\n(.*?)```", page, re.DOTALL)[0].splitlines()
    stub = Stub(
        greeting="220 mx1.example.org ESMTP Postfix (Debian/GNU)",
        rcpt=lambda session, sender, path: takes_own(session, sender, path).replace("554 5", "454 4"),
        tls=ANCIENT,
    )
    lines = "\n".join(check({25: stub, 587: submission()}, services=DECLARED[:2])["lines"])
    assert lines.replace(ADDRESS, "192.0.2.1").replace("127.0.0.1", "192.0.2.9").splitlines() == shown


def test_a_host_as_it_should_not_be() -> None:
    open_one = Stub(
        greeting="220 postfix.example.org ESMTP Exim 4.97.1 Ubuntu",
        clear=("STARTTLS", "AUTH=LOGIN", "XCLIENT NAME ADDR LOGIN"),
        protected=("AUTH LOGIN",),
        tls=ANCIENT,
        injectable=True,
        rcpt=lambda *_words: "250 2.1.5 Ok",
        other=lambda _session, line: f"250 2.1.5 {line}" if line.startswith(("VRFY", "EXPN")) else "",
    )
    result = check({25: open_one}, services=DECLARED[1:])
    details = {one["point"]: one["detail"] for one in result["points"] if one["verdict"] == "deviation"}
    assert details == {
        "ports": "25 answers but is not declared in mailhost_services; 465 does not answer but is declared in "
        "mailhost_services; 587 does not answer but is declared in mailhost_services",
        "relay": details["relay"],
        "auth": "25 offers AUTH in the clear",
        "tls": "25 accepts TLS 1.0; 25 accepts TLS 1.1",
        "starttls": "25 executes what was sent in the clear with STARTTLS (CVE-2011-0411)",
        "banner": "the banner of 25, '220 postfix.example.org ESMTP Exim 4.97.1 Ubuntu', names Exim 4.97.1",
        "vrfy": "VRFY shows which mailboxes exist ('250 2.1.5 VRFY postmaster', and "
        "'250 2.1.5 VRFY no-such-user-of-mailhost-verify' for an invented one); EXPN shows which mailboxes exist "
        "('250 2.1.5 EXPN postmaster', and '250 2.1.5 EXPN no-such-user-of-mailhost-verify' for an invented one)",
        "xclient": "25 offers XCLIENT, by which any client may claim any address or login",
    }
    assert "(plain, upper case, mixed case and " in details["relay"]
    assert result["summary"] == f"8 of 9 points deviate ({', '.join(POINTS[:-1])}), 1 skipped (dnsbls)"


def test_a_server_that_relays_in_one_form_only() -> None:
    def rcpt(session: Session, mail_from: str, rcpt_to: str) -> str:
        return (
            "250 Ok" if rcpt_to.startswith("relay-target.example!victim%") else takes_own(session, mail_from, rcpt_to)
        )

    assert relay(rcpt) == (
        "deviation: 1 of 50 forms are accepted (bang and percent): from <external@relay-sender.example> to "
        "<relay-target.example!victim%relay-target.example@example.org> got '250 Ok'; if 127.0.0.1 is an internal client, add it "
        "to mailhost_internal_networks"
    )


def test_a_server_that_takes_any_name_of_its_own() -> None:
    def rcpt(_session: Session, _mail_from: str, rcpt_to: str) -> str:
        return "250 Ok" if rcpt_to.endswith("@example.org") else "554 no"

    assert relay(rcpt) == (
        "skipped: none of 50 forms was accepted for relaying, 42 were rejected, 8 accepted like any invented local name "
        "(percent), so only a message would show more"
    )


def test_a_refusal_for_now_is_no_proof() -> None:
    def rcpt(session: Session, mail_from: str, rcpt_to: str) -> str:
        return takes_own(session, mail_from, rcpt_to).replace("554 5", "454 4")

    assert relay(rcpt) == (
        "skipped: none of 50 forms was accepted for relaying, 0 were rejected, 50 deferred, which proves nothing "
        "('454 4.7.1 <victim@relay-target.example>: Relay access denied')"
    )


def test_a_server_that_refuses_everybody_proves_nothing() -> None:
    refusal = "554 5.7.1 Service unavailable; Client host [127.0.0.1] blocked"
    assert relay(lambda *_words: refusal) == (
        f"skipped: even mail to <postmaster@example.org> is rejected ('{refusal}'), so that 50 rejections of relaying prove "
        "nothing; verify from another host (mailhost_verify_from)"
    )
    assert "set mailhost_domains, or verify from another host" in relay(lambda *_words: refusal, policy={})


def test_a_sender_that_the_server_knows_not_to_exist_is_not_used() -> None:
    def rcpt(session: Session, mail_from: str, rcpt_to: str) -> str:
        if mail_from.endswith("@relay-sender.example"):
            return "550 5.1.8 Domain not found"
        return (
            "250 Ok" if rcpt_to == "victim@relay-target.example" and not mail_from else takes_own(session, "", rcpt_to)
        )

    detail = relay(rcpt)
    assert detail.startswith("deviation: 2 of 50 forms are accepted (plain, null sender): from <> to <victim@")


@pytest.mark.parametrize("policy", [{}, {"domains": ["example.org"]}])
def test_a_server_that_knows_its_clients_after_the_first_try_alone(policy: dict[str, Any]) -> None:
    """As postscreen does after its deep tests; without domains the server's own name is asked for."""
    tried: list[str] = []

    def rcpt(session: Session, mail_from: str, rcpt_to: str) -> str:
        tried.append(rcpt_to)
        if len(tried) == 1:
            return "450 4.3.2 Service currently unavailable"
        return takes_own(session, mail_from, rcpt_to.replace("mx.example", "example"))

    assert relay(rcpt, policy=policy) == "ok: 50 forms tried from 127.0.0.1, all rejected"
    assert tried[0] == ("postmaster@example.org" if policy else "postmaster@mx.example.org")


def test_connections_that_end_after_some_errors_are_renewed() -> None:
    def other(session: Session, line: str) -> str:
        return "421 4.7.0 Error: too many errors" if session.errors >= 6 and line.startswith("MAIL") else ""

    stub = Stub(other=other)
    assert points({25: stub})["relay"] == "ok: 50 forms tried from 127.0.0.1, all rejected"
    assert len(stub.sessions) < 20


def test_limits_are_no_refusals() -> None:
    stub = Stub()

    def other(_session: Session, line: str) -> str:
        many = sum(one.startswith("RCPT") for one in stub.lines)
        if many > 30 and line.startswith("MAIL"):
            return "450 4.7.1 Error: too much mail from 127.0.0.1"
        return "421 4.7.0 try later" if many > 20 and line.startswith("EHLO") else ""

    stub.other = other
    assert points({25: stub})["relay"] == (
        "skipped: none of 50 forms was accepted for relaying, 27 were rejected, 23 not answered ('421 4.7.0 try later')"
    )
    stub = Stub(other=lambda _session, line: "452 4.7.1 rate exceeded" if ".org" in line and "M" in line[:1] else "")
    assert points({25: stub})["relay"].startswith(
        "skipped: none of 50 forms was accepted for relaying, 46 were rejected, 4 not"
    )


def test_relay_is_asked_for_on_the_ports_of_submission_too() -> None:
    stubs = {25: Stub(), 587: submission(rcpt=lambda *_words: "250 Ok")}
    assert points(stubs)["relay"].startswith(
        "deviation: 3 of 53 forms are accepted (587: plain, 587: null sender, 587: "
    )


@pytest.mark.parametrize(
    ("policy", "detail"),
    [
        ({"internal_networks": ["127.0.0.0/30"]}, "an internal client (127.0.0.1 is in mailhost_internal_networks)"),
        (
            {"relay_exceptions": [{"networks": ["127.0.0.1"], "sender_domains": ["example.org"]}]},
            "127.0.0.1, which has a relay exception",
        ),
    ],
)
def test_relay_probed_from_an_internal_client_is_skipped(policy: dict[str, Any], detail: str) -> None:
    stub = Stub()
    assert points({25: stub}, policy=policy)["relay"] == (
        f"skipped: seen from {detail}: shows nothing about external clients; name an external host in mailhost_verify_from"
    )
    assert not [line for line in stub.lines if line.startswith("MAIL")]


def test_from_a_blocked_address_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "LOOPBACK", ())
    stub = Stub()
    assert points({25: stub}, policy={"blocked_networks": ["127.0.0.1"]}) == {
        "ports": "deviation: seen from an address in mailhost_blocked_networks; name another host in "
        "mailhost_verify_from",
        "dnsbls": "skipped: mailhost_dnsbls names none",
    }
    assert stub.sessions == []


def test_the_host_itself_is_no_external_client() -> None:
    options = {"addresses": ["127.0.0.1"], "policy": {}, "services": [], "skip": [], "timeout": 5}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smtp, "connect", redirect({}))
        details = [one["detail"] for one in outside.check(outside.read_wanted(options))["points"]]
    assert details[:3] == [
        "25 does not answer",
        "seen from the mail host itself: shows nothing about external clients; name an external host in mailhost_verify_from",
        "no SMTP port answers",
    ]


def test_flows_for_internal_clients_are_expected_from_internal_networks_only() -> None:
    services = [*DECLARED[:1], {"service": "submission", "direction": "server", "peers": "internal"}]
    policy = {"domains": ["example.org"], "internal_networks": ["192.0.2.0/24"]}
    read = outside.read_wanted(
        {"addresses": [ADDRESS], "policy": policy, "services": services, "skip": [], "timeout": 5}
    )
    assert [str(peer) for peer in read.flows[1].peers or ()] == ["192.0.2.0/24"]
    with pytest.raises(
        PolicyError, match=r'^mailhost_services\[1\]\.peers: "internal" is given, but mailhost_internal_'
    ):
        outside.read_wanted({"addresses": [ADDRESS], "policy": {}, "services": services, "skip": [], "timeout": 5})


def test_port_that_there_was_no_time_to_try_is_unclear() -> None:
    found = judge_ports({25: True, 587: None}, Expected({25: True, 587: True}, "example.org", False), "192.0.2.1")
    assert (found.verdict, found.detail) == ("skipped", "25 answers; no time was left to try 587")


def test_ports_are_judged_for_who_asks() -> None:
    services = [
        *DECLARED[:1],
        {"service": "submission", "direction": "server", "peers": ["192.0.2.0/24"]},
        {"service": 2525, "direction": "server"},
    ]
    details = points({25: Stub(), 587: submission()}, services=services)
    assert details["ports"] == (
        "deviation: 587 answers but is declared in mailhost_services for other peers than 127.0.0.1 alone; 2525 does not answer but is "
        "declared in mailhost_services"
    )
    # Without a declaration nothing but 25 is expected.
    assert points({25: Stub(), 587: Stub()})["ports"] == "ok: 25 and 587 answer, 110, 143, 465, 993, 995 and 4190 not"
    assert points({587: submission()})["ports"] == "deviation: 25 does not answer"


@pytest.mark.parametrize(
    ("stubs", "services", "detail"),
    [
        ({25: Stub(protected=("AUTH PLAIN",))}, [], "ok: 25 offers AUTH after STARTTLS alone"),
        (
            {25: Stub(protected=("AUTH PLAIN",))},
            DECLARED[:1],
            "deviation: 25 offers AUTH after STARTTLS; login belongs on 465 and 587",
        ),
        ({587: Stub(clear=("AUTH PLAIN",))}, [], "deviation: 587 offers AUTH in the clear"),
        ({587: Stub()}, [], "ok: 587 offers none"),
        ({587: Stub()}, DECLARED[1:2], "deviation: 587 offers no AUTH after STARTTLS"),
        ({465: Stub(implicit=True)}, DECLARED[2:], "deviation: 465 offers no AUTH under TLS"),
        ({}, [], "skipped: no SMTP port answers"),
        (
            {25: Stub(greeting="554 5.3.2 go away")},
            [],
            "skipped: 25: '554 5.3.2 go away'",
        ),
        (
            {25: Stub(), 587: Stub(greeting="421 4.3.2 later")},
            [],
            "skipped: 25 offers none; 587: '421 4.3.2 later'",
        ),
    ],
)
def test_auth(stubs: dict[int, Stub], services: list[Any], detail: str) -> None:
    assert points(stubs, services=services)["auth"] == detail


@pytest.mark.parametrize(
    ("stubs", "services", "detail"),
    [
        ({25: Stub(clear=())}, [], "ok: 25 offers no STARTTLS"),
        ({587: Stub(clear=())}, DECLARED[1:2], "deviation: 587 offers no STARTTLS"),
        ({465: Stub(implicit=True, tls=ANCIENT)}, [], "deviation: 465 accepts TLS 1.0; 465 accepts TLS 1.1"),
        ({25: Stub(other=lambda _session, line: "454 4.7.0 not now" if line == "STARTTLS" else "")}, [], ""),
    ],
)
def test_tls(stubs: dict[int, Stub], services: list[Any], detail: str) -> None:
    assert points(stubs, services=services)["tls"] == (detail or "skipped: 25: '454 4.7.0 not now'")


def test_versions_that_the_asking_host_cannot_speak_are_not_vouched_for(monkeypatch: pytest.MonkeyPatch) -> None:
    real = outside.context_of
    monkeypatch.setattr(outside, "context_of", lambda version: None if version == "1.0" else real(version))
    assert points({25: Stub()})["tls"] == (
        "skipped: 25 accepts TLS 1.2, not 1.1; 1.0 not tried, as the OpenSSL of the probing host cannot speak it"
    )


def test_a_server_that_ends_the_session_when_commands_come_with_starttls_is_safe() -> None:
    def other(session: Session, line: str) -> str:
        return CLOSE if line == "STARTTLS" and session.rest else ""

    detail = points({25: Stub(other=other)})["starttls"]
    assert detail == "ok: what is sent in the clear with STARTTLS is discarded on 25"


@pytest.mark.parametrize(
    ("greeting", "detail"),
    [
        ("220 mail.example.org ESMTP", ""),
        ("220 postfix.example.org ESMTP ready", ""),
        ("220 mail.example.org ESMTP Sun, 22 Nov 2026 22:00:00 +0000", ""),
        ("220 mail.example.org ESMTP for [192.0.2.10] 192.0.2.10", ""),
        ("220 mail.example.org ESMTP Postfix (Debian/GNU)", "Postfix"),
        ("220 mail.example.org -- Server ESMTP (Sun Java(tm) System Messaging Server 6.2-3.04)", "Sun Java 6.2"),
        ("220 mail.example.org SMTP v3.1 ready", "v3.1"),
        ("220-mail.example.org\r\n220 Sendmail", "Sendmail"),
        ("220-postfix.example ESMTP\r\n220 Postfix.example ESMTP", ""),
        ("220-postfix.example ESMTP\r\n220 postfix.example ESMTP Postfix", "Postfix"),
    ],
)
def test_banner(greeting: str, detail: str) -> None:
    seen = points({25: Stub(greeting=greeting)})["banner"]
    assert seen.partition("', names ")[2] == detail
    assert seen.startswith("deviation" if detail else "ok: neither product nor version in the banner of 25")


def test_vrfy_that_tells_by_the_difference() -> None:
    def other(_session: Session, line: str) -> str:
        known = line.endswith("postmaster")
        return ("252 2.0.0 postmaster" if known else "550 5.1.1 unknown") if line.startswith("VRFY") else ""

    assert points({25: Stub(other=other)})["vrfy"] == (
        "deviation: VRFY shows which mailboxes exist ('252 2.0.0 postmaster', and '550 5.1.1 unknown' for an invented one)"
    )


@pytest.mark.parametrize(
    "stub",
    [
        Stub(greeting=HANG),
        Stub(other=lambda _session, _line: HANG),
        Stub(other=lambda _session, line: HANG if line.startswith("MAIL") else ""),
        Stub(other=lambda _session, line: HANG if line == "STARTTLS" else ""),
        Stub(other=lambda _session, line: CLOSE if line.startswith("RCPT") else ""),
        Stub(greeting="hello"),
        Stub(greeting="220-" + "x" * 60 + "\r\n220-x" * 20000),
        Stub(greeting=CLOSE),
    ],
)
def test_servers_that_hang_or_cut_off_are_not_waited_for(stub: Stub) -> None:
    details = points({25: stub}, timeout=0.2)
    assert not any(session.waited for session in stub.sessions)
    assert details["ports"].startswith("ok: 25 answers")
    assert details["relay"].startswith("skipped: ")


def test_a_server_that_sends_a_byte_now_and_then_is_not_waited_for() -> None:
    finished: list[Session] = []

    def other(session: Session, _line: str) -> str:
        with contextlib.suppress(OSError):
            for _byte in range(1000):
                session.connection.sendall(b"2")
                time.sleep(0.02)  # slowness is what is tried here
            finished.append(session)
        return CLOSE

    assert points({25: Stub(other=other)}, timeout=0.2)["auth"] == "skipped: 25: no answer within 0.2 s"
    assert finished == []


def test_block_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "good.example": Answers(["127.0.0.2"], []),
        "dead.example": Answers(["127.0.0.2"], ["127.0.0.2"]),
        "key.empty.example": Answers([], []),
        "open.example": Answers(["127.255.255.254"], []),
        "typo.example": Answers(["127.255.255.252"], []),
        "silent.example": Answers(None, None),
    }
    monkeypatch.setattr(outside, "query_dnsbls", lambda zones: {zone: answers[zone] for zone in zones})

    def detail(*zones: str) -> str:
        return points({}, policy={"dnsbls": [{"zone": zone} for zone in zones]})["dnsbls"]

    assert detail("good.example") == "ok: mailhost_dnsbls[0] works as seen from here"
    assert detail("good.example", "dead.example", "key.empty.example", "typo.example") == (
        "deviation: mailhost_dnsbls[1] lists 127.0.0.1, as a DNSBL does that has closed and lists every address; "
        "mailhost_dnsbls[2] does not list its test entry 127.0.0.2, as if closed or misspelt; "
        "mailhost_dnsbls[3] answers 127.255.255.252 here: the zone's name has a typing error"
    )
    assert detail("good.example", "open.example", "silent.example") == (
        "skipped: mailhost_dnsbls[0] works as seen from here; mailhost_dnsbls[1] answers 127.255.255.254 here: the DNSBL "
        "does not answer public or shared resolvers; use a resolver of your own; mailhost_dnsbls[2] gives no "
        "answer here"
    )


def test_points_that_are_not_judged() -> None:
    stubs = {25: Stub(greeting="220 mx.example.org Postfix")}
    result = check(stubs, skip=["banner"])
    assert result["deviations"] == 0
    assert points(stubs, skip=["banner"])["banner"] == (
        "skipped: not judged (mailhost_verify_skip): the banner of 25, '220 mx.example.org Postfix', names Postfix"
    )


def test_names_without_address_and_addresses_without_a_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_way(place: smtp.Place) -> str:
        raise smtp.NoRouteError(f"no route to {place.address} from here (Network is unreachable)")

    monkeypatch.setattr(outside, "source_address", no_way)
    assert check({}, addresses=["no.such.name.invalid", "2001:db8::1"])["lines"] == [
        "at no.such.name.invalid",
        "deviation  ports     no.such.name.invalid has no address as seen from here",
        "at 2001:db8::1",
        "skipped    ports     no route to 2001:db8::1 from here (Network is",
        "                     unreachable)",
        "in general",
        "deviation  ports     no address can be reached from here",
        "skipped    dnsbls    mailhost_dnsbls names none",
        "2 of 4 points deviate (ports), 2 skipped (ports, dnsbls); relay was not",
        "proven",
    ]


@pytest.mark.parametrize(
    ("relay", "skip", "detail"),
    [
        ("554 5.7.1 no", ["banner"], "0 of 9 points deviate, 2 skipped (banner, dnsbls)"),
        ("554 5.7.1 no", [], "1 of 9 points deviates (banner), 1 skipped (dnsbls)"),
        ("454 4.7.1 no", [], "1 of 9 points deviates (banner), 2 skipped (relay, dnsbls); relay was not proven"),
    ],
)
def test_the_summary_names_the_points(relay: str, skip: list[str], detail: str) -> None:
    stub = Stub(
        greeting="220 mx.example.org Postfix",
        rcpt=lambda session, sender, path: re.sub("^554.*", relay, takes_own(session, sender, path)),
    )
    assert check({25: stub}, skip=skip)["summary"] == detail


def test_replies_cannot_break_the_report() -> None:
    stub = Stub(greeting="220 mx.example.org \x1b[31mPostfix\t" + "x" * 300)
    detail = points({25: stub})["banner"]
    assert detail.isprintable()
    assert len(detail) < 200


def test_problems_of_the_inventory_are_reported_at_once() -> None:
    options = {
        "addresses": ["mx.example.org", "a b"],
        "policy": {"domains": "example.org"},
        "services": [{"service": "smtpx", "direction": "server"}],
        "skip": ["tsl"],
        "timeout": 0,
    }
    with pytest.raises(PolicyError) as caught:
        outside.read_wanted(options)
    assert [text.partition(":")[0] for text in caught.value.problems] == [
        "mailhost_domains",
        "mailhost_services[0].service",
        "mailhost_verify_addresses[1]",
        "mailhost_verify_skip[0]",
        "mailhost_verify_timeout",
    ]
