"""The host, for all sites of this scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailhost_lab.scenarios.postfix_effects import Site

if TYPE_CHECKING:
    from mailhost_lab.mail.postfix import Postfix


@pytest.fixture(scope="session")
def site(postfix: Postfix) -> Site:
    """Return the host; a test module installs its own site."""
    return Site(postfix)
