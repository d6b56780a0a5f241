"""Unit tests depend on no clock, wait long enough for a slow machine, and assert something."""

from __future__ import annotations

import ast
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

UNIT = Path(__file__).parents[1] / "unit"
FILES = sorted(UNIT.rglob("*.py"))

CLOCKS = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "time_ns"}
PATIENCE = 60
"""Seconds that a poll or a wait has at least: a machine under load is ten times slower than an idle one."""


def called(node: ast.AST) -> str:
    """Return the last word of what a call calls, or empty."""
    if not isinstance(node, ast.Call):
        return ""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def calls_a_clock(node: ast.AST) -> bool:
    return any(called(part) in CLOCKS for part in ast.walk(node))


def measurements(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield differences of times that a test computes, and what it holds against them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub) and calls_a_clock(node):
            yield node.lineno, "measures time; count steps of work, or measure in tests/bench"


def short_waits(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield deadlines and time-outs that a slow machine does not keep."""
    for node in ast.walk(tree):
        bounds: list[ast.expr] = []
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.BinOp) and calls_a_clock(node.value.left):
            bounds = [node.value.right]
        elif called(node) in {"wait", "communicate", "join", "run"}:
            assert isinstance(node, ast.Call)
            bounds = [word.value for word in node.keywords if word.arg == "timeout"]
            bounds += node.args[:1] if called(node) in {"wait", "join"} else []
        for bound in bounds:
            if isinstance(bound, ast.Constant) and isinstance(bound.value, (int, float)) and bound.value < PATIENCE:
                yield node.lineno, f"waits {bound.value} s; wait at least {PATIENCE} s"


def functions(tree: ast.AST) -> dict[str, list[ast.AST]]:
    """Return the functions and methods of a file by name; a name may stand for several."""
    found: dict[str, list[ast.AST]] = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.setdefault(node.name, []).append(node)
    return found


def asserts(name: str, known: dict[str, list[ast.AST]], seen: frozenset[str] = frozenset()) -> bool:
    """Whether a function of a file asserts something, itself or through others of the file."""
    if name in seen:
        return False
    for function in known.get(name, ()):
        for node in ast.walk(function):
            if isinstance(node, ast.Assert) or called(node) in {"raises", "warns", "fail"}:
                return True
            if called(node) and asserts(called(node), known, seen | {name}):
                return True
    return False


@lru_cache
def shared_functions() -> dict[str, list[ast.AST]]:
    """Return the functions of the files that tests import from."""
    found: dict[str, list[ast.AST]] = {}
    for path in FILES:
        if not path.name.startswith("test_"):
            found.update(functions(parse(path)))
    return found


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(UNIT)))
def test_no_test_depends_on_the_speed_of_the_machine(path: Path) -> None:
    tree = parse(path)
    wrong = [f"{path.name}:{line}: {what}" for line, what in sorted({*measurements(tree), *short_waits(tree)})]
    assert wrong == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(UNIT)))
def test_every_test_asserts_something(path: Path) -> None:
    tree = parse(path)
    known = {**shared_functions(), **functions(tree)}
    tests = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert [name for name in tests if name.startswith("test_") and not asserts(name, known)] == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("begin = time.monotonic()\nassert time.monotonic() - begin < 5", 1),
        ("assert perf_counter() - begin < LIMIT", 1),
        ("took = time.perf_counter() - begin", 1),
        ("deadline = time.monotonic() + 20", 1),
        ("deadline = time.monotonic() + 60\nassert time.monotonic() < deadline", 0),
        ("process.wait(5)", 1),
        ("subprocess.run(command, timeout=600)", 0),
        ("session.communicate(timeout=20)", 1),
        ("text = ', '.join(names)", 0),
    ],
)
def test_the_rules_find_what_they_are_for(text: str, found: int) -> None:
    tree = ast.parse(text)
    assert len([*measurements(tree), *short_waits(tree)]) == found


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("def test_one():\n    assert 1", True),
        ("def test_one():\n    run()", False),
        ("def test_one():\n    check()\ndef check():\n    assert 1", True),
        ("def test_one():\n    with pytest.raises(ValueError):\n        run()", True),
        ("def test_one():\n    test_one()", False),
    ],
)
def test_assertions_are_found_through_helpers(text: str, result: bool) -> None:
    assert asserts("test_one", functions(ast.parse(text))) is result
