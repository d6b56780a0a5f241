"""A connection that starts processes in a container of the lab, past any packet filter, as users of containers have.

With pipelining no file has to be copied: everything comes by standard input.
"""

from __future__ import annotations

import shlex
from typing import Any

from ansible.plugins.connection.local import Connection as LocalConnection

DOCUMENTATION = """
name: lab_exec
short_description: Runs what it is given in a container of the lab
description: Has the engine execute commands in the container that a variable names.
options:
  command:
    description: The words that lead into the container, as C(podman exec -i mailhost-lab-mailhost).
    vars: [{name: lab_exec_command}]
    required: true
extends_documentation_fragment: [connection_pipelining]
"""


class Connection(LocalConnection):
    """Runs commands by the words of the option ``command``."""

    transport = "lab_exec"

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> Any:
        """Run a command in the container."""
        words = [*shlex.split(self.get_option("command")), "/bin/sh", "-c", cmd]
        return super().exec_command(shlex.join(words), in_data, sudoable)
