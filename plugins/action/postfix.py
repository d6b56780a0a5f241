# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleError

from ansible_collections.mailhost.hardening.plugins.module_utils._policy.packet_filter import (
    DEFAULTS as PACKET_FILTER_DEFAULTS,
)
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.submission import closed_submission
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._config.settings import DEFAULTS
from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._plan.plan import read_wanted
from ansible_collections.mailhost.hardening.plugins.plugin_utils._mail_server_action import MailServerAction


class ActionModule(MailServerAction):
    """The policy on Postfix."""

    role = "postfix"
    settings = DEFAULTS
    read = staticmethod(read_wanted)

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        submission = self.settings_given.get("submission", DEFAULTS["submission"])
        if not result.get("failed") and self._task.args.get("state", "present") == "present" and submission is True:
            notes = self._closed_submission()
            if notes:
                result["warnings"] = [*(result.get("warnings") or []), *notes]
        return result

    def _closed_submission(self) -> list[str]:
        """Warn by the variables of the packet filter, where the inventory or the play has it."""
        role = "packet_filter"
        name = self.variable("services", role)
        in_play = {role, f"mailhost.hardening.{role}"} & set(self.vars.get("ansible_play_role_names", ()))
        if self.vars.get("packet_filter_state", "present") != "present" or not (name in self.vars or in_play):
            return []
        try:
            services = self._templar.template(self.vars.get(name, PACKET_FILTER_DEFAULTS["services"]))
        except AnsibleError:
            return []
        return closed_submission(services, name if name in self.vars else "mailhost_services")
