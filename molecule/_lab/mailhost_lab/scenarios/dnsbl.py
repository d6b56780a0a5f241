"""Fixtures of the scenarios that try DNSBLs."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailhost_lab.mail.dialogues import Dialogue, Talk

LookUp = tuple[str, str, str]
"""Type, client's address and zone of a look-up."""


def verdicts_fixture() -> Any:
    """Make the fixture `verdicts`: it holds dialogues by name and returns their verdicts."""

    @pytest.fixture(name="verdicts")
    def verdicts(talk: Callable[..., list[Talk]]) -> Callable[..., dict[str, str]]:
        def run(dialogues: dict[str, Dialogue]) -> dict[str, str]:
            return {name: one.verdict for name, one in zip(dialogues, talk(*dialogues.values()))}

        return run

    return verdicts


def looked_up_fixture(server: str) -> Any:
    """Make the fixture `looked_up`: it returns what the server, a fixture, has looked up in DNSBLs, sorted."""

    @pytest.fixture(name="looked_up")
    def looked_up(request: pytest.FixtureRequest) -> Callable[[], list[LookUp]]:
        queries = request.getfixturevalue(server).queries
        return lambda: sorted(found for kind, name in queries() if (found := look_up(kind, name)))

    return looked_up


def look_up(kind: str, name: str) -> LookUp | None:
    """Return a question to a DNSBL, or None where it is another."""
    labels = name.lower().split(".")
    if labels[-1] == "arpa":
        return None
    if len(labels) > 32 and all(len(one) == 1 for one in labels[:32]):
        digits = "".join(reversed(labels[:32]))
        return kind, str(ipaddress.IPv6Address(int(digits, 16))), ".".join(labels[32:])
    if len(labels) > 4 and all(one.isdigit() for one in labels[:4]):
        return kind, ".".join(reversed(labels[:4])), ".".join(labels[4:])
    return None


def problems(faults: dict[str, str], after: str, lists: list[dict[str, Any]]) -> set[str]:
    """Return what is said of the lists that have a fault."""
    return {
        f'mailhost_dnsbls[{number}].zone: "{one["zone"]}" cannot be used: {faults[one["zone"]]}; {after}'
        for number, one in enumerate(lists)
        if one["zone"] in faults
    }


def failing(faults: dict[str, str], without: tuple[str, ...], **more: Any) -> list[dict[str, Any]]:
    """Return the lists that have a fault, at two stages."""
    connect = {"dead.dnsbl.example", "limit.dnsbl.example"}
    zones = [zone for zone in faults if zone not in without]
    return [{"zone": zone, "stage": "connect" if zone in connect else "mail", **more} for zone in zones]
