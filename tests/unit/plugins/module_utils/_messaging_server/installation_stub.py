# Copyright: (c) 2026, The mailhost.hardening developers
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A folder that looks like an installed Messaging Server, with a shell script as its imsimta.

The script compiles by writing the files one behind the other into a new image, slowly and in two halves, and
"activates" by copying image and dispatcher.cnf into the file ``running``. A file ``fault/<arguments>`` (blanks as
underscores) makes it fail, hang or stay half-way.
"""

from __future__ import annotations

import contextlib
import os
import stat
import zlib
from pathlib import Path
from typing import Any

from ansible_collections.mailhost.hardening.plugins.module_utils._messaging_server import product
from ansible_collections.mailhost.hardening.plugins.module_utils._transaction.transaction import Change

SCRIPT = """\
#!/bin/sh
root='{root}'
echo "$*" >> "$root/calls"
fault=$(cat "$root/fault/$(echo "$*" | tr ' ' _)" 2>/dev/null)
image="$root/imta/lib/config_data"
case "$fault" in
fail) echo "imsimta: line 7: no such keyword" >&2; exit 3 ;;
hang) echo "imsimta: waiting"; sleep {hang} & sleep {hang} ;;
half) echo half > "$image"; echo "imsimta: no room in pool"; exit 1 ;;
esac
case "$*" in
"cnbuild -noimage_file") ;;
cnbuild)
  rm -f "$image"
  cat "$root/config/mappings" > "$image"
  sleep {pause}
  cat "$root/config/imta.cnf" >> "$image"
  chmod 600 "$image"
  ;;
reload | "restart smtp" | "restart dispatcher")
  cat "$image" "$root/config/dispatcher.cnf" > "$root/running.new" && mv "$root/running.new" "$root/running" ;;
*) echo "unknown"; exit 2 ;;
esac
"""
OLD = {"mappings": b"PORT_ACCESS\n\n  *  $Y\n", "imta.cnf": b"! old\n", "dispatcher.cnf": b"[SERVICE=SMTP]\n"}
NEW = {"mappings": b"PORT_ACCESS\n\n  *  $YEXTERNAL\n", "imta.cnf": b"! new\n", "general.txt": b"k  v\n"}
"""What a change makes of it: two files change, one comes into being, one stays."""
DETAILS = {"parts": ["mappings", "PORT_ACCESS", "general.txt"]}


class Stub(product.Product):
    """The product, answering while the file ``answers`` is there."""

    def alive(self) -> bool:
        return os.path.exists(os.path.join(self.root, "answers"))


class Installation:
    """An installation in a folder of its own; ``pause`` is how long it takes to compile."""

    def __init__(self, folder: Path, pause: float = 0) -> None:
        self.root, self.state = folder / "root", str(folder / "var" / "state")
        for name in ("config", "sbin", "imta/lib", "fault"):
            (self.root / name).mkdir(parents=True)
        self.imsimta = self.root / "sbin" / "imsimta"
        self.hang = f"300.{zlib.crc32(bytes(self.root))}"
        self.imsimta.write_text(SCRIPT.format(root=self.root, pause=pause, hang=self.hang))
        self.imsimta.chmod(0o755)
        for name, data in OLD.items():
            (self.root / "config" / name).write_bytes(data)
        self.image = self.root / "imta" / "lib" / "config_data"
        self.image.write_bytes(OLD["mappings"] + OLD["imta.cnf"])
        (self.root / "running").write_bytes(self.image.read_bytes() + OLD["dispatcher.cnf"])
        (self.root / "answers").touch()
        self.image.chmod(0o640)
        (self.root / "config" / "mappings").chmod(0o664)
        if os.geteuid() == 0:
            os.chown(self.root / "config" / "mappings", 1234, 4321)
            os.chown(self.image, 1234, 4321)
        for path in (self.image, self.root / "config" / "mappings"):
            with contextlib.suppress(OSError):
                os.setxattr(path, "user.note", b"managed")
        os.utime(self.image, ns=(10**18, 10**18))

    def driver(self) -> Stub:
        """Discover it as the module does."""
        found = product.discover(str(self.root))
        return Stub(found.root, found.imsimta, found.tailor)

    def changes(self) -> list[Change]:
        """The change from OLD to NEW, with a record in the state folder."""
        config = self.root / "config"
        files = [Change(str(config / name), OLD.get(name), NEW[name]) for name in NEW]
        return [*files, Change(os.path.join(self.state, "record.json"), None, b"{}\n")]

    def fault(self, command: str, kind: str) -> None:
        """Have a command of imsimta misbehave."""
        (self.root / "fault" / command.replace(" ", "_")).write_text(kind)

    def calls(self) -> list[str]:
        """The commands imsimta was called with."""
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def sleepers(self) -> set[str]:
        """The processes of commands that hang."""
        found = set()
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                if path.read_bytes() == f"sleep\0{self.hang}\0".encode():
                    found.add(path.parent.name)
        return found

    def snapshot(self) -> dict[str, Any]:
        """All that must come back: files, image, record, what is running; no staged copies are left out."""
        found: dict[str, Any] = {}
        places = [self.root / "running", *(self.root / "config").iterdir(), *(self.root / "imta" / "lib").iterdir()]
        record = Path(self.state, "record.json")
        for path in [*places, *([record] if record.exists() else [])]:
            about = path.stat()
            xattrs = {name: os.getxattr(path, name) for name in os.listxattr(path)}
            time = about.st_mtime_ns if path == self.image else 0
            mine = (stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid, xattrs, time)
            found[path.name] = (path.read_bytes(), mine if path.name != "running" else ())
        return found

    def is_new(self) -> bool:
        """Whether all of NEW is in force."""
        config = self.root / "config"
        new = {**OLD, **NEW}
        image = new["mappings"] + new["imta.cnf"]
        return (
            {path.name: path.read_bytes() for path in config.iterdir()} == new
            and self.image.read_bytes() == image
            and (self.root / "running").read_bytes() == image + new["dispatcher.cnf"]
            and os.path.exists(os.path.join(self.state, "record.json"))
            and [path.name for path in self.image.parent.iterdir()] == [self.image.name]
        )
