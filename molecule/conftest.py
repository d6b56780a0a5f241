"""Lets the scenarios' tests import the lab's modules and use its fixtures, under Molecule and under plain pytest."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_lab"))

from lab_pytest import gateway, harden, lab, messaging, postfix

__all__ = ["gateway", "harden", "lab", "messaging", "postfix"]
