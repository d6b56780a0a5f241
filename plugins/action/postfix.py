# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleError

from ansible_collections.mailhost.hardening.plugins.module_utils._postfix._checks.reach import closed_submission
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
        args = self._task.args
        submission = (args.get("settings") or {}).get("submission", DEFAULTS["submission"])
        if args.get("state", "present") == "present" and submission is True and not result.get("failed"):
            told = self._closed_submission()
            if told:
                result["warnings"] = [*(result.get("warnings") or []), *told]
        return result

    def _closed_submission(self) -> list[str]:
        """Ask the variables of the packet filter, where the inventory or the play has them."""
        own, shared = "packet_filter_services", "mailhost_services"
        raw = self.vars.get(own, self.vars.get(shared))
        if raw is None or self.vars.get("packet_filter_state", "present") != "present":
            return []
        try:
            services = self._templar.template(raw)
        except AnsibleError:
            return []
        name = own if own in self.vars and shared not in str(raw) else shared
        return closed_submission(services, name)
