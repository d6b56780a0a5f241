# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.plan import read_wanted
from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server.settings import DEFAULTS
from ansible_collections.mailhost.hardening.plugins.plugin_utils._mail_server_action import MailServerAction

OPTIONS = {"root": {"type": "str", "default": ""}}


class ActionModule(MailServerAction):
    """The policy on Messaging Server."""

    role = "messaging_server"
    options = OPTIONS
    settings = DEFAULTS
    read = staticmethod(read_wanted)
