"""Read what the tasks of a run returned."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from mailhost_lab.runs import plays

_VARIABLE = re.compile(r"(mailhost|postfix|packet_filter|messaging_server)_\w+:( |$)")


def result(done: plays.Run) -> dict[str, Any]:
    """Return the result of the role's one task."""
    (line,) = [line["result"] for line in done.results if "files" in line["result"]]
    return dict(line)


def pasted(message: str) -> dict[str, Any]:
    """What a message has for the inventory, as a user pastes it: lines `name:` with what is indented below them.

    Lines `name: value` among these count as well.
    """
    lines = message.splitlines()
    names = [number for number, line in enumerate(lines) if _VARIABLE.match(line)]
    assert names, message
    block = itertools.takewhile(lambda line: line[:1] == " " or _VARIABLE.match(line), lines[names[0] :])
    return dict(yaml.safe_load("\n".join(block)))
