"""How the demo looks: titles, colours on a terminal, marks."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

COLOURS = sys.stdout.isatty() and "NO_COLOR" not in os.environ
UNICODE = (sys.stdout.encoding or "").lower().startswith("utf")


def paint(text: str, code: str) -> str:
    """Return coloured text on a terminal, plain text elsewhere."""
    return f"\x1b[{code}m{text}\x1b[0m" if COLOURS else text


def title(number: int, text: str) -> None:
    """Begin a step."""
    print(f"\n{paint(f'{number}. {text}', '1')}", flush=True)


def verdict(text: str, good: bool, width: int) -> str:
    """Return a cell of a table, with a mark whether it is what the policy wants."""
    mark = ("\u2713" if good else "\u2717") if UNICODE else ("ok" if good else "NO")
    return paint(f"{f'{mark} {text}':<{width}}", "32" if good else "31;1")


def before(what: str, verdicts: Collection[bool]) -> None:
    """Show how many verdicts are those of the policy before the first run."""
    print(f"  before: {sum(verdicts)} of {len(verdicts)} verdicts on {what} match the policy", flush=True)


def summary(wrong: int, total: int) -> None:
    """Say how many verdicts are those of the policy."""
    words = f"{total - wrong} of {total} verdicts match the policy"
    print(f"\n   {paint(words, '32;1' if not wrong else '31;1')}", flush=True)
