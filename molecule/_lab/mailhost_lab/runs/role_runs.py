"""Runs of another playbook than the one for everything, and what their tasks said."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from mailhost_lab.runs import plays

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def playbook(name: str, **environment: str) -> Iterator[None]:
    """Have the lab run another playbook, with these variables of Ansible in its environment."""
    former = plays._environment
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plays, "PLAYBOOK", name)
        patch.setattr(plays, "_environment", lambda results: {**former(results), **environment})
        yield


def result(done: plays.Run) -> dict[str, Any]:
    """What the one task of ours returned."""
    (line,) = [line["result"] for line in done.results if "files" in line["result"]]
    return dict(line)


def pasted(message: str) -> dict[str, Any]:
    """What a message has for the inventory, as somebody pastes it: lines `name:` with what is indented below them."""
    lines = message.splitlines()
    names = [number for number, line in enumerate(lines) if line.endswith(":") and line[:-1].isidentifier()]
    assert names, message
    block = itertools.takewhile(lambda line: line[:1] == " " or line in [lines[n] for n in names], lines[names[0] :])
    return dict(yaml.safe_load("\n".join(block)))
