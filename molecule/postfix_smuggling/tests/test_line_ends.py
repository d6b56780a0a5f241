"""A message with something like its own end in it, and another message after that: one arrives, or none."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, NamedTuple

import pytest

from mailhost_lab.addresses import EXTERNAL, INTERNAL, POSTFIX
from mailhost_lab.mail.postfix import ANN
from mailhost_lab.mail.raw_smtp import Raw, send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mailhost_lab.mail.postfix import Postfix
    from mailhost_lab.packets.probes import Lab
    from mailhost_lab.runs.plays import Run

# What a server may take for the end of a message; each was one for some server.
LIKE_ENDS = {
    "LF.LF": "\n.\n",
    "LF.CRLF": "\n.\r\n",
    "CRLF.LF": "\r\n.\n",
    "CR.CR": "\r.\r",
    "CR.LF": "\r.\n",
    "LF.CR": "\n.\r",
    "CR.CRLF": "\r.\r\n",
    "CRLF.CR": "\r\n.\r",
    "CRCRLF.CRCRLF": "\r\r\n.\r\r\n",
    "CRLF.CRCRLF": "\r\n.\r\r\n",
    "LFCR.LFCR": "\n\r.\n\r",
    "CRLF NUL.CRLF": "\r\n\0.\r\n",
    "CRLF.NUL CRLF": "\r\n.\0\r\n",
    "CR NUL LF.CR NUL LF": "\r\0\n.\r\0\n",
    "NUL LF.NUL LF": "\0\n.\0\n",
    "blank behind": "\r\n. \r\n",
    "blank before": "\r\n .\r\n",
    "two dots": "\r\n..\r\n",
    "next line (C1)": "\x85.\x85",
    "vertical tab": "\v.\v",
    "form feed": "\f.\f",
}
REAL_END = "\r\n.\r\n"
REAL_ENDS = (REAL_END, f"\r{REAL_END}")

BEFORE, SMUGGLED = "eve@sender.example", "smuggled@sender.example"


class Way(NamedTuple):
    """How a message is sent, and its recipient."""

    src: str
    family: int
    dport: int
    to: str


WAYS = (
    Way(EXTERNAL.name, 4, 25, "ann@mail.example"),
    Way(EXTERNAL.name, 6, 25, "ann@mail.example"),
    Way(INTERNAL.name, 4, 25, "ann@remote.example"),
    Way(INTERNAL.name, 6, 25, "ann@remote.example"),
    Way(EXTERNAL.name, 4, 587, "ann@remote.example"),
)


def attempt(way: Way, number: int, like_end: str) -> Raw:
    """A session with one message, in which what looks like its end is followed by another one."""
    sender = ANN[0] if way.dport == 587 else BEFORE
    other = f"MAIL FROM:<{SMUGGLED}>\r\nRCPT TO:<{way.to}>\r\nDATA\r\nSubject: s{number}\r\n\r\nanother"
    pieces = [
        (f"MAIL FROM:<{sender}>\r\n", 1),
        (f"RCPT TO:<{way.to}>\r\n", 1),
        ("DATA\r\n", 1),
        (f"Subject: n{number}\r\n\r\nhello{like_end}{other}{REAL_END}", 1),
    ]
    if way.dport == 587:
        password = base64.b64encode("\0".join(["", *ANN]).encode()).decode()
        pieces.insert(0, (f"AUTH PLAIN {password}\r\n", 1))
    else:
        pieces.insert(0, ("EHLO client.example\r\n", 1))
    server = POSTFIX.address("internal" if way.src == INTERNAL.name else "external", way.family)
    return Raw(way.src, server, tuple(pieces), dport=way.dport, starttls=way.dport == 587)


CASES = {
    f"{name}, {way.src}, IPv{way.family}, port {way.dport}": (way, like_end)
    for way in WAYS
    for name, like_end in LIKE_ENDS.items()
}


class Result(NamedTuple):
    """The replies from that to the message on, and the messages that arrived of the session."""

    replies: list[str]
    arrived: list[str]


def try_all(lab: Lab, postfix: Postfix, attempts: list[Raw]) -> list[Result]:
    """Hold all sessions and wait for the mail."""
    postfix.clear()
    heard = send(lab, attempts)
    postfix.drain()
    mails = [*postfix.mailbox("ann"), *postfix.mailbox("bob"), *postfix.collected()]
    assert SMUGGLED not in {mail.mail_from for mail in mails}
    subjects = [str(mail.message["Subject"]) for mail in mails]
    found = []
    for number, (one, replies) in enumerate(zip(attempts, heard)):
        # Greeting, EHLO (twice with STARTTLS between), and all pieces before the message.
        before = len(one.pieces) + (3 if one.starttls else 0)
        found.append(Result(replies[before:], [text for text in subjects if text in (f"n{number}", f"s{number}")]))
    return found


@pytest.fixture(scope="module")
def results(lab: Lab, postfix: Postfix) -> dict[str, Result]:
    """Return what became of all sessions."""
    attempts = [attempt(way, number, like_end) for number, (way, like_end) in enumerate(CASES.values())]
    return dict(zip(CASES, try_all(lab, postfix, attempts)))


@pytest.mark.parametrize("name", CASES)
def test_line_ends_never_make_two_messages(results: dict[str, Result], name: str) -> None:
    replies, arrived = results[name]
    # One answer, to the one message.
    assert len(replies) == 1
    assert replies[0].startswith("250 2.0.0 Ok: queued as")
    assert len(arrived) == 1
    assert arrived[0].startswith("n")


@pytest.mark.parametrize(("family", "excluded"), [(4, "198.51.100.21"), (6, "2001:db8:100::21")])
def test_excluded_clients_may_end_lines_with_lf_alone(lab: Lab, postfix: Postfix, family: int, excluded: str) -> None:
    postfix.clear()
    server = POSTFIX.address("external", family)
    pieces = (
        ("EHLO device.example\n", 1),
        ("MAIL FROM:<device@sender.example>\n", 1),
        ("RCPT TO:<ann@mail.example>\n", 1),
        ("DATA\n", 1),
        ("Subject: toner\n\nis low\n.\n", 1),
    )
    sessions = [Raw(EXTERNAL.name, server, pieces, source=source, timeout=5) for source in (excluded, None)]
    taken, waiting = send(lab, sessions)
    assert taken[-1].startswith("250 2.0.0 Ok: queued as")
    assert waiting[-2:] == ["354 End data with <CR><LF>.<CR><LF>", "none"], (
        "LF.LF ended the message of an external client"
    )
    postfix.drain()
    assert [mail.message["Subject"] for mail in postfix.mailbox("ann")] == ["toner"]


@pytest.mark.parametrize("family", [4, 6])
def test_pipelined_command_after_the_real_end_is_rejected(lab: Lab, postfix: Postfix, family: int) -> None:
    each = [(way, end) for way in WAYS if way.family == family for end in REAL_ENDS]
    for replies, arrived in try_all(lab, postfix, [attempt(way, n, end) for n, (way, end) in enumerate(each)]):
        assert replies[0].startswith("250 2.0.0 Ok: queued as")
        assert replies[-2:] == ["554 5.5.0 Error: SMTP protocol synchronization", "closed"]
        assert not [reply for reply in replies if reply.startswith("354")]
        assert [text[0] for text in arrived] == ["n"]


@pytest.fixture(scope="module")
def rejecting(lab: Lab, postfix: Postfix, apply: Callable[..., Run]) -> Iterator[dict[str, Result]]:
    """Return what became of all external sessions while bare LF is rejected."""
    done = apply(postfix_bare_newline="reject")
    assert (done.rc, done.changed) == (0, True), done
    chosen = {name: case for name, case in CASES.items() if case[0] == WAYS[0]}
    attempts = [attempt(way, number, like_end) for number, (way, like_end) in enumerate(chosen.values())]
    yield dict(zip(chosen, try_all(lab, postfix, attempts)))
    assert apply().rc == 0


@pytest.mark.parametrize("name", LIKE_ENDS)
def test_bare_newline_is_rejected_where_the_policy_says_so(rejecting: dict[str, Result], name: str) -> None:
    replies, arrived = rejecting[f"{name}, {EXTERNAL.name}, IPv4, port 25"]
    if "\n" in LIKE_ENDS[name].replace("\r\n", ""):
        assert replies[0].startswith("550 5.5.2")
        assert "bare <LF> received" in replies[0]
        assert not [reply for reply in replies if reply.startswith("2")]
        assert arrived == []
    else:
        assert [reply[:3] for reply in replies] == ["250"]
        assert len(arrived) == 1
