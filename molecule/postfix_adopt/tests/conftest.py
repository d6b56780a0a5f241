"""The site's configuration, for all tests of this scenario."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from site_files import Site

if TYPE_CHECKING:
    from postfix import Postfix


@pytest.fixture(scope="session")
def site(postfix: Postfix) -> Site:
    """Return the host; a test module installs what it begins with."""
    return Site(postfix)
