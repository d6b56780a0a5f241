"""The lab's images: Debian with a mail server as shipped, built here or on a pulled Debian."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from mailhost_lab.addresses import PREFIX
from mailhost_lab.containers.engine import LABEL, Engine, LabError
from mailhost_lab.paths import LAB
from mailhost_lab.releases import HELPER_RELEASE

COMMON = (
    "systemd systemd-sysv dbus python3 iproute2 iputils-ping iptables ipset nftables conntrack openssh-server postfix "
    "dovecot-imapd dovecot-pop3d procps util-linux kmod sudo tcpdump netcat-openbsd ca-certificates rbldnsd "
    "dnsmasq-base"
)
HELPERS = "python3-scapy swaks python3-aiosmtpd python3-dnspython"
"""What the hosts around the mail host need besides, and the stand-in for Messaging Server."""

SETUP = LAB / "image_setup.sh"
PRESEED = "postfix postfix/main_mailer_type select Internet Site\npostfix postfix/mailname string mail.example\n"
UNNEEDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
BUILD_SECONDS = 2700


def packages(release: str) -> list[str]:
    """Return the packages of a release's image."""
    return f"{COMMON} {HELPERS if release == HELPER_RELEASE else ''}".split()


def image_name(release: str) -> str:
    """Return the image's name, whose tag changes with everything that goes into the image."""
    content = [release, *sorted(packages(release)), PRESEED, *UNNEEDED, SETUP.read_text()]
    digest = hashlib.sha256("\n".join(content).encode()).hexdigest()[:12]
    return f"localhost/{PREFIX}:{release}-{digest}"


def ensure_image(engine: Engine, release: str) -> str:
    """Return the name of the release's image; build it if the engine does not hold it yet."""
    name = image_name(release)
    if engine.run("image", "inspect", name, check=False).returncode == 0:
        return name
    started = time.monotonic()
    remove_images(engine, release)
    if shutil.which("mmdebstrap") and os.geteuid() == 0 and _os_release("ID") == "debian":
        print(f"  image {release}: built from this host's Debian package sources, takes about a minute", flush=True)
        _build_from_packages(engine, release, name)
    else:
        print(f"  image {release}: built on debian:{release}-slim, takes a minute or two", flush=True)
        _build_on_pulled(engine, release, name)
    print(f"  image {release}: ready after {time.monotonic() - started:.0f} s", flush=True)
    return name


def remove_images(engine: Engine, release: str | None = None) -> None:
    """Remove the images that the lab made, or only those of one release."""
    kind = f"{LABEL}={release}" if release else LABEL
    found = sorted(set(engine.lines("images", "--quiet", "--no-trunc", "--filter", f"label={kind}")))
    if found:
        engine.run("rmi", "--force", *found)


def _build_from_packages(engine: Engine, release: str, name: str) -> None:
    hooks = [
        f"--essential-hook=printf '{PRESEED.encode('unicode_escape').decode()}' | chroot \"$1\" debconf-set-selections",
        f'--customize-hook=copy-in "{SETUP}" /tmp',
        f'--customize-hook=chroot "$1" sh /tmp/{SETUP.name}',
        f'--customize-hook=rm "$1/tmp/{SETUP.name}"',
    ]
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}-") as folder:
        sources, archive = Path(folder, "sources.list"), Path(folder, "root.tar")
        sources.write_text("".join(f"{line}\n" for line in debian_sources(release)))
        _show_progress(
            ["mmdebstrap", "--variant=minbase", "--format=tar"]
            + [f"--dpkgopt=path-exclude={path}" for path in UNNEEDED]
            + [f"--include={','.join(packages(release))}", *hooks, release, str(archive), str(sources)]
        )
        labels = [f"LABEL {LABEL}={release}", 'CMD ["/sbin/init"]', "STOPSIGNAL SIGRTMIN+3"]
        with archive.open("rb") as content:
            engine.run(
                "import", *(f"--change={label}" for label in labels), "-", name, stdin=content, timeout=BUILD_SECONDS
            )


def _show_progress(command: list[str]) -> None:
    """Run mmdebstrap and show its steps, so that the lab does not seem to hang."""
    said: list[str] = []
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + BUILD_SECONDS
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            step = re.fullmatch(r"I: ((?:downloading|extracting|installing|cleaning|creating)[^:]*)\.\.\.\n", line)
            if step:
                print(f"    {step.group(1)}", flush=True)
            if time.monotonic() > deadline:
                process.kill()
    if process.returncode != 0:
        raise LabError(f"mmdebstrap failed with {process.returncode}:\n{''.join(said[-25:])}")


def _build_on_pulled(engine: Engine, release: str, name: str) -> None:
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}-") as folder:
        shutil.copy(SETUP, Path(folder, SETUP.name))
        Path(folder, "preseed").write_text(PRESEED)
        Path(folder, "Containerfile").write_text(containerfile(release, f"docker.io/library/debian:{release}-slim"))
        command = [engine.name, "build", "--tag", name, "--file", f"{folder}/Containerfile", folder]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, timeout=BUILD_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise LabError(f"the build of the image {release} did not end within {BUILD_SECONDS} s") from error
    if done.returncode != 0:
        raise LabError(
            f"the image {release} can neither be built on a pulled Debian nor from packages: for the former an image "
            "registry must be reachable, for the latter run as root on Debian with mmdebstrap"
        )


def containerfile(release: str, base: str) -> str:
    """Return the build file for hosts that can pull a Debian image."""
    return f"""FROM {base}
LABEL {LABEL}={release}
COPY preseed {SETUP.name} /tmp/
RUN {" && ".join(f"echo 'path-exclude={path}' >> /etc/dpkg/dpkg.cfg.d/lab" for path in UNNEEDED)} \\
 && apt-get update && debconf-set-selections /tmp/preseed \\
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends {" ".join(packages(release))} \\
 && sh /tmp/{SETUP.name} && rm -rf /tmp/preseed /tmp/{SETUP.name} /var/lib/apt/lists/*
STOPSIGNAL SIGRTMIN+3
CMD ["/sbin/init"]
"""


def debian_sources(release: str) -> list[str]:
    """Return the sources.list lines for a release, from the host's own package sources.

    Only the origin of the host's own release is taken over (its main archive, neither third parties nor the
    security archive, which need not carry the other release), with the suite exchanged.
    """
    own = _os_release("VERSION_CODENAME")
    for options, uri, suite, components in _apt_entries():
        if suite in (own, "stable", "testing") and "main" in components:
            return [f"deb {options}{uri} {release} main"]
    raise LabError("this host's apt sources name no Debian archive to build images from")


def _os_release(key: str) -> str:
    path = Path("/etc/os-release")
    found = re.search(rf"^{key}=\"?(\w+)\"?$", path.read_text() if path.exists() else "", re.MULTILINE)
    return found.group(1) if found else ""


def _apt_entries() -> list[tuple[str, str, str, list[str]]]:
    """Return (options, URI, suite, components) of every binary package source, in both of apt's formats."""
    entries = []
    folder = Path("/etc/apt/sources.list.d")
    for path in [Path("/etc/apt/sources.list"), *sorted(folder.glob("*.list"))]:
        text = path.read_text() if path.exists() else ""
        for found in re.finditer(r"^deb\s+(\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+([^#\n]+)", text, re.MULTILINE):
            options, uri, suite, components = found.groups()
            entries.append((f"{options.strip()} " if options else "", uri, suite, components.split()))
    for path in sorted(folder.glob("*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            fields = {key.lower(): value.split() for key, value in re.findall(r"^([\w-]+):[ \t]*(.*)$", stanza, re.M)}
            if "deb" not in fields.get("types", []) or fields.get("enabled") == ["no"]:
                continue
            keyring = fields.get("signed-by", [])
            options = f"[signed-by={keyring[0]}] " if keyring and keyring[0].startswith("/") else ""
            entries += [
                (options, uri, suite, fields.get("components", []))
                for uri in fields.get("uris", [])
                for suite in fields.get("suites", [])
            ]
    return entries
