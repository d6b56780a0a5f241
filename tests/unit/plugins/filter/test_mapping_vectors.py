# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.mailhost.hardening.plugins.filter.mapping_match import mapping_match
from ansible_collections.mailhost.hardening.plugins.filter.mapping_probe import mapping_probe

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "messaging_server.json").read_text(encoding="utf-8"))
MATCH = [vector for vector in VECTORS if vector["kind"] == "match"]
PROBE = [
    vector
    for vector in VECTORS
    if "table" in vector and isinstance(vector["probe"], str) and "error" not in vector["expect"]
]
# The texts are the collection's, the place is the fact.
BROKEN = {"v151": "mappings:3:1: ", "v152": "mappings:2:3: ", "v153": "mappings:5:3: ", "v154": "mappings:5:1: "}


@pytest.mark.parametrize("vector", MATCH, ids=lambda vector: vector["id"])
def test_match_vectors(vector: dict[str, Any]) -> None:
    expected = vector["expect"]
    result = mapping_match(vector["probe"], vector["config"])
    assert {key: result[key] for key in expected} == expected


def probe(vector: dict[str, Any]) -> dict[str, Any]:
    return mapping_probe(
        vector["config"],
        vector["table"],
        vector["probe"],
        input_flags=vector.get("input_flags", ""),
        callouts=vector.get("callouts", {}),
        general_database=vector.get("general_db", {}),
    )


@pytest.mark.parametrize("vector", PROBE, ids=lambda vector: vector["id"])
def test_mapping_vectors(vector: dict[str, Any]) -> None:
    expected = {key: value for key, value in vector["expect"].items() if key != "lint"}
    if "args" in expected:
        expected["arguments"] = expected.pop("args")
    result = probe(vector)
    assert {key: result[key] for key in expected} == expected
    assert result["trace"]


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["id"] in BROKEN], ids=lambda vector: vector["id"])
def test_broken_files_are_located_errors(vector: dict[str, Any]) -> None:
    with pytest.raises(AnsibleFilterError) as caught:
        probe(vector)
    assert BROKEN[vector["id"]] in str(caught.value)


def test_every_match_and_mapping_vector_is_used() -> None:
    used = {vector["id"] for vector in MATCH + PROBE} | set(BROKEN)
    assert {vector["id"] for vector in VECTORS if vector["kind"] in {"match", "mapping"}} <= used
