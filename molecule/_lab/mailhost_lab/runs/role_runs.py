"""Read what the tasks of a run returned."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from mailhost_lab.runs import plays


def result(done: plays.Run) -> dict[str, Any]:
    """Return the result of the role's one task."""
    (line,) = [line["result"] for line in done.results if "files" in line["result"]]
    return dict(line)


def pasted(message: str) -> dict[str, Any]:
    """What a message has for the inventory, as a user pastes it: lines `name:` with what is indented below them."""
    lines = message.splitlines()
    names = [number for number, line in enumerate(lines) if line.endswith(":") and line[:-1].isidentifier()]
    assert names, message
    block = itertools.takewhile(lambda line: line[:1] == " " or line in [lines[n] for n in names], lines[names[0] :])
    return dict(yaml.safe_load("\n".join(block)))
