"""Lets the measurements use the lab of the scenarios."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "molecule" / "_lab"))

from lab_pytest import harden, lab

__all__ = ["harden", "lab"]
