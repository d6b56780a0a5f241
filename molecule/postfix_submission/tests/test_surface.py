"""What every port gives away, what it is protected by, and how much of something it takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mailhost_lab.addresses import EXTERNAL, INTERNAL, POSTFIX
from mailhost_lab.mail.dialogues import Dialogue, hold
from mailhost_lab.mail.raw_smtp import Raw, send

if TYPE_CHECKING:
    from mailhost_lab.mail.postfix import Postfix
    from mailhost_lab.packets.probes import Lab

FAMILIES = (4, 6)
PORTS = (25, 465, 587)
EXTERNAL_SENDER, US = "eve@sender.example", "post@mail.example"

# Says of each server which versions of TLS it speaks, and which suite it takes of those that a client offers.
TLS = """
import json, smtplib, socket, ssl, sys
def secured(address, port, version, ciphers):
    context = ssl._create_unverified_context()
    context.set_ciphers(ciphers + ":@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    try:
        if port == 465:
            with socket.create_connection((address, port), 10) as wire, context.wrap_socket(wire) as secure:
                return secure.version(), secure.cipher()[0]
        with smtplib.SMTP(address, port, "client.example", 10) as smtp:
            smtp.starttls(context=context)
            return smtp.sock.version(), smtp.sock.cipher()[0]
    except (OSError, smtplib.SMTPException):
        return None
import warnings
warnings.simplefilter("ignore")
json.dump([secured(*job) for job in json.load(sys.stdin)], sys.stdout)
"""


def to_us(family: int, src: str = EXTERNAL.name, **more: Any) -> Dialogue:
    """What a client says that sends to a local address."""
    server = POSTFIX.address("internal" if src == INTERNAL.name else "external", family)
    return Dialogue(src, server, **{"mail_from": EXTERNAL_SENDER, "rcpt_to": (US,), **more})


def raw(*pieces: tuple[str, int], family: int = 4, **more: Any) -> Raw:
    """What a client sends byte by byte."""
    return Raw(EXTERNAL.name, POSTFIX.address("external", family), pieces, **more)


@pytest.mark.parametrize("family", FAMILIES)
def test_tls_versions_below_the_floor_are_rejected(lab: Lab, family: int) -> None:
    address = POSTFIX.address("external", family)
    versions = ("TLSv1", "TLSv1_1", "TLSv1_2", "TLSv1_3")
    asked = [(address, port, version, "ALL") for port in PORTS for version in versions]
    shown = json.loads(lab.run(EXTERNAL.name, ["python3", "-c", TLS], data=json.dumps(asked)).stdout)
    assert [one and one[0] for one in shown] == [None, None, "TLSv1.2", "TLSv1.3"] * len(PORTS)


def test_weak_cipher_suites_are_rejected(lab: Lab) -> None:
    # A certificate with a key of an elliptic curve takes no suite of RSA anyway; those named here need none.
    suites = ("aNULL", "AECDH", "PSK", "SRP")
    address = POSTFIX.address("external", 4)
    asked = [(address, port, "TLSv1_2", suite) for port in PORTS for suite in suites]
    shown = json.loads(lab.run(EXTERNAL.name, ["python3", "-c", TLS], data=json.dumps(asked)).stdout)
    assert shown == [None] * len(asked)


@pytest.mark.parametrize("family", FAMILIES)
def test_banner_and_commands_hide_the_product(lab: Lab, family: int) -> None:
    plain = ("EHLO client.example\r\n", 1), ("VRFY ann\r\n", 1), ("VRFY nobody\r\n", 1), ("EXPN post\r\n", 1)
    etrn = ("ETRN mail.example\r\n", 1)
    for replies in send(
        lab,
        [
            raw(*plain, etrn, family=family),
            raw(*plain, family=family, dport=587, starttls=True),
            raw(*plain, family=family, dport=465, tls=True),
        ],
    ):
        assert replies[0] == "220 postfix.example ESMTP"
        text = "\n".join(replies)
        assert not any(word in text for word in ("Debian", "Postfix", "3.7", "3.10", "VRFY\n", "250 VRFY"))
        assert replies.count("502 5.5.1 VRFY command is disabled") == 2
        expn = replies[replies.index("502 5.5.1 VRFY command is disabled") + 2]
        assert expn.startswith("50")
    (rejected,) = [reply for reply in send(lab, [raw(plain[0], etrn, family=family)])[0] if "554 5.7.1" in reply]
    assert "Access denied" in rejected


def test_unknown_recipient_is_rejected_without_internal_details(lab: Lab) -> None:
    (talk,) = hold(lab, [to_us(4, rcpt_to=("nosuch@mail.example",))])
    assert talk.verdict == "550 5.1.1 <nosuch@mail.example>: Recipient address rejected: User unknown"


@pytest.mark.parametrize("family", FAMILIES)
def test_helo_without_a_sound_name_is_rejected(lab: Lab, family: int) -> None:
    asked = {
        "client.example": "accepted",
        "[192.0.2.5]": "accepted",
        "[IPv6:2001:db8::5]": "accepted",
        "client": "504 5.5.2 <client>: Helo command rejected: need fully-qualified hostname",
        "localhost": "504 5.5.2",
        "-bad-.example": "501 5.5.2",
        "a..example": "501 5.5.2",
        "192.0.2.5": "5",
    }
    talks = hold(lab, [to_us(family, helo=name, ehlo=ehlo) for name in asked for ehlo in (True, False)])
    for talk in talks:
        assert talk.verdict.startswith(asked[talk.dialogue.helo]), talk
    internal = hold(lab, [to_us(family, INTERNAL.name, helo=name) for name in ("pc", "localhost")])
    assert [talk.verdict for talk in internal] == ["accepted"] * 2
    (silent,) = send(lab, [raw((f"MAIL FROM:<{EXTERNAL_SENDER}>\r\n", 1), family=family)])
    assert silent[1].startswith("503 5.5.1")


def test_address_without_a_domain_is_rejected(lab: Lab) -> None:
    talks = hold(lab, [to_us(4, mail_from="eve"), to_us(4, mail_from="eve@localhost"), to_us(4, mail_from="eve@[]")])
    assert [talk.verdict[:3] for talk in talks] == ["504", "504", "501"]


def test_size_and_number_of_recipients_are_limited(lab: Lab) -> None:
    hello, sender = ("EHLO client.example\r\n", 1), f"MAIL FROM:<{EXTERNAL_SENDER}>"
    fits, exceeds, many = send(
        lab,
        [
            raw(hello, (f"{sender} SIZE=51200000\r\n", 1)),
            raw(hello, (f"{sender} SIZE=51200001\r\n", 1)),
            raw(hello, (f"{sender}\r\n", 1), *[(f"RCPT TO:<{US}>\r\n", 1)] * 101),
        ],
    )
    assert fits[2].startswith("250 2.1.0")
    assert exceeds[2].startswith("552 5.3.4 Message size exceeds fixed limit")
    assert [reply[:3] for reply in many[3:]] == ["250"] * 100 + ["452"]
    assert "SIZE 51200000" in fits[1]


def test_unsolicited_pipelining_is_rejected(lab: Lab, postfix: Postfix) -> None:
    postfix.clear()
    envelope = f"MAIL FROM:<{EXTERNAL_SENDER}>\r\nRCPT TO:<{US}>\r\nDATA\r\n"
    message = "Subject: in a hurry\r\n\r\nhello\r\n.\r\n"
    hello = ("EHLO client.example\r\n", 1)
    after_helo, after_data, allowed = send(
        lab,
        [
            # The client does not know yet that pipelining is offered.
            raw((f"EHLO client.example\r\n{envelope}{message}QUIT\r\n", 1)),
            # DATA is the last of a row.
            raw(hello, (f"{envelope}{message}", 3)),
            raw(hello, (envelope, 3), (message, 1)),
        ],
    )
    assert after_helo[-2:] == ["554 5.5.0 Error: SMTP protocol synchronization", "closed"], after_helo
    assert not any(reply.startswith("354") for reply in (*after_helo, *after_data))
    assert after_data[-1] == "closed"
    assert allowed[-1].startswith("250 2.0.0 Ok: queued")
    postfix.drain()
    assert len(postfix.mailbox("ann")) == 1


def test_external_client_has_limited_connections(lab: Lab) -> None:
    """At once, 20 of one address; internal clients are not counted, and others do not notice."""
    held = ("EHLO client.example\r\n", 1)
    source = "198.51.100.21"
    sessions = [raw(held, source=source, quiet=2) for _number in range(24)]
    replies = send(lab, sessions)
    rejected = [one for one in replies if one[0].startswith("421 4.7.0")]
    assert len(rejected) == 4
    assert "too many connections from 198.51.100.21" in rejected[0][0]
    internal = Raw(INTERNAL.name, POSTFIX.address("internal", 4), (held,), quiet=1)
    assert not [one for one in send(lab, [internal] * 24) if not one[0].startswith("220")]
