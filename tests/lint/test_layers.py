# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holds the imports between the packages of plugins/module_utils against the layers that docs/development.md shows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UTILS = ROOT / "plugins" / "module_utils"
PREFIX = "ansible_collections.mailhost.hardening.plugins.module_utils."
CONTROLLER = ("plugins/filter", "plugins/modules", "plugins/action", "plugins/lookup", "plugins/plugin_utils")

LAYERS: dict[str, set[str]] = {
    "_policy": set(),
    "_sessions": {"_policy"},
    "_transaction": {"_policy"},
    "_packet_filter": {"_policy"},
    "_postfix._config": {"_policy"},
    "_postfix._plan": {"_policy", "_postfix._config"},
    "_postfix._host": {"_policy", "_postfix._config", "_sessions", "_transaction"},
    "_postfix._checks": {"_policy", "_postfix._config", "_postfix._plan"},
    "_postfix._canary": {
        "_policy",
        "_postfix._config",
        "_postfix._plan",
        "_postfix._host",
        "_sessions",
        "_transaction",
    },
    "_postfix": {
        "_policy",
        "_postfix._config",
        "_postfix._plan",
        "_postfix._host",
        "_postfix._checks",
        "_postfix._canary",
        "_sessions",
        "_transaction",
    },
    "_messaging_server._formats": {"_policy"},
    "_messaging_server._evaluator": {"_policy", "_messaging_server._formats"},
    "_messaging_server._lint": {"_policy", "_messaging_server._formats", "_messaging_server._evaluator"},
    "_messaging_server": {
        "_policy",
        "_messaging_server._formats",
        "_messaging_server._evaluator",
        "_messaging_server._lint",
        "_sessions",
        "_transaction",
    },
    "_verify": {"_policy", "_sessions"},
}
"""What each package may import beside itself and the standard library."""

PRODUCTS = {"_packet_filter", "_postfix", "_messaging_server"}


def modules() -> list[Path]:
    return sorted(UTILS.rglob("*.py"))


def package_of(path: Path) -> str:
    return ".".join(path.relative_to(UTILS).parts[:-1])


def absolute(path: Path, node: ast.ImportFrom) -> str:
    """Return the full name of the module that an import names, be it relative or not."""
    if not node.level:
        return node.module or ""
    folder = path.relative_to(UTILS).parts[: -node.level]
    return PREFIX + ".".join([*folder, *([node.module] if node.module else [])])


def imported_packages(path: Path) -> set[tuple[int, str]]:
    """Return line and package of each import of the collection's own modules, wherever it stands in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{absolute(path, node)}.{alias.name}" for alias in node.names]
        for name in names:
            if name.startswith(PREFIX):
                parts = name.removeprefix(PREFIX).split(".")
                depth = sum(1 for count in (1, 2, 3) if UTILS.joinpath(*parts[:count]).is_dir())
                found.add((node.lineno, ".".join(parts[:depth])))
    return found


def test_no_module_lies_outside_of_a_package() -> None:
    assert [path.name for path in UTILS.glob("*.py")] == []


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(UTILS)))
def test_modules_name_each_other_by_relative_imports(path: Path) -> None:
    assert PREFIX not in path.read_text(encoding="utf-8"), "from ..package.module import name"


def test_every_package_is_in_the_table() -> None:
    assert {package_of(path) for path in modules()} == set(LAYERS)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(UTILS)))
def test_a_module_imports_what_its_layer_may(path: Path) -> None:
    package = package_of(path)
    wrong = [
        f"{path.relative_to(ROOT)}:{line}: {package} may not import {imported}"
        for line, imported in sorted(imported_packages(path))
        if imported != package and imported not in LAYERS[package]
    ]
    assert wrong == []


@pytest.mark.parametrize("package", sorted(LAYERS))
def test_no_product_may_import_another_product(package: str) -> None:
    own = package.partition(".")[0]
    others = {allowed.partition(".")[0] for allowed in LAYERS[package]} & PRODUCTS
    assert others <= {own}


def test_nothing_in_the_collection_imports_upwards_by_a_cycle() -> None:
    order = list(LAYERS)
    for package, allowed in LAYERS.items():
        for lower in allowed:
            assert package not in LAYERS[lower], f"{package} and {lower} import each other"
            assert order.index(lower) < len(order)


@pytest.mark.parametrize("folder", CONTROLLER)
def test_plugins_name_only_packages_that_exist(folder: str) -> None:
    for path in sorted((ROOT / folder).glob("*.py")):
        assert {package for _line, package in imported_packages(path)} <= set(LAYERS), path


def test_the_page_for_developers_shows_every_package() -> None:
    page = (ROOT / "docs" / "development.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^\| `([\w/]+)/` \|", page, re.M))
    assert {package.replace(".", "/") for package in LAYERS} <= shown
