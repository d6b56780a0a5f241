"""What code and pages cite is there: anchors of the reference pages, links of the pages, tests of the requirements."""

from __future__ import annotations

import re
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
REFERENCE = "docs/reference"
REQUIREMENTS = f"{REFERENCE}/requirements.md"

CITING = ("plugins/", "roles/", "playbooks/", "tests/", "molecule/", "docs/")
"""Folders whose files may cite the reference pages."""

CITATION = re.compile(rf"{REFERENCE}/[\w.-]+\.md(?:#[\w-]+)?")
OLD_CITATION = re.compile(r"messaging-server\.md,? sections? \d|\b[Ss]eed(?:'s)? [FM]\d")
"""Texts of which no copy is in the repository."""

SECTION = re.compile(r"\b[Ss]ections? \d")
ELSEWHERE = re.compile(r"\bRFC \d+|\b[a-z_.-]+\(\d\)")
"""What has sections of its own: an RFC, a page of the manual."""

INLINE_PATH = re.compile(r"`((?:plugins|roles|playbooks|tests|scripts)/[\w./-]*\w|_\w+/[\w/]*\w\.py)`")
"""A path in the text of a page; the packages of plugins/module_utils need no more than their own name."""

INLINE_NAMES = re.compile(r"`(_[\w/]+\.py)`: (`\w+`(?:, `\w+`)*)")
"""Names that a page says are in a file."""

LINK = re.compile(r"\]\((?![a-z]+:)([^()\s#]*)(#[^()\s]+)?\)")
ANCHOR = re.compile(r"<a id=\"([^\"]+)\"></a>")
HEADING = re.compile(r"#{1,6} +(.+?)(?: +#*)?")


@lru_cache
def tracked() -> frozenset[str]:
    """The files of the repository, by their paths from its root."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return frozenset(name for name in listed.stdout.split("\0") if (ROOT / name).is_file())


@lru_cache
def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8", errors="replace")


def prose(name: str) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text_of(name), flags=re.DOTALL | re.MULTILINE)


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")


@lru_cache
def anchors(name: str) -> frozenset[str]:
    """The anchors of a page: those that it sets itself, and those of its headings."""
    text = prose(name)
    found = ANCHOR.findall(text)
    slugs: list[str] = []
    for line in text.splitlines():
        heading = HEADING.fullmatch(line)
        if heading:
            plain = slug(heading[1])
            slugs.append(f"{plain}-{slugs.count(plain)}" if plain in slugs else plain)
    return frozenset([*found, *slugs])


def missing(page: str, anchor: str) -> str:
    """What is wrong with a link to a page, or empty."""
    if page not in tracked():
        return f"there is no file {page}"
    if anchor and anchor not in anchors(page):
        return f"{page} has no anchor #{anchor}"
    return ""


def pages() -> list[str]:
    return sorted(name for name in tracked() if name == "README.md" or re.fullmatch(r"docs/.+\.md", name))


def test_cited_anchors_exist() -> None:
    wrong = []
    for name in sorted(name for name in tracked() if name.startswith(CITING)):
        for number, line in enumerate(text_of(name).splitlines(), 1):
            for cited in CITATION.findall(line):
                page, _hash, anchor = cited.partition("#")
                what = missing(page, anchor)
                if what:
                    wrong.append(f"{name}:{number}: {what}")
    assert wrong == []


def test_plugins_cite_only_what_a_reader_can_find() -> None:
    wrong = []
    for name in sorted(name for name in tracked() if name.startswith("plugins/")):
        for number, line in enumerate(text_of(name).splitlines(), 1):
            if OLD_CITATION.search(line) or (SECTION.search(line) and not ELSEWHERE.search(line)):
                wrong.append(f"{name}:{number}: {line.strip()}")
    assert wrong == []


@pytest.mark.parametrize("page", pages())
def test_links_resolve(page: str) -> None:
    wrong = []
    for target, anchor in LINK.findall(prose(page)):
        path = (ROOT / page).parent / target if target else ROOT / page
        inside = path.resolve().is_relative_to(ROOT.resolve())
        name = path.resolve().relative_to(ROOT.resolve()).as_posix() if inside else target
        is_folder = inside and any(one.startswith(f"{name}/") for one in tracked())
        what = "" if is_folder and not anchor else missing(name, anchor.removeprefix("#"))
        if what:
            wrong.append(f"{target}{anchor}: {what}")
    assert wrong == []


@pytest.mark.parametrize("page", pages())
def test_paths_in_the_text_exist(page: str) -> None:
    wrong = []
    for path in INLINE_PATH.findall(prose(page)):
        name = f"plugins/module_utils/{path}" if path.startswith("_") else path
        if name not in tracked() and not any(one.startswith(f"{name}/") for one in tracked()):
            wrong.append(path)
    assert wrong == []


@pytest.mark.parametrize("page", pages())
def test_names_in_the_text_are_in_their_files(page: str) -> None:
    wrong = [
        f"{path}: {name}"
        for path, names in INLINE_NAMES.findall(prose(page))
        for name in re.findall(r"\w+", names)
        if not re.search(rf"^ *(?:def )?{name}\b", text_of(f"plugins/module_utils/{path}"), re.MULTILINE)
    ]
    assert wrong == []


def test_anchors_are_set_once() -> None:
    for page in pages():
        found = ANCHOR.findall(prose(page))
        assert sorted(found) == sorted(set(found)), page


def requirements() -> dict[str, list[str]]:
    """Each requirement with the tests that are named below it."""
    parts = re.split(r"^<a id=\"([fm]\d+)\"></a>$", text_of(REQUIREMENTS), flags=re.MULTILINE)
    found = {}
    for name, body in zip(parts[1::2], parts[2::2]):
        proofs = re.findall(r"^Proven by:(.+?)(?:\n\n|\Z)", body, re.DOTALL | re.MULTILINE)
        found[name] = re.findall(r"`([^`]+)`", "".join(proofs))
    return found


def test_every_requirement_is_there() -> None:
    assert list(requirements()) == [
        *(f"f{number}" for number in range(1, 8)),
        *(f"m{number}" for number in range(1, 13)),
    ]


@pytest.mark.parametrize("name", requirements())
def test_requirements_are_proven_by_tests_that_exist(name: str) -> None:
    paths = requirements()[name]
    assert paths, "nothing is named"
    for path in paths:
        scenario = f"molecule/{path}/molecule.yml"
        assert path in tracked() or scenario in tracked(), path
        assert "/test_" in path or scenario in tracked(), f"{path} is no test"
