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
_UNITS = "/etc/systemd/system"
UNIT = loader.UNIT
SETS_UNIT, AGAIN_UNIT, LATE_UNIT = (f"mailhost-packet-filter-{name}.service" for name in ("sets", "again", "late"))
UNIT_PATH = f"{_UNITS}/{UNIT}"
RESTORERS = (
    *("nftables.service", "netfilter-persistent.service", "iptables.service", "ip6tables.service"),
    *("firewalld.service", "ufw.service", "networking.service", "rc-local.service"),
)
"""Units of others that flush or replace whole tables when they are started, restarted or reloaded."""
PLUGIN_PATH = "/usr/share/netfilter-persistent/plugins.d/90-mailhost-packet-filter"
"""A plugin of netfilter-persistent, which also loads rules when its program is called by hand."""
WANTED_BY = {
    UNIT: ("sysinit.target",),
    SETS_UNIT: ("sysinit.target",),
    AGAIN_UNIT: ("multi-user.target", *RESTORERS),
    LATE_UNIT: ("multi-user.target",),
}
WANTED_PATHS = {
    f"{_UNITS}/{wants}.wants/{unit}": f"{_UNITS}/{unit}" for unit, names in WANTED_BY.items() for wants in names
}
"""The links that have the units started, and where they point."""


_CLOSE_MAIL_PORTS = (
    '[ "$$SERVICE_RESULT" = success ] || for i in iptables ip6tables; do '
    f"$$i -w -n -L {loader.IN} >/dev/null 2>&1 || {{ $$i -w -N {loader.IN}; "
    + "".join(
        f"$$i -w -A {loader.IN} ! -i lo {match} -j DROP; " for match in loader.multiport("dports", loader.MAIL_PORTS)
    )
    + f"$$i -w -I INPUT -j {loader.IN}; }}; done"
)


_HEADER = "# Written by mailhost.hardening.packet_filter.\n[Unit]\nDescription="


def unit_texts(python: str) -> dict[str, str]:
    """Return the units, by their names.

    Programs that replace whole tables run at any time of a boot. A unit that is before the network and waits for a late
    one, or is before sysinit.target and waits for one of EL, is part of a cycle and not started at all. So the sets are
    there before any of them; the rules come before any network, after two that are always early; they are looked at
    again after those that are known, and at the end of the boot.
    """
    program = f"{python} -I {LOADER_PATH}"
    restorers = " ".join(RESTORERS)
    look_again = f"[Service]\nType=oneshot\nExecStart={program} again\n"
    early = f"""{_HEADER}Packet filter of the mail host (mailhost.hardening)
DefaultDependencies=no
Wants=network-pre.target network.target
Before=network-pre.target network.target shutdown.target
Conflicts=shutdown.target
After=local-fs.target systemd-modules-load.service netfilter-persistent.service nftables.service {SETS_UNIT}
ReloadPropagatedFrom={restorers}

[Service]
Type=oneshot
RemainAfterExit=yes
# If loading fails the program closes the mail ports before it ends. If it cannot even run, ExecStopPost does.
ExecStart={program} boot
ExecReload={program} again
ExecStop={program} unload
ExecStopPost=/bin/sh -c '{_CLOSE_MAIL_PORTS}'
"""
    sets = f"""{_HEADER}Sets of the packet filter, before others load rules that name them (mailhost.hardening)
DefaultDependencies=no
Before={UNIT} {restorers} network-pre.target shutdown.target
Conflicts=shutdown.target
After=local-fs.target systemd-modules-load.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={program} sets
"""
    again = f"""{_HEADER}Packet filter of the mail host, after others loaded rules (mailhost.hardening)
After={UNIT} {restorers}
StartLimitIntervalSec=0

{look_again}"""
    late = f"""{_HEADER}Packet filter of the mail host, at the end of the boot (mailhost.hardening)
After={UNIT} {AGAIN_UNIT} multi-user.target

{look_again}"""
    texts = {UNIT: early, SETS_UNIT: sets, AGAIN_UNIT: again, LATE_UNIT: late}
    return {name: f"{text}\n[Install]\nWantedBy={' '.join(WANTED_BY[name])}\n" for name, text in texts.items()}


def systemd_runs() -> bool:
    """Whether systemd is the host's init (sd_booted(3))."""
    return os.path.isdir("/run/systemd/system")


def boot_is_ready(source: str) -> bool:
    """Whether loader and units are in place and the units are wanted at boot."""
    unit = loader.read_text(UNIT_PATH)
    return (
        loader.read_text(LOADER_PATH) == source
        and "ExecStart=" in unit
        and all(loader.read_text(_UNITS, name) == text for name, text in unit_texts(_python_of(unit)).items())
        and all(map(os.path.islink, WANTED_PATHS))
        and (not _plugin_is_possible() or loader.read_text(PLUGIN_PATH) == _plugin_text(_python_of(unit)))
    )


def _plugin_is_possible() -> bool:
    return os.access(os.path.dirname(PLUGIN_PATH), os.W_OK)


def _plugin_text(python: str) -> str:
    return f"""#!/bin/sh
# Written by mailhost.hardening.packet_filter.
case $1 in
start | restart | reload | force-reload) exec {python} -I {LOADER_PATH} again ;;
esac
"""


def _python_of(unit: str) -> str:
    return unit.partition("ExecStart=")[2].split(" ", 1)[0]


def install_unit(python: str) -> subprocess.Popen[bytes] | None:
    """Write the units, not enabled yet. Returns systemd's reload, which takes a while and may run beside other work."""
    os.makedirs(_UNITS, exist_ok=True)
    changed = False
    for name, text in unit_texts(python).items():
        if loader.read_text(_UNITS, name) != text:
            loader.write_file(f"{_UNITS}/{name}", text, 0o644)
            changed = True
    if _plugin_is_possible() and loader.read_text(PLUGIN_PATH) != _plugin_text(python):
        loader.write_file(PLUGIN_PATH, _plugin_text(python), 0o755)
    return loader.start_detached(["systemctl", "daemon-reload"]) if changed and systemd_runs() else None


def space_needed(source: str, python: str, absent: bool) -> dict[str, int]:
    """Return the directories outside of the state directory that are to be written or emptied, with bytes."""
    texts = unit_texts(python)
    loader_done = not os.path.exists(LOADER_PATH) if absent else loader.read_text(LOADER_PATH) == source
    units_done = (
        not any(os.path.lexists(path) for path in boot_files() if path.startswith(_UNITS))
        if absent
        else all(loader.read_text(_UNITS, name) == text for name, text in texts.items())
        and all(map(os.path.islink, WANTED_PATHS))
    )
    needed = {}
    if not loader_done:
        needed[os.path.dirname(LOADER_PATH)] = 0 if absent else len(source)
    if not units_done:
        needed[_UNITS] = 0 if absent else sum(map(len, texts.values()))
    return needed


def enable_unit() -> None:
    """Have the units started at boot, and after others that replace whole tables."""
    changed = False
    for path, unit in WANTED_PATHS.items():
        if not os.path.islink(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink(unit, path)
            changed = True
    if changed and systemd_runs():
        with contextlib.suppress(loader.LoadError):
            loader.run(["systemctl", "daemon-reload"])


def disable_unit() -> None:
    """Have the units no longer started at boot."""
    for path in WANTED_PATHS:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        if path.rpartition("/")[0].endswith(".service.wants"):
            with contextlib.suppress(OSError):  # others may be wanted there
                os.rmdir(os.path.dirname(path))


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
    """Stop the units, if there are any."""
    if systemd_runs() and os.path.exists(UNIT_PATH):
        with contextlib.suppress(loader.LoadError):
            loader.run(["systemctl", "stop", *WANTED_BY])


def boot_files() -> list[str]:
    """Return which files outside of the state directory are there."""
    units = [f"{_UNITS}/{unit}" for unit in WANTED_BY]
    return [path for path in (LOADER_PATH, PLUGIN_PATH, *units, *WANTED_PATHS) if os.path.lexists(path)]


def remove_boot() -> None:
    """Remove the units."""
    disable_unit()
    for path in (PLUGIN_PATH, *(f"{_UNITS}/{unit}" for unit in WANTED_BY)):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    if systemd_runs():
        with contextlib.suppress(loader.LoadError):
            loader.run(["systemctl", "daemon-reload"])
            loader.run(["systemctl", "reset-failed", *WANTED_BY])
