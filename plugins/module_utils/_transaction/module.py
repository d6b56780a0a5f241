# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the host's parts of all mail servers have in common: one step, its result, and its errors.

Private to this collection.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.dnsbl import hide_keys
from ansible_collections.mailhost.hardening.plugins.module_utils._policy.errors import ReportedError
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.command import StepError

Step = Callable[[dict[str, Any], bool], dict[str, Any]]
"""From arguments and check mode to the result of the module, with a list of ``warnings``."""


def run_step(module: Any, product: str, steps: Mapping[str, Step]) -> None:
    """Do the step that an AnsibleModule was called for, and end it; an error that is a bug shows as one.

    The arguments do not travel back: a list of a million networks would do so.
    """
    short = {"module_args": {"step": module.params["step"]}}
    if os.geteuid() != 0:
        module.fail_json(msg=f"{product} can be changed by root alone; set ansible_become: true", invocation=short)
    try:
        result = steps[module.params["step"]](module.params["arguments"], module.check_mode)
        for warning in result.pop("warnings"):
            module.warn(hide_keys(warning))
        module.exit_json(invocation=short, **result)
    except StepError as error:
        told, output = hide_keys(str(error)), hide_keys(error.output)
        module.fail_json(msg=told, step=error.step, output=output, restored=error.restored, invocation=short)
    except (ReportedError, OSError) as error:
        module.fail_json(msg=hide_keys(str(error)), invocation=short)
