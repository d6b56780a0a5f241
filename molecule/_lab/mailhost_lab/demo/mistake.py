"""The mistake of the demo: a back door opened by hand, at which the next run stops."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from mailhost_lab.demo.display import verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from mailhost_lab.packets.probes import Lab

FILE = "/etc/postfix/master.cf"
BACK_DOOR = "2525 inet n - y - - smtpd -o mynetworks=0.0.0.0/0 -o smtpd_relay_restrictions=permit_mynetworks,reject"
SHOWN_LINES = 2

# Postfix waits two seconds for a file that has just been written.
OPEN = 'cp -a "$1" "$1.demo"; echo "$2" >> "$1"; touch --date="10 seconds ago" "$1"'
CLOSE = 'mv "$1.demo" "$1"'


def show_mistake(lab: Lab, failed_run: Callable[[], str]) -> int:
    """Open the back door in the file, run the playbook, show what it says; 1 where the run did not stop.

    `failed_run` runs the playbook and returns the message of the task that failed, or nothing. Postfix itself never
    reads the file, so the door cannot be used.
    """
    lab.run("postfix", ["sh", "-ec", OPEN, "sh", FILE, BACK_DOOR])
    try:
        print(f"   # echo '{BACK_DOOR}' >> {FILE}")
        message = failed_run()
    finally:
        lab.run("postfix", ["sh", "-ec", CLOSE, "sh", FILE])
    lines = message.splitlines()
    more = len(lines) - SHOWN_LINES - 1
    cut = [*lines[:SHOWN_LINES], f"({more} lines more)", lines[-1]] if more > 1 else lines
    for line in cut:
        print(textwrap.fill(line, 110, initial_indent="   | ", subsequent_indent="   |   "))
    good = "2525" in message and message.endswith("nothing was changed")
    print(f"\n   {verdict('the run stopped, and nothing was live for a moment', good, 0)}", flush=True)
    return int(not good)
