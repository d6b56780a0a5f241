"""SMTP dialogues between the lab's hosts, many at once, with every step's answer as data."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mailhost_lab.packets.probes import Lab

AGENT = Path(__file__).with_name("dialogue_agent.py")


@dataclass(frozen=True)
class Dialogue:
    """What a client says. Addresses go out as they stand here, between the angle brackets; "" is the null sender.

    `login` is user and password; AUTH is tried whether it is offered or not. `tls` is TLS from the start. Without
    `mail_from` it ends after the greeting (and the login), without `message` before DATA. A rejected sender does not
    keep the recipients from being tried. `mail_options` go behind the sender, as SMTPUTF8.
    """

    src: str
    dst: str
    dport: int = 25
    source: str | None = None
    sport: int | None = None
    helo: str = "client.example"
    ehlo: bool = True
    starttls: bool = False
    tls: bool = False
    login: tuple[str, str] | None = None
    mechanism: str = "PLAIN"
    mail_from: str | None = None
    mail_options: str = ""
    rcpt_to: tuple[str, ...] = ()
    message: str | None = None
    timeout: float = 60


class Step(NamedTuple):
    """One step: connect, helo, starttls, auth, mail, rcpt, data, quit; code and text of the answer.

    `broken` with code 0 is the end of the connection, or none at all.
    """

    name: str
    code: int
    text: str

    @property
    def line(self) -> str:
        """The answer as it was on the wire."""
        return f"{self.code} {self.text}"


class Talk(NamedTuple):
    """What came of a dialogue."""

    dialogue: Dialogue
    steps: tuple[Step, ...]

    def lines(self, name: str) -> list[str]:
        """The answers to all steps of a name."""
        return [step.line for step in self.steps if step.name == name]

    def codes(self, name: str) -> list[int]:
        """The codes of all steps of a name."""
        return [step.code for step in self.steps if step.name == name]

    def offers(self, feature: str) -> bool:
        """Whether the last answer to EHLO has a feature, AUTH say."""
        found = [step.text for step in self.steps if step.name == "helo"]
        return any(line.split(" ")[0].upper() == feature for line in (found or [""])[-1].splitlines())

    @property
    def verdict(self) -> str:
        """The first rejection (its line), `accepted` when there is none, `broken` when the connection was."""
        for step in self.steps:
            if step.name == "broken":
                return f"broken: {step.text}"
            if step.code >= 400:
                return step.line
        return "accepted"


def hold(lab: Lab, dialogues: Sequence[Dialogue]) -> list[Talk]:
    """Hold dialogues side by side, by one call for each host they come from; the talks are in the given order."""
    by_host: dict[str, list[int]] = {}
    for number, dialogue in enumerate(dialogues):
        by_host.setdefault(dialogue.src, []).append(number)
    talks: dict[int, Talk] = {}

    def ask(host: str) -> None:
        numbers = by_host[host]
        jobs = json.dumps([asdict(dialogues[number]) for number in numbers])
        limit = 180 + max(dialogues[number].timeout for number in numbers) * 2
        answer = lab.run(host, ["python3", "-c", AGENT.read_text()], data=jobs, timeout=limit)
        for number, steps in zip(numbers, json.loads(answer.stdout)):
            talks[number] = Talk(dialogues[number], tuple(Step(*step) for step in steps))

    with ThreadPoolExecutor(max_workers=max(len(by_host), 1)) as pool:
        list(pool.map(ask, by_host))
    return [talks[number] for number in range(len(dialogues))]
