"""What is in a host of the lab besides Debian: files of the folders that its entry in addresses.py names."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from mailhost_lab.addresses import Host
from mailhost_lab.paths import LAB, PROJECT

PLACES = {"resolver": "opt/lab-resolver", "mailboxes": "opt/lab-mailboxes", "standin": "opt/messaging-standin"}
"""Where the files of a folder go, but for those under `root` (the host's root) and `units` (what systemd starts)."""

UNITS = "etc/systemd/system"


def host_files(host: Host) -> tuple[tuple[str, int, str], ...]:
    """Return what the folders of a host put into it, as (path, mode, text)."""
    return tuple(file for name in host.folders for file in _folder_files(name))


@cache
def _folder_files(name: str) -> tuple[tuple[str, int, str], ...]:
    folder = LAB / name
    files = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        place = path.relative_to(folder)
        top = {"root": "", "units": f"{UNITS}/"}.get(place.parts[0])
        target = f"{PLACES[name]}/{place}" if top is None else f"{top}{'/'.join(place.parts[1:])}"
        files.append((target, 0o755 if path.parent.name == "sbin" else 0o644, path.read_text()))
    if name == "standin":
        # It decides with the collection's own engine.
        engine = Path("ansible_collections/mailhost/hardening/plugins/module_utils")
        utils = PROJECT / "plugins" / "module_utils"
        for path in sorted(utils.rglob("*.py")):
            files.append((f"{PLACES[name]}/{engine / path.relative_to(utils)}", 0o644, path.read_text()))
    return tuple(files)
