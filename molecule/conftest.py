"""Has the scenarios' tests use the fixtures of the lab, under Molecule and under plain pytest."""

import pytest

pytest.register_assert_rewrite("mailhost_lab")

from mailhost_lab.fixtures import gateway, harden, lab, messaging, postfix  # noqa: E402 - rewritten first

__all__ = ["gateway", "harden", "lab", "messaging", "postfix"]
