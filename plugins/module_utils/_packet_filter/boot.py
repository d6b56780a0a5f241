# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The boot unit of the packet filter.

Private to the collection: other collections must not import it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess

from . import loader

LOADER_PATH = "/usr/local/lib/mailhost-hardening/packet_filter.py"
UNIT = "mailhost-packet-filter.service"
UNIT_PATH = f"/etc/systemd/system/{UNIT}"
WANTED_PATH = f"/etc/systemd/system/sysinit.target.wants/{UNIT}"


_CLOSE_MAIL_PORTS = (
    '[ "$$SERVICE_RESULT" = success ] || for i in iptables ip6tables; do '
    f"$$i -w -n -L {loader.IN} >/dev/null 2>&1 || {{ $$i -w -N {loader.IN}; "
    + "".join(
        f"$$i -w -A {loader.IN} ! -i lo {match} -j DROP; " for match in loader.multiport("dports", loader.MAIL_PORTS)
    )
    + f"$$i -w -I INPUT -j {loader.IN}; }}; done"
)


def unit_text(python: str) -> str:
    """Return the unit: sets and rules before any network comes up, after programs that replace whole tables."""
    return f"""# Written by mailhost.hardening.packet_filter.
[Unit]
Description=Packet filter of the mail host (mailhost.hardening)
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target sysinit.target shutdown.target
Conflicts=shutdown.target
After=local-fs.target systemd-modules-load.service netfilter-persistent.service nftables.service

[Service]
Type=oneshot
RemainAfterExit=yes
# If loading fails the program closes the mail ports before it ends. If it cannot even run, ExecStopPost does.
ExecStart={python} -I {LOADER_PATH} boot
ExecStop={python} -I {LOADER_PATH} unload
ExecStopPost=/bin/sh -c '{_CLOSE_MAIL_PORTS}'

[Install]
WantedBy=sysinit.target
"""


def systemd_runs() -> bool:
    """Whether systemd is the host's init (sd_booted(3))."""
    return os.path.isdir("/run/systemd/system")


def boot_is_ready(source: str) -> bool:
    """Whether loader and unit are in place and the unit is wanted at boot."""
    unit = loader.read_text(UNIT_PATH)
    return (
        loader.read_text(LOADER_PATH) == source
        and "ExecStart=" in unit
        and unit == unit_text(_python_of(unit))
        and os.path.islink(WANTED_PATH)
    )


def _python_of(unit: str) -> str:
    return unit.partition("ExecStart=")[2].split(" ", 1)[0]


def install_unit(python: str) -> subprocess.Popen[bytes] | None:
    """Write the unit, not enabled yet. Returns systemd's reload, which takes a while and may run beside other work."""
    os.makedirs(os.path.dirname(WANTED_PATH), exist_ok=True)
    text = unit_text(python)
    if loader.read_text(UNIT_PATH) == text:
        return None
    loader.write_file(UNIT_PATH, text, 0o644)
    return loader.start_detached(["systemctl", "daemon-reload"]) if systemd_runs() else None


def enable_unit() -> None:
    """Have the unit started at boot."""
    with contextlib.suppress(FileExistsError):
        os.symlink(UNIT_PATH, WANTED_PATH)


def disable_unit() -> None:
    """Have the unit no longer started at boot."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(WANTED_PATH)


def start_unit() -> list[str]:
    """Bring the unit into the state ``active``, so that it is known to work and can be stopped. Returns warnings."""
    if not systemd_runs():
        return [f"systemd does not run on the host; load the packet filter at boot by: python3 -I {LOADER_PATH} boot"]
    try:
        loader.run(["systemctl", "start", UNIT])
    except loader.LoadError as error:
        return [f"the boot unit does not start: {error}"]
    return []


def stop_unit() -> None:
    """Stop the unit, if there is one."""
    if systemd_runs() and os.path.exists(UNIT_PATH):
        with contextlib.suppress(loader.LoadError):
            loader.run(["systemctl", "stop", UNIT])


def boot_files() -> list[str]:
    """Return which files outside of the state directory are there."""
    return [path for path in (LOADER_PATH, UNIT_PATH, WANTED_PATH) if os.path.lexists(path)]


def remove_boot() -> None:
    """Remove the unit."""
    for path in (WANTED_PATH, UNIT_PATH):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    if systemd_runs():
        with contextlib.suppress(loader.LoadError):
            loader.run(["systemctl", "daemon-reload"])
            loader.run(["systemctl", "reset-failed", UNIT])
