"""Runs in a container of the lab: holds SMTP dialogues by smtplib, and says what each step was answered.

It reads a list of jobs as JSON from standard input and writes the list of their steps, [name, code, text] each.
Standard library alone, as it is handed to the container's own Python; all jobs of one call run side by side.
"""

from __future__ import annotations

import json
import smtplib
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable

Step = tuple[str, int, str]

WORKERS = 32


def refuse_way_out(address: str) -> None:
    """Stop unless a packet to the address stays in the lab: on this host or on a network it has a leg in."""
    shown = subprocess.run(["ip", "-j", "route", "get", address], capture_output=True, timeout=30, check=False)
    routes = json.loads(shown.stdout) if shown.returncode == 0 and shown.stdout.strip() else []
    if not routes or any("gateway" in route for route in routes):
        raise SystemExit(f"{address} is not reached within the lab")


class Dialogue:
    """One dialogue, noted step by step."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.steps: list[Step] = []

    def note(self, name: str, reply: tuple[int, bytes]) -> bool:
        """Note a reply; whether it is a good one."""
        self.steps.append((name, reply[0], reply[1].decode(errors="replace")))
        return 200 <= reply[0] < 400

    def hold(self) -> list[Step]:
        """Take all steps; what breaks the connection is noted as a step of code 0."""
        source = (self.job.get("source") or "", self.job.get("sport") or 0)
        kind: Callable[..., smtplib.SMTP] = smtplib.SMTP
        extra: dict[str, Any] = {"timeout": self.job["timeout"], "source_address": source if any(source) else None}
        if self.job.get("tls"):
            kind, extra["context"] = smtplib.SMTP_SSL, unverified()
        smtp = kind(**extra)
        smtp._host = self.job["dst"]  # type: ignore[attr-defined]
        try:
            # The texts of refusals at the connection are written as they are: the code is the line's own.
            if self.note("connect", smtp.connect(self.job["dst"], self.job["dport"])):
                self.speak(smtp)
                self.note("quit", smtp.quit())
        except (OSError, smtplib.SMTPException) as error:
            self.steps.append(("broken", 0, f"{type(error).__name__}: {error}"))
        finally:
            smtp.close()
        return self.steps

    def speak(self, smtp: smtplib.SMTP) -> None:
        """Send HELO and the message, as far as the server accepts them."""
        job = self.job
        if not self.greet(smtp):
            return
        if job.get("starttls"):
            if not self.note("starttls", smtp.starttls(context=unverified())):
                return
            self.greet(smtp)
        if job.get("login"):
            self.login(smtp, *job["login"])
        if job.get("mail_from") is None:
            return
        self.note("mail", smtp.docmd("MAIL", f"FROM:<{job['mail_from']}> {job['mail_options']}".rstrip()))
        good = [self.note("rcpt", smtp.docmd("RCPT", f"TO:<{address}>")) for address in job["rcpt_to"]]
        if job.get("message") is not None and any(good):
            self.note("data", smtp.data(job["message"]))

    def greet(self, smtp: smtplib.SMTP) -> bool:
        """EHLO, or HELO where that is asked for."""
        name = self.job["helo"]
        return self.note("helo", smtp.ehlo(name) if self.job["ehlo"] else smtp.helo(name))

    def login(self, smtp: smtplib.SMTP, user: str, password: str) -> None:
        """AUTH, also where it was not offered."""
        smtp.user, smtp.password = user, password
        mechanism = self.job["mechanism"]
        method = smtp.auth_login if mechanism == "LOGIN" else smtp.auth_plain
        try:
            self.note("auth", smtp.auth(mechanism, method))
        except smtplib.SMTPAuthenticationError as error:
            text = error.smtp_error
            self.note("auth", (error.smtp_code, text.encode() if isinstance(text, str) else text))


def unverified() -> ssl.SSLContext:
    """TLS with a server whose certificate is not signed."""
    return ssl._create_unverified_context()  # noqa: S323


def main() -> None:
    """Read the jobs, hold the dialogues, write their steps in the order of the jobs."""
    jobs = json.load(sys.stdin)
    for address in {job["dst"] for job in jobs}:
        refuse_way_out(address)
    with ThreadPoolExecutor(WORKERS) as pool:
        json.dump(list(pool.map(lambda job: Dialogue(job).hold(), jobs)), sys.stdout)


if __name__ == "__main__":
    main()
