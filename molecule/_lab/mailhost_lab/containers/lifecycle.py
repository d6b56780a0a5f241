"""Start, renew and remove the lab and its hosts.

The demo, every Molecule scenario and the benchmarks use the same lab; only the host that they try is made anew between
them: the mail host, the one with the stand-in for Messaging Server, or the one with Postfix and its mailboxes.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mailhost_lab.addresses import HOSTS, MAILHOST, NETWORKS, RENEWED, STANDING, Host, find_host
from mailhost_lab.containers import access, hosts
from mailhost_lab.containers.engine import Engine, LabError, find_engine
from mailhost_lab.containers.images import ensure_image, image_name, remove_images
from mailhost_lab.containers.networks import (
    ensure_networks,
    has_former_networks,
    reached_directly,
    remove_networks,
    steady_bridges,
)
from mailhost_lab.paths import STATE
from mailhost_lab.releases import HELPER_RELEASE, RELEASES

if TYPE_CHECKING:
    from collections.abc import Iterator

STATE_FILE = STATE / "lab.json"


def known_engine() -> Engine:
    """Return the engine with the runtime that `up` has found to work."""
    engine = find_engine()
    if STATE_FILE.exists():
        engine.runtime = json.loads(STATE_FILE.read_text()).get("runtime", [])
    return engine


def up() -> None:
    """Bring the lab up; what is there and works is left alone."""
    started = time.monotonic()
    engine = known_engine()
    _ensure(engine, list(STANDING))
    print(f"  lab is up ({engine.name}, {time.monotonic() - started:.1f} s)", flush=True)


def reset(release: str, host: Host = MAILHOST) -> None:
    """Make a host anew, with the same addresses and the same SSH host key; the other hosts stay."""
    engine = known_engine()
    if "standin" in host.folders and release != HELPER_RELEASE:
        raise LabError(f"{host.name} is {HELPER_RELEASE} only, whose image has what the stand-in needs")
    _ensure(engine, [other for other in STANDING if other not in RENEWED])
    with _alone(f"image-{release}"):
        image = ensure_image(engine, release)
    started = time.monotonic()
    access.close_connections(host)
    hosts.start(engine, host, image, release)
    hosts.wait_until_ready(engine, host)
    print(f"  host {host.name} is new ({release}, {time.monotonic() - started:.1f} s)", flush=True)


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Keep other runs from the same while the block runs: two scenarios, with a host each, may want to."""
    STATE.mkdir(exist_ok=True, mode=0o700)
    with (STATE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _ensure(engine: Engine, wanted: list[Host]) -> None:
    with _alone("lab"):
        _ensure_alone(engine, wanted)


def _ensure_alone(engine: Engine, wanted: list[Host]) -> None:
    with _alone(f"image-{HELPER_RELEASE}"):
        image = ensure_image(engine, HELPER_RELEASE)
    if not STATE_FILE.exists():
        engine.choose_runtime(image)
        STATE_FILE.write_text(json.dumps({"engine": engine.name, "runtime": engine.runtime}) + "\n")
    if has_former_networks(engine):
        _remove_all(engine)
    ensure_networks(engine)
    missing = [host for host in wanted if not hosts.exists(engine, host)]
    for host in missing:
        hosts.start(engine, host, image, HELPER_RELEASE)
        print(f"  host {host.name}: {', '.join(f'{port.ip4}, {port.ip6}' for port in host.ports)}", flush=True)
    steady_bridges(engine)
    for host in missing:
        hosts.wait_until_ready(engine, host)
        access.close_connections(host)
    # Always, as an inventory of an older checkout lacks hosts.
    access.write_access(engine, direct=reached_directly())


def remove(name: str) -> None:
    """Remove one host."""
    engine = known_engine()
    access.close_connections(find_host(name))
    hosts.remove(engine, find_host(name))


def restart(name: str) -> None:
    """Reboot a host."""
    engine = known_engine()
    access.close_connections(find_host(name))
    hosts.restart(engine, find_host(name))


def status() -> None:
    """Show what there is."""
    engine = known_engine()
    print(f"engine    {engine.name} {' '.join(engine.runtime)}")
    for release in RELEASES:
        there = engine.run("image", "inspect", image_name(release), check=False).returncode == 0
        print(f"image     {release:<10}{'built' if there else 'not built'}")
    for network in NETWORKS.values():
        there = engine.run("network", "inspect", network.full_name, check=False).returncode == 0
        print(f"network   {network.name:<10}{network.subnet4}, {network.subnet6}{'' if there else ' (not there)'}")
    for host in HOSTS.values():
        running = hosts.exists(engine, host)
        print(f"host      {host.name:<10}{hosts.release_of(engine, host) if running else 'not running'}")


def _remove_all(engine: Engine) -> None:
    hosts.remove_all(engine)
    remove_networks(engine)


def down() -> None:
    """Remove containers, networks, images, keys and sockets: every trace of the lab."""
    try:
        engine = known_engine()
    except LabError as error:
        print(f"  nothing to remove from a container engine: {error}")
    else:
        _remove_all(engine)
        remove_images(engine)
    access.remove_access()
    shutil.rmtree(STATE, ignore_errors=True)
    print("  lab is gone")
