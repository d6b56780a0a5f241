"""The site's installation, for all tests of this scenario."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mailhost_lab.scenarios.messaging_server_adopt import Site

if TYPE_CHECKING:
    from mailhost_lab.mail.messaging_server import Messaging


@pytest.fixture(scope="session")
def site(messaging: Messaging) -> Site:
    """Return the host; a test module installs what it begins with."""
    return Site(messaging)
