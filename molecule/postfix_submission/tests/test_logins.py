"""Where a login is offered, what one may send with it, and what of the user the recipient does not learn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mailhost_lab.addresses import EXTERNAL, INTERNAL, POSTFIX
from mailhost_lab.mail.dialogues import Dialogue, hold
from mailhost_lab.mail.postfix import ANN, BOB

if TYPE_CHECKING:
    from mailhost_lab.mail.postfix import Postfix
    from mailhost_lab.packets.probes import Lab

FAMILIES = (4, 6)
ELSEWHERE, US = "fred@remote.example", "post@mail.example"


def says(family: int, dport: int, **more: Any) -> Dialogue:
    """What a user says, on 587 behind STARTTLS, on 465 under TLS, unless another way is asked for."""
    src = more.pop("src", EXTERNAL.name)
    server = POSTFIX.address("internal" if src == INTERNAL.name else "external", family)
    secure = {587: {"starttls": True}, 465: {"tls": True}}.get(dport, {})
    return Dialogue(src, server, dport=dport, **{**secure, **more})


def test_auth_is_offered_on_submission_under_tls_alone(lab: Lab) -> None:
    asked = [
        (says(family, port, src=src, starttls=starttls), offered)
        for family in FAMILIES
        for src in (EXTERNAL.name, INTERNAL.name)
        for port, starttls, offered in (
            (25, False, False),
            (25, True, False),
            (587, False, False),
            (587, True, True),
            (465, False, True),
        )
    ]
    talks = hold(lab, [dialogue for dialogue, _offered in asked])
    assert [(talk.verdict, talk.offers("AUTH")) for talk in talks] == [
        ("accepted", offered) for _dialogue, offered in asked
    ]
    mechanisms = {line for talk in talks for text in talk.lines("helo") for line in text.splitlines() if "AUTH" in line}
    assert mechanisms == {"AUTH PLAIN LOGIN"}


WRONG_LOGINS: tuple[tuple[int, dict[str, Any], str], ...] = (
    (25, {"login": ANN}, "503 5.5.1"),
    (25, {"login": ANN, "starttls": True}, "503 5.5.1"),
    (587, {"login": ANN, "starttls": False}, "530 5.7.0"),
    (587, {"login": (ANN[0], "wrong")}, "535 5.7.8"),
    (465, {"login": ("nobody@mail.example", ANN[1])}, "535 5.7.8"),
    (587, {"starttls": False, "mail_from": ANN[0], "rcpt_to": (US,)}, "530 5.7.0"),
)


def test_auth_on_other_ports_is_rejected(lab: Lab) -> None:
    asked = [(says(family, port, **more), refusal) for family in FAMILIES for port, more, refusal in WRONG_LOGINS]
    talks = hold(lab, [dialogue for dialogue, _refusal in asked])
    assert [talk.verdict[:9] for talk in talks] == [refusal for _dialogue, refusal in asked]


OWNERS = {
    "own address": (ANN, ANN[0], ""),
    "own address, upper case": (ANN, ANN[0].upper(), ""),
    "own address with a detail": (ANN, "ann+list@mail.example", ""),
    "shared address": (ANN, "info@mail.example", ""),
    "shared address of another": (BOB, "info@mail.example", "553 5.7.1"),
    "another's address": (ANN, BOB[0], "553 5.7.1"),
    "another's address with our detail": (ANN, "bob+ann@mail.example", "553 5.7.1"),
    "address elsewhere": (ANN, "ann@remote.example", "553 5.7.1"),
    "address below": (ANN, "ann@sub.mail.example", "553 5.7.1"),
    "null sender, as an answer to a bounce": (ANN, "", ""),
    "quoted": (ANN, '"bob@mail.example"@remote.example', "553 5.7.1"),
}


@pytest.mark.parametrize("port", [587, 465])
def test_authenticated_sender_must_own_its_address(lab: Lab, port: int) -> None:
    asked = {
        (name, family): says(family, port, login=login, mail_from=sender, rcpt_to=(ELSEWHERE,))
        for family in FAMILIES
        for name, (login, sender, _refusal) in OWNERS.items()
    }
    wrong = {
        key: talk.verdict
        for key, talk in zip(asked, hold(lab, list(asked.values())))
        if not talk.verdict.startswith(OWNERS[key[0]][2] or "accepted")
    }
    assert wrong == {}


LETTER = "\r\n".join(
    [
        "From: ann@mail.example",
        "Subject: {subject}",
        "User-Agent: Secretbird 1.0",
        "X-Mailer: Secretbird",
        "X-Originating-IP: [192.0.2.77]",
        "X-Kept: yes",
        "",
        "hello",
    ]
)


@pytest.mark.parametrize("family", FAMILIES)
def test_header_of_authenticated_mail_hides_the_client(lab: Lab, postfix: Postfix, family: int) -> None:
    postfix.clear()
    talks = hold(
        lab,
        [
            says(
                family,
                port,
                src=src,
                login=ANN,
                mail_from=ANN[0],
                rcpt_to=(recipient,),
                helo=f"secret-{src}.example",
                mail_options=options,
                message=LETTER.format(subject=str(port)),
            )
            for port in (587, 465)
            for src in (EXTERNAL.name, INTERNAL.name)
            for recipient, options in ((ELSEWHERE, ""), (BOB[0], ""), (BOB[0], "SMTPUTF8"))
        ],
    )
    assert [talk.verdict for talk in talks] == ["accepted"] * 12
    postfix.drain()
    mails = [*postfix.collected(), *postfix.mailbox("bob")]
    assert len(mails) == 12
    for mail in mails:
        head = mail.text.partition("\n\n")[0]
        for word in (
            "198.51.100.20",
            "198.51.100.84",
            "::20",
            "::84",
            "secret",
            "Secretbird",
            "192.0.2.77",
            "external",
        ):
            assert word not in head, f"{mail.message['Subject']}: {word} is in the header:\n{head}"
        assert mail.message["X-Kept"] == "yes"
        assert "Received: by postfix.example (Postfix) " in " ".join(head.split())


def test_attached_message_is_delivered_unchanged(lab: Lab, postfix: Postfix) -> None:
    postfix.clear()
    received = (
        "Received: from pc (pc [192.0.2.77]) by mx.example (Postfix) with ESMTPSA id 1; Mon, 1 Jan 2024 00:00:00 +0000"
    )
    attached = f"{received}\r\n{LETTER.format(subject='attached')}"
    letter = "\r\n".join(
        [
            "From: ann@mail.example",
            "X-Mailer: Secretbird",
            "MIME-Version: 1.0",
            "Content-Type: multipart/mixed; boundary=part",
            "",
            "--part",
            "Content-Type: message/rfc822",
            "",
            attached,
            "--part--",
        ]
    )
    (talk,) = hold(lab, [says(4, 587, login=ANN, mail_from=ANN[0], rcpt_to=(BOB[0],), message=letter)])
    assert talk.verdict == "accepted"
    postfix.drain()
    (mail,) = postfix.mailbox("bob")
    assert mail.message["X-Mailer"] is None
    assert attached.replace("\r\n", "\n") in mail.text


def test_headers_of_external_mail_are_kept(lab: Lab, postfix: Postfix) -> None:
    postfix.clear()
    letter = LETTER.format(subject="from an external client")
    (talk,) = hold(lab, [says(4, 25, mail_from="eve@sender.example", rcpt_to=(US,), message=letter)])
    assert talk.verdict == "accepted"
    postfix.drain()
    (mail,) = postfix.mailbox("ann")
    assert mail.message["User-Agent"] == "Secretbird 1.0"
    assert "[198.51.100.20]" in mail.text


def test_failed_logins_are_limited(lab: Lab, policy: dict[str, Any]) -> None:
    """From one address, 40 logins in a minute; others do not notice, and internal clients are not counted."""
    most = policy["postfix_logins_per_minute"]
    asked = [
        *[says(4, 587, login=BOB, source="198.51.100.21")] * (most + 3),
        *[says(4, 587, login=BOB, src=INTERNAL.name)] * (most + 3),
    ]
    # Fewer at a time than one client may have open.
    talks = [talk for start in range(0, len(asked), 16) for talk in hold(lab, asked[start : start + 16])]
    rejected = [talk for talk in talks if talk.verdict != "accepted"]
    assert len(rejected) == 3
    for talk in rejected:
        assert talk.dialogue.source == "198.51.100.21"
        assert talk.verdict.startswith("450 4.7.")
        assert "too many AUTH commands from 198.51.100.21" in talk.verdict
    (other,) = hold(lab, [says(6, 587, login=BOB, source="2001:db8:100::21")])
    assert other.verdict == "accepted"
