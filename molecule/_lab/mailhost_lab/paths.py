"""Where the checkout keeps what the lab needs."""

from __future__ import annotations

from pathlib import Path

LAB = Path(__file__).resolve().parents[1]
"""Beside this package: playbooks, inventory, and the folders whose files are copied into containers."""

PROJECT = LAB.parents[1]
STATE = PROJECT / ".lab"
"""What the lab generates: keys, inventory, locks."""

INVENTORY = STATE / "inventory.yml"
