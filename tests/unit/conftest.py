# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Set up what every unit test needs before it is imported: the collection, signals, and hypothesis without a clock."""

from __future__ import annotations

import signal
from pathlib import Path

from ansible.plugins.loader import init_plugin_loader
from hypothesis import HealthCheck, settings

init_plugin_loader([str(Path(__file__).resolve().parents[2] / ".venv" / "collections")])

# A shell that starts this in the background, and nohup, hand ignored signals on to everything; the tests of the
# transaction end sessions by them.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)

# No test depends on the speed of the machine; times are measured in tests/bench.
settings.register_profile("no-clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no-clock")
