"""Names, messages and texts speak the words of the field: none of those that the vocabulary replaces."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SPEAKING = ("plugins", "roles", "playbooks", "docs", "README.md", "molecule", "tests")

REPLACED = {
    "ours": "managed",
    "told": "reported, warned",
    "whom": "which client, the client that",
    "whoever": "a client that, a program that",
    "stranger": "external client; of rules and settings: unmanaged",
    "strangers": "external clients",
    "outsider": "external client",
    "outsiders": "external clients",
    "guardian": "watchdog",
    "friend": "relay exception",
    "friends": "relay exceptions",
}
"""Words that must not occur, with what to write instead."""

ALLOWED: set[tuple[str, str]] = set()
"""Path and word of quotes from other products, and of addresses."""

WORD = re.compile(rf"(?<![a-z])({'|'.join(REPLACED)})(?![a-z])", re.IGNORECASE)
THIS = Path(__file__).resolve().relative_to(ROOT.resolve()).as_posix()


def findings(name: str, text: str) -> list[str]:
    """The replaced words of a file, with their lines; an underscore ends a word."""
    return [
        f"{name}:{number}: {word}: write {REPLACED[word.lower()]}"
        for number, line in enumerate(text.splitlines(), 1)
        for word in WORD.findall(line)
        if (name, word.lower()) not in ALLOWED
    ]


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files", "-z", *SPEAKING], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name != THIS and (ROOT / name).is_file()]


@pytest.mark.parametrize("place", SPEAKING)
def test_no_file_has_a_replaced_word(place: str) -> None:
    files = [name for name in tracked() if name == place or name.startswith(f"{place}/")]
    assert files
    found = [one for name in files for one in findings(name, (ROOT / name).read_text("utf-8", "replace"))]
    assert found == [], "\n".join(found)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("what is ours", ["ours"]),
        ("def test_who_is_told(): ...", ["told"]),
        ("STRANGERS = 1", ["STRANGERS"]),
        ("friend@example.org", ["friend"]),
        ("hours, courses, friendly, strangerous", []),
    ],
)
def test_words_are_found_in_texts_and_names(text: str, words: list[str]) -> None:
    assert [one.split(": ")[1] for one in findings("x", text)] == words


def test_allowed_words_occur() -> None:
    for name, word in ALLOWED:
        assert re.search(rf"(?<![a-z]){word}(?![a-z])", (ROOT / name).read_text("utf-8"), re.IGNORECASE), (name, word)
