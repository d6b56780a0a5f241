"""The lab's hosts: containers that boot systemd, with their addresses, SSH keys and services."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import time
from pathlib import Path

from mailhost_lab.addresses import NAMES, NETWORKS, UNREACHABLE, Host
from mailhost_lab.containers.access import authorized_keys, host_key
from mailhost_lab.containers.engine import LABEL, Engine, LabError, limits
from mailhost_lab.containers.files import UNITS, host_files
from mailhost_lab.containers.images import image_name
from mailhost_lab.releases import RELEASES

# What a mail host's root has on a real machine and a container's root has not: NET_ADMIN and NET_RAW to filter
# packets and to craft them, SYS_ADMIN for the network namespace in which the role proves its rules, AUDIT_WRITE for
# sshd's login records.
CAPABILITIES = ("NET_ADMIN", "NET_RAW", "SYS_ADMIN", "AUDIT_WRITE")

COLLECTED = Path("/var/mail/collected")
"""Where a host with `domains` keeps their mail, a Maildir."""

START_SECONDS = 180
READY = """
state=$(timeout 90 systemctl is-system-running --wait 2>/dev/null) || true
[ "$state" = running ] || { echo "${state:-starting}"; exit 1; }
[ -z "$(ip -6 address show tentative)" ] || { echo addresses are tentative; exit 1; }
[ -n "$(ss -Hltn sport = :22)" ] || { echo sshd does not listen; exit 1; }
"""


def identity(host: Host, image: str) -> str:
    """Return what tells this lab's host from one with other keys or an older image, made from another checkout say."""
    content = [image, authorized_keys(), *host_key(host)]
    content += [f"{path} {mode} {text}" for path, mode, text in host_files(host)]
    content += _settling(host)
    return hashlib.sha256("\n".join(content).encode()).hexdigest()[:16]


def exists(engine: Engine, host: Host) -> bool:
    """Whether the host's container is there, runs, and is the one that this checkout would make."""
    shown = engine.run("inspect", "--type=container", host.container, check=False)
    if shown.returncode != 0:
        return False
    container = json.loads(shown.stdout)[0]
    labels = container["Config"]["Labels"]
    release = labels.get(f"{LABEL}.release")
    wanted = identity(host, image_name(release)) if release in RELEASES else None
    return bool(container["State"]["Running"]) and labels.get(f"{LABEL}.id") == wanted


def start(engine: Engine, host: Host, image: str, release: str) -> None:
    """Make the host anew and start it; `wait_until_ready` tells when it can be used."""
    remove(engine, host)
    first, *others = host.ports
    options = [
        f"--name={host.container}",
        f"--hostname={host.name}",
        f"--label={LABEL}=host",
        f"--label={LABEL}.release={release}",
        f"--label={LABEL}.id={identity(host, image)}",
        *(f"--cap-add={capability}" for capability in CAPABILITIES),
        *limits(),
        *_resolver(host),
        "--tmpfs=/tmp",
    ]
    if engine.podman:
        legs = [
            f"--network={NETWORKS[port.network].full_name}:ip={port.ip4},ip6={port.ip6},mac={port.mac},interface_name=eth{n}"
            for n, port in enumerate(host.ports)
        ]
        # systemd 257 and later reject hybrid control groups (v1) without the variable; it means nothing elsewhere.
        # Its /etc/hosts would hold the names of this machine; the lab's is among the files.
        options += ["--no-hosts", "--systemd=always", "--env=SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]
    else:
        # Docker does not know of systemd: it needs a writable cgroup tree, and /run in memory.
        legs = [f"--network={NETWORKS[first.network].full_name}", f"--ip={first.ip4}", f"--ip6={first.ip6}"]
        legs += [f"--mac-address={first.mac}"]
        options += ["--cgroupns=host", "--volume=/sys/fs/cgroup:/sys/fs/cgroup:rw", "--tmpfs=/run", "--tmpfs=/run/lock"]
        options += [f"--add-host={name}:{address}" for name, address in NAMES]
        options += ["--security-opt=apparmor=unconfined", "--env=container=docker"]
    command = ["/sbin/init", "SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"]
    engine.run(*engine.runtime, "create", *options, *legs, image, *command)
    if not engine.podman:
        for port in others:
            leg = [f"--ip={port.ip4}", f"--ip6={port.ip6}", NETWORKS[port.network].full_name]
            engine.run("network", "connect", *leg, host.container)
    engine.run("cp", "-", f"{host.container}:/", data=_files(engine, host))
    engine.run(*engine.runtime, "start", host.container)


def _resolver(host: Host) -> list[str]:
    """Return the options for the host's resolv.conf.

    Some have the lab's DNS. From the others no packet can go to the server, so a look-up fails at once instead of
    keeping a mail server waiting; the hosts of the lab know each other by name all the same.
    """
    if "resolver" in host.folders:
        return ["--dns=127.0.0.1", "--dns-option=timeout:2", "--dns-option=attempts:1"]
    return [f"--dns={UNREACHABLE}"]


def _files(engine: Engine, host: Host) -> bytes:
    """Return as a tar archive what makes the image this very host."""
    private, public = host_key(host)
    files = [
        ("etc/ssh/ssh_host_ed25519_key", 0o600, private),
        ("etc/ssh/ssh_host_ed25519_key.pub", 0o644, public),
        ("root/.ssh/authorized_keys", 0o600, authorized_keys()),
    ]
    if engine.podman:
        names = "".join(f"{address} {name}\n" for name, address in NAMES)
        files.append(("etc/hosts", 0o644, f"127.0.0.1 localhost\n::1 localhost\n127.0.1.1 {host.name}\n{names}"))
    files += host_files(host)
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for path, mode, text in files:
            entry = tarfile.TarInfo(path)
            entry.mode, entry.size, entry.mtime = mode, len(text.encode()), int(time.time())
            archive.addfile(entry, io.BytesIO(text.encode()))
        for service in () if host.mail else ("postfix.service", "postfix@-.service", "dovecot.service"):
            entry = tarfile.TarInfo(f"{UNITS}/{service}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "/dev/null"
            archive.addfile(entry)
        for path, _mode, text in files:
            if path.startswith(f"{UNITS}/") and "WantedBy=" in text:
                entry = tarfile.TarInfo(f"{UNITS}/multi-user.target.wants/{Path(path).name}")
                entry.type, entry.linkname = tarfile.SYMTYPE, f"../{Path(path).name}"
                archive.addfile(entry)
    return content.getvalue()


def wait_until_ready(engine: Engine, host: Host) -> None:
    """Return when the host has booted without a failed unit, has its addresses and accepts SSH."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        asked = engine.run("exec", host.container, "sh", "-c", READY, check=False)
        if asked.returncode == 0:
            break
        if time.monotonic() > deadline or asked.stdout.strip() in ("degraded", "maintenance"):
            raise LabError(f"{host.name} is not ready ({asked.stdout.strip()}):\n{journal(engine, host)}")
        time.sleep(0.1)
    _settle(engine, host)


def _settle(engine: Engine, host: Host) -> None:
    """Do what needs a running system."""
    steps = _settling(host)
    if steps:
        engine.run("exec", host.container, "sh", "-ec", "\n".join(steps))


def _settling(host: Host) -> list[str]:
    """Return what needs a running system: further addresses, and the domains for which a host takes mail."""
    steps = [f"ip address replace {address}/26 dev eth0" for address in host.extra4]
    steps += [f"ip address replace {address}/64 dev eth0 nodad preferred_lft 0" for address in host.extra6]
    if host.domains:
        settings = {
            "myhostname": host.fqdn,
            "mydestination": "localhost",
            "virtual_mailbox_domains": ", ".join(host.domains),
            # Every address of these domains, one file for each message.
            "virtual_mailbox_maps": f"static:{COLLECTED.name}/",
            "virtual_mailbox_base": str(COLLECTED.parent),
            # The user mail, the only one that may write below /var/mail.
            "virtual_minimum_uid": "8",
            "virtual_uid_maps": "static:8",
            "virtual_gid_maps": "static:8",
        }
        words = " ".join(f"'{name} = {value}'" for name, value in settings.items())
        steps += [f"postconf -e {words}", "postfix reload 2>&1"]
    return steps


def journal(engine: Engine, host: Host) -> str:
    """Return what shows why a host does not work."""
    script = "systemctl --failed --no-legend --plain; journalctl --no-pager --lines=40 --output=short-monotonic"
    shown = engine.run("exec", host.container, "sh", "-c", script, check=False)
    if shown.returncode == 0:
        return shown.stdout
    logs = engine.run("logs", "--tail=40", host.container, check=False)
    return f"{shown.stderr}{logs.stdout}{logs.stderr}"


def remove(engine: Engine, host: Host) -> None:
    """Remove the host's container at once; a lab has nothing to save."""
    if engine.run("inspect", "--type=container", host.container, check=False).returncode == 0:
        engine.run("rm", "--force", *(["--time=0"] if engine.podman else []), host.container)


def remove_all(engine: Engine) -> None:
    """Remove every container that the lab made."""
    found = engine.lines("ps", "--all", "--quiet", "--filter", f"label={LABEL}")
    if found:
        engine.run("rm", "--force", *(["--time=0"] if engine.podman else []), *found)


def release_of(engine: Engine, host: Host) -> str:
    """Return which Debian a host is now."""
    template = f'{{{{index .Config.Labels "{LABEL}.release"}}}}'
    return engine.run("inspect", "--type=container", f"--format={template}", host.container).stdout.strip()


def restart(engine: Engine, host: Host) -> None:
    """Reboot a host: its files stay, its processes, packet filter and sets are gone."""
    engine.run("restart", "--time=5", host.container)
    wait_until_ready(engine, host)
