# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation that the filters share which lint a file."""

from __future__ import annotations


class ModuleDocFragment:
    """The input of a lint."""

    DOCUMENTATION = r"""
options:
  _input:
    description: The text of the file.
    type: str
    required: true
notes:
  - The rules and their codes are listed in C(docs/messaging-server-files.md) of the collection.
"""
