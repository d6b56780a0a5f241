"""How the controller gets into the lab: keys, pinned host keys, and the inventory that says so to Ansible."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

from mailhost_lab.addresses import HOSTS, INTERNAL, RENEWED, Host
from mailhost_lab.containers.engine import Engine, LabError
from mailhost_lab.paths import INVENTORY, PROJECT, STATE

KEYS = STATE / "ssh"
KNOWN_HOSTS = STATE / "known_hosts"


def socket_folder(host: Host | None = None) -> Path:
    """Return where SSH keeps its shared connections, those with one host or all of them.

    A short path, as socket paths have a limit of 108 bytes.
    """
    base = os.environ.get("XDG_RUNTIME_DIR", "/tmp")  # noqa: S108 - the folder is made with mode 0700
    folder = Path(base, f"mailhost-lab-{hashlib.sha256(str(PROJECT).encode()).hexdigest()[:8]}")
    return folder / host.name if host else folder


def _key(name: str) -> Path:
    path = KEYS / name
    if not path.exists():
        KEYS.mkdir(parents=True, exist_ok=True, mode=0o700)
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"mailhost-lab {name}", "-f", str(path)]
        try:
            subprocess.run(command, stdin=subprocess.DEVNULL, timeout=60, check=True)
        except FileNotFoundError:
            raise LabError("ssh-keygen is missing; install the OpenSSH client") from None
    return path


def host_key(host: Host) -> tuple[str, str]:
    """Return the host's private and public key; they outlive the container, so that a renewed host is known."""
    path = _key(f"host_{host.name}")
    return path.read_text(), Path(f"{path}.pub").read_text()


def authorized_keys() -> str:
    """Return the controller's public key."""
    return Path(f"{_key('controller')}.pub").read_text()


def write_access(engine: Engine, *, direct: bool) -> None:
    """Write known_hosts and the inventory."""
    known = []
    for host in HOSTS.values():
        names = ",".join(address for port in host.ports for address in (port.ip4, port.ip6))
        known.append(f"{names} {' '.join(host_key(host)[1].split()[:2])}\n")
        socket_folder().mkdir(mode=0o700, exist_ok=True)
        socket_folder(host).mkdir(mode=0o700, exist_ok=True)
    _replace(KNOWN_HOSTS, "".join(known))
    _replace(INVENTORY, inventory(engine, direct=direct))


def _replace(path: Path, text: str) -> None:
    """Write a file at once, as another run may be reading it."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    new.replace(path)


def inventory(engine: Engine, *, direct: bool) -> str:
    """Return the inventory: each host in its group."""
    groups: dict[str, list[Host]] = {}
    for host in HOSTS.values():
        groups.setdefault(host.group, []).append(host)
    lines = ["# Written by molecule/_lab.", "all:", "  children:"]
    for group, hosts in groups.items():
        lines += [f"    {group}:", "      hosts:"]
        for host in hosts:
            lines += [f"        {host.name}:"]
            variables = _variables(engine, host, direct)
            lines += [f"          {key}: {json.dumps(value)}" for key, value in variables.items()]
    return "\n".join(lines) + "\n"


def _variables(engine: Engine, host: Host, direct: bool) -> dict[str, object]:
    # A mail host is managed from the internal network, its other leg faces the world.
    port = host.ports[-1]
    options = ["-F", "/dev/null", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=yes"]
    options += ["-o", f"UserKnownHostsFile={KNOWN_HOSTS}", "-o", "GlobalKnownHostsFile=/dev/null"]
    if not direct:
        door = INTERNAL if host in RENEWED else host
        options += ["-o", f"'ProxyCommand={engine.name} exec -i {door.container} nc {port.ip4} 22'"]
    return {
        "ansible_host": port.ip4,
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(_key("controller")),
        "ansible_ssh_common_args": " ".join(options),
        "ansible_ssh_pipelining": True,
        "ansible_control_path_dir": str(socket_folder(host)),
        "ansible_python_interpreter": "/usr/bin/python3",
    }


def close_connections(host: Host | None = None) -> None:
    """End the shared SSH connections with a host, or all; they would hang on a host that was made anew."""
    for socket in sorted(path for path in socket_folder(host).rglob("*") if path.is_socket()):
        command = ["ssh", "-F", "/dev/null", "-o", f"ControlPath={socket}", "-O", "exit", "lab"]
        subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
        socket.unlink(missing_ok=True)


def remove_access() -> None:
    """Remove the shared connections; what lies in .lab goes with the folder."""
    close_connections()
    shutil.rmtree(socket_folder(), ignore_errors=True)
