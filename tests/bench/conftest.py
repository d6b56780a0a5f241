"""Lets the measurements use the lab of the scenarios."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mailhost_lab.fixtures import harden, lab

__all__ = ["harden", "lab"]
