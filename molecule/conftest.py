"""Has the scenarios' tests use the fixtures of the lab, under Molecule and under plain pytest."""

import os

import pytest

pytest.register_assert_rewrite("mailhost_lab")

from mailhost_lab.fixtures import gateway, harden, lab, messaging, postfix  # noqa: E402 - rewritten first
from mailhost_lab.releases import HELPER_RELEASE  # noqa: E402

__all__ = ["gateway", "harden", "lab", "messaging", "postfix"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, on all releases but the first, the tests that are marked `any_release`."""
    if os.environ.get("LAB_RELEASE", HELPER_RELEASE) == HELPER_RELEASE:
        return
    left_out = [item for item in items if item.get_closest_marker("any_release")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
